//! The daemon at work: a supervisor a vault that opens it, again and again until it opens, and the workers of its
//! engine; one watcher for all; timetables; and the order in which everything stops.
//!
//! Every worker is a thread that loops over one small step. An error of kind Retry backs off (capped, jittered, cut
//! short by a nudge); Operator and Damaged are shown and tried again now and then, or when somebody says so; the other
//! vaults never notice (promise 12).

use super::checks::{self, Timetable};
use super::open::{House, Opened};
use super::orders::Orders;
use super::reread::{self, Disks};
use super::rest::{KNOCK, Rested, rest};
use crate::backup::upload::{Claims, Uploaded};
use crate::backup::{Engine, publish};
use crate::catalog::Level;
use crate::clock::Steady;
use crate::config::VaultSettings;
use crate::error::{Error, Kind, Result};
use crate::model::{Rate, TreePath};
use crate::seal::random;
use crate::source::watch::Watcher;
use crate::store::retry::Backoff;
use crate::store::s3::S3Store;
use crate::store::throttle::Throttle;
use crate::upkeep::merge::Merging;
use crate::upkeep::program::{Kept, ProgramKeeping};
use crate::worker::Nudge;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long an operator's mistake is left alone before it is tried again.
const OPERATOR_WAIT: Duration = Duration::from_secs(60);
/// Every worker looks by itself at least this often: a lost nudge costs time, never data.
const LOOK: Duration = Duration::from_secs(10);

/// One vault as the daemon keeps it.
pub struct Vault {
    pub settings: VaultSettings,
    pub throttle: Throttle,
    pub engine: Mutex<Option<Arc<Engine>>>,
    pub s3: Mutex<Option<Arc<S3Store>>>,
    pub claims: Claims,
    pub paused: AtomicBool,
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
    program_seen: AtomicBool,
}

/// Why a worker does not get on.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub kind: Kind,
    pub text: String,
    pub since: Steady,
}

pub struct Daemon {
    pub house: House,
    pub vaults: Vec<Arc<Vault>>,
    orders: Mutex<Orders>,
    pub watcher: Option<Arc<Watcher>>,
    /// What the watcher rings.
    heard: Nudge,
    hurried: AtomicBool,
    disks: Disks,
    pub started: Steady,
}

/// Whether folders are watched: one pass walks and needs no events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watching {
    On,
    Off,
}

impl Daemon {
    pub fn new(house: House, watching: Watching) -> Result<Arc<Self>> {
        let heard = Nudge::new();
        let roots: Vec<TreePath> = house.settings.roots.iter().map(|r| r.path.clone()).collect();
        let watcher = match watching {
            Watching::On => Some(Arc::new(Watcher::new(roots, heard.clone())?)),
            Watching::Off => None,
        };
        let orders = Orders::read(&house.home)?;
        let vaults: Vec<_> = house
            .settings
            .vaults
            .iter()
            .map(|settings| {
                let rate = orders.rate_of(settings, house.settings.uplink_limit, house.settings.vaults.len());
                Arc::new(Vault {
                    settings: settings.clone(),
                    throttle: Throttle::new(rate, Arc::clone(&house.clock)),
                    engine: Mutex::new(None),
                    s3: Mutex::new(None),
                    claims: Claims::default(),
                    paused: AtomicBool::new(false),
                    barred: AtomicBool::new(false),
                    checking: Mutex::default(),
                    rereading: Mutex::default(),
                    trouble: Mutex::default(),
                    mended: Nudge::new(),
                    steps: AtomicU64::new(0),
                    program_seen: AtomicBool::new(false),
                })
            })
            .collect();
        if orders.paused.is_some() {
            for vault in &vaults {
                vault.pause();
            }
        }
        let started = house.clock.steady();
        let (orders, hurried) = (Mutex::new(orders), AtomicBool::new(false));
        Ok(Arc::new(Self { house, vaults, orders, watcher, heard, hurried, disks: Disks::default(), started }))
    }

