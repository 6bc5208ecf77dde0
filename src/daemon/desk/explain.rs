//! Where one path is: which rule chose it or left it out, and how far each vault has got with it.

use crate::backup::Engine;
use crate::catalog::{NodeId, State};
use crate::daemon::spell::rfc3339;
use crate::error::Result;
use crate::filter::{FileOrDir, Verdict};
use crate::model::TreePath;

/// Whether a path is chosen, and which rule decided.
pub(super) fn rule_for(engine: &Engine, path: &TreePath) -> (bool, String) {
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
    let (priority, why) = root.order.explain(path, what);
    let goes = if decision.verdict == Verdict::Exclude { String::new() } else { format!("; goes {priority} ({why})") };
    (decision.verdict != Verdict::Exclude, format!("{verdict} (root {}): {}{goes}", root.path, decision.rule))
}

/// What is waiting, kept or failed of it in one vault.
pub(super) fn stage(name: &str, engine: &Engine, path: &TreePath) -> Result<String> {
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
            let state = match r.safe {
                false => "captured, not yet safe",
                true if engine.catalog.needs_what_is_lost(r.seq)? => {
                    "not safe: a pack it needs is missing or damaged in the vault and waits for 'panicroom verify --heal'"
                }
                true => "safe",
            };
            format!("{what} of {} is {state}", rfc3339(r.captured))
        }
    };
    let lost: String = engine
        .catalog
        .casualties_of(row.id)?
        .iter()
        .map(|one| {
            format!("; the version of {} cannot be brought back: {} {}", rfc3339(one.captured), one.pack, one.why)
        })
        .collect();
    Ok(match (failed, row.dirty) {
        (Some(f), _) => format!("{name}: failed since {}: {}; {kept}{lost}", rfc3339(f.since), f.error),
        (None, true) => format!("{name}: dirty, waiting to be captured; {kept}{lost}"),
        (None, false) => format!("{name}: {kept}{lost}"),
    })
}
