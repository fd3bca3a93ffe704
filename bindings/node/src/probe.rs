//! Entries that panic, as a bug would: for the tests only.
#![allow(clippy::panic, reason = "it is what they are for")]

use napi_derive::napi;

#[napi(catch_unwind)]
pub fn panics(text: String) -> u32 {
    panic!("{text}")
}

#[napi]
pub struct Fragile {}

#[napi]
impl Fragile {
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self {}
    }

    #[napi(catch_unwind)]
    pub fn panics(&mut self) {
        panic!("in a method")
    }

    #[napi(catch_unwind)]
    pub fn works(&self) -> bool {
        true
    }
}
