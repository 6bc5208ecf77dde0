//! The sentence at the top of the document: state, headline, mood and advice. The worst thing speaks, and only when
//! nothing is wrong and nothing is under way is anything called safe (promise 3).

use super::{Desk, Seen};
use crate::daemon::console::{HoldStatus, Mood, Overall, RootStatus, Status, VaultStatus};
use crate::daemon::orders::Term;
use crate::daemon::spell::{local, words_for};
use crate::daemon::uplink::Hold;
use crate::error::Kind;
use crate::model::Size;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A pause without an end is an alarm after this.
const FORGOTTEN: Duration = Duration::from_secs(3 * 86_400);

struct Headline {
    state: Overall,
    mood: Mood,
    text: String,
    advice: Option<String>,
}

fn says(state: Overall, mood: Mood, text: impl Into<String>) -> Headline {
    Headline { state, mood, text: text.into(), advice: None }
}

impl Headline {
    fn advice(self, advice: impl Into<Option<String>>) -> Self {
        Self { advice: advice.into(), ..self }
    }
}

fn sum(status: &Status, of: fn(&RootStatus) -> u64) -> u64 {
    status.roots.iter().map(of).sum()
}

fn any_is(status: &Status, state: &str) -> bool {
    status.roots.iter().any(|r| r.state == state)
}

impl Desk {
    pub(super) fn judge(&self, status: &mut Status, vaults: &[Seen]) {
        let said = if self.daemon.house.stop.asked() {
            says(Overall::Stopped, Mood::Warning, "Stopping. Nothing is watched from now on.")
        } else {
            attention(status, vaults).or_else(|| self.under_way(status, vaults)).unwrap_or_else(|| self.at_rest(status))
        };
        (status.state, status.mood, status.headline, status.advice) = (said.state, said.mood, said.text, said.advice);
    }

    /// Held up or at work.
    fn under_way(&self, status: &Status, vaults: &[Seen]) -> Option<Headline> {
        let (files, safe) = (sum(status, |r| r.files), sum(status, |r| r.safe_files));
        if vaults.iter().any(|s| s.vault.paused.load(Ordering::SeqCst)) {
            return Some(self.paused(files, safe));
        }
        if vaults.iter().any(|s| s.engine.is_none()) {
            return Some(says(Overall::Starting, Mood::Busy, "Starting: looking at the vault."));
        }
        if any_is(status, "checking") {
            let text = "Checking: comparing every file with what is stored.";
            return Some(says(Overall::Checking, Mood::Busy, text));
        }
        let bound = self.daemon.house.settings.alert.lag.as_secs();
        if let Some(lag) = status.roots.iter().filter_map(|r| r.lag_s).max().filter(|lag| *lag > bound) {
            let text = format!("Behind: a change has waited {} to become safe.", words_for(lag));
            let usual = || "Raise the limit, or wait if this is the first backup of a lot.".to_owned();
            let advice = held(status).map_or_else(usual, |hold| hold.text.clone());
            return Some(says(Overall::Working, Mood::Alarm, text).advice(advice));
        }
        if let Some(hold) = held(status).filter(|_| any_is(status, "working")) {
            let mood = if hold.kind == "window" { Mood::Busy } else { Mood::Warning };
            let text = format!("Waiting: {safe} of {files} files are safe.");
            return Some(says(Overall::Working, mood, text).advice(hold.text.clone()));
        }
        any_is(status, "working")
            .then(|| says(Overall::Working, Mood::Busy, format!("Working: {safe} of {files} files are safe.")))
    }

    /// Until when, and whether somebody may have forgotten it.
    fn paused(&self, files: u64, safe: u64) -> Headline {
        let house = &self.daemon.house;
        let now = house.clock.wall();
        let advice = "Resume with 'panicroom resume', or here.".to_owned();
        let (mood, text) = match self.daemon.uplink.now().hold {
            Some(Hold::Paused(Term { until: Some(until), .. })) => {
                (Mood::Warning, format!("Paused until {}", local(until, now, &self.daemon.uplink.zone())))
            }
            Some(Hold::Paused(Term { since, .. })) if now.since(since) >= FORGOTTEN => {
                (Mood::Alarm, format!("Paused for {}, perhaps forgotten", words_for(now.since(since).as_secs())))
            }
            _ => (Mood::Warning, "Paused".to_owned()),
        };
        let text = format!("{text}: {safe} of {files} files are safe, and nothing is sent.");
        says(Overall::Paused, mood, text).advice(advice)
    }

