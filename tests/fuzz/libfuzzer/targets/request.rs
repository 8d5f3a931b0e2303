//! Calls [`volley_fuzz::request`] with what the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| volley_fuzz::request(input));
