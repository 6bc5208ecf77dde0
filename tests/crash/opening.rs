//! Dying while a vault is opened whose catalog is behind, damaged or gone: the next start opens it, knows what was
//! counted, and sends nothing again.

use super::bed::{noise, write};
use panicroom::backup::Engine;
use panicroom::backup::upload::{Claims, Uploaded};
use panicroom::clock::SystemClock;
use panicroom::config;
use panicroom::daemon::found::{Founding, Witness};
use panicroom::daemon::gate::Gate;
use panicroom::daemon::home::{Home, VaultHome};
use panicroom::daemon::open::House;
use panicroom::error::{Error, Kind, Result};
use panicroom::seal::SystemEntropy;
use panicroom::store::folder::FolderStore;
use panicroom::store::throttle::Throttle;
use panicroom::worker::{Faults, Stop};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

pub const STEPS: [&str; 8] = [
    "open.identity",
    "open.roots",
    "open.aside",
    "rebuild.fill",
    "rebuild.facts",
    "rebuild.aside",
    "rebuild.name",
    "rebuild.tidy",
];

/// A machine with two passes behind it and a catalog kept from after the first.
pub struct Machine {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Machine {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let machine = Self { dir: tempfile::tempdir().unwrap(), runtime };
        for name in ["source", "vault"] {
            fs::create_dir(machine.at(name)).unwrap();
        }
        let store = FolderStore::open_or_create(&machine.at("vault"), Self::throttle()).unwrap();
        let (clock, words) = (SystemClock::shared(), machine.at("words"));
        let founding = Founding {
            store: &store,
            home: &machine.home(),
            entropy: &SystemEntropy,
            clock: &*clock,
            host: vec![],
            passphrase: None,
            faults: &Faults::default(),
            stop: &Stop::new(),
        };
        founding.found(&mut Witness::File(&words)).unwrap();
        machine.grow(1);
        let engine = machine.open(&Faults::default()).unwrap();
        pass(&engine).unwrap();
        engine.catalog.close().unwrap();
        drop(engine);
        fs::copy(machine.home().catalog(), machine.at("older")).unwrap();
        machine.grow(2);
        let engine = machine.open(&Faults::default()).unwrap();
        pass(&engine).unwrap();
        engine.catalog.close().unwrap();
        machine
    }
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }
    fn grow(&self, seed: u64) {
        let now = SystemClock::shared().wall();
        for n in 0..3 {
            // Nobody touched these for a while: no stamp is too young.
            let path = self.at("source").join(format!("file{seed}{n}"));
            write(&path, &noise(seed * 10 + n, 40_000));
            let old = UNIX_EPOCH + Duration::from_millis(now.0.cast_unsigned()) - Duration::from_secs(600);
            fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        }
    }
    fn throttle() -> Throttle {
        Throttle::new(None, SystemClock::shared())
    }
    pub fn house(&self, faults: &Faults) -> House {
        let text = format!(
            "[[root]]\npath = \"{}\"\nquiet = \"0s\"\n[[vault]]\nname = \"v\"\nurl = \"file://{}\"\n[state]\ndir = \"{}\"",
            self.at("source").display(),
            self.at("vault").display(),
            self.at("state").display()
        );
        let settings = config::parse(Path::new("config.toml"), &text, &mut |_| Err(Error::path("none"))).unwrap();
        House {
            home: Home::new(&settings.state_dir),
            settings: Arc::new(settings),
            clock: SystemClock::shared(),
            entropy: Arc::new(SystemEntropy),
            stop: Stop::new(),
            faults: faults.clone(),
            runtime: self.runtime.handle().clone(),
            gate: Gate::default(),
        }
    }
    fn home(&self) -> VaultHome {
        let dir = panicroom::model::TreePath::from_typed(&self.at("state")).unwrap();
        Home::new(&dir).vault("v")
    }
    pub fn open(&self, faults: &Faults) -> Result<Engine> {
        let house = self.house(faults);
        let opened = house.open_engine(&house.settings.vaults[0], Self::throttle())?;
        opened.engine.figures.hurry.store(true, Ordering::SeqCst);
        Ok(opened.engine)
    }
    fn packs(&self) -> BTreeSet<String> {
        let names = fs::read_dir(self.at("vault")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("data_")).collect()
    }
    /// Old catalogs that lie about.
    fn aside(&self) -> usize {
        let folder = self.home().catalog().parent().unwrap().to_owned();
        let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("catalog.db.before-")).count()
    }
}

/// Walk, capture, upload and publish until nothing is left.
fn pass(engine: &Engine) -> Result<()> {
    let claims = Claims::default();
    engine.roots.iter().try_for_each(|root| engine.mark_root(root))?;
    for _ in 0..2000 {
        engine.walk_due(None)?;
        engine.capture_due()?;
        loop {
            if engine.occasion()?.is_some() {
                engine.publish()?;
            }
            if engine.upload_one(&claims)? == Uploaded::Nothing && engine.occasion()?.is_none() {
                break;
            }
        }
        if engine.is_drained()? {
            return Ok(());
        }
        engine.clock.sleep(Duration::from_millis(50));
    }
    panic!("a pass did not end")
}

/// What became of the catalog.
#[derive(Clone, Copy, PartialEq)]
enum Spoilt {
    Behind,
    Damaged,
    Gone,
}

fn spoil(machine: &Machine, how: Spoilt) {
    let path = machine.home().catalog();
    match how {
        Spoilt::Behind => fs::copy(machine.at("older"), path).map(drop),
        Spoilt::Damaged => fs::write(path, b"a catalog once, and now something else that is long enough to look at"),
        Spoilt::Gone => fs::remove_file(path),
    }
    .unwrap();
}

#[test]
fn promises_4_and_10_hold_wherever_the_opening_of_a_vault_dies() {
    let mut died = BTreeSet::new();
    for how in [Spoilt::Behind, Spoilt::Damaged, Spoilt::Gone] {
        let machine = Machine::new();
        let packs = machine.packs();
        for at in 1.. {
            spoil(&machine, how);
            let faults = Faults::die_at(at);
            let outcome = machine.open(&faults);
            let Some(step) = faults.told().1 else {
                outcome.unwrap().catalog.close().unwrap();
                assert_eq!(machine.aside(), 2, "the newest old catalogs stay");
                break;
            };
            died.insert(step);
            assert_eq!(outcome.unwrap_err().kind(), Kind::Stopping);
            let engine = machine.open(&Faults::default()).unwrap_or_else(|e| panic!("died at {step}: {e}"));
            if how == Spoilt::Behind {
                let sent = engine.catalog.fact::<i64>("sent").unwrap();
                assert!(sent.is_some_and(|sent| sent > 0), "died at {step}: what was sent is still counted, {sent:?}");
            }
            pass(&engine).unwrap();
            let counts = engine.catalog.root_counts(engine.roots[0].id).unwrap();
            assert_eq!((counts.files, counts.safe_files, counts.dirty), (6, 6, 0), "died at {step}");
            engine.catalog.close().unwrap();
            assert_eq!(machine.packs(), packs, "died at {step}: nothing is sent again");
            // One that dies before it has tidied up leaves that to the next.
            let most = if step == "rebuild.tidy" { 3 } else { 2 };
            assert!(machine.aside() <= most, "died at {step}: {} old catalogs", machine.aside());
        }
    }
    for step in STEPS {
        assert!(died.contains(step), "no death at {step}: {died:?}");
    }
}
