//! Eight weeks of the daemon itself on a very slow line, in a minute: every promise of the uplink at every step (promise 7),
//! what is called safe against what arrived (promises 1, 3, 4), and the forecast of each noon against when it came.
//!
//! What `tests/eight_weeks.rs` lives through in a model of the engine with terabytes, this does in the engine with some
//! hundred megabytes: the line is as much slower. `support/household.rs` tells what of it is real.

#[path = "support/bed.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod bed;
#[path = "support/household.rs"]
#[expect(clippy::cast_precision_loss, reason = "bytes and seconds are far below 2^53")]
mod household;
#[path = "support/read_vault.rs"]
mod read_vault;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/witness.rs"]
mod witness;

use household::{DAY, Folder, Household, Makes, Scenario, Tally, Told};

const MB: u64 = 1_000_000;

fn folder(name: &'static str, priority: &'static str, makes: Makes, bytes: u64, file: u64, new_per_day: u64) -> Folder {
    Folder { name, priority, makes, bytes, file, new_per_day }
}

/// Files of one size class that come and stay.
fn plain() -> Scenario {
    Scenario {
        name: "limit",
        seed: 1,
        limit: 250,
        window: None,
        month: None,
        line: 600.0,
        evening: 0.7,
        outages: 0.4,
        outage_s: 1500.0,
        cuts: 1.0,
        cut_s: 900.0,
        pause: (20, 6),
        changes: 0.0,
        folders: vec![
            folder("documents", "first", Makes::Letters, 10 * MB, MB / 10, MB / 4),
            folder("films", "normal", Makes::Films, 140 * MB, 9 * MB / 10, 2 * MB),
        ],
    }
}

/// At night alone, under a month's cap that is used up, with files of several sizes that are changed, moved and taken away.
fn nights() -> Scenario {
    Scenario {
        name: "nights",
        seed: 2,
        window: Some((23, 6)),
        month: Some(75 * MB),
        evening: 1.0,
        pause: (20, 30),
        changes: 0.02,
        folders: vec![
            folder("documents", "first", Makes::Letters, 10 * MB, MB / 10, MB / 4),
            folder("films", "normal", Makes::Films, 50 * MB, 3 * MB, 3 * MB / 2),
        ],
        ..plain()
    }
}

/// What was told, how far off each was, in per cent of what was left (a day at least), sorted; and what happened.
fn live(scenario: Scenario) -> (Vec<(f64, Told)>, Tally) {
    let house = Household::new(scenario);
    house.live();
    let days = |s: Option<u64>| s.map_or("-".into(), |s| format!("{}.{:02}", s / DAY, s % DAY * 100 / DAY));
    let (mut told, tally) = (vec![], house.tally());
    for one in house.told() {
        println!(
            "{} day {} {:10} told {} ({} to {}), came after {}: {}{}",
            house.scenario.name,
            days(Some(one.at)),
            house.scenario.folders[one.folder].name,
            days(one.likely),
            days(one.earliest),
            days(one.latest),
            days(one.came.map(|c| c - one.at)),
            one.off().map_or("-".into(), |o| format!("{:+.1} %", o * 100.0)),
            if one.in_range() == Some(false) { ", out of its range" } else { "" },
        );
        told.extend(one.off().map(|off| (off.abs() * 100.0, one)));
    }
    told.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!(
        "{}: median {:.1} %, worst {:.1} %; {tally:?}",
        house.scenario.name,
        median(&told),
        told[told.len() - 1].0
    );
    assert!(tally.cuts > 0 && tally.outages > 0 && tally.paused == 1 && tally.checked > 1000, "{tally:?}");
    assert!(told.len() > 25, "{} forecasts", told.len());
    (told, tally)
}

fn median(told: &[(f64, Told)]) -> f64 {
    told[told.len() / 2].0
}

#[test]
fn under_a_plain_limit_every_promise_holds_and_nine_forecasts_in_ten_are_within_ten_percent() {
    let (told, _) = live(plain());
    let far = |t: &&(f64, Told)| t.1.came.is_some_and(|came| came - t.1.at >= DAY);
    for (off, one) in told.iter().filter(far) {
        assert!(*off <= 15.0, "off by {off:.1} %: {one:?}");
    }
    // Of what is safe within hours: two packs are a tenth of a day here, and a file just noticed weighs nothing yet.
    let within = told.iter().filter(|(off, _)| *off <= 10.0).count();
    assert!(within * 10 >= told.len() * 9, "{within} of {} within 10 %", told.len());
    assert!(told[told.len() - 1].0 <= 25.0, "{:?}", told[told.len() - 1]);
}

#[test]
fn at_night_under_a_cap_every_promise_holds_though_files_change_and_half_of_all_forecasts_are_within_ten_percent() {
    let (told, tally) = live(nights());
    assert!(tally.capped > 0, "the cap was never used up: {tally:?}");
    // See "What it does not know" in docs/uplink/forecast.md.
    assert!(median(&told) <= 10.0, "{:.1} %", median(&told));
    let within = told.iter().filter(|(off, _)| *off <= 10.0).count();
    assert!(within * 2 >= told.len(), "{within} of {} within 10 %", told.len());
}
