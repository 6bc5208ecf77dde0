//! How far a restore came, for whoever shows it: written by the working threads, read by a face at any time.

use crate::clock::Wall;
use crate::model::Speed;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Walking the catalog; totals still grow.
    #[default]
    Planning,
    Fetching,
    /// Links, other things, folders.
    Finishing,
    Done,
}

/// Counted from the start of the job, earlier runs included.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    pub(super) files: AtomicU64,
    pub(super) files_total: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) bytes_total: AtomicU64,
    waiting: Mutex<Option<String>>,
    thaw: Mutex<Option<Wait>>,
}

/// What a restore waits for in cold storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Asked for and not thawed, and what is read of them.
    pub packs: u64,
    pub bytes: u64,
    /// To be asked for later.
    pub later: u64,
    pub speed: Speed,
    /// When the first of them is there at the latest; None where nothing was asked for yet.
    pub by: Option<Wall>,
    /// When it is looked again.
    pub look: Wall,
}

/// One look at a [`Progress`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub phase: Phase,
    /// Restored, skipped or failed; symlinks and other things count, folders do not.
    pub files: u64,
    pub files_total: u64,
    /// Of contents; holes count.
    pub bytes: u64,
    pub bytes_total: u64,
    /// What it waits for, in words.
    pub waiting: Option<String>,
    /// Nothing is fetched until a thaw is done.
    pub thaw: Option<Wait>,
}

impl Progress {
    pub fn look(&self) -> Seen {
        let phase = match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Planning,
            1 => Phase::Fetching,
            2 => Phase::Finishing,
            _ => Phase::Done,
        };
        Seen {
            phase,
            files: self.files.load(Ordering::Relaxed),
            files_total: self.files_total.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            bytes_total: self.bytes_total.load(Ordering::Relaxed),
            waiting: self.waiting.lock().expect("progress lock").clone(),
            thaw: *self.thaw.lock().expect("progress lock"),
        }
    }
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
    pub(super) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
    pub(super) fn wait_for_thaw(&self, wait: Option<Wait>) {
        *self.thaw.lock().expect("progress lock") = wait;
    }
    /// What everything waits for now, in words; None when it goes on.
    pub fn wait_for(&self, what: Option<&str>) {
        *self.waiting.lock().expect("progress lock") = what.map(str::to_owned);
    }
}
