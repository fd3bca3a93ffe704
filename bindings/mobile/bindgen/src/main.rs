//! UniFFI's generator of bindings, in the version that the library is built with; and `surface`, which hides from users of the
//! Kotlin code what only the generated code itself needs.

mod kotlin;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, command, package, file] = arguments.as_slice() else {
        uniffi::uniffi_bindgen_main();
        return ExitCode::SUCCESS;
    };
    if command != "surface" {
        uniffi::uniffi_bindgen_main();
        return ExitCode::SUCCESS;
    }
    match kotlin::hide(package, std::path::Path::new(file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{file}: {problem}");
            ExitCode::FAILURE
        }
    }
}
