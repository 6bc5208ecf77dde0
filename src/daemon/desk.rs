//! The console's desk: the status gathered from engines and rows, and what an operator asks carried out.
//!
//! The document is made at most about once a second and shared by all who ask: counting costs, and the answer may be
//! a second old, never longer.

use super::console::{
    Console, Event, Explanation, FailedPath, Mood, Overall, RequestCounts, RootStatus, Status, VaultStatus,
};
use super::found::rfc3339;
use super::run::{Daemon, Vault};
use crate::backup::Engine;
use crate::catalog::{Level, NodeId, RootCounts, State, VaultCounts};
use crate::clock::Steady;
use crate::config::VaultUrl;
use crate::error::{Error, Kind, Result};
use crate::filter::{FileOrDir, Verdict};
use crate::model::{Rate, Size, TreePath};
use base64::Engine as _;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Failed paths and events shown.
const MOST_FAILED: usize = 100;
const MOST_EVENTS: usize = 50;
/// A status is at least this fresh, or a twentieth of the time it took to make.
const FRESH: Duration = Duration::from_millis(800);

/// Counts of one engine, good until a row changes.
#[derive(Clone, Debug)]
struct Counted {
    changes: i64,
    roots: BTreeMap<TreePath, RootCounts>,
    vault: VaultCounts,
}

pub struct Desk {
    daemon: Arc<Daemon>,
    counted: Mutex<BTreeMap<String, Counted>>,
    last: Mutex<Option<(Steady, Duration, Status)>>,
}

/// What one vault knows of one root.
struct Share {
    counts: RootCounts,
    walked: bool,
    trouble: Option<String>,
    same_disk: bool,
}

impl Desk {
    pub fn new(daemon: Arc<Daemon>) -> Arc<Self> {
        Arc::new(Self { daemon, counted: Mutex::default(), last: Mutex::new(None) })
    }

    pub fn daemon(&self) -> &Arc<Daemon> {
        &self.daemon
    }

    /// Counted anew, however it costs.
    pub fn fresh(&self) -> Status {
        let clock = &self.daemon.house.clock;
        let begun = clock.steady();
        let status = self.make();
        let took = clock.steady().since(begun);
        *self.last.lock().expect("status lock") = Some((clock.steady(), took, status.clone()));
        status
    }

    /// Counting costs with the number of rows: it is done again only when one changed.
    fn counted(&self, engine: &Engine) -> Result<Counted> {
        let changes = engine.catalog.changes()?;
        let known =
            self.counted.lock().expect("counts lock").get(&engine.name).filter(|c| c.changes == changes).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let roots = engine
            .roots
            .iter()
            .map(|r| Ok((r.path.clone(), engine.catalog.root_counts(r.id)?)))
            .collect::<Result<_>>()?;
        let counted = Counted { changes, roots, vault: engine.catalog.vault_counts()? };
        self.counted.lock().expect("counts lock").insert(engine.name.clone(), counted.clone());
        Ok(counted)
    }

    fn make(&self) -> Status {
        let daemon = &self.daemon;
        let house = &daemon.house;
        let vaults: Vec<(Arc<Vault>, Option<Arc<Engine>>)> =
            daemon.vaults.iter().map(|v| (Arc::clone(v), v.engine())).collect();
        let roots: Vec<RootStatus> = house.settings.roots.iter().map(|r| self.root(&r.path, &vaults)).collect();
        let shown: Vec<VaultStatus> = vaults.iter().map(|(v, e)| self.vault(v, e.as_deref())).collect();
        let limit = daemon.vaults.iter().filter_map(|v| v.throttle.rate()).map(Rate::get).min();
        let mut status = Status {
            state: Overall::Starting,
            headline: String::new(),
            mood: Mood::Busy,
            advice: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: house.clock.steady().since(daemon.started).as_secs(),
            limit_bytes_per_s: limit,
            roots,
            vaults: shown,
            failed: failed(&vaults),
            events: events(&vaults),
        };
        self.judge(&mut status, &vaults);
        status
    }

