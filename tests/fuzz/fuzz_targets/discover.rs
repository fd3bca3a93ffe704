//! See `src/discover.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailbearer_fuzz::discover::check(data));
