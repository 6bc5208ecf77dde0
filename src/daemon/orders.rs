//! What an operator ordered that outlives a restart: a limit in the place of the configured one and of the calendar, a
//! pause; for good or until a time. They are kept in one small file of the state folder and read before any vault is
//! opened, so they hold from the first byte of the next start (promise 7), for a vault too that was not open when the order
//! was given.
//!
//! An order is on the disk before it is obeyed and answered. Dying in between leaves the old ones or the new ones.

use super::home::{Home, name_over, write_synced};
use crate::clock::{Steady, Wall};
use crate::error::{Error, Result};
use crate::model::Rate;
use crate::worker::Faults;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;

/// The orders that stand. The default: none, everything is as configured. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// For all vaults together, in the place of `[uplink] limit` and `calendar`. A vault's own `limit` holds beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Ordered>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_since: Option<i64>,
    /// None: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_until: Option<i64>,
    /// Since when nothing is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<i64>,
    /// None: until somebody resumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<i64>,
}

/// A limit as it was ordered, bytes per second; 0 is an order too: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ordered(u64);

impl From<Option<Rate>> for Ordered {
    fn from(rate: Option<Rate>) -> Self {
        Self(rate.map_or(0, Rate::get))
    }
}

impl Ordered {
    pub fn rate(self) -> Option<Rate> {
        Rate::bytes_per_second(self.0)
    }
}

/// From when to when an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub since: Wall,
    /// None: for good.
    pub until: Option<Wall>,
}

impl Term {
    /// Whether it still stands. It ends when the wall clock shows its end, and also once as much time has passed as it was
    /// ordered for: a clock that is put back does not draw it out. `given`: when this process first knew of it.
    pub fn stands(self, given: Steady, wall: Wall, now: Steady) -> bool {
        self.until.is_none_or(|until| wall < until && now.since(given) < until.since(self.since))
    }
}

impl Orders {
    /// When the ordered limit holds; None: there is none.
    pub fn limit_term(&self) -> Option<Term> {
        self.limit?;
        // Orders of the first releases have no begin and no end.
        Some(Term { since: Wall(self.limit_since.unwrap_or(0)), until: self.limit_until.map(Wall) })
    }
    pub fn pause_term(&self) -> Option<Term> {
        Some(Term { since: Wall(self.paused?), until: self.paused_until.map(Wall) })
    }
    pub fn set_limit(&mut self, limit: Option<Ordered>, since: Wall, until: Option<Wall>) {
        self.limit = limit;
        self.limit_since = limit.map(|_| since.0);
        self.limit_until = limit.and(until).map(|at| at.0);
    }
    pub fn set_pause(&mut self, since: Wall, until: Option<Wall>) {
        (self.paused, self.paused_until) = (Some(since.0), until.map(|at| at.0));
    }
    pub fn lift_pause(&mut self) {
        (self.paused, self.paused_until) = (None, None);
    }

    /// Operator: the file cannot be read. Going on without would break a limit.
    pub fn read(home: &Home) -> Result<Self> {
        let path = home.orders();
        let broken = || {
            Error::operator(format!("read the operator's orders {}", path.display()))
                .remedy("remove the file, start again, and give 'panicroom limit' and 'panicroom pause' anew")
        };
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|e| broken().because(e)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(broken().because(e)),
        }
    }

    /// Whole and synced when this returns. Operator: the state folder cannot be written; nothing changed.
    pub fn write(&self, home: &Home, faults: &Faults) -> Result<()> {
        let (path, temporary) = (home.orders(), home.orders().with_extension("new"));
        let refused = |e: std::io::Error| {
            Error::operator(format!("keep the order in {}: it does not hold", path.display()))
                .because(e)
                .remedy("free space in the state folder and make it writable for the daemon, then give the order again")
        };
        let text = serde_json::to_vec(self).map_err(|e| refused(e.into()))?;
        write_synced(&temporary, &text).map_err(refused)?;
        faults.at("orders.name")?;
        name_over(&temporary, &path).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn orders_of_the_first_releases_are_read_as_they_were_meant() {
        let old: Orders = serde_json::from_str(r#"{"limit":250000,"paused":1700000000000}"#).unwrap();
        assert_eq!(old.limit.and_then(Ordered::rate), Rate::bytes_per_second(250_000));
        assert_eq!(old.limit_term().unwrap().until, None);
        assert_eq!(old.pause_term(), Some(Term { since: Wall(1_700_000_000_000), until: None }));
        assert_eq!(serde_json::from_str::<Orders>("{}").unwrap(), Orders::default());
    }

    #[test]
    fn what_is_lifted_leaves_nothing_behind() {
        let mut orders = Orders::default();
        orders.set_limit(Some(None.into()), Wall(1), Some(Wall(2)));
        orders.set_pause(Wall(1), Some(Wall(2)));
        orders.set_limit(None, Wall(3), Some(Wall(4)));
        orders.lift_pause();
        assert_eq!(orders, Orders::default());
    }

    #[test]
    fn an_order_ends_at_its_time_and_no_clock_that_is_put_back_draws_it_out() {
        let hour = Duration::from_secs(3600);
        let term = Term { since: Wall(1_000_000), until: Some(Wall(1_000_000).plus(hour)) };
        let at =
            |wall: i64, steady: u64| term.stands(Steady(hour), Wall(wall), Steady(hour + Duration::from_secs(steady)));
        assert!(at(1_000_000, 0) && at(4_599_999, 3599) && at(-5_000_000, 3599));
        assert!(!at(4_600_000, 60), "the wall clock shows its end");
        assert!(!at(-5_000_000, 3600), "an hour has passed");
        let ever = Term { until: None, ..term };
        assert!(ever.stands(Steady::default(), Wall(i64::MAX), Steady(hour * 90_000)));
    }
}
