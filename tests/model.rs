//! Random histories against a plain copy: edits, moves, deletions, clocks that jump, passes, deaths at random steps,
//! packs lost in spool and vault, a store that fails now and then. After every pass that ends, the vault is what the
//! source is; at earlier times it is what the source was then (promises 1, 3, 4, 14).

#[path = "support/bed.rs"]
mod bed;
#[path = "support/read_vault.rs"]
mod read_vault;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/witness.rs"]
mod witness;

use bed::{Bed, noise, write};
use panicroom::clock::{Clock, Wall};
use panicroom::error::Kind;
use panicroom::format::Name;
use panicroom::store::ObjectName;
use panicroom::worker::Faults;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tree::{Tree, differences, look};

/// One event of a history. Paths are up to three names out of few, so that they meet.
#[derive(Clone, Debug)]
enum Event {
    Write(String, u64, usize),
    Append(String, u64, usize),
    Hole(String, u64),
    Folder(String),
    Remove(String),
    Rename(String, String),
    Mode(String, u32),
    Symlink(String),
    HardLink(String, String),
    Jump(Jump),
    Pass,
    /// A pass that dies at this durable step, if it gets that far.
    Die(u64),
    /// The stored pack of this number, of all there are, is lost.
    LosePack(usize),
    /// A spooled pack of this number is lost while nothing runs.
    LoseSpooled(usize),
}

#[derive(Clone, Copy, Debug)]
enum Jump {
    Ahead(u64),
    Back(u64),
    /// A machine without a battery.
    To1970,
    To2036,
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-c]", 1..4).prop_map(|names| names.join("/"))
}

fn event() -> impl Strategy<Value = Event> {
    let size = prop_oneof![3 => 0..5_000usize, 2 => 100_000..700_000usize, 1 => Just(1_700_000)];
    let jump = prop_oneof![
        (1..100_000u64).prop_map(Jump::Ahead),
        (1..100_000u64).prop_map(Jump::Back),
        Just(Jump::To1970),
        Just(Jump::To2036),
    ];
    prop_oneof![
        6 => (path(), 0..9u64, size.clone()).prop_map(|(p, seed, n)| Event::Write(p, seed, n)),
        2 => (path(), 0..9u64, size).prop_map(|(p, seed, n)| Event::Append(p, seed, n)),
        1 => (path(), 1..3_000_000u64).prop_map(|(p, n)| Event::Hole(p, n)),
        1 => path().prop_map(Event::Folder),
        2 => path().prop_map(Event::Remove),
        4 => (path(), path()).prop_map(|(a, b)| Event::Rename(a, b)),
        1 => (path(), 0..0o1000u32).prop_map(|(p, mode)| Event::Mode(p, mode | 0o600)),
        1 => path().prop_map(Event::Symlink),
        1 => (path(), path()).prop_map(|(a, b)| Event::HardLink(a, b)),
        1 => jump.prop_map(Event::Jump),
        5 => Just(Event::Pass),
        4 => (1..40u64).prop_map(Event::Die),
        1 => (0..100usize).prop_map(Event::LosePack),
        1 => (0..100usize).prop_map(Event::LoseSpooled),
    ]
}

struct History {
    bed: Bed,
    /// What the source was at the end of each pass, as long as times tell it.
    was: Vec<(Wall, Tree)>,
    /// The latest the clock ever was: below it, times do not tell what came first.
    latest: Wall,
}

impl History {
    fn at(&self, path: &str) -> PathBuf {
        self.bed.source().join(path)
    }

    /// What cannot be done as things stand is not done.
    fn edit(&self, event: &Event) -> std::io::Result<()> {
        let real = |p: &str| self.at(p);
        match event {
            Event::Write(p, seed, n) if may_write(&real(p)) => write(&real(p), &noise(*seed, *n)),
            Event::Append(p, seed, n) => {
                use std::io::Write;
                fs::File::options().append(true).open(real(p))?.write_all(&noise(*seed, *n))?;
            }
            Event::Hole(p, n) => fs::File::options().write(true).open(real(p))?.set_len(*n)?,
            Event::Folder(p) => fs::create_dir_all(real(p))?,
            Event::Remove(p) if real(p).is_dir() && !real(p).is_symlink() => fs::remove_dir_all(real(p))?,
            Event::Remove(p) => fs::remove_file(real(p))?,
            Event::Rename(a, b) => fs::rename(real(a), real(b))?,
            Event::Mode(p, mode) if !real(p).is_symlink() => {
                let folder = if real(p).is_dir() { 0o100 } else { 0 };
                fs::set_permissions(real(p), fs::Permissions::from_mode(*mode | folder))?;
            }
            Event::Symlink(p) => symlink("somewhere/else", real(p))?,
            Event::HardLink(a, b) => fs::hard_link(real(a), real(b))?,
            _ => {}
        }
        Ok(())
    }

