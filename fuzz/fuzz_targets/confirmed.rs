#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peermq::fuzzing::confirmed(bytes));
