//! When each root is safe: for the status a forecast of each vault that may be a quarter of a minute old (and never says 0 of
//! what is not safe), and the whole document with what it rests on, for whoever asks.

use super::{Desk, Seen};
use crate::backup::Engine;
use crate::catalog::RootCounts;
use crate::clock::Steady;
use crate::daemon::console::{ForecastStatus, RootForecast};
use crate::daemon::forecast::{RootAhead, Supposed, VaultAhead, after};
use crate::daemon::run::Vault;
use crate::daemon::spell::{legible, rfc3339};
use crate::error::Result;
use crate::model::{Allowed, Size, TreePath};
use crate::uplink::forecast::Outlook;
use std::collections::BTreeSet;
use std::time::Duration;

/// A forecast is at least this fresh, or takes no more than a fiftieth of the time.
const FRESH: Duration = Duration::from_secs(15);
const SHARE: u32 = 50;
/// What is not safe takes at least so long, whatever was worked out a quarter of a minute ago, seconds.
const LEAST: u64 = 5;

/// A forecast of one vault as it was worked out.
#[derive(Debug)]
pub(super) struct Foretold {
    made: Steady,
    took: Duration,
    ahead: VaultAhead,
}

impl Desk {
    /// When a root is safe in all its vaults.
    pub(super) fn eta(&self, path: &TreePath, vaults: &[&Seen], walked: bool, is_safe: bool) -> Outlook {
        if !walked {
            return Outlook::default();
        }
        if is_safe {
            return Outlook::SAFE;
        }
        let of = |seen: &&Seen| -> Option<Outlook> {
            let engine = seen.engine.as_deref()?;
            let root = engine.roots.iter().find(|r| r.path == *path)?.id;
            self.foretold(&seen.vault, engine, |ahead| {
                ahead.roots.iter().find(|r| r.root == root).map_or(Outlook::default(), |r| r.outlook)
            })
        };
        let later = |a: Outlook, b: Option<Outlook>| a.and(b.unwrap_or_default());
        at_least(vaults.iter().map(of).fold(Outlook::SAFE, later))
    }

    /// When everything is safe in one vault.
    pub(super) fn eta_of_vault(&self, vault: &Vault, engine: Option<&Engine>, walked: bool, is_safe: bool) -> Outlook {
        let Some(engine) = engine.filter(|_| walked) else { return Outlook::default() };
        if is_safe {
            return Outlook::SAFE;
        }
        let all = |ahead: &VaultAhead| ahead.roots.iter().fold(Outlook::SAFE, |a, r| a.and(r.outlook));
        at_least(self.foretold(vault, engine, all).unwrap_or_default())
    }

    fn foretold<T>(&self, vault: &Vault, engine: &Engine, of: impl FnOnce(&VaultAhead) -> T) -> Option<T> {
        let now = self.daemon.house.clock.steady();
        let mut kept = self.foretold.lock().expect("forecast lock");
        let fresh = |f: &Foretold| now.since(f.made) < FRESH.max(f.took * SHARE);
        if !kept.get(&engine.name).is_some_and(fresh) {
            let ahead = self.ahead(vault, engine, &[]).ok()?;
            let took = self.daemon.house.clock.steady().since(now);
            kept.insert(engine.name.clone(), Foretold { made: now, took, ahead });
        }
        kept.get(&engine.name).map(|f| of(&f.ahead))
    }

    fn ahead(&self, vault: &Vault, engine: &Engine, supposed: &[Supposed]) -> Result<VaultAhead> {
        let counted = self.counted(engine)?;
        let waits = |path: &TreePath| counted.roots.get(path).is_some_and(|c| c.oldest.is_some());
        let unsafe_roots: BTreeSet<_> = engine.roots.iter().filter(|r| waits(&r.path)).map(|r| r.id).collect();
        let (daemon, mut learnt) = (&self.daemon, vault.learnt.lock().expect("learnt lock"));
        let mut ahead = learnt.ahead(vault, engine, &daemon.uplink, daemon.sharing(), &unsafe_roots, supposed)?;
        for root in &mut ahead.roots {
            let path = engine.roots.iter().find(|r| r.id == root.root).map(|r| &r.path);
            if path.and_then(|path| counted.roots.get(path)).is_some_and(|counts| is_open_ended(root, counts)) {
                root.outlook = Outlook::default();
            }
        }
        Ok(ahead)
    }