    /// Nothing is left to do.
    fn at_rest(&self, status: &Status) -> Headline {
        let files = sum(status, |r| r.files);
        if !status.roots.is_empty() && status.roots.iter().all(|r| r.same_disk) {
            let text = format!("{files} files copied, but on the same disk: a fire takes both.");
            let advice = format!(
                "Stop it, add a vault elsewhere with 'panicroom --config {} init --vault s3://BUCKET/PREFIX', and start it again.",
                self.daemon.house.settings.file.display()
            );
            return says(Overall::Idle, Mood::Warning, text).advice(advice);
        }
        if let Some(root) = status.roots.iter().find(|r| r.same_disk) {
            let text = format!("{files} files copied, but {} only to its own disk: a fire takes both.", root.path);
            let advice = "Give it a vault elsewhere: every [[vault]] without 'roots' takes every folder.".to_owned();
            return says(Overall::Idle, Mood::Warning, text).advice(advice);
        }
        let text = format!("Everything is safe: {files} files, {}", Size(sum(status, |r| r.safe_bytes)));
        // Safe from everything but the loss of the words.
        match self.sheet_due(status).or_else(|| self.drill_due(status)) {
            Some((said, advice)) => says(Overall::Idle, Mood::Warning, format!("{text}; but {said}.")).advice(advice),
            None => says(Overall::Idle, Mood::Good, format!("{text}.")),
        }
    }
}

/// What keeps the packs of the buckets, or of all vaults, from being sent.
fn held(status: &Status) -> Option<&HoldStatus> {
    let waits = status.vaults.iter().any(|v| v.state == "waiting");
    status.uplink.as_ref()?.hold.as_ref().filter(|_| waits)
}

/// What needs a person: a vault that refuses, a root that is missing, paths that failed.
fn attention(status: &Status, vaults: &[Seen]) -> Option<Headline> {
    let alarm = |s: &Seen| s.vault.worst().filter(|t| matches!(t.kind, Kind::Operator | Kind::Damaged));
    if let Some((vault, trouble)) = vaults.iter().find_map(|s| Some((&s.vault, alarm(s)?))) {
        let (what, remedy) = match trouble.text.split_once("; ") {
            Some((what, remedy)) => (what, Some(remedy.to_owned())),
            None => (trouble.text.as_str(), None),
        };
        let text = format!("The vault \"{}\" needs you: {what}", vault.settings.name);
        return Some(says(Overall::Attention, Mood::Alarm, text).advice(remedy));
    }
    let unsound = |v: &VaultStatus| Some((v.name.clone(), v.verify.as_ref()?.unsound.clone()?));
    if let Some((vault, said)) = status.vaults.iter().find_map(unsound) {
        let (what, remedy) = said.split_once("; ").map_or((said.as_str(), None), |(w, r)| (w, Some(r.to_owned())));
        let text = format!("The vault \"{vault}\" needs you: {what}.");
        return Some(says(Overall::Attention, Mood::Alarm, text).advice(remedy));
    }
    if let Some(root) = status.roots.iter().find(|r| r.state == "missing") {
        let text = format!("{} cannot be read.", root.path);
        return Some(says(Overall::Attention, Mood::Alarm, text).advice(root.error.clone()));
    }
    let failed = sum(status, |r| r.failed);
    (failed > 0).then(|| {
        let text = format!("{failed} {} could not be backed up.", if failed == 1 { "path" } else { "paths" });
        let advice = "The list below says why; each is tried again by itself.".to_owned();
        says(Overall::Attention, Mood::Alarm, text).advice(advice)
    })
}
