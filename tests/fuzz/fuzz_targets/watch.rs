//! See `src/watch.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailbearer_fuzz::watch::check(data));
