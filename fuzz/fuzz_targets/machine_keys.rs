#![no_main]

#[expect(dead_code, reason = "shared: each target knocks at one door")]
#[path = "../../tests/support/doors.rs"]
mod doors;

libfuzzer_sys::fuzz_target!(|data: &[u8]| doors::machine_keys(data));
