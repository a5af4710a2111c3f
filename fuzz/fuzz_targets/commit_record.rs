#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::withstands(repository::decoders::commit_record, bytes));
