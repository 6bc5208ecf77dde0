//! One life after another, each cut off one step later than the one before, until one is not cut off.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where it was died, and how often.
#[derive(Default)]
pub struct Deaths(Mutex<BTreeMap<&'static str, u32>>);

impl Deaths {
    /// On four threads, each with a place of its own: `die` is given the step, counted from 1, and tells where it died;
    /// nowhere: that was the last.
    pub fn at_every_step<P>(&self, place: impl Fn() -> P + Sync, die: impl Fn(&P, u64) -> Vec<&'static str> + Sync) {
        let next = AtomicU64::new(1);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let place = place();
                    loop {
                        let steps = die(&place, next.fetch_add(1, Ordering::SeqCst));
                        if steps.is_empty() {
                            break;
                        }
                        for step in steps {
                            *self.0.lock().unwrap().entry(step).or_default() += 1;
                        }
                    }
                });
            }
        });
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