    /// Safe means safe in every vault of the root: the worst of them counts.
    fn root(&self, path: &TreePath, vaults: &[(Arc<Vault>, Option<Arc<Engine>>)]) -> RootStatus {
        let now = self.daemon.house.clock.wall();
        let mine: Vec<_> = vaults.iter().filter(|(v, _)| v.settings.roots.contains(path)).collect();
        let shares: Vec<Option<Share>> =
            mine.iter().map(|(_, e)| e.as_ref().and_then(|e| self.share(e, path))).collect();
        let known: Vec<&Share> = shares.iter().flatten().collect();
        let all_known = known.len() == shares.len() && !shares.is_empty();
        let max = |f: &dyn Fn(&Share) -> u64| known.iter().map(|s| f(s)).max().unwrap_or(0);
        let min = |f: &dyn Fn(&Share) -> u64| if all_known { known.iter().map(|s| f(s)).min().unwrap_or(0) } else { 0 };
        let walked = all_known && known.iter().all(|s| s.walked);
        let trouble = known.iter().find_map(|s| s.trouble.clone());
        let dirty = max(&|s| s.counts.dirty);
        let (files, safe_files, failed, torn) = (
            max(&|s| s.counts.files),
            min(&|s| s.counts.safe_files),
            max(&|s| s.counts.failed),
            max(&|s| s.counts.torn),
        );
        let lag = known.iter().filter_map(|s| s.counts.oldest).min().map(|at| now.since(at).as_secs());
        let state = match (&trouble, walked) {
            (Some(_), _) => "missing",
            (None, false) => "checking",
            _ if failed > 0 => "failed",
            _ if dirty > 0 || lag.is_some() || safe_files + torn < files => "working",
            _ => "safe",
        };
        let (shown, path_b64) = named(path);
        RootStatus {
            path: shown,
            path_b64,
            state: state.to_owned(),
            files,
            bytes: max(&|s| s.counts.bytes),
            // Nothing is called safe before its root was walked (promise 3).
            safe_files: if walked { safe_files } else { 0 },
            safe_bytes: if walked { min(&|s| s.counts.safe_bytes) } else { 0 },
            dirty: if walked { dirty } else { dirty.max(1) },
            failed,
            changed_while_read: torn,
            lag_s: lag,
            eta_s: eta(&known, &mine, walked),
            error: trouble,
            same_disk: all_known && known.iter().all(|s| s.same_disk),
        }
    }

