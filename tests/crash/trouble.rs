//! Dying where things go wrong anyway: events that are lost, names of one file, a root that cannot be read, packs that
//! vanish or rot in the spool, rows of a root that is no longer there.

use super::bed::{Bed, noise, write};
use super::deaths::{Cut, Deaths};
use super::read_vault::NOW;
use super::tree::look;
use panicroom::catalog::{Mark, Scope};
use panicroom::error::{Kind, Result};
use panicroom::model::TreePath;
use panicroom::source::watch::{Depth, Hint, Lost, Taken};
use panicroom::worker::Faults;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn typed(path: &Path) -> TreePath {
    TreePath::from_typed(path).unwrap()
}

/// One name of a file with two is changed, and told of; other events are lost.
fn events(bed: &mut Bed) -> Result<()> {
    let name = bed.source().join("names/one");
    fs::write(&name, noise(9, 20_000)).unwrap();
    let hints = vec![Hint { path: typed(&name), depth: Depth::Only }];
    let engine = bed.engine();
    engine.notice(&Taken { hints, lost: vec![] })?;
    engine.capture_due()?;
    let lost = vec![Lost { root: engine.roots[0].path.clone(), why: "too many".into() }];
    engine.notice(&Taken { hints: vec![], lost })?;
    bed.pass()
}

/// A row of a root that was taken out of the config: the path belongs to nobody.
fn nobodys_row(bed: &mut Bed) -> Result<()> {
    let engine = bed.engine();
    let path = TreePath::root().join(b"nobodys").unwrap();
    let root = engine.catalog.roots(std::slice::from_ref(&path))?[&path];
    let node = engine.catalog.ensure(&path, root)?;
    let (notice, noticed) = (engine.catalog.new_notice(), engine.clock.wall());
    let mark = Mark::at_once(node, root, Scope::Path, notice, noticed);
    engine.catalog.mark(&[mark])?;
    engine.capture_due()?;
    assert!(engine.catalog.node(node)?.is_none_or(|row| !row.dirty), "the row is settled");
    bed.pass()
}

/// The root is away for a while: it waits, and nothing of it is taken for deleted.
fn root_away(bed: &mut Bed) -> Result<()> {
    let (source, away) = (bed.source(), bed.source().with_file_name("away"));
    write(&source.join("waits"), &noise(10, 5000));
    let outcome = (|| {
        let engine = bed.engine();
        let hints = vec![Hint { path: typed(&source.join("waits")), depth: Depth::Only }];
        engine.notice(&Taken { hints, lost: vec![] })?;
        fs::rename(&source, &away).unwrap();
        engine.mark_root(&engine.roots[0])?;
        engine.walk_due(None)?;
        engine.capture_due()?;
        bed.send()
    })();
    if away.exists() {
        fs::rename(&away, &source).unwrap();
    }
    outcome?;
    // It is tried again by itself, later.
    bed.clock.advance(Duration::from_secs(3600));
    bed.pass()
}

fn spooled(bed: &Bed) -> Vec<PathBuf> {
    let mut packs: Vec<PathBuf> = fs::read_dir(bed.spool())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("data_"))
        .collect();
    packs.sort();
    packs
}

/// New files whose packs wait in the spool.
fn packs_wait(bed: &Bed, seed: u64) {
    for n in 0..3 {
        write(&bed.source().join(format!("new{n}")), &noise(seed + n, 700_000));
    }
    let engine = bed.engine();
    engine.mark_root(&engine.roots[0]).unwrap();
    bed.clock.advance(Duration::from_secs(60));
    engine.walk_due(None).unwrap();
    engine.capture_due().unwrap();
}

fn pack_gone(bed: &Bed) {
    packs_wait(bed, 2000);
    fs::remove_file(&spooled(bed)[0]).unwrap();
}

/// A pack vanished from the spool while the daemon was off.
fn start_without_it(bed: &mut Bed) -> Result<()> {
    let faults = bed.engine().faults.clone();
    bed.reopen(faults);
    bed.pass()
}

fn pack_rots(bed: &Bed) {
    packs_wait(bed, 3000);
    // All of them: which one is sent first, nobody knows.
    for pack in spooled(bed) {
        let mut bytes = fs::read(&pack).unwrap();
        bytes[5000] ^= 1;
        fs::write(pack, bytes).unwrap();
    }
}

/// Packs rotted in the spool while the daemon ran.
fn send_them(bed: &mut Bed) -> Result<()> {
    bed.send()?;
    bed.pass()
}

/// What goes wrong, and what the daemon does then: again from its beginning after a death.
#[derive(Clone, Copy)]
struct Trouble {
    /// The durable steps it is here for; all others are died at, too.
    steps: &'static [&'static str],
    prepare: fn(&Bed),
    act: fn(&mut Bed) -> Result<()>,
}

const TROUBLES: [Trouble; 5] = [
    Trouble { steps: &["notice.mark", "capture.mark"], prepare: |_| (), act: events },
    Trouble { steps: &["capture.settle"], prepare: |_| (), act: nobodys_row },
    Trouble { steps: &["root.mark", "walk.put_back", "capture.put_back"], prepare: |_| (), act: root_away },
    Trouble { steps: &["start.lost"], prepare: pack_gone, act: start_without_it },
    Trouble { steps: &["upload.lost"], prepare: pack_rots, act: send_them },
];

/// The durable steps that come only in trouble.
pub fn steps() -> Vec<&'static str> {
    TROUBLES.map(|trouble| trouble.steps).concat()
}

/// Goes through one trouble, dying at `cut`, counted from its beginning; the step it died at, none when it was over
/// before.
fn run_and_die(trouble: Trouble, cut: Cut) -> Vec<&'static str> {
    let mut bed = Bed::new();
    let source = bed.source();
    for n in 0..4 {
        write(&source.join(format!("docs/d{n}")), &noise(n, 3000));
    }
    write(&source.join("names/one"), &noise(5, 20_000));
    fs::hard_link(source.join("names/one"), source.join("names/two")).unwrap();
    bed.pass().unwrap();
    (trouble.prepare)(&bed);
    let faults = cut.faults();
    bed.engine.as_mut().expect("an engine is open").faults = faults.clone();
    let mut lives = 0;
    while let Err(e) = (trouble.act)(&mut bed) {
        assert_eq!(e.kind(), Kind::Stopping, "{e}");
        lives += 1;
        assert!(lives < 3, "it dies but once");
        bed.vault().tree(NOW).unwrap_or_else(|e| panic!("what the log names cannot be read: {e}"));
        bed.reopen(Faults::default());
    }
    let now = look(&bed.source());
    bed.check_end(&now);
    bed.check_rebuilt(&now);
    faults.told().1.into_iter().collect()
}

#[test]
fn promises_hold_wherever_the_daemon_dies_while_other_things_go_wrong() {
    let deaths = Deaths::default();
    for trouble in TROUBLES {
        deaths.at_every_step(trouble.steps, || (), |(), cut| run_and_die(trouble, cut));
    }
    deaths.were_at(&steps());
}
