//! One vault as the daemon keeps it: what holds whether its engine is open or not, and what stands in its way.

use crate::backup::Engine;
use crate::backup::upload::Claims;
use crate::clock::Steady;
use crate::config::{VaultSettings, VaultUrl};
use crate::daemon::uplink::{Hold, May, Now};
use crate::error::Kind;
use crate::store::s3::S3Store;
use crate::store::throttle::Throttle;
use crate::worker::Nudge;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// One vault as the daemon keeps it.
pub struct Vault {
    pub settings: VaultSettings,
    pub throttle: Throttle,
    pub engine: Mutex<Option<Arc<Engine>>>,
    pub s3: Mutex<Option<Arc<S3Store>>>,
    pub claims: Claims,
    pub paused: AtomicBool,
    /// What may be sent, by the calendar, the caps, the links and the operator.
    may: Mutex<May>,
    /// Whether packs go one at a time.
    one_at_a_time: AtomicBool,
    /// What lies there is not the vault of the catalog: nothing is written to it (promise 10).
    pub barred: AtomicBool,
    /// Held by whoever looks through the vault: one at a time.
    pub checking: Mutex<()>,
    /// Held by whoever was asked to read the roots again: one at a time.
    pub rereading: Mutex<()>,
    /// What stands in the way, by worker; empty when all is well.
    pub trouble: Mutex<BTreeMap<&'static str, Trouble>>,
    /// Rung when somebody mended something.
    pub mended: Nudge,
    /// Steps that ended well, for the watchdog.
    pub steps: AtomicU64,
    /// Whether this run looked for the copy of the program that the vault may keep.
    pub(super) program_seen: AtomicBool,
}

/// Why a worker does not get on.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub kind: Kind,
    pub text: String,
    pub since: Steady,
}

impl Vault {
    pub(in crate::daemon) fn new(settings: VaultSettings, throttle: Throttle) -> Self {
        Self {
            settings,
            throttle,
            engine: Mutex::new(None),
            s3: Mutex::new(None),
            claims: Claims::default(),
            paused: AtomicBool::new(false),
            may: Mutex::new(May::Everything),
            one_at_a_time: AtomicBool::new(false),
            barred: AtomicBool::new(false),
            checking: Mutex::default(),
            rereading: Mutex::default(),
            trouble: Mutex::default(),
            mended: Nudge::new(),
            steps: AtomicU64::new(0),
            program_seen: AtomicBool::new(false),
        }
    }

    pub fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.lock().expect("engine lock").clone()
    }
    /// Whether its server can be reached at all; a folder shows itself.
    pub(super) fn is_reachable(&self) -> bool {
        let s3 = self.s3.lock().expect("s3 lock").clone();
        s3.is_none_or(|s3| s3.is_reachable())
    }
    /// Whether it is a bucket: caps and links are for those, a folder costs nobody's line.
    pub fn is_bucket(&self) -> bool {
        matches!(self.settings.url, VaultUrl::Bucket(_))
    }
    pub fn may(&self) -> May {
        *self.may.lock().expect("may lock")
    }
    pub(super) fn sends_one_at_a_time(&self) -> bool {
        self.one_at_a_time.load(Ordering::SeqCst)
    }

    /// Takes what was decided: what is under way stands still in a pause, and ends or is given up where it is shut.
    pub(in crate::daemon) fn obey(&self, now: &Now) {
        let hold = now.hold_of(self.is_bucket());
        let paused = matches!(hold, Some(Hold::Paused(_)));
        self.paused.store(paused, Ordering::SeqCst);
        if paused {
            self.throttle.pause();
        } else {
            self.throttle.resume();
        }
        let may = hold.map_or(May::Everything, Hold::may);
        if paused || may == May::Everything {
            self.throttle.open();
        } else {
            self.throttle.shut();
        }
        self.one_at_a_time.store(now.one_at_a_time && self.is_bucket(), Ordering::SeqCst);
        let before = std::mem::replace(&mut *self.may.lock().expect("may lock"), may);
        if let Some(engine) = self.engine() {
            engine.figures.pack_bound.store(now.pack_bound_of(self.settings.limit), Ordering::Relaxed);
            engine.figures.packs_wait.store(may == May::Log, Ordering::SeqCst);
            if before != may {
                engine.bells.ring_all();
            }
        }
    }
    /// Whether nothing is to be sent now.
    pub(super) fn holds_still(&self) -> bool {
        self.paused.load(Ordering::SeqCst) || self.barred.load(Ordering::SeqCst)
    }
    pub(super) fn clear(&self, name: &'static str) {
        self.trouble.lock().expect("trouble lock").remove(name);
    }
    /// The worst that stands in the way.
    pub fn worst(&self) -> Option<Trouble> {
        let trouble = self.trouble.lock().expect("trouble lock");
        let weight = |t: &Trouble| matches!(t.kind, Kind::Operator | Kind::Damaged);
        trouble.values().max_by_key(|t| weight(t)).cloned()
    }
}
