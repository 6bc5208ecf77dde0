//! How far off forecasts are: the scenarios of `tests/eight_weeks.rs`, each with several seeds, as the table that the docs
//! quote. Eight weeks take about two seconds: `cargo run --release --example forecast [SEEDS]`.

#[path = "../../tests/support/weeks.rs"]
#[expect(
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a model in round numbers: bytes and seconds are far below 2^53"
)]
mod weeks;

use weeks::{DAY, Weeks, scenarios};

#[expect(clippy::cast_precision_loss, reason = "per cent with two digits")]
fn main() {
    let seeds: u64 = std::env::args().nth(1).map_or(5, |n| n.parse().expect("a number of seeds"));
    println!(
        "| line | forecasts | median off | 90th | 95th | worst | within 10 % | inside the range | power cuts | sent twice |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for scenario in scenarios() {
        let (mut offs, mut inside, mut ranged, mut cuts, mut sent, mut wasted) = (vec![], 0, 0, 0, 0, 0);
        for seed in 0..seeds {
            let mut one = scenario.clone();
            one.seed += seed * 100;
            let weeks = Weeks::new(one).live();
            offs.extend(weeks.told.iter().filter_map(|t| t.off().map(f64::abs)));
            let ranges: Vec<bool> = weeks.told.iter().filter_map(weeks::Told::within_range).collect();
            inside += ranges.iter().filter(|r| **r).count();
            ranged += ranges.len();
            cuts += weeks.cuts();
            sent += weeks.sent;
            wasted += weeks.wasted;
        }
        offs.sort_by(f64::total_cmp);
        let at =
            |part: usize| offs.get((offs.len() * part / 100).min(offs.len().saturating_sub(1))).copied().unwrap_or(0.0);
        let good = offs.iter().filter(|o| **o <= 0.1).count();
        println!(
            "| {} | {} | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {:.0} % | {cuts} | {:.2} % |",
            scenario.name,
            offs.len(),
            at(50) * 100.0,
            at(90) * 100.0,
            at(95) * 100.0,
            at(100) * 100.0,
            good as f64 * 100.0 / offs.len().max(1) as f64,
            inside as f64 * 100.0 / ranged.max(1) as f64,
            wasted as f64 * 100.0 / sent.max(1) as f64,
        );
    }
    println!("\n{seeds} seeds each. Off: of the time that was left, a day at least ({DAY} s).");
}
