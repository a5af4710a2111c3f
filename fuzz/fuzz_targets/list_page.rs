#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::withstands(repository::decoders::list_page, bytes));
