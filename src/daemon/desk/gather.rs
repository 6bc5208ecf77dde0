//! The document gathered from engines and rows. Counting costs with the number of rows, so counts are kept until a row
//! changes; what is safe is never kept longer than that (promise 3).

use super::{Desk, Seen, line, verify};
use crate::backup::Engine;
use crate::catalog::{Level, RootCounts, VaultCounts};
use crate::config::VaultUrl;
use crate::daemon::console::{
    Event, FailedPath, LostVersion, Mood, Overall, RequestCounts, RootStatus, Status, VaultStatus, VerifyStatus,
};
use crate::daemon::forecast::after;
use crate::daemon::run::Vault;
use crate::daemon::spell::{legible, rfc3339};
use crate::daemon::uplink::May;
use crate::error::{Kind, Result};
use crate::model::{Rate, TreePath};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;

/// Failed paths and events shown.
const MOST_FAILED: usize = 100;
const MOST_EVENTS: usize = 50;

/// Counts of one engine, good until a row changes.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    changes: i64,
    pub(super) roots: BTreeMap<TreePath, RootCounts>,
    vault: VaultCounts,
    verify: VerifyStatus,
}

/// What one vault knows of one root.
struct Share {
    counts: RootCounts,
    walked: bool,
    trouble: Option<String>,
    same_disk: bool,
}

impl Desk {
    pub(super) fn gather(&self, vaults: &[Seen]) -> Status {
        let daemon = &self.daemon;
        let house = &daemon.house;
        let mut status = Status {
            state: Overall::Starting,
            headline: String::new(),
            mood: Mood::Busy,
            advice: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: house.clock.steady().since(daemon.started).as_secs(),
            limit_bytes_per_s: daemon.vaults.iter().filter_map(|v| v.throttle.rate()).map(Rate::get).min(),
            roots: house.settings.roots.iter().map(|r| self.root(&r.path, vaults)).collect(),
            vaults: vaults.iter().map(|s| self.vault(&s.vault, s.engine.as_deref())).collect(),
            failed: failed(vaults),
            lost: lost(vaults),
            events: events(vaults),
            uplink: Some(daemon.uplink.status(&daemon.vaults)),
        };
        self.judge(&mut status, vaults);
        status
    }

    /// Counting costs with the number of rows: it is done again only when one changed.
    pub(super) fn counted(&self, engine: &Engine) -> Result<Counted> {
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
        let verify = verify::status(engine, &self.daemon.house.settings.verify)?;
        let counted = Counted { changes, roots, vault: engine.catalog.vault_counts()?, verify };
        self.counted.lock().expect("counts lock").insert(engine.name.clone(), counted.clone());
        Ok(counted)
    }

