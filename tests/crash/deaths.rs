//! One life after another, each cut off one step later than the one before, until one is not cut off.

use panicroom::worker::Faults;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// When a life is cut off.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// At this step, counted from 1.
    Nth(u64),
    /// When a step of this name first comes.
    First(&'static str),
}

impl Cut {
    pub fn faults(self) -> Faults {
        match self {
            Self::Nth(n) => Faults::die_at(n),
            Self::First(step) => Faults::die_at_first(step),
        }
    }
    /// A number that differs from life to life, to choose what else goes wrong in it.
    pub fn number(self) -> u64 {
        match self {
            Self::Nth(n) => n,
            Self::First(_) => 1,
        }
    }
}

/// Where it was died, and how often.
#[derive(Default)]
pub struct Deaths(Mutex<BTreeMap<&'static str, u32>>);

impl Deaths {
    /// On four threads (most of a life is waiting for syncs), each with a place of its own: `die` is given the cut, and
    /// tells where it died; nowhere: that was the last. Threads make some steps come now earlier, now later, and a step
    /// that comes once may slip from life to life past the count: what of `steps` was missed is died at by its name.
    pub fn at_every_step<P>(
        &self,
        steps: &[&'static str],
        place: impl Fn() -> P + Sync,
        die: impl Fn(&P, Cut) -> Vec<&'static str> + Sync,
    ) {
        let next = AtomicU64::new(1);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let place = place();
                    loop {
                        let died = die(&place, Cut::Nth(next.fetch_add(1, Ordering::SeqCst)));
                        if died.is_empty() {
                            break;
                        }
                        self.count(&died);
                    }
                });
            }
        });
        let missed: Vec<_> = steps.iter().filter(|step| !self.0.lock().unwrap().contains_key(**step)).collect();
        if !missed.is_empty() {
            let place = place();
            for step in missed {
                self.count(&die(&place, Cut::First(step)));
            }
        }
    }

    fn count(&self, died: &[&'static str]) {
        for step in died {
            *self.0.lock().unwrap().entry(step).or_default() += 1;
        }
    }

    /// At each of these steps at least once.
    #[track_caller]
    pub fn were_at(&self, steps: &[&'static str]) {
        let died = self.0.lock().unwrap();
        println!("{} deaths: {died:?}", died.values().sum::<u32>());
        for step in steps {
            assert!(died.contains_key(step), "no death at {step}: {died:?}");
        }
    }

    /// At no other.
    #[track_caller]
    pub fn were_only_at(&self, steps: &[&'static str]) {
        let died = self.0.lock().unwrap();
        assert_eq!(died.keys().find(|step| !steps.contains(*step)), None, "a step this test does not know");
    }
}
