//! One vault as the daemon keeps it: what holds whether its engine is open or not, and what stands in its way.

use super::last_call::LastCall;
use crate::backup::Engine;
use crate::backup::upload::Claims;
use crate::clock::Steady;
use crate::config::{UplinkSettings, VaultSettings, VaultUrl};
use crate::daemon::forecast::Learnt;
use crate::daemon::uplink::{Hold, May, Now};
use crate::error::Kind;
use crate::store::s3::S3Store;
use crate::store::throttle::{Line, Throttle};
use crate::uplink::Rates;
use crate::uplink::manners::Manners;
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
    /// What is learnt of the line and the files of this vault.
    pub learnt: Mutex<Learnt>,
    /// When the calendar will be off, and what that means for what is to begin.
    pub(in crate::daemon) last_call: LastCall,
    /// Whether packs go one at a time.
    one_at_a_time: AtomicBool,
    /// Why nothing is to be sent over the network there is now; see [`super::super::link`].
    link: Mutex<Option<String>>,
    /// What lies there is not the vault of the catalog: nothing is written to it (promise 10).
    pub barred: AtomicBool,
    /// A rule of the bucket would ruin the vault: nothing is written to it.
    pub forbidden: AtomicBool,
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
    /// With its own limits on the common line; a bucket's uploads keep manners where they are asked for. A folder has no
    /// line to share.
    pub(in crate::daemon) fn on(line: &Line, settings: VaultSettings, uplink: &UplinkSettings) -> Self {
        let throttle = Throttle::on(line, Rates { up: settings.limit, down: settings.download });
        if uplink.polite && matches!(settings.url, VaultUrl::Bucket(_)) {
            throttle.mannered(Some(Manners::new()));
        }
        Self::new(settings, throttle)
    }

    fn new(settings: VaultSettings, throttle: Throttle) -> Self {
        Self {
            settings,
            throttle,
            engine: Mutex::new(None),
            s3: Mutex::new(None),
            claims: Claims::default(),
            paused: AtomicBool::new(false),
            may: Mutex::new(May::Everything),
            learnt: Mutex::default(),
            last_call: LastCall::default(),
            one_at_a_time: AtomicBool::new(false),
            link: Mutex::default(),
            barred: AtomicBool::new(false),
            forbidden: AtomicBool::new(false),
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
        self.s3().is_none_or(|s3| s3.is_reachable())
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
    /// Holds the vault at once for this reason; that it may go on is for [`obey`](Self::obey) to say.
    pub(in crate::daemon) fn hold_link(&self, why: Option<String>) {
        if why.is_some() {
            self.throttle.pause();
        }
        *self.link.lock().expect("link lock") = why;
    }
    /// Why nothing is to be sent over the network there is now.
    pub fn link_hold(&self) -> Option<String> {
        self.link.lock().expect("link lock").clone()
    }
    fn hold(&self, now: &Now) -> Option<Hold> {
        match now.hold_of(self.is_bucket()).cloned() {
            paused @ Some(Hold::Paused(_)) => paused,
            other => self.link_hold().map(Hold::Link).or(other),
        }
    }

    /// Takes what was decided: what is under way stands still in a pause and on a link that is not to be used, and ends or is
    /// given up where it is shut.
    pub(in crate::daemon) fn obey(&self, now: &Now) {
        let hold = self.hold(now);
        let is_still = matches!(hold, Some(Hold::Paused(_) | Hold::Link(_)));
        self.paused.store(matches!(hold, Some(Hold::Paused(_))), Ordering::SeqCst);
        if is_still {
            self.throttle.pause();
        } else {
            self.throttle.resume();
        }
        let may = hold.as_ref().map_or(May::Everything, Hold::may);
        // Under a cap whose end is near nothing begins, and what is under way ends in what was kept back for it.
        let ends = matches!(hold, Some(Hold::Cap(_))) && now.underway_ends;
        if is_still || may == May::Everything || ends {
            self.throttle.open();
        } else {
            self.throttle.shut();
        }
        self.last_call.look(now.shuts_at.filter(|_| may == May::Everything));
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
    /// Whatever waits after failing is to try again.
    pub(in crate::daemon) fn ring(&self) {
        self.mended.ring();
        if let Some(engine) = self.engine() {
            engine.bells.ring_all();
        }
    }
    /// Whether nothing is to be sent now.
    pub(super) fn holds_still(&self) -> bool {
        let flag = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        self.is_quiet() || flag(&self.barred) || flag(&self.forbidden)
    }
    /// Whether nobody is to be asked anything either.
    pub(in crate::daemon) fn is_quiet(&self) -> bool {
        self.paused.load(Ordering::SeqCst) || self.link_hold().is_some()
    }
    pub(in crate::daemon) fn s3(&self) -> Option<Arc<S3Store>> {
        self.s3.lock().expect("s3 lock").clone()
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