    /// Safe means safe in every vault of the root: the worst of them counts.
    fn root(&self, path: &TreePath, vaults: &[Seen]) -> RootStatus {
        let now = self.daemon.house.clock.wall();
        let mine: Vec<_> = vaults.iter().filter(|s| s.vault.settings.roots.contains(path)).collect();
        let shares: Vec<Option<Share>> =
            mine.iter().map(|s| s.engine.as_ref().and_then(|e| self.share(e, path))).collect();
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
        let (shown, path_b64) = legible(path);
        let eta = self.eta(path, &mine, walked, state == "safe");
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
            // Nothing unsafe is no lag, once that is known.
            lag_s: lag.or(walked.then_some(0)),
            eta_s: eta.likely,
            eta_earliest_s: eta.earliest,
            eta_latest_s: eta.latest,
            eta_at: eta.likely.filter(|s| *s > 0).map(|s| rfc3339(after(now, s))),
            progress: walked.then(|| progress(min(&|s| s.counts.safe_bytes), max(&|s| s.counts.bytes))),
            error: trouble,
            same_disk: all_known && known.iter().all(|s| s.same_disk),
        }
    }

    fn share(&self, engine: &Engine, path: &TreePath) -> Option<Share> {
        let root = engine.roots.iter().find(|r| r.path == *path)?;
        let counts = *self.counted(engine).ok()?.roots.get(&root.path)?;
        let walked = engine.figures.walked.lock().expect("figures lock").contains_key(path);
        let trouble = engine.figures.root_trouble.lock().expect("figures lock").get(path).cloned();
        Some(Share { counts, walked, trouble, same_disk: share_disk(engine, path) })
    }

    fn vault(&self, vault: &Vault, engine: Option<&Engine>) -> VaultStatus {
        let counted = engine.and_then(|e| self.counted(e).ok());
        let c = counted.as_ref().map(|c| c.vault).unwrap_or_default();
        let all_walked = engine.is_some_and(Engine::all_walked);
        let oldest = counted.as_ref().and_then(|c| c.roots.values().filter_map(|r| r.oldest).min());
        let now = self.daemon.house.clock.wall();
        let lag = oldest.map(|at| now.since(at).as_secs()).or(all_walked.then_some(0));
        let eta = self.eta_of_vault(vault, engine, all_walked, oldest.is_none());
        let verify = counted.map(|c| c.verify);
        let unsound = verify.as_ref().and_then(|v| v.unsound.clone());
        let worst = vault.worst();
        let sent = engine.and_then(|e| e.catalog.fact::<i64>("sent").ok().flatten()).unwrap_or(0);
        let requests = engine.map(|e| e.store.requests()).unwrap_or_default();
        let rate = vault.throttle.rate_bytes_per_s();
        let sheet = engine.map(|e| self.sheet(e));
        let drill = engine.and_then(|e| self.drill(e));
        let is_held = vault.may() != May::Everything && c.spool_objects > 0;
        let state = match (&worst, engine) {
            _ if vault.paused.load(Ordering::SeqCst) => "paused",
            (Some(t), _) if matches!(t.kind, Kind::Operator | Kind::Damaged) => "attention",
            _ if unsound.is_some() => "attention",
            (Some(_), _) => "waiting",
            _ if is_held => "waiting",
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
            limit_bytes_per_s: vault.settings.limit.map(Rate::get),
            download_bytes_per_s: vault.settings.download.map(Rate::get),
            manners: vault.is_bucket().then(|| line::manners(&vault.throttle)),
            wire: Some(line::wire(&vault.throttle)),
            sent_bytes_total: sent.cast_unsigned(),
            requests: RequestCounts {
                put: requests.put,
                get: requests.get,
                head: requests.head,
                list: requests.list,
                thaw: requests.thaw,
            },
            lag_s: lag,
            eta_s: eta.likely,
            eta_earliest_s: eta.earliest,
            eta_latest_s: eta.latest,
            last_segment: c.last_segment.map(rfc3339),
            last_error: worst.map(|t| t.text).or(unsound),
            sheet_checked: sheet.and_then(|s| s.0).map(rfc3339),
            sheet_due: sheet.map(|s| s.1),
            drill_due: drill.as_ref().map(|d| d.1),
            drill: drill.and_then(|d| d.0),
            verify,
        }
    }
}

/// Whether a vault is a folder on the very disk of a root.
fn share_disk(engine: &Engine, root: &TreePath) -> bool {
    let Ok(VaultUrl::Folder(folder)) = VaultUrl::parse(&engine.store.url()) else { return false };
    match (std::fs::metadata(root.as_path()), std::fs::metadata(folder.as_path())) {
        (Ok(a), Ok(b)) => a.dev() == b.dev(),
        _ => false,
    }
}

/// Per mille, all of it only when it is all.
fn progress(safe: u64, all: u64) -> u64 {
    if safe >= all {
        return 1000;
    }
    u64::try_from(u128::from(safe) * 1000 / u128::from(all.max(1))).unwrap_or(0).min(999)
}

fn failed(vaults: &[Seen]) -> Vec<FailedPath> {
    let mut out: Vec<FailedPath> = vec![];
    for engine in vaults.iter().filter_map(|s| s.engine.as_ref()) {
        for one in engine.catalog.failed(MOST_FAILED).unwrap_or_default() {
            let (path, path_b64) = legible(&one.path);
            if !out.iter().any(|f| f.path == path) {
                out.push(FailedPath { path, path_b64, error: one.error, since: rfc3339(one.since) });
            }
        }
    }
    out.truncate(MOST_FAILED);
    out
}

fn lost(vaults: &[Seen]) -> Vec<LostVersion> {
    let engines = vaults.iter().filter_map(|s| s.engine.as_ref());
    let mut out: Vec<LostVersion> = engines.flat_map(|e| verify::lost(e, MOST_FAILED).unwrap_or_default()).collect();
    out.truncate(MOST_FAILED);
    out
}

fn events(vaults: &[Seen]) -> Vec<Event> {
    let many = vaults.len() > 1;
    let mut out: Vec<(i64, Event)> = vec![];
    for Seen { vault, engine } in vaults {
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
