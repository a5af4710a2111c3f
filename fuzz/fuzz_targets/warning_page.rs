#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::withstands(repository::decoders::warning_page, bytes));
