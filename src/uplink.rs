//! What may go over the uplink now: arithmetic only, no clock, no thread, no waiting.
//!
//! [`bucket`] keeps one limit, [`share`] divides a line between the vaults that use it,
//! [`calendar`] says what each hour of the week allows, [`cap`] what is left of a month or a day, [`manners`] yields to
//! everybody else on it, [`forecast`] says when what waits is safe.

pub mod bucket;
pub mod calendar;
pub mod cap;
pub mod forecast;
pub mod link;
pub mod manners;
pub mod share;

pub use bucket::{Bucket, Grant, slice};
pub use share::{Share, Taker};

use crate::model::Rate;

/// Limits of both ways, bytes on the wire; None: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub up: Option<Rate>,
    pub down: Option<Rate>,
}

impl Rates {
    /// No limit either way.
    pub const FREE: Self = Self { up: None, down: None };

    /// A limit for what is sent, none for what is received.
    pub fn up(rate: Option<Rate>) -> Self {
        Self { up: rate, down: None }
    }

    /// The lower of each way: where both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let lower = |a: Option<Rate>, b: Option<Rate>| [a, b].into_iter().flatten().min();
        Self { up: lower(self.up, other.up), down: lower(self.down, other.down) }
    }
}
