//! The way in, from "something changed" to "safe", for one vault. Steps speak through rows, never to each other:
//!
//! | step | reads | leaves | dying there |
//! |---|---|---|---|
//! | [`notice`] | hints | dirty rows | the walk at the next start finds it |
//! | [`walk`] | a tree | dirty rows | the tree's row is still there |
//! | [`capture`], [`pack`] | due rows, files | a pack in the spool, then ONE transaction | rows still dirty; an orphan file, swept |
//! | [`upload`] | spooled objects | stored | the PUT is settled again |
//! | [`publish`] | stored packs, complete versions | a segment in the spool, then stored: safe | an orphan file, swept |
//!
//! An [`Engine`] is everything one vault's steps share; several vaults are several engines that know nothing of
//! each other (promise 12).

pub mod capture;
pub mod in_hand;
pub mod notice;
pub mod pack;
pub mod publish;
pub mod roots;
pub mod start;
pub mod upload;
pub mod walk;

use crate::catalog::{Catalog, Level, NodeShape, Origin, RootId};
use crate::chunk::Chunker;
use crate::clock::Clock;
use crate::error::Result;
use crate::model::{Band, Rank, Size, TreePath};
use crate::seal::Entropy;
use crate::seal::keys::SealKeys;
use crate::source::{Form, Look};
use crate::spool::Spool;
use crate::store::ObjectStore;
use crate::worker::{Faults, Nudge, Stop};
use roots::Watched;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes first waits no longer than this for company: for a pack to fill, and for a publication while others are still
/// on their way.
const SOON: Duration = Duration::from_secs(300);

/// Settings of one vault's way in.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    pub pack_size: Size,
    pub spool_size: Size,
    /// How long a change may wait for a full pack.
    pub gather: Duration,
    /// zstd level.
    pub level: i32,
    pub publish_every: Duration,
    /// At least this often a segment says that we live.
    pub heartbeat: Duration,
}

/// One vault's way in: what all its steps share.
pub struct Engine {
    pub name: String,
    pub catalog: Catalog,
    pub spool: Spool,
    pub store: Arc<dyn ObjectStore>,
    pub keys: SealKeys,
    pub chunker: Chunker,
    pub entropy: Arc<dyn Entropy>,
    pub clock: Arc<dyn Clock>,
    pub faults: Faults,
    pub stop: Stop,
    pub settings: EngineSettings,
    /// Longest path first: the longest root that holds a path has it.
    pub roots: Vec<Watched>,
    /// Our own folders: never watched, never captured, wherever they lie.
    pub ours: Vec<TreePath>,
    pub bells: Bells,
    pub figures: Figures,
    /// Rows capture has in hand.
    pub in_hand: in_hand::InHand,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.name)
    }
}

/// One door bell a step.
#[derive(Clone, Debug, Default)]
pub struct Bells {
    pub walk: Nudge,
    pub capture: Nudge,
    pub upload: Nudge,
    pub publish: Nudge,
    pub verify: Nudge,
    pub reread: Nudge,
}

impl Bells {
    pub fn ring_all(&self) {
        for bell in [&self.walk, &self.capture, &self.upload, &self.publish, &self.verify, &self.reread] {
            bell.ring();
        }
    }
}

/// What is going on right now; nothing durable.
#[derive(Debug, Default)]
pub struct Figures {
    /// One pass is wanted: no quiet periods, no gathering, publish when drained.
    pub hurry: AtomicBool,
    /// Steps under way; all zero and empty queues mean the pass is over.
    pub walking: AtomicU64,
    pub capturing: AtomicU64,
    pub uploading: AtomicU64,
    /// Files and folders met by walks since the start, for progress.
    pub met: AtomicU64,
    pub sockets: AtomicU64,
    /// Bytes read from files since the start.
    pub read_bytes: AtomicU64,
    /// Bytes the store sent since it was opened that are counted in the catalog.
    pub sent: AtomicU64,
    /// Bytes of objects that became stored since the start.
    pub stored: AtomicU64,
    /// What capture made of what, for the forecast: taken away by whoever learns from it.
    pub yields: Mutex<BTreeMap<(RootId, Band, Origin), Yield>>,
    /// Packs may not be sent now, the log may: a cap is used up.
    pub packs_wait: AtomicBool,
    /// Soon nothing may be sent: what is stored is to be named now.
    pub last_call: AtomicBool,
    /// Most bytes of a pack, by what the line allows; 0: as configured.
    pub pack_bound: AtomicU64,
    /// The foremost of what was stored or committed since the last publication, as the number of its rank and one; 0:
    /// nothing.
    pub ready: AtomicU64,
    /// Roots that cannot be read, and why.
    pub root_trouble: Mutex<BTreeMap<TreePath, String>>,
    /// Roots walked since the start.
    pub walked: Mutex<BTreeMap<TreePath, i64>>,
}

