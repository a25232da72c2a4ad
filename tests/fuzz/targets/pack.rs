#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| { let _ = florin_tests::fuzz::pack::check(bytes); });
