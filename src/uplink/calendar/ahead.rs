//! The calendar asked every second: what is allowed is decided anew each time, for a clock may jump; when it changes next
//! is remembered. Looking for that goes through a week of windows and costs a hundred times as much.

use super::{Calendar, Stretch, instant};
use crate::clock::Wall;
use jiff::tz::TimeZone;
use std::time::Duration;

/// It is looked for anew at least so often.
const HOLDS: Duration = Duration::from_secs(3600);

/// The stretch that was found last.
#[derive(Debug, Default)]
pub struct Ahead(Option<Found>);

#[derive(Debug)]
struct Found {
    at: Wall,
    zone: TimeZone,
    stretch: Stretch,
}

impl Found {
    /// Between the instant of the look and the change that it found nothing changes.
    fn covers(&self, now: Wall, zone: &TimeZone) -> bool {
        let is_within = now >= self.at && now.since(self.at) < HOLDS;
        is_within && self.stretch.until.is_none_or(|until| now < until) && self.zone == *zone
    }
}

impl Ahead {
    /// As [`Calendar::at`], always of the same calendar.
    pub fn at(&mut self, calendar: &Calendar, now: Wall, zone: &TimeZone) -> Stretch {
        let (allowed, entry) = calendar.decide(instant(now), zone);
        let found = self.0.as_ref().filter(|found| found.covers(now, zone) && found.stretch.allowed == allowed);
        if let Some(found) = found {
            return Stretch { entry, ..found.stretch };
        }
        let stretch = calendar.at(now, zone);
        self.0 = Some(Found { at: now, zone: zone.clone(), stretch });
        stretch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A second, half an hour, a day, and a clock put back.
    const STEPS: [i64; 6] = [1_000, 60_000, 1_800_000, 86_400_000, -7_200_000, -400_000_000];

    proptest! {
        #[test]
        fn what_is_remembered_is_what_would_be_found(
            begins in 1_790_000_000_000_i64..1_830_000_000_000,
            steps in proptest::collection::vec((0..STEPS.len(), 0_i64..20), 1..40),
            moves in any::<bool>(),
        ) {
            let windows = ["mon-fri 08:00-18:00 500 kbit/s", "daily 01:00-06:00 unlimited", "sat,sun 12:00-14:00 off"];
            let calendar = Calendar::new(windows.iter().map(|w| w.parse().unwrap()).collect(), None);
            let zones = ["Europe/Berlin", "America/New_York"].map(|name| TimeZone::get(name).unwrap());
            let (mut ahead, mut now) = (Ahead::default(), Wall(begins));
            for (n, (step, times)) in steps.into_iter().enumerate() {
                now = Wall(now.0 + STEPS[step] * times);
                let zone = &zones[if moves { n % 2 } else { 0 }];
                prop_assert_eq!(ahead.at(&calendar, now, zone), calendar.at(now, zone));
            }
        }
    }
}