    /// Changes the operator's orders: kept first, then obeyed by every vault, open or not.
    pub fn order(&self, change: impl FnOnce(&mut Orders)) -> Result<()> {
        let mut standing = self.orders.lock().expect("orders lock");
        let mut orders = *standing;
        change(&mut orders);
        orders.write(&self.house.home, &self.house.faults)?;
        *standing = orders;
        for vault in &self.vaults {
            vault.throttle.set(orders.rate_of(&vault.settings, self.house.settings.uplink_limit, self.vaults.len()));
            match orders.paused {
                Some(_) => vault.pause(),
                None => vault.resume(),
            }
            if let Some(engine) = vault.engine() {
                engine.figures.limit.store(vault.throttle.rate().map_or(0, Rate::get), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Starts everything; the threads end when stop is asked.
    pub fn start(self: &Arc<Self>) -> Result<Vec<JoinHandle<()>>> {
        let mut threads = vec![];
        for vault in &self.vaults {
            let (me, vault) = (Arc::clone(self), Arc::clone(vault));
            threads.push(spawn(format!("vault {}", vault.settings.name), move || me.supervise(&vault))?);
        }
        if self.watcher.is_some() {
            let me = Arc::clone(self);
            threads.push(spawn("notice".to_owned(), move || me.listen())?);
        }
        Ok(threads)
    }

    /// One pass is wanted: what opens from now on does not wait for quiet or full packs.
    pub fn hurry(&self) {
        self.hurried.store(true, Ordering::SeqCst);
    }

    pub fn engines(&self) -> Vec<Arc<Engine>> {
        self.vaults.iter().filter_map(|v| v.engine()).collect()
    }

    /// Hints go to every vault; each writes them down for itself.
    fn listen(&self) {
        let Some(watcher) = &self.watcher else { return };
        while !self.house.stop.asked() {
            self.heard.wait(Duration::from_secs(1));
            let taken = watcher.take();
            if taken.hints.is_empty() && taken.lost.is_empty() {
                continue;
            }
            for engine in self.engines() {
                if let Err(e) = engine.notice(&taken) {
                    // What was not written down is found by a walk of everything.
                    tracing::warn!(vault = %engine.name, "note hints: {e}; walking all roots instead");
                    engine.figures.walked.lock().expect("figures lock").clear();
                    for root in &engine.roots {
                        let _ = engine.mark_root(root);
                    }
                }
            }
        }
    }

    /// Opens the vault, runs its workers until stop, closes it. A vault that does not open is tried again.
    fn supervise(self: &Arc<Self>, vault: &Arc<Vault>) {
        while !self.house.stop.asked() {
            match self.open(vault) {
                Ok(engine) => {
                    vault.clear("open");
                    // Opening it proved that it is the one.
                    vault.barred.store(false, Ordering::SeqCst);
                    self.work(vault, &engine);
                    if let Err(e) = engine.catalog.close() {
                        tracing::warn!(vault = %engine.name, "close the catalog: {e}");
                    }
                    *vault.engine.lock().expect("engine lock") = None;
                }
                Err(e) if e.kind() == Kind::Stopping => return,
                Err(e) => {
                    self.note(vault, "open", &e);
                    vault.mended.wait(if e.kind() == Kind::Retry { LOOK } else { OPERATOR_WAIT / 2 });
                }
            }
        }
    }

    /// Opens every vault that opens, and lets nothing run: for looking at them.
    pub fn open_idle(&self) {
        for vault in &self.vaults {
            if let Err(e) = self.open(vault) {
                self.note(vault, "open", &e);
            }
        }
    }

    /// The other end of [`open_idle`](Self::open_idle).
    pub fn close_idle(&self) {
        for vault in &self.vaults {
            let engine = vault.engine.lock().expect("engine lock").take();
            if let Some(Err(e)) = engine.map(|engine| engine.catalog.close()) {
                tracing::warn!(vault = %vault.settings.name, "close the catalog: {e}");
            }
        }
    }

    fn open(&self, vault: &Arc<Vault>) -> Result<Arc<Engine>> {
        let Opened { engine, s3 } = self.house.open_engine(&vault.settings, vault.throttle.clone())?;
        engine.figures.hurry.store(self.hurried.load(Ordering::SeqCst), Ordering::SeqCst);
        for root in &engine.roots {
            engine.mark_root(root)?;
        }
        let engine = Arc::new(engine);
        *vault.s3.lock().expect("s3 lock") = s3;
        // An order that comes now finds the engine, or was obeyed before: never neither.
        let _orders = self.orders.lock().expect("orders lock");
        engine.figures.limit.store(vault.throttle.rate().map_or(0, Rate::get), Ordering::Relaxed);
        *vault.engine.lock().expect("engine lock") = Some(Arc::clone(&engine));
        Ok(engine)
    }

    /// All workers of one engine, until stop.
    fn work(self: &Arc<Self>, vault: &Arc<Vault>, engine: &Arc<Engine>) {
        let uploaders = if vault.s3.lock().expect("s3 lock").is_some() { 3 } else { 1 };
        std::thread::scope(|s| {
            s.spawn(|| self.run(vault, engine, "walk", &engine.bells.walk, || self.walk_step(engine)));
            s.spawn(|| self.run(vault, engine, "capture", &engine.bells.capture, || capture_step(vault, engine)));
            s.spawn(|| self.run(vault, engine, "publish", &engine.bells.publish, || publish_step(vault, engine)));
            if self.watcher.is_some() {
                s.spawn(|| {
                    let mut table = Timetable::default();
                    let settings = &self.house.settings.verify;
                    self.run(vault, engine, "verify", &engine.bells.verify, || {
                        checks::step(settings, vault, engine, &mut table)
                    });
                });
            }
            if self.watcher.is_some() {
                s.spawn(|| {
                    let roots = reread::roots_of(engine);
                    let mut table = reread::Timetable::new(engine, &roots);
                    let every = self.house.settings.verify.reread;
                    self.run(vault, engine, "reread", &engine.bells.reread, || {
                        reread::step(every, vault, &self.disks, &mut table)
                    });
                });
            }
            for n in 0..uploaders {
                let name = ["upload", "upload 2", "upload 3"][n];
                s.spawn(move || self.run(vault, engine, name, &engine.bells.upload, || upload_step(vault, engine, n)));
            }
        });
    }

    /// One worker: steps until stop. The one place where a step's error is handled.
    fn run(
        &self,
        vault: &Vault,
        engine: &Engine,
        name: &'static str,
        bell: &Nudge,
        mut step: impl FnMut() -> Result<Step>,
    ) {
        let mut backoff = Backoff::new(u64::from_le_bytes(random(&*engine.entropy)));
        while !engine.stop.asked() {
            let wait = match step() {
                Ok(next) => {
                    backoff.reset();
                    vault.steps.fetch_add(1, Ordering::Relaxed);
                    vault.clear(name);
                    match next {
                        Step::Again => continue,
                        Step::Wait(by) => by.min(LOOK),
                    }
                }
                Err(e) if e.kind() == Kind::Stopping => {
                    if !engine.stop.asked() {
                        // A test's fault point: nothing goes on after a death.
                        engine.stop.ask();
                    }
                    return;
                }
                Err(e) => {
                    self.note(vault, name, &e);
                    if e.kind() == Kind::Retry {
                        if rest(bell, backoff.failed(), KNOCK, || vault.is_reachable()) == Rested::Back {
                            backoff.reset();
                        }
                        continue;
                    }
                    if e.kind() == Kind::Path { backoff.failed() } else { OPERATOR_WAIT }
                }
            };
            bell.wait(wait);
        }
    }

    /// Said once each time it is new.
    fn note(&self, vault: &Vault, name: &'static str, e: &Error) {
        let text = e.to_string();
        let mut trouble = vault.trouble.lock().expect("trouble lock");
        let known = trouble.get(name).is_some_and(|t| t.text == text);
        if known {
            return;
        }
        let since = trouble.get(name).map_or(self.house.clock.steady(), |t| t.since);
        trouble.insert(name, Trouble { kind: e.kind(), text: text.clone(), since });
        drop(trouble);
        match (vault.engine(), e.kind()) {
            (Some(engine), Kind::Operator | Kind::Damaged) => engine.tell(Level::Alarm, &text),
            (Some(engine), _) => engine.tell(Level::Warning, &text),
            (None, _) => tracing::error!(vault = %vault.settings.name, "{text}"),
        }
    }

    fn walk_step(&self, engine: &Engine) -> Result<Step> {
        let walked = engine.walk_due(self.watcher.as_deref());
        engine.bells.capture.ring();
        engine.bells.publish.ring();
        if walked? > 0 {
            return Ok(Step::Again);
        }
        Ok(Step::Wait(LOOK))
    }

    /// Walks that came due by the timetable become dirty roots.
    pub fn walks_due(&self) {
        for engine in self.engines() {
            let now = engine.now_ms();
            for root in &engine.roots {
                let last = engine.figures.walked.lock().expect("figures lock").get(&root.path).copied();
                let every = i64::try_from(root.walk_every.as_millis()).unwrap_or(i64::MAX);
                if last.is_some_and(|at| now - at >= every)
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

    /// Wakes everything: something was mended, or is to be looked at now.
    pub fn wake(&self) {
        for vault in &self.vaults {
            vault.mended.ring();
            if let Some(engine) = vault.engine() {
                engine.bells.ring_all();
            }
        }
    }

    /// Keeps what was learnt about servers.
    pub fn keep_lessons(&self) {
        for vault in &self.vaults {
            let s3 = vault.s3.lock().expect("s3 lock").clone();
            if let (Some(engine), Some(s3)) = (vault.engine(), s3) {
                let lessons = serde_json::to_string(&s3.abilities()).unwrap_or_default();
                if engine.catalog.fact::<String>("abilities").ok().flatten().as_ref() != Some(&lessons) {
                    let _ = engine.catalog.set_fact("abilities", lessons);
                }
            }
        }
    }
}

impl Vault {
    pub fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.lock().expect("engine lock").clone()
    }
    /// Whether its server can be reached at all; a folder shows itself.
    fn is_reachable(&self) -> bool {
        let s3 = self.s3.lock().expect("s3 lock").clone();
        s3.is_none_or(|s3| s3.is_reachable())
    }
    pub fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        self.throttle.pause();
    }
    pub fn resume(&self) {
        self.paused.store(false, Ordering::SeqCst);
        self.throttle.resume();
    }
    /// Whether nothing is to be sent now.
    fn holds_still(&self) -> bool {
        self.paused.load(Ordering::SeqCst) || self.barred.load(Ordering::SeqCst)
    }
    fn clear(&self, name: &'static str) {
        self.trouble.lock().expect("trouble lock").remove(name);
    }
    /// The worst that stands in the way.
    pub fn worst(&self) -> Option<Trouble> {
        let trouble = self.trouble.lock().expect("trouble lock");
        let weight = |t: &Trouble| matches!(t.kind, Kind::Operator | Kind::Damaged);
        trouble.values().max_by_key(|t| weight(t)).cloned()
    }
}

/// What a worker does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Again,
    /// Until its bell rings, or this long.
    Wait(Duration),
}

fn spawn(name: String, act: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(act)
        .map_err(|e| Error::retry(format!("start the thread {name}")).because(e))
}

/// Captures once there is enough for a pack, or something waited for as long as `gather` says.
fn capture_step(vault: &Vault, engine: &Engine) -> Result<Step> {
    if vault.holds_still() {
        return Ok(Step::Wait(LOOK));
    }
    let now = engine.now_ms();
    let (due, next) = engine.catalog.queue(now)?;
    let until_next = next.map_or(LOOK, |at| Duration::from_millis(u64::try_from(at - now).unwrap_or(0)));
    if due.rows == 0 {
        return Ok(Step::Wait(until_next));
    }
    // While a walk is still finding, a pack's worth is worth a start: else every few files made a pack of their own.
    let walking = engine.figures.walking.load(Ordering::SeqCst) > 0;
    if walking && due.bytes < engine.settings.pack_size.0 {
        return Ok(Step::Wait(Duration::from_millis(200)));
    }
    let gather = engine.settings.gather;
    let waited = due.oldest.is_none_or(|at| {
        let now = engine.clock.wall();
        at > now || now.since(at) >= gather
    });
    // Gathering saves requests; but as long as nothing at all is safe, nothing waits for company.
    let is_time = engine.is_hurried() || gather.is_zero() || waited || due.bytes >= engine.settings.pack_size.0;
    if is_time || engine.catalog.last_segment()?.is_none() {
        let captured = engine.capture_due();
        // Only now is nothing under way any more: the publisher looks again.
        engine.bells.publish.ring();
        captured?;
        return Ok(Step::Wait(Duration::from_millis(5)));
    }
    Ok(Step::Wait(until_next))
}

fn publish_step(vault: &Vault, engine: &Engine) -> Result<Step> {
    if vault.holds_still() {
        return Ok(Step::Wait(LOOK));
    }
    let occasion = engine.occasion()?;
    let in_a_pass = engine.is_hurried();
    if occasion.is_none() && !in_a_pass {
        let merging = Merging {
            store: &*engine.store,
            keys: &engine.keys,
            catalog: &engine.catalog,
            entropy: &*engine.entropy,
            level: engine.settings.level,
            now: engine.clock.wall(),
            faults: &engine.faults,
            stop: &engine.stop,
        };
        if let Some((from, to)) = merging.merge_due()? {
            tracing::info!(vault = %engine.name, "segments {} to {} of the log were merged", from.0, to.0);
        }
    }
    match occasion {
        Some(publish::Occasion::Heartbeat) if in_a_pass => Ok(Step::Wait(LOOK)),
        Some(_) => {
            engine.publish()?;
            Ok(Step::Wait(LOOK))
        }
        None => Ok(Step::Wait(LOOK)),
    }
}

/// The first thread always helps; the others only where the uplink is fast.
fn upload_step(vault: &Vault, engine: &Engine, thread: usize) -> Result<Step> {
    const FAST: u64 = 2_000_000;
    let slow = vault.throttle.rate().is_some_and(|r| r.get() < FAST);
    if vault.holds_still() || (thread > 0 && slow) {
        return Ok(Step::Wait(LOOK));
    }
    match engine.upload_one(&vault.claims)? {
        Uploaded::One => Ok(Step::Again),
        Uploaded::Nothing => {
            if thread == 0 {
                keep_program(vault, engine)?;
            }
            Ok(Step::Wait(LOOK))
        }
    }
}

/// Once a run, when nothing else is to be sent. A program that cannot be taken is said and no hindrance.
fn keep_program(vault: &Vault, engine: &Engine) -> Result<()> {
    let Some(program) = &vault.settings.rescue_program else { return Ok(()) };
    if vault.program_seen.load(Ordering::SeqCst) || engine.is_hurried() || !engine.catalog.is_all_safe()? {
        return Ok(());
    }
    let keeping =
        ProgramKeeping { store: &*engine.store, spool: &engine.spool, faults: &engine.faults, stop: &engine.stop };
    match keeping.keep(program.as_path()) {
        Ok(Kept::Before) => {}
        Ok(Kept::Now(name)) => engine.tell(Level::Good, &format!("the vault keeps a copy of the program: {name}")),
        Err(e) if e.kind() == Kind::Operator => engine.tell(Level::Warning, &e.to_string()),
        Err(e) => return Err(e),
    }
    vault.program_seen.store(true, Ordering::SeqCst);
    Ok(())
}
