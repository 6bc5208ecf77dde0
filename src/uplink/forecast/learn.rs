//! What a forecast rests on, learnt from what was seen: what the line gives of what it is allowed, by the hour of the
//! day; how many sealed bytes come of a byte of a root's files; how much is new in a day.
//!
//! Everything fades, so that a new contract, another habit or another kind of file is known within days. All is plain
//! sums that [`figures`](Given::figures) turns into numbers to keep and back: a restart goes on from what was kept, and
//! what a death loses is the last minute. Time in which nothing ran while something waited counts as a line that gave
//! nothing: a machine that is off at night is part of how long it takes.

mod files;
mod line;

pub use files::Files;
pub use line::{Given, Heard};

use super::Case;

/// What was seen so long ago weighs half: a week.
const HALF_LIFE: f64 = 7.0 * 86_400.0;
/// A range is never narrower than this to either side.
const SURE: f64 = 0.03;
const DAY: f64 = 86_400.0;

/// A figure and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub low: f64,
    pub likely: f64,
    pub high: f64,
}

impl Spread {
    pub fn exactly(likely: f64) -> Self {
        Self { low: likely, likely, high: likely }
    }
    /// Less to send is the better case.
    pub(super) fn in_case(self, case: Case) -> f64 {
        match case {
            Case::Early => self.low,
            Case::Likely => self.likely,
            Case::Late => self.high,
        }
    }
}
