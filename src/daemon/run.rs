//! The daemon at work: a supervisor a vault that opens it, again and again until it opens, and the workers of its
//! engine; one watcher for all; timetables; and the order in which everything stops.
//!
//! Every worker is a thread that loops over one small step. An error of kind Retry backs off (capped, jittered, cut
//! short by a nudge); Operator and Damaged are shown and tried again now and then, or when somebody says so; the other
//! vaults never notice (promise 12).

mod last_call;
pub mod steps;
mod vault;

pub use vault::{Trouble, Vault};

use super::checks::{self, Timetable};
use super::forecast;
use super::link;
use super::mistake;
use super::open::{House, Opened};
use super::orders::Orders;
use super::reread::{self, Disks};
use super::rest::{KNOCK, Rested, rest};
use super::uplink::{self, Place, Uplink};
use super::vigil::{self, Vigil};
use super::walks::Sleepers;
use crate::backup::Engine;
use crate::catalog::Level;
use crate::clock::Steady;
use crate::error::{Error, Kind, Result};
use crate::model::TreePath;
use crate::seal::random;
use crate::source::watch::Watcher;
use crate::store::retry::Backoff;
use crate::worker::Nudge;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use steps::{capture_step, publish_step, upload_step};

/// How long an operator's mistake is left alone before it is tried again.
const OPERATOR_WAIT: Duration = Duration::from_secs(60);
/// Every worker looks by itself at least this often: a lost nudge costs time, never data.
const LOOK: Duration = Duration::from_secs(10);

