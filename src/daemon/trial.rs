//! A daemon in this process for tests of the shell: real settings, a real folder vault, catalog and desk, and a clock moved by
//! hand. Workers do not run by themselves: a test takes their steps.

use super::desk::Desk;
use super::found::{Founding, Witness};
use super::gate::Gate;
use super::home::Home;
use super::open::House;
use super::run::{Daemon, Vault, Watching, steps};
use crate::backup::Engine;
use crate::clock::{Clock, ManualClock, Wall};
use crate::config;
use crate::error::Error;
use crate::seal::SystemEntropy;
use crate::store::folder::FolderStore;
use crate::store::throttle::Throttle;
use crate::worker::{Faults, Stop};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub const MINUTE: Duration = Duration::from_secs(60);

/// What outlives a daemon: a folder, a vault, a state folder, and time.
pub struct Trial {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    pub clock: Arc<ManualClock>,
    settings: String,
}

/// A daemon that opened its vault.
pub struct Started {
    pub daemon: Arc<Daemon>,
    pub desk: Arc<Desk>,
    pub vault: Arc<Vault>,
    pub engine: Arc<Engine>,
}

impl Trial {
    /// `settings`: sections of the configuration beside root, vault and state. It is midnight, local time, on a day to come.
    pub fn new(settings: &str) -> Self {
        let midnight = jiff::civil::date(2035, 10, 1).to_zoned(jiff::tz::TimeZone::system()).expect("a day");
        let trial = Self {
            dir: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            clock: ManualClock::at(Wall(midnight.timestamp().as_millisecond())),
            settings: settings.to_owned(),
        };
        fs::create_dir(trial.source()).unwrap();
        let house = trial.house();
        let store =
            FolderStore::open_or_create(&trial.at("vault"), Throttle::new(None, Arc::clone(&house.clock))).unwrap();
        let founding = Founding {
            store: &store,
            home: &house.home.vault("v"),
            entropy: &SystemEntropy,
            clock: &*house.clock,
            host: vec![],
            passphrase: None,
            faults: &Faults::default(),
            stop: &Stop::new(),
        };
        founding.found(&mut Witness::File(&trial.at("words"))).unwrap();
        trial
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }
    pub fn source(&self) -> PathBuf {
        self.at("source")
    }

    fn house(&self) -> House {
        let text = format!(
            "[[root]]\npath = \"{}\"\nquiet = \"0s\"\n[[vault]]\nname = \"v\"\nurl = \"file://{}\"\npack_size = \"4 MiB\"\n\
             [state]\ndir = \"{}\"\n{}",
            self.source().display(),
            self.at("vault").display(),
            self.at("state").display(),
            self.settings
        );
        let settings = config::parse(Path::new("config.toml"), &text, &mut |_| Err(Error::path("none"))).unwrap();
        House {
            home: Home::new(&settings.state_dir),
            settings: Arc::new(settings),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Arc::new(SystemEntropy),
            stop: Stop::new(),
            faults: Faults::default(),
            runtime: self.runtime.handle().clone(),
            gate: Gate::default(),
        }
    }

    pub fn start(&self) -> Started {
        let daemon = Daemon::new(self.house(), Watching::Off).unwrap();
        daemon.open_idle();
        let vault = Arc::clone(&daemon.vaults[0]);
        let engine = vault.engine().expect("it opens");
        Started { desk: Desk::new(Arc::clone(&daemon)), daemon, vault, engine }
    }
}

impl Started {
    /// How many roots were walked: those that were due.
    pub fn walk(&self) -> usize {
        self.engine.walk_due(None).unwrap()
    }
    pub fn capture(&self) {
        steps::capture_step(&self.vault, &self.engine).unwrap();
    }
    pub fn upload(&self) {
        steps::upload_step(&self.vault, &self.engine, 0).unwrap();
    }

    /// The process is gone: nothing is closed, nothing is kept that was not kept before.
    pub fn dies(self) {
        *self.vault.engine.lock().unwrap() = None;
    }
}
