//! Linker settings that Node's addons need.

fn main() {
    napi_build::setup();
}
