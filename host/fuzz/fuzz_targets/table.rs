#![no_main]

libfuzzer_sys::fuzz_target!(init: gristmill_fuzz::arrow_may_panic(), |data: &[u8]| {
    gristmill_fuzz::targets::table(data);
});
