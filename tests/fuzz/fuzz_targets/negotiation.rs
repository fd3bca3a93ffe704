//! See `src/negotiation.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailbearer_fuzz::negotiation::check(data));
