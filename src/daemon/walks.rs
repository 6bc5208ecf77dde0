//! When roots are walked by the timetable: every so often, in the hours the operator set, and, where he wants it so, only
//! while their disks are awake anyway.
//!
//! The walk of a start, one that lost events ask for, a rescan and a pass come at once whatever stands here: before it
//! nothing is known to be safe (promise 3). A walk put off is due every minute until it comes. Nothing durable: dying
//! here changes nothing, the next start walks.

use super::run::Daemon;
use crate::clock::Wall;
use crate::config::WalkSettings;
use crate::model::{Hours, TreePath};
use crate::source::disk::{Disks, Sleep};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// What is known of the disks of the roots, and whose walks are put off.
#[derive(Debug, Default)]
pub(super) struct Sleepers(Mutex<(Disks, BTreeMap<TreePath, Sleep>)>);

impl Daemon {
    /// Walks that came due by the timetable become dirty roots. Called every minute.
    pub fn walks_due(&self) {
        let settings = self.house.settings.walk;
        let asleep = self.asleep(settings);
        for engine in self.engines() {
            let (now, steady) = (engine.clock.wall(), engine.now_ms());
            for root in &engine.roots {
                let last = engine.figures.walked.lock().expect("figures lock").get(&root.path).copied();
                let age = last.map(|at| Duration::from_millis(u64::try_from(steady - at).unwrap_or(0)));
                if age.is_some_and(|age| is_due(now, age, root.walk_every, settings.hours))
                    && !asleep.contains(&root.path)
                    && let Err(e) = engine.mark_root(root)
                {
                    tracing::warn!(vault = %engine.name, "note a walk that is due: {e}");
                }
            }
            engine.bells.walk.ring();
            engine.bells.publish.ring();
            engine.bells.verify.ring();
            engine.bells.reread.ring();
        }
    }

    /// Roots whose disks a walk might wake.
    fn asleep(&self, settings: WalkSettings) -> Vec<TreePath> {
        if settings.wake {
            return vec![];
        }
        let mut sleepers = self.sleepers.0.lock().expect("sleepers lock");
        let (disks, told) = &mut *sleepers;
        let now = self.house.clock.steady();
        for root in &self.house.settings.roots {
            let sleep = disks.ask(&root.path, now);
            if told.insert(root.path.clone(), sleep).is_none() && sleep == Sleep::NotTold {
                tracing::warn!("{}: nobody tells whether its disk sleeps: walks wake it", root.path);
            }
        }
        told.iter().filter(|(_, sleep)| **sleep >= Sleep::PerhapsAsleep).map(|(path, _)| path.clone()).collect()
    }
}

/// Whether a root last walked so long ago is to be walked now. In set hours one is walked too that would come due only after
/// them: it would be late by the next ones.
fn is_due(now: Wall, age: Duration, every: Duration, hours: Option<Hours>) -> bool {
    let Some(hours) = hours else { return age >= every };
    let minute = minute_of_day(now);
    let minutes = |n: u16| Duration::from_secs(u64::from(n) * 60);
    let of_other_hours = age > minutes(hours.since_begin(minute) + 1);
    hours.hold(minute) && (age >= every || of_other_hours && age + minutes(hours.until_begin(minute)) > every)
}

/// By the clock on the wall here.
fn minute_of_day(now: Wall) -> u16 {
    let at = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default().to_zoned(jiff::tz::TimeZone::system());
    u16::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute())).unwrap_or(0)
}

#[cfg(test)]
mod tests;
