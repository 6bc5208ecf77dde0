//! What the controller promises, on the simulated bottleneck of `trial`.

use super::trial::Trial;

const LINES: [f64; 4] = [1.0, 5.0, 20.0, 100.0];
const WAYS: [f64; 3] = [0.001, 0.020, 0.100];

fn each(mut trial: impl FnMut(f64, f64)) {
    for mbit in LINES {
        for way in WAYS {
            trial(mbit, way);
        }
    }
}

#[test]
fn the_idle_line_is_used_and_nobody_feels_it() {
    each(|mbit, way| {
        let mut trial = Trial::new(mbit, way, 1);
        let begin = trial.run(20.0);
        let seen = trial.run(60.0);
        println!("{mbit} Mbit/s, {way} s: {begin:?} {seen:?}");
        assert!(seen.share >= 0.85, "{mbit} Mbit/s, {way} s: {seen:?}");
        assert!(seen.median_ms <= 25.0 && seen.p95_ms <= 50.0, "{mbit} Mbit/s, {way} s: {seen:?}");
        assert!(begin.p95_ms <= 100.0, "{mbit} Mbit/s, {way} s: {begin:?}");
    });
}

#[test]
fn a_greedy_flow_gets_the_line_within_seconds_and_gives_it_back() {
    each(|mbit, way| {
        let mut trial = Trial::new(mbit, way, 1);
        trial.run(30.0);
        trial.greedy_begins();
        let first = trial.run(5.0);
        let with = trial.run(20.0);
        trial.greedy_ends();
        let draining = trial.run(8.0);
        let after = trial.run(20.0);
        println!("{mbit} Mbit/s, {way} s: {first:?}\n  {with:?}\n  {draining:?}\n  {after:?}");
        assert!(with.share <= 0.10, "{mbit} Mbit/s, {way} s: {with:?}");
        assert!(after.share >= 0.70, "{mbit} Mbit/s, {way} s: {after:?}");
    });
}
