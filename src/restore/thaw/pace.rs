//! How much to thaw at once and for how long: arithmetic only.
//!
//! A thawed copy is paid for by the day, and goes when its days are over. So packs are asked for in waves, each what the
//! line brings in within [`WAVE`], and as far apart as that takes: the next wave is thawed about when the one before is
//! here. A thaw may come early, then copies wait for the line; the days of all waves but the first allow for that.

use crate::catalog::jobs::JobFile;
use crate::error::{Error, Result};
use crate::model::{Rate, Speed};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Fetching one wave takes about so long.
pub const WAVE: Duration = Duration::from_secs(18 * 3600);
/// A line nobody measured is taken for one of 20 Mbit/s.
pub const GUESS: u64 = 2_500_000;

/// What was agreed on before anything was asked for; kept in the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub speed: Speed,
    /// The longest a thaw takes at this speed.
    pub takes: Duration,
    /// What the line is taken for before it is measured.
    pub downlink: Rate,
    /// How often to look what is thawed.
    pub poll: Duration,
}

impl Terms {
    /// Of a class at a speed, by what AWS says of it; a class nobody knows thaws like the slowest.
    pub fn of(class: Option<&str>, speed: Speed) -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let (takes, poll) = match (class, speed) {
            (Some("GLACIER"), Speed::Bulk) => (12 * HOUR, minutes(10)),
            (Some("GLACIER"), Speed::Standard) => (5 * HOUR, minutes(5)),
            (_, Speed::Expedited) => (minutes(5), minutes(1)),
            (_, Speed::Standard) => (12 * HOUR, minutes(15)),
            (_, Speed::Bulk) => (48 * HOUR, minutes(15)),
        };
        Self { speed, takes, downlink: Rate::bytes_per_second(GUESS).expect("not nothing"), poll }
    }

    /// What the job was begun with; None where nothing was agreed on.
    pub fn read(job: &JobFile) -> Result<Option<Self>> {
        let Some(speed) = job.fact::<String>("thaw_speed")? else { return Ok(None) };
        let damaged = || Error::damaged("read how a restore thaws from its job file");
        let speed = Speed::ALL.into_iter().find(|s| s.name() == speed).ok_or_else(damaged)?;
        let takes = Duration::from_millis(job.count("thaw_takes_ms")?);
        let poll = Duration::from_millis(job.count("thaw_poll_ms")?);
        let downlink = Rate::bytes_per_second(job.count("thaw_downlink")?).ok_or_else(damaged)?;
        Ok(Some(Self { speed, takes, downlink, poll }))
    }

    /// The speed last, and only once: it is what says that there are terms.
    pub fn keep(&self, job: &JobFile) -> Result<()> {
        let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        job.set_fact("thaw_takes_ms", ms(self.takes))?;
        job.set_fact("thaw_poll_ms", ms(self.poll))?;
        job.set_fact("thaw_downlink", self.downlink.get().cast_signed())?;
        job.set_fact("thaw_speed", self.speed.name())
    }
}

/// How long the line takes for so many bytes.
pub fn fetching(bytes: u64, rate: Rate) -> Duration {
    let ms = u128::from(bytes) * 1000 / u128::from(rate.get());
    Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
}

/// Bytes of one wave.
pub fn wave(rate: Rate) -> u64 {
    rate.get().saturating_mul(WAVE.as_secs())
}

/// Bytes that may be asked for or thawed and not yet fetched: with more on its way the line has fallen behind.
pub fn most_on_the_way(terms: &Terms, rate: Rate) -> u64 {
    rate.get().saturating_mul((terms.takes + 2 * WAVE).as_secs())
}

/// Whether copies may lie idle because the wave before is still being fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    First,
    Later,
}

/// Days for which the copies of a wave are kept: a quarter more than the line takes, what a thaw may come early, and a day
/// for a machine that is off.
pub fn days(bytes: u64, rate: Rate, terms: &Terms, order: Order) -> u32 {
    let early = if order == Order::First { Duration::ZERO } else { terms.takes };
    let stay = fetching(bytes, rate).saturating_mul(5) / 4 + early;
    let whole = stay.as_secs().max(1).div_ceil(DAY.as_secs()) + 1;
    u32::try_from(whole).unwrap_or(u32::MAX)
}

/// Days by which a restore of so many bytes is to be priced: those of its dearest wave.
pub fn days_to_pay(bytes: u64, terms: &Terms) -> u32 {
    let wave = wave(terms.downlink);
    let order = if bytes > wave { Order::Later } else { Order::First };
    days(bytes.min(wave), terms.downlink, terms, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(n: u64) -> Rate {
        Rate::bytes_per_second(n).unwrap()
    }

    #[test]
    fn a_small_restore_pays_for_two_days_and_a_large_one_for_what_a_wave_may_wait() {
        let deep = Terms::of(Some("DEEP_ARCHIVE"), Speed::Bulk);
        assert_eq!(days_to_pay(25_000_000, &deep), 2);
        assert_eq!(days_to_pay(wave(deep.downlink), &deep), 2);
        assert_eq!(days_to_pay(1_000_000_000_000, &deep), 4);
        let fast = Terms::of(Some("GLACIER"), Speed::Expedited);
        assert_eq!(days_to_pay(1_000_000_000_000, &fast), 2);
    }

    #[test]
    fn a_terabyte_over_a_slow_line_comes_in_waves_of_less_than_a_day() {
        let slow = rate(2_500_000);
        assert_eq!(fetching(wave(slow), slow), WAVE);
        assert_eq!(1_000_000_000_000_u64.div_ceil(wave(slow)), 7);
        assert!(most_on_the_way(&Terms::of(None, Speed::Bulk), slow) > 2 * wave(slow));
        assert_eq!(wave(rate(u64::MAX)), u64::MAX);
    }

    #[test]
    fn what_was_agreed_on_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let job = JobFile::open(&dir.path().join("job.db")).unwrap();
        assert_eq!(Terms::read(&job).unwrap(), None);
        let terms = Terms { downlink: rate(7), ..Terms::of(Some("GLACIER"), Speed::Standard) };
        terms.keep(&job).unwrap();
        assert_eq!(Terms::read(&job).unwrap(), Some(terms));
    }
}
