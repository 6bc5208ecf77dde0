//! Windows for long files, fewer than there are readers: there is always one to read what is small. Large files, which may
//! stand still for days while the spool is full, never hold all of them; and one that goes later makes way for one that
//! goes before it: it is read from its beginning again, and what was packed of it is known then.

use super::cut::Window;
use crate::error::Result;
use crate::model::{Band, Priority, Rank};
use crate::worker::Stop;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// How long a reader waits for a window before it looks whether to stop.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Shelf {
    free: Vec<Window>,
    /// Held for large files, and waited for by them, by priority.
    large: usize,
    waiting: [usize; 3],
}

pub(super) struct Windows {
    shelf: Mutex<Shelf>,
    back: Condvar,
    most_large: usize,
}

impl Windows {
    pub fn new(number: usize, most_large: usize) -> Self {
        let free = (0..number).map(|_| Window::long()).collect();
        let shelf = Mutex::new(Shelf { free, ..Shelf::default() });
        Self { shelf, back: Condvar::new(), most_large }
    }

    /// The next one that is free; None: not for this one, something goes before it.
    pub fn take(&self, rank: Rank, stop: &Stop, goes_before: impl Fn() -> bool) -> Result<Option<Lent<'_>>> {
        let (large, priority) = (rank.band == Band::Large, rank.priority as usize);
        let mut shelf = self.shelf.lock().expect("windows lock");
        shelf.waiting[priority] += usize::from(large);
        let taken = loop {
            if (!large || shelf.large < self.most_large)
                && let Some(window) = shelf.free.pop()
            {
                shelf.large += usize::from(large);
                break Ok(Some(Lent { windows: self, window: Some(window), rank }));
            }
            if let Err(e) = stop.check() {
                break Err(e);
            }
            if goes_before() {
                break Ok(None);
            }
            shelf = self.back.wait_timeout(shelf, LOOK).expect("windows lock").0;
        };
        shelf.waiting[priority] -= usize::from(large);
        taken
    }

    /// Whether a large file of this priority makes way for one that goes before it.
    pub fn make_way(&self, priority: Priority) -> bool {
        self.shelf.lock().expect("windows lock").waiting[..priority as usize].iter().any(|n| *n > 0)
    }
}

/// A window in use; dropped, it is free.
pub(super) struct Lent<'a> {
    windows: &'a Windows,
    window: Option<Window>,
    rank: Rank,
}

impl Lent<'_> {
    pub fn window(&mut self) -> &mut Window {
        self.window.as_mut().expect("it is given back when dropped")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut shelf = self.windows.shelf.lock().expect("windows lock");
        shelf.free.extend(self.window.take());
        shelf.large -= usize::from(self.rank.band == Band::Large);
        self.windows.back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_leave_a_window_to_others_and_make_way_for_what_goes_before_them() {
        let (windows, stop) = (Windows::new(3, 2), Stop::new());
        let take = |priority, size, tired| windows.take(Rank::of(priority, size), &stop, || tired).unwrap();
        let first = take(Priority::Last, u64::MAX, false).unwrap();
        let _second = take(Priority::Last, u64::MAX, false).unwrap();
        assert!(take(Priority::Normal, u64::MAX, true).is_none());
        let small = take(Priority::Last, 2 << 20, false).unwrap();
        assert!(take(Priority::First, 2 << 20, true).is_none());
        drop(small);
        assert!(!windows.make_way(Priority::Last));
        std::thread::scope(|s| {
            let waits = s.spawn(|| drop(take(Priority::Normal, u64::MAX, false).unwrap()));
            while !windows.make_way(Priority::Last) {
                std::thread::yield_now();
            }
            assert!(!windows.make_way(Priority::Normal));
            drop(first);
            waits.join().unwrap();
        });
        assert!(!windows.make_way(Priority::Last));
    }
}