/// Bytes of files that were settled, and sealed bytes of packs that were closed: of one root, and of files of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Yield {
    pub source: u64,
    pub sealed: u64,
}

impl Engine {
    /// Steady milliseconds of this run, at least 1: what `due` is counted in.
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.steady().0.as_millis()).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// Where a pack is closed: at its configured size, or at what a slow line or a short window takes, so that one that is
    /// cut off costs little.
    pub fn pack_target(&self) -> u64 {
        match self.figures.pack_bound.load(Ordering::Relaxed) {
            0 => self.settings.pack_size.0,
            bound => bound.min(self.settings.pack_size.0),
        }
    }

    /// Something of this rank may be named in the log from now on.
    fn is_ready(&self, rank: Rank) {
        let number = rank.number() as u64 + 1;
        let _ = self.figures.ready.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |before| {
            (before == 0 || number < before).then_some(number)
        });
    }

    pub fn is_hurried(&self) -> bool {
        self.figures.hurry.load(Ordering::Relaxed)
    }

    /// Tells people and the log; the one place where an event is both kept and logged.
    pub fn tell(&self, level: Level, text: &str) {
        match level {
            Level::Good | Level::Note => tracing::info!(vault = %self.name, "{text}"),
            Level::Warning => tracing::warn!(vault = %self.name, "{text}"),
            Level::Alarm => tracing::error!(vault = %self.name, "{text}"),
        }
        if let Err(e) = self.catalog.note(self.clock.wall(), level, text) {
            tracing::warn!(vault = %self.name, "keep an event: {e}");
        }
    }

    /// Whether nothing is left to do: all roots walked since the start, nothing dirty but failed paths, nothing in
    /// the spool, nothing to publish, nothing under way.
    pub fn is_drained(&self) -> Result<bool> {
        let busy = [&self.figures.walking, &self.figures.capturing, &self.figures.uploading]
            .iter()
            .any(|n| n.load(Ordering::SeqCst) > 0);
        if busy || !self.all_walked() || self.catalog.dirty_roots()?.iter().any(|id| self.can_get_on(*id)) {
            return Ok(false);
        }
        let nothing_spooled = self.catalog.spooled(1)?.is_empty();
        Ok(nothing_spooled && !publish::anything_to_publish(self)?)
    }

    /// Whether dirty rows of this root can be worked off: it is configured and can be read.
    fn can_get_on(&self, id: RootId) -> bool {
        let trouble = self.figures.root_trouble.lock().expect("figures lock");
        self.root_by_id(id).is_some_and(|r| !trouble.contains_key(&r.path))
    }

    /// A root in trouble counts as looked at: it is red, and a pass must end.
    pub fn all_walked(&self) -> bool {
        let walked = self.figures.walked.lock().expect("figures lock");
        let trouble = self.figures.root_trouble.lock().expect("figures lock");
        self.roots.iter().all(|r| walked.contains_key(&r.path) || trouble.contains_key(&r.path))
    }
}

/// What a look shows, as the catalog tells shapes apart.
fn shape_of(look: &Look) -> NodeShape {
    match look.form {
        Form::File => NodeShape::File,
        Form::Dir => NodeShape::Dir,
        _ => NodeShape::Other,
    }
}

/// Counts a step as under way until dropped.
pub(crate) struct UnderWay<'a>(&'a AtomicU64);

impl<'a> UnderWay<'a> {
    pub(crate) fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(counter)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
