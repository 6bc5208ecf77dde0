//! When roots are walked by the timetable: every so often, in the hours the operator set, and, unless he wants it otherwise,
//! only while their disks are awake anyway.
//!
//! The walk of a start, one that lost events ask for, a rescan and a pass come at once whatever stands here: before it
//! nothing is known to be safe (promise 3). A walk put off is due every minute until it comes, and one of a disk that was
//! used since the last walk is put off once its time at most: what events do not tell (a file written through memory, a
//! folder that could not be watched) is found then. Nothing durable: dying here changes nothing, the next start walks.

use super::run::Daemon;
use crate::clock::Wall;
use crate::config::WalkSettings;
use crate::model::{Hours, TreePath};
use crate::source::disk::{Disks, SPINS, Seen, Sleep};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// What is known of the disks of the roots, and whose walks are put off.
#[derive(Debug, Default)]
pub(super) struct Sleepers(Mutex<(Disks, BTreeMap<TreePath, Seen>)>);

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
                if age.is_some_and(|age| {
                    is_due(now, age, root.walk_every, settings.hours)
                        && asleep.get(&root.path).is_none_or(|used| is_overdue(age, root.walk_every, *used))
                }) && let Err(e) = engine.mark_root(root)
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

    /// Roots whose disks a walk might wake, and how long ago one of these was last seen in use.
    fn asleep(&self, settings: WalkSettings) -> BTreeMap<TreePath, Option<Duration>> {
        if settings.wake {
            return BTreeMap::new();
        }
        let mut sleepers = self.sleepers.0.lock().expect("sleepers lock");
        let (disks, told) = &mut *sleepers;
        let now = self.house.clock.steady();
        for root in &self.house.settings.roots {
            let seen = disks.ask(&root.path, now);
            if told.insert(root.path.clone(), seen).is_none() && seen.sleep == Sleep::NotTold {
                tracing::warn!("{}: nobody tells whether its disk sleeps: walks wake it", root.path);
            }
        }
        let asleep = told.iter().filter(|(_, seen)| seen.sleep >= Sleep::PerhapsAsleep);
        asleep.map(|(path, seen)| (path.clone(), seen.used.map(|at| now.since(at)))).collect()
    }
}

/// Whether a walk of a sleeping disk was put off long enough: the disk was used after the last walk, which was twice its
/// time ago. `used`: how long ago. The walk itself is seen as use, up to a few minutes after its end.
fn is_overdue(age: Duration, every: Duration, used: Option<Duration>) -> bool {
    age >= every * 2 && used.is_some_and(|used| used + SPINS < age)
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
