//! Eight weeks of a slow line, in seconds: every promise of the uplink at every step (promise 7), and how far off the
//! forecast of each day was.

#[path = "support/weeks.rs"]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a model in round numbers: bytes and seconds are far below 2^53"
)]
mod weeks;

use weeks::{DAY, Scenario, Weeks, scenarios};

/// How far off, sorted; a day's data exists in all.
fn offs(weeks: &Weeks) -> Vec<f64> {
    let mut offs: Vec<f64> = weeks.told.iter().filter_map(|t| t.off().map(f64::abs)).collect();
    offs.sort_by(f64::total_cmp);
    offs
}

#[expect(clippy::cast_precision_loss, reason = "days with two digits")]
fn live(number: usize) -> (Scenario, Weeks) {
    let scenario = scenarios().swap_remove(number);
    let weeks = Weeks::new(scenario.clone()).live();
    for told in &weeks.told {
        let d = |s: Option<u64>| s.map_or("-".into(), |s| format!("{:.2}", s as f64 / DAY as f64));
        println!(
            "{} day {:5.1} {:10} told {} ({} to {}), came after {}: {}{}",
            scenario.name,
            told.at as f64 / DAY as f64,
            weeks.folder(told.folder),
            d(told.outlook.likely),
            d(told.outlook.earliest),
            d(told.outlook.latest),
            d(told.came.map(|c| c - told.at)),
            told.off().map_or("-".into(), |o| format!("{:+.1} %", o * 100.0)),
            if told.within_range() == Some(false) { ", out of its range" } else { "" },
        );
    }
    (scenario, weeks)
}

/// Nineteen in twenty within 10 %, and every one inside the range that was told with it: what ends just before a window
/// closes or just after is a night apart, and no forecast knows which.
#[expect(clippy::cast_precision_loss, reason = "hundreds")]
fn within_ten_percent(number: usize) {
    let (scenario, weeks) = live(number);
    let offs = offs(&weeks);
    let worst = offs.last().copied().unwrap_or(0.0);
    let within = offs.iter().filter(|off| **off <= 0.10).count() as f64 / offs.len().max(1) as f64;
    println!(
        "{}: {} forecasts, median {:.1} %, worst {:.1} %, {:.1} % of them within 10 %; {} power cuts, {} of {} bytes sent twice",
        scenario.name,
        offs.len(),
        offs[offs.len() / 2] * 100.0,
        worst * 100.0,
        within * 100.0,
        weeks.cuts(),
        weeks.wasted,
        weeks.sent
    );
    assert!(offs.len() > 20, "{} forecasts came true or not", offs.len());
    assert!(within >= 0.95, "{}: only {:.1} % of the forecasts were within 10 %", scenario.name, within * 100.0);
    assert!(
        offs[offs.len() / 2] <= 0.03,
        "{}: the median was off by {:.1} %",
        scenario.name,
        offs[offs.len() / 2] * 100.0
    );
    let out_of_range = weeks.told.iter().filter(|t| t.within_range() == Some(false)).count();
    assert_eq!(out_of_range, 0, "{}: forecasts out of the range that was told", scenario.name);
}

#[test]
fn under_a_plain_limit_every_promise_holds_and_forecasts_are_within_ten_percent() {
    within_ten_percent(0);
}

#[test]
fn with_a_window_at_night_every_promise_holds_and_forecasts_are_within_ten_percent() {
    within_ten_percent(1);
}

#[test]
fn with_a_calendar_of_office_hours_every_promise_holds_and_forecasts_are_within_ten_percent() {
    within_ten_percent(2);
}

#[test]
fn under_caps_every_promise_holds_and_forecasts_are_within_ten_percent() {
    within_ten_percent(3);
}

#[test]
fn on_a_poor_line_every_promise_holds_and_forecasts_are_within_ten_percent() {
    within_ten_percent(4);
}

#[test]
fn with_a_trickle_at_night_every_promise_holds_and_forecasts_are_within_ten_percent() {
    within_ten_percent(5);
}