pub struct Daemon {
    pub house: House,
    pub vaults: Vec<Arc<Vault>>,
    /// What may go over the line that all vaults share.
    pub uplink: Uplink,
    pub watcher: Option<Arc<Watcher>>,
    /// What the watcher rings.
    heard: Nudge,
    hurried: AtomicBool,
    disks: Disks,
    pub(super) sleepers: Sleepers,
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
        let uplink = Uplink::open(&house, Place::Here)?;
        let vaults: Vec<_> = house
            .settings
            .vaults
            .iter()
            .map(|settings| Arc::new(Vault::on(&uplink.line, settings.clone(), &house.settings.uplink)))
            .collect();
        link::begin(&house.settings.links, &vaults);
        // Before anything opens, and so before anything is sent.
        uplink.settle(&vaults)?;
        let (started, hurried) = (house.clock.steady(), AtomicBool::new(false));
        let (disks, sleepers) = (Disks::default(), Sleepers::default());
        Ok(Arc::new(Self { house, vaults, uplink, watcher, heard, hurried, disks, sleepers, started }))
    }

    /// The other end of [`start`](Self::start), once stop was asked: what rests on a bell, some on the same one, is woken
    /// until all are gone. What a thread has under way it ends or gives up first.
    pub fn end(&self, threads: Vec<JoinHandle<()>>) {
        const AGAIN: Duration = Duration::from_millis(50);
        while threads.iter().any(|thread| !thread.is_finished()) {
            self.wake();
            self.house.clock.sleep(AGAIN);
        }
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// Changes the operator's orders: kept first, then obeyed by every vault, open or not.
    pub fn order(&self, change: impl FnOnce(&mut Orders)) -> Result<()> {
        self.uplink.order(change)?;
        if let Err(e) = self.uplink.settle(&self.vaults) {
            // It was obeyed; what could not be kept are the counts, and the worker says so.
            tracing::warn!("{e}");
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
        let me = Arc::clone(self);
        threads.push(spawn("uplink".to_owned(), move || me.keep_to_the_calendar())?);
        let me = Arc::clone(self);
        threads.push(spawn("link".to_owned(), move || link::look_out(&me))?);
        let me = Arc::clone(self);
        threads.push(spawn("forecast".to_owned(), move || me.look_ahead())?);
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

    /// Looks at what may go now, again and again; what it counted is on the disk at the end.
    fn keep_to_the_calendar(&self) {
        let mut said = None;
        while !self.house.stop.asked() {
            self.uplink.bell.wait(uplink::LOOK);
            let trouble = self.uplink.settle(&self.vaults).err().map(|e| e.to_string());
            if let Some(text) = trouble.as_ref().filter(|text| said.as_ref() != Some(*text)) {
                for engine in self.engines() {
                    engine.tell(Level::Alarm, text);
                }
            }
            said = trouble;
        }
        if let Err(e) = self.uplink.close(&self.vaults) {
            tracing::warn!("{e}");
        }
    }

    /// Learns what a forecast rests on, a look a minute. What it learnt is kept by the engine's supervisor when it closes.
    fn look_ahead(&self) {
        while !self.house.stop.wait(forecast::LOOK) {
            self.learn();
        }
    }

    pub fn learn(&self) {
        for vault in &self.vaults {
            if let Some(engine) = vault.engine() {
                let mut learnt = vault.learnt.lock().expect("learnt lock");
                if let Err(e) = learnt.look(vault, &engine, self.sharing()) {
                    tracing::warn!(vault = %engine.name, "learn for the forecast: {e}");
                }
            }
        }
    }

    /// How many vaults have something to send now, at least one.
    pub fn sharing(&self) -> u64 {
        let sends = |e: &Arc<Engine>| e.catalog.spooled(1).is_ok_and(|s| !s.is_empty());
        self.engines().iter().filter(|e| sends(e)).count().max(1) as u64
    }

    /// Hints go to every vault; each writes them down for itself.
    fn listen(&self) {
        let Some(watcher) = &self.watcher else { return };
        // Vaults whose roots are owed a walk that could not be written down either.
        let mut owed = BTreeSet::new();
        while !self.house.stop.asked() {
            self.heard.wait(Duration::from_secs(1));
            let taken = watcher.take();
            let is_silent = taken.hints.is_empty() && taken.lost.is_empty();
            for engine in self.engines() {
                if is_silent && !owed.contains(&engine.name) {
                    continue;
                }
                if let Err(e) = engine.notice(&taken) {
                    // What was not written down is found by a walk of everything.
                    tracing::warn!(vault = %engine.name, "note hints: {e}; walking all roots instead");
                    engine.figures.walked.lock().expect("figures lock").clear();
                    owed.insert(engine.name.clone());
                }
                if owed.contains(&engine.name) && engine.roots.iter().try_for_each(|r| engine.mark_root(r)).is_ok() {
                    owed.remove(&engine.name);
                    engine.bells.walk.ring();
                }
            }
        }
    }

    /// Opens the vault, runs its workers until stop, closes it. A vault that does not open is tried again.
    fn supervise(self: &Arc<Self>, vault: &Arc<Vault>) {
        while !self.house.stop.asked() {
            if let Some(why) = vault.link_hold() {
                // Opening reads from the vault: that is traffic too.
                self.note(vault, "link", &held_by(why));
                vault.mended.wait(LOOK);
                continue;
            }
            vault.clear("link");
            match self.open(vault) {
                Ok(engine) => {
                    vault.clear("open");
                    // Opening it proved that it is the one.
                    vault.barred.store(false, Ordering::SeqCst);
                    vault.forbidden.store(false, Ordering::SeqCst);
                    self.work(vault, &engine);
                    let kept = vault.learnt.lock().expect("learnt lock").keep(&engine);
                    if let Err(e) = kept {
                        tracing::warn!(vault = %engine.name, "keep what a forecast rests on: {e}");
                    }
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
        *vault.s3.lock().expect("s3 lock") = s3;
        self.take_in(vault, engine)
    }

    /// An engine that opened belongs to its vault from now on: every root is owed a walk, what was learnt is known again, and
    /// what was ordered holds for it too.
    pub fn take_in(&self, vault: &Vault, engine: Engine) -> Result<Arc<Engine>> {
        engine.figures.hurry.store(self.hurried.load(Ordering::SeqCst), Ordering::SeqCst);
        for root in &engine.roots {
            engine.mark_root(root)?;
        }
        let engine = Arc::new(engine);
        vault.learnt.lock().expect("learnt lock").open(&engine)?;
        mistake::tell(&self.house.home, &engine);
        if let Some(lost) = self.uplink.lost() {
            engine.tell(Level::Warning, &lost);
        }
        *vault.engine.lock().expect("engine lock") = Some(Arc::clone(&engine));
        // Whatever was ordered before it was there holds for it too.
        self.uplink.settle(&self.vaults)?;
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
            if self.watcher.is_some() && vault.is_bucket() {
                s.spawn(|| {
                    let mut vigil = Vigil::of(vault, &self.house.gate, engine.clock.steady());
                    self.run(vault, engine, "rules", &vault.mended, || vigil::step(vault, engine, &mut vigil));
                });
            }
            for n in 0..uploaders {
                let name = ["upload", "upload 2", "upload 3"][n];
                s.spawn(move || {
                    self.run(vault, engine, name, &engine.bells.upload, || {
                        self.count_first()?;
                        upload_step(vault, engine, n)
                    });
                });
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
                    match vault.link_hold() {
                        Some(why) => self.note(vault, "link", &held_by(why)),
                        None => vault.clear("link"),
                    }
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
                        // Knocking is traffic too.
                        let is_open = || vault.link_hold().is_none() && vault.is_reachable();
                        if rest(bell, backoff.failed(), KNOCK, is_open) == Rested::Back {
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

    /// Under a cap what went is counted before the next object begins.
    fn count_first(&self) -> Result<()> {
        if self.uplink.is_capped() { self.uplink.settle(&self.vaults).map(drop) } else { Ok(()) }
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

    /// Wakes everything: something was mended, or is to be looked at now.
    pub fn wake(&self) {
        self.uplink.bell.ring();
        for vault in &self.vaults {
            vault.ring();
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

/// What a worker does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Again,
    /// Until its bell rings, or this long.
    Wait(Duration),
}

fn held_by(why: String) -> Error {
    Error::retry("send nothing for now").because(why)
}

fn spawn(name: String, act: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(act)
        .map_err(|e| Error::retry(format!("start the thread {name}")).because(e))
}