    /// The whole document. Operator: what is supposed is nothing that can be.
    pub(super) fn forecast_document(&self, what_if: &[String]) -> Result<ForecastStatus> {
        let supposed = what_if.iter().map(|text| Supposed::read(text)).collect::<Result<Vec<_>>>()?;
        let now = self.daemon.house.clock.wall();
        let counts = |engine: &Engine| self.counted(engine).map(|counted| counted.roots);
        let mut document = ForecastStatus { at: rfc3339(now), what_if: what_if.to_vec(), ..ForecastStatus::default() };
        for Seen { vault, engine } in self.seen() {
            let name = &vault.settings.name;
            let Some(engine) = engine else {
                document.assumptions.push(format!("{name}: not open yet, so nothing can be said of it."));
                continue;
            };
            let ahead = self.ahead(&vault, &engine, &supposed)?;
            let counts = counts(&engine)?;
            for root in &engine.roots {
                let walked = engine.figures.walked.lock().expect("figures lock").contains_key(&root.path);
                let found = ahead.roots.iter().find(|r| r.root == root.id);
                let counts = counts.get(&root.path).filter(|_| walked);
                document.roots.push(self.row(&root.path, name, found, &ahead, counts));
            }
            document.assumptions.extend(assumptions(&vault, &ahead, &supposed));
        }
        document.roots.sort_by(|a, b| a.path.cmp(&b.path).then(a.vault.cmp(&b.vault)));
        Ok(document)
    }

    fn row(
        &self,
        path: &TreePath,
        vault: &str,
        found: Option<&RootAhead>,
        ahead: &VaultAhead,
        counts: Option<&RootCounts>,
    ) -> RootForecast {
        let now = self.daemon.house.clock.wall();
        let (path, path_b64) = legible(path);
        let outlook = found.filter(|_| counts.is_some()).map_or(Outlook::default(), |r| r.outlook);
        let nothing_waits = found.is_none_or(|r| r.waiting == 0 && r.to_send == 0);
        let failed = counts.map_or(0, |c| c.failed);
        let at = |s: Option<u64>| s.map(|s| rfc3339(after(now, s)));
        let state = match outlook.likely {
            Some(0) => "safe",
            Some(_) => "waiting",
            None if failed > 0 && nothing_waits => "failed",
            None if counts.is_none_or(|c| c.trees > 0 && nothing_waits) || !ahead.is_known => "unknown",
            None => "never",
        };
        RootForecast {
            path,
            path_b64,
            vault: vault.to_owned(),
            state: state.to_owned(),
            failed,
            waiting_bytes: found.map_or(0, |r| r.waiting),
            to_send_bytes: found.map_or(0, |r| r.to_send),
            new_bytes_per_day: found.map_or(0, |r| r.new_per_day),
            earliest_s: outlook.earliest,
            likely_s: outlook.likely,
            latest_s: outlook.latest,
            earliest: at(outlook.earliest),
            likely: at(outlook.likely),
            latest: at(outlook.latest),
        }
    }
}

/// Nothing waits to be sent, and still it is not safe, for as long as nobody knows: some of it cannot be read, or it is being
/// walked.
fn is_open_ended(root: &RootAhead, counts: &RootCounts) -> bool {
    root.waiting == 0 && root.to_send == 0 && (counts.failed > 0 || counts.trees > 0)
}

/// What it rests on, in sentences.
fn assumptions(vault: &Vault, ahead: &VaultAhead, supposed: &[Supposed]) -> Vec<String> {
    let mut said = vec![];
    said.push(match (ahead.hours, ahead.there_percent, ahead.is_known) {
        (_, _, false) => "no limit is set and nothing was sent yet: how fast the line is, is not known".to_owned(),
        (0, _, _) => "next to nothing was sent yet: 95 % of the limit is assumed".to_owned(),
        (hours, there, _) => {
            format!("{} h of sending were seen; the line was there {} % of that time", hours, there.unwrap_or(100))
        }
    });
    let most = supposed.iter().filter_map(|s| match s {
        Supposed::Limit(rate) => Some(rate.map_or(u64::MAX, crate::model::Rate::get)),
        Supposed::Window(window) => match window.allowed {
            Allowed::At(rate) => Some(rate.get()),
            Allowed::Unlimited => Some(u64::MAX),
            Allowed::Off => None,
        },
    });
    if let Some(fastest) = ahead.fastest.filter(|f| most.max().is_some_and(|most| most > f.get())) {
        said.push(format!("the line has carried {fastest} at most so far; whether it carries more, nobody knows"));
    }
    if let Some(link) = &ahead.link {
        said.push(format!("nothing goes now ({link}); it is taken as if that ended now"));
    }
    if ahead.is_paused_for_good {
        said.push("it is paused until somebody resumes: as long as that stands, nothing becomes safe".to_owned());
    }
    for root in ahead.roots.iter().filter(|r| r.to_send > 0 || r.new_per_day > 0) {
        let path = vault.engine().and_then(|e| e.roots.iter().find(|r| r.id == root.root).map(|r| r.path.clone()));
        let Some(path) = path else { continue };
        said.push(format!(
            "{path}: {:.2} bytes to send for a byte of its files, {} a day new",
            root.ratio,
            Size(root.new_per_day)
        ));
    }
    let name = &vault.settings.name;
    said.into_iter().map(|text| format!("{name}: {text}.")).collect()
}

fn at_least(outlook: Outlook) -> Outlook {
    let least = |s: Option<u64>| s.map(|s| s.max(LEAST));
    Outlook { earliest: least(outlook.earliest), likely: least(outlook.likely), latest: least(outlook.latest) }
}