    /// State, headline, mood and advice: the worst thing speaks.
    fn judge(&self, status: &mut Status, vaults: &[(Arc<Vault>, Option<Arc<Engine>>)]) {
        let stopping = self.daemon.house.stop.asked();
        let alarm = vaults.iter().find_map(|(v, _)| {
            v.worst()
                .filter(|t| matches!(t.kind, Kind::Operator | Kind::Damaged))
                .map(|t| (v.settings.name.clone(), t.text))
        });
        let missing = status.roots.iter().find(|r| r.state == "missing");
        let failed: u64 = status.roots.iter().map(|r| r.failed).sum();
        let paused = vaults.iter().any(|(v, _)| v.paused.load(Ordering::SeqCst));
        let opening = vaults.iter().any(|(_, e)| e.is_none());
        let checking = status.roots.iter().any(|r| r.state == "checking");
        let working = status.roots.iter().any(|r| r.state == "working");
        let bound = self.daemon.house.settings.alert.lag.as_secs();
        let late = status.roots.iter().filter_map(|r| r.lag_s).max().filter(|lag| *lag > bound);
        let (files, safe) =
            (status.roots.iter().map(|r| r.files).sum::<u64>(), status.roots.iter().map(|r| r.safe_files).sum::<u64>());
        let same_disk = !status.roots.is_empty() && status.roots.iter().all(|r| r.same_disk);
        let (state, mood, headline, advice) = if stopping {
            (Overall::Stopped, Mood::Warning, "Stopping. Nothing is watched from now on.".to_owned(), None)
        } else if let Some((name, text)) = alarm {
            let (what, remedy) =
                text.split_once("; ").map_or((text.clone(), None), |(a, b)| (a.to_owned(), Some(b.to_owned())));
            (Overall::Attention, Mood::Alarm, format!("The vault \"{name}\" needs you: {what}"), remedy)
        } else if let Some(root) = missing {
            (Overall::Attention, Mood::Alarm, format!("{} cannot be read.", root.path), root.error.clone())
        } else if failed > 0 {
            (
                Overall::Attention,
                Mood::Alarm,
                format!("{failed} {} could not be backed up.", if failed == 1 { "path" } else { "paths" }),
                Some("The list below says why; each is tried again by itself.".to_owned()),
            )
        } else if paused {
            (
                Overall::Paused,
                Mood::Warning,
                format!("Paused: {safe} of {files} files are safe, and nothing is sent."),
                Some("Resume with 'panicroom resume', or here.".to_owned()),
            )
        } else if opening {
            (Overall::Starting, Mood::Busy, "Starting: looking at the vault.".to_owned(), None)
        } else if checking {
            (Overall::Checking, Mood::Busy, "Checking: comparing every file with what is stored.".to_owned(), None)
        } else if let Some(lag) = late {
            (
                Overall::Working,
                Mood::Alarm,
                format!("Behind: a change has waited {} to become safe.", words_for(lag)),
                Some("Raise the limit, or wait if this is the first backup of a lot.".to_owned()),
            )
        } else if working {
            (Overall::Working, Mood::Busy, format!("Working: {safe} of {files} files are safe."), None)
        } else if same_disk {
            (
                Overall::Idle,
                Mood::Warning,
                format!("{files} files copied, but on the same disk: a fire takes both."),
                Some(format!(
                    "Stop it, add a vault elsewhere with 'panicroom --config {} init --vault s3://BUCKET/PREFIX', and start it again.",
                    self.daemon.house.settings.file.display()
                )),
            )
        } else {
            (
                Overall::Idle,
                Mood::Good,
                format!(
                    "Everything is safe: {files} files, {}.",
                    Size(status.roots.iter().map(|r| r.safe_bytes).sum())
                ),
                None,
            )
        };
        (status.state, status.mood, status.headline, status.advice) = (state, mood, headline, advice);
    }
}

impl Desk {
    fn share(&self, engine: &Engine, path: &TreePath) -> Option<Share> {
        let root = engine.roots.iter().find(|r| r.path == *path)?;
        let counts = *self.counted(engine).ok()?.roots.get(&root.path)?;
        let walked = engine.figures.walked.lock().expect("figures lock").contains_key(path);
        let trouble = engine.figures.root_trouble.lock().expect("figures lock").get(path).cloned();
        Some(Share { counts, walked, trouble, same_disk: engine.shares_disk(path) })
    }

