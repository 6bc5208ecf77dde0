//! `doctor`: proves every vault of the configuration by trial, and prints what passed, what failed and what the place
//! does not offer, each with what follows from it. What is learnt of a server is kept for the daemon.

use super::args::Line;
use super::{Answer, Exit, settings};
use crate::catalog::Catalog;
use crate::clock::{Clock, SystemClock};
use crate::config::{Settings, VaultSettings, VaultUrl};
use crate::daemon::home::Home;
use crate::daemon::open::{Folders, open_configured, throttle_of};
use crate::error::Result;
use crate::seal::{SystemEntropy, random};
use crate::store::abilities::Abilities;
use crate::store::finding::{Finding, Trial, Verdict};
use crate::store::folder::{self, FolderStore};
use crate::store::s3::probe;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

#[derive(Debug, Args)]
pub struct Doctor {
    /// Only the vault of this name
    #[arg(long, value_name = "NAME")]
    pub vault_name: Option<String>,
}

pub fn doctor(line: &Line, args: &Doctor) -> Answer {
    let settings = settings::load(line)?;
    let chosen = settings::vaults(&settings, args.vault_name.as_deref())?;
    let runtime = super::runtime()?;
    let clock = SystemClock::shared();
    let trials: Vec<(&VaultSettings, Trial)> =
        chosen.into_iter().map(|vault| (vault, tried(&settings, vault, runtime.handle(), &*clock))).collect();
    let text = if line.json {
        format!("{:#}\n", json!({ "vaults": trials.iter().map(|(v, t)| document(v, t)).collect::<Vec<_>>() }))
    } else {
        trials.iter().fold(String::new(), |text, (v, t)| text + &table(v, t))
    };
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    let failed = trials.iter().flat_map(|(_, t)| &t.findings).any(|f| f.verdict == Verdict::Failed);
    Ok(if failed { Exit::Unhealthy } else { Exit::Done })
}

/// A vault that cannot even be opened is a finding, so that the others are tried all the same.
fn tried(settings: &Settings, vault: &VaultSettings, runtime: &tokio::runtime::Handle, clock: &dyn Clock) -> Trial {
    try_one(settings, vault, runtime, clock).unwrap_or_else(|e| {
        let remedy = e.remedy_text().map(str::to_owned);
        Trial { findings: vec![Finding { remedy, ..Finding::failed("open", e.to_string()) }], left: vec![] }
    })
}

fn try_one(
    settings: &Settings,
    vault: &VaultSettings,
    runtime: &tokio::runtime::Handle,
    clock: &dyn Clock,
) -> Result<Trial> {
    let throttle = throttle_of(settings, vault, SystemClock::shared());
    if let VaultUrl::Folder(path) = &vault.url {
        let roots: Vec<&Path> = settings.roots_of(vault).map(|r| r.path.as_path()).collect();
        return folder::probe::prove(&FolderStore::open(path.as_path(), throttle)?, &roots);
    }
    let opened = open_configured(vault, Abilities::default(), Folders::MustExist, throttle, runtime)?;
    let store = opened.s3.expect("a bucket is an S3 store");
    let id = random::<8>(&SystemEntropy).iter().fold(String::new(), |mut hex, b| {
        let _ = write!(hex, "{b:02x}");
        hex
    });
    let mut trial = probe::prove(&store, &id, clock);
    trial.findings.push(keep(settings, vault, store.abilities()));
    Ok(trial)
}

/// Leaves what was learnt where the daemon begins from.
fn keep(settings: &Settings, vault: &VaultSettings, learnt: Abilities) -> Finding {
    const CHECK: &str = "kept";
    let home = Home::new(&settings.state_dir);
    let path = home.vault(&vault.name).catalog();
    if learnt == Abilities::default() || !path.exists() {
        return Finding::note(CHECK, "nothing: this vault is not started here, or nothing was learnt");
    }
    let text = serde_json::to_string(&learnt).unwrap_or_default();
    let kept = home.lock().and_then(|_held| Catalog::open(&path)?.set_fact("abilities", text));
    match kept {
        Ok(()) => Finding::note(CHECK, "what was learnt about the server is kept and used from now on"),
        Err(e) => Finding::note(CHECK, format!("not kept: {e}")).remedy("the daemon learns the same as it goes"),
    }
}

fn document(vault: &VaultSettings, trial: &Trial) -> Value {
    let findings: Vec<Value> = trial
        .findings
        .iter()
        .map(|f| json!({ "check": f.check, "verdict": f.verdict.word(), "said": f.said, "remedy": f.remedy }))
        .collect();
    json!({ "name": vault.name, "url": vault.url.to_string(), "findings": findings, "left": trial.left })
}

fn table(vault: &VaultSettings, trial: &Trial) -> String {
    let mut text = format!("{} ({})\n", vault.name, vault.url);
    for f in &trial.findings {
        let _ = writeln!(text, "  {:<12} {:<22} {}", f.verdict.word(), f.check, f.said);
        if let Some(remedy) = &f.remedy {
            let _ = writeln!(text, "  {:<12} {:<22} -> {remedy}", "", "");
        }
    }
    if !trial.left.is_empty() {
        let _ = writeln!(text, "  left in the vault, harmless: {}", trial.left.join(", "));
    }
    text
}
