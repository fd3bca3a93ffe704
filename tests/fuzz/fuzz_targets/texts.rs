//! See `src/texts.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailbearer_fuzz::texts::check(data));