    fn vault(&self, vault: &Vault, engine: Option<&Engine>) -> VaultStatus {
        let counts: Option<VaultCounts> = engine.and_then(|e| self.counted(e).ok()).map(|c| c.vault);
        let c = counts.unwrap_or_default();
        let worst = vault.worst();
        let sent = engine.and_then(|e| e.catalog.fact::<i64>("sent").ok().flatten()).unwrap_or(0);
        let requests = engine.map(|e| e.store.requests()).unwrap_or_default();
        let rate = vault.throttle.rate_bytes_per_s();
        let state = match (&worst, engine) {
            _ if vault.paused.load(Ordering::SeqCst) => "paused",
            (Some(t), _) if matches!(t.kind, Kind::Operator | Kind::Damaged) => "attention",
            (Some(_), _) => "waiting",
            (None, None) => "starting",
            _ if c.spool_objects > 0 || c.queued_files > 0 => "working",
            _ => "idle",
        };
        VaultStatus {
            name: vault.settings.name.clone(),
            url: engine.map_or_else(|| vault.settings.url.to_string(), |e| e.store.url()),
            state: state.to_owned(),
            roots: vault.settings.roots.iter().map(ToString::to_string).collect(),
            stored_bytes: c.stored_bytes,
            stored_objects: c.stored_objects,
            queued_bytes: c.queued_bytes,
            queued_files: c.queued_files,
            spool_bytes: c.spool_bytes,
            rate_bytes_per_s: Some(rate),
            sent_bytes_total: sent.cast_unsigned(),
            requests: RequestCounts {
                put: requests.put,
                get: requests.get,
                head: requests.head,
                list: requests.list,
                thaw: requests.thaw,
            },
            eta_s: (rate > 0).then(|| (c.queued_bytes + c.spool_bytes) / rate),
            last_segment: c.last_segment.map(rfc3339),
            last_error: worst.map(|t| t.text),
        }
    }
}

/// Bytes to go over the measured rate, for the slowest vault; None while either is unknown.
fn eta(known: &[&Share], mine: &[&(Arc<Vault>, Option<Arc<Engine>>)], walked: bool) -> Option<u64> {
    if !walked {
        return None;
    }
    let to_go = known.iter().map(|s| s.counts.bytes.saturating_sub(s.counts.safe_bytes)).max()?;
    if to_go == 0 {
        return Some(0);
    }
    let rate = mine.iter().map(|(v, _)| v.throttle.rate_bytes_per_s()).filter(|r| *r > 0).min()?;
    Some(to_go / rate)
}

fn failed(vaults: &[(Arc<Vault>, Option<Arc<Engine>>)]) -> Vec<FailedPath> {
    let mut out: Vec<FailedPath> = vec![];
    for engine in vaults.iter().filter_map(|(_, e)| e.as_ref()) {
        for one in engine.catalog.failed(MOST_FAILED).unwrap_or_default() {
            let (path, path_b64) = named(&one.path);
            if !out.iter().any(|f| f.path == path) {
                out.push(FailedPath { path, path_b64, error: one.error, since: rfc3339(one.since) });
            }
        }
    }
    out.truncate(MOST_FAILED);
    out
}

fn events(vaults: &[(Arc<Vault>, Option<Arc<Engine>>)]) -> Vec<Event> {
    let many = vaults.len() > 1;
    let mut out: Vec<(i64, Event)> = vec![];
    for (vault, engine) in vaults {
        let Some(engine) = engine else { continue };
        for (at, level, text) in engine.catalog.events(MOST_EVENTS).unwrap_or_default() {
            let level = match level {
                Level::Good => "good",
                Level::Note => "note",
                Level::Warning => "warning",
                Level::Alarm => "alarm",
            };
            let text = if many { format!("{}: {text}", vault.settings.name) } else { text };
            out.push((at.0, Event { at: rfc3339(at), level: level.to_owned(), text }));
        }
    }
    out.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    out.truncate(MOST_EVENTS);
    out.into_iter().map(|(_, e)| e).collect()
}

/// Escaped for people, and the bytes where they are not UTF-8.
fn named(path: &TreePath) -> (String, Option<String>) {
    let b64 = std::str::from_utf8(path.as_bytes())
        .is_err()
        .then(|| base64::engine::general_purpose::STANDARD.encode(path.as_bytes()));
    (path.to_string(), b64)
}

/// `3 days`, `5 hours`, `2 minutes`.
pub fn words_for(seconds: u64) -> String {
    let (n, unit) = match seconds {
        s if s >= 2 * 86_400 => (s / 86_400, "days"),
        s if s >= 2 * 3600 => (s / 3600, "hours"),
        s if s >= 120 => (s / 60, "minutes"),
        s => (s, "seconds"),
    };
    format!("{n} {unit}")
}