    fn jump(&mut self, jump: Jump) {
        let now = self.bed.clock.wall();
        let seconds = |n: u64| i64::try_from(n).unwrap() * 1000;
        let to = match jump {
            Jump::Ahead(n) => now.plus(Duration::from_secs(n)),
            Jump::Back(n) => Wall(now.0 - seconds(n)),
            Jump::To1970 => Wall(seconds(86_400)),
            Jump::To2036 => Wall(seconds(2_086_000_000)),
        };
        self.bed.clock.jump(to);
        self.latest = self.latest.max(now);
        if to < now {
            self.was.clear();
        }
    }

    fn pass(&mut self) {
        self.bed.pass().unwrap();
        let now = look(&self.bed.source());
        self.bed.check_end(&now);
        if self.bed.clock.wall() > self.latest {
            self.was.push((self.bed.clock.wall(), now));
        }
        let vault = self.bed.vault();
        for (at, was) in &self.was {
            let differing = differences(&vault.tree(*at).unwrap(), was);
            assert!(differing.is_empty(), "as of {at:?} the vault differs:\n{}", differing.join("\n"));
        }
    }

    fn lose_pack(&mut self, number: usize) {
        let catalog = &self.bed.engine().catalog;
        let packs = catalog.stored_packs(&[], 1000).unwrap();
        let Some((id, hash, tier, _)) = packs.get(number % packs.len().max(1)) else { return };
        self.bed.store.memory.lose(&ObjectName::from(Name::Pack(*tier, *hash)));
        catalog.pack_lost(*id, self.bed.clock.wall()).unwrap();
        self.was.clear();
    }

    fn lose_spooled(&mut self, number: usize) {
        let packs: Vec<_> = fs::read_dir(self.bed.spool())
            .unwrap()
            .map(|e| e.unwrap())
            .filter(|e| e.file_name().to_string_lossy().starts_with("data_"))
            .collect();
        if let Some(one) = packs.get(number % packs.len().max(1)) {
            fs::remove_file(one.path()).unwrap();
        }
        self.bed.reopen(Faults::default());
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Jump(jump) => self.jump(*jump),
            Event::Pass => self.pass(),
            Event::Die(at) => {
                self.bed.reopen(Faults::die_at(*at));
                match self.bed.pass() {
                    Ok(()) => {}
                    Err(e) => assert_eq!(e.kind(), Kind::Stopping, "{e}"),
                }
                self.bed.reopen(Faults::default());
            }
            Event::LosePack(number) => self.lose_pack(*number),
            Event::LoseSpooled(number) => self.lose_spooled(*number),
            edit => drop(self.edit(edit)),
        }
    }
}

/// Whether all above is a folder or nothing, and no folder or symlink is in the way.
fn may_write(path: &Path) -> bool {
    let real = |p: &Path| fs::symlink_metadata(p).ok();
    real(path).is_none_or(|m| m.is_file()) && path.ancestors().skip(1).all(|p| real(p).is_none_or(|m| m.is_dir()))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(20),
        max_shrink_iters: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_the_vault_becomes_what_the_source_is(
        events in prop::collection::vec(event(), 5..45),
        faults in prop_oneof![Just(0.0), Just(0.2)],
        seed: u64,
    ) {
        let mut history = History { bed: Bed::new(), was: vec![], latest: Wall(0) };
        history.bed.store.memory.random_faults(seed, faults);
        for event in &events {
            history.event(event);
        }
        history.pass();
        history.bed.check_rebuilt(&look(&history.bed.source()));
    }
}