impl Console for Desk {
    fn status(&self) -> Status {
        let now = self.daemon.house.clock.steady();
        let last = self.last.lock().expect("status lock").clone();
        match last {
            Some((made, took, status)) if now.since(made) < FRESH.max(took * 20) => status,
            _ => self.fresh(),
        }
    }

    fn unhealthy(&self) -> Option<String> {
        let status = self.status();
        (status.mood == Mood::Alarm || status.state == Overall::Stopped).then_some(status.headline)
    }

    fn pause(&self) -> Result<()> {
        for vault in &self.daemon.vaults {
            vault.pause();
            if let Some(engine) = vault.engine() {
                engine.catalog.set_fact("paused", engine.clock.wall().0)?;
                engine.tell(Level::Warning, "paused by the operator");
            }
        }
        *self.last.lock().expect("status lock") = None;
        Ok(())
    }

    fn resume(&self) -> Result<()> {
        for vault in &self.daemon.vaults {
            vault.resume();
            if let Some(engine) = vault.engine() {
                engine.catalog.clear_fact("paused")?;
                engine.catalog.clear_fact("spool_losses")?;
                engine.tell(Level::Note, "resumed by the operator");
            }
        }
        self.daemon.wake();
        *self.last.lock().expect("status lock") = None;
        Ok(())
    }

    fn limit(&self, rate: Option<Rate>) -> Result<()> {
        // The bound is that of all vaults together: each keeps its part, as with the configured one.
        let share = u64::try_from(self.daemon.vaults.len().max(1)).unwrap_or(1);
        let rate = rate.and_then(|r| Rate::bytes_per_second((r.get() / share).max(1)));
        for vault in &self.daemon.vaults {
            vault.throttle.set(rate);
            if let Some(engine) = vault.engine() {
                engine.figures.limit.store(rate.map_or(0, Rate::get), Ordering::Relaxed);
                engine.catalog.set_fact("limit", rate.map_or(0, |r| r.get().cast_signed()))?;
            }
        }
        self.daemon.wake();
        *self.last.lock().expect("status lock") = None;
        Ok(())
    }

    fn rescan(&self) -> Result<()> {
        for engine in self.daemon.engines() {
            engine.figures.walked.lock().expect("figures lock").clear();
            engine.catalog.hurry()?;
            for root in &engine.roots {
                engine.mark_root(root)?;
            }
        }
        self.daemon.wake();
        *self.last.lock().expect("status lock") = None;
        Ok(())
    }

    fn explain(&self, path: &TreePath) -> Result<Explanation> {
        let engines = self.daemon.engines();
        let Some(first) = engines.first() else {
            return Err(Error::retry("explain a path: no vault is open yet"));
        };
        let (chosen, rule) = rule_for(first, path);
        let stages = self
            .daemon
            .vaults
            .iter()
            .filter_map(|v| v.engine().map(|e| (v.settings.name.clone(), e)))
            .map(|(name, e)| stage(&name, &e, path))
            .collect::<Result<Vec<_>>>()?;
        Ok(Explanation { path: path.to_string(), rule, chosen, stages })
    }

    fn backup_now(&self) -> Result<()> {
        let engines = self.daemon.engines();
        for engine in &engines {
            engine.figures.hurry.store(true, Ordering::SeqCst);
        }
        let done = self.rescan().and_then(|()| self.until_drained());
        for engine in &engines {
            engine.figures.hurry.store(false, Ordering::SeqCst);
        }
        // Who asked for the pass asks for its result next.
        *self.last.lock().expect("status lock") = None;
        done
    }
}

impl Desk {
    /// Waits until every vault is drained or needs the operator: one that does never cuts another short (promise 12).
    pub fn until_drained(&self) -> Result<()> {
        loop {
            let (mut busy, mut stuck) = (false, None);
            for vault in &self.daemon.vaults {
                let worst = vault.worst().filter(|t| matches!(t.kind, Kind::Operator | Kind::Damaged));
                match (worst, vault.engine()) {
                    (Some(trouble), _) => stuck = Some(Error::new(trouble.kind, trouble.text)),
                    (None, Some(engine)) => busy |= !engine.is_drained()?,
                    (None, None) => busy = true,
                }
            }
            if !busy {
                return stuck.map_or(Ok(()), Err);
            }
            if self.daemon.house.stop.wait(Duration::from_millis(20)) {
                return Err(Error::stopping());
            }
        }
    }
}

/// Whether a path is chosen, and which rule decided.
pub fn rule_for(engine: &Engine, path: &TreePath) -> (bool, String) {
    if engine.is_ours(path) {
        return (false, "it is one of panicroom's own folders: never watched, never captured".to_owned());
    }
    let Some(root) = engine.root_of(path) else {
        return (false, "it lies in no watched folder".to_owned());
    };
    let what = if std::fs::symlink_metadata(path.as_path()).is_ok_and(|m| m.is_dir()) {
        FileOrDir::Dir
    } else {
        FileOrDir::File
    };
    let decision = root.filter.explain(path, what);
    let verdict = match decision.verdict {
        Verdict::Include => "included",
        Verdict::Exclude => "excluded",
        Verdict::Descend => "walked, and kept once something beneath it is",
    };
    if decision.verdict != Verdict::Exclude
        && let Ok(open) = crate::source::Root::open(&root.path)
    {
        let folder = if what == FileOrDir::Dir { Some(path.clone()) } else { path.parent() };
        let mut at = folder;
        while let Some(p) = at.filter(|p| p.is_within(&root.path)) {
            if open.folder(&p).is_ok_and(|f| root.left_out(&f).unwrap_or(false)) {
                return (false, format!("{p} holds a marker or a CACHEDIR.TAG: it is left out with all beneath it"));
            }
            at = p.parent();
        }
    }
    (decision.verdict != Verdict::Exclude, format!("{verdict} (root {}): {}", root.path, decision.rule))
}

fn stage(name: &str, engine: &Engine, path: &TreePath) -> Result<String> {
    let node: Option<NodeId> = engine.catalog.find(path)?;
    let row = match node {
        Some(id) => engine.catalog.node(id)?,
        None => None,
    };
    let Some(row) = row else { return Ok(format!("{name}: never seen")) };
    let failed = engine.catalog.failed(10_000)?.into_iter().find(|f| f.path == *path);
    let newest = engine.catalog.history(row.id)?.into_iter().next();
    let kept = match &newest {
        None => "no version yet".to_owned(),
        Some(r) => {
            let what = if matches!(r.state, State::Deleted) { "deletion" } else { "version" };
            format!("{what} of {} is {}", rfc3339(r.captured), if r.safe { "safe" } else { "captured, not yet safe" })
        }
    };
    Ok(match (failed, row.dirty) {
        (Some(f), _) => format!("{name}: failed since {}: {}; {kept}", rfc3339(f.since), f.error),
        (None, true) => format!("{name}: dirty, waiting to be captured; {kept}"),
        (None, false) => format!("{name}: {kept}"),
    })
}

impl Engine {
    /// Whether this vault is a folder on the very disk of a root.
    pub fn shares_disk(&self, root: &TreePath) -> bool {
        use std::os::unix::fs::MetadataExt;
        let VaultUrlPath(Some(folder)) = VaultUrlPath::of(&self.store.url()) else { return false };
        match (std::fs::metadata(root.as_path()), std::fs::metadata(folder.as_path())) {
            (Ok(a), Ok(b)) => a.dev() == b.dev(),
            _ => false,
        }
    }
}

/// The folder of a folder vault.
struct VaultUrlPath(Option<TreePath>);

impl VaultUrlPath {
    fn of(url: &str) -> Self {
        Self(match VaultUrl::parse(url) {
            Ok(VaultUrl::Folder(path)) => Some(path),
            _ => None,
        })
    }
}
