//! Dying while `quickstart` or `init` prepares a machine: the same command goes on. No configuration is ever half there,
//! no vault is sealed to words that nobody has, and no key is lost.

use panicroom::cli::Failure;
use panicroom::cli::args::{Command, Line};
use panicroom::cli::begin;
use panicroom::clock::SystemClock;
use panicroom::config::{self, Settings};
use panicroom::daemon::gate::Gate;
use panicroom::daemon::home::Home;
use panicroom::daemon::open::House;
use panicroom::error::{Error, Kind};
use panicroom::format::VAULT_NAME;
use panicroom::seal::SystemEntropy;
use panicroom::store::folder::FolderStore;
use panicroom::store::throttle::Throttle;
use panicroom::upkeep::unlock;
use panicroom::worker::{Faults, Stop};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const STEPS: [&str; 4] = ["config.write", "config.name", "found.said", "sheet.write"];

/// A machine as it comes.
struct Machine {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

/// What is made, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Quickstart,
    /// A second vault is added to a quickstart.
    QuickstartWithMore,
    /// A configuration is there, and no vault yet.
    Init,
    /// A root and a second vault are added to it.
    InitWithMore,
    /// With the sheet to print.
    InitWithSheet,
}

impl Machine {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let machine = Self { dir: tempfile::tempdir().unwrap(), runtime };
        for name in ["data", "more", "papers", "home"] {
            fs::create_dir(machine.at(name)).unwrap();
        }
        fs::write(machine.at("passphrase"), "correct horse battery staple\n").unwrap();
        machine
    }
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }
    fn config(&self) -> PathBuf {
        self.at("home/config.toml")
    }
    fn vault(&self, name: &str) -> PathBuf {
        self.at("home").join(name)
    }
    fn words(&self, vault: &str) -> PathBuf {
        self.at("papers").join(vault)
    }

    /// What the machine is before the command.
    fn ready(&self, how: How) {
        match how {
            How::Quickstart => {}
            How::QuickstartWithMore => self.run(How::Quickstart, &Faults::default()).unwrap(),
            How::InitWithMore => {
                // Wrapping takes a second each time; once is enough.
                fs::remove_file(self.at("passphrase")).unwrap();
                self.ready(How::Init);
                self.run(How::Init, &Faults::default()).unwrap();
            }
            How::InitWithSheet => {
                fs::remove_file(self.at("passphrase")).unwrap();
                self.ready(How::Init);
            }
            How::Init => {
                let text = format!(
                    "[[root]]\npath = \"{}\"\n[[vault]]\nname = \"main\"\nurl = \"file://{}\"\n[state]\ndir = \"{}\"\n",
                    self.at("data").display(),
                    self.vault("vault").display(),
                    self.at("home/state").display()
                );
                fs::write(self.config(), text).unwrap();
            }
        }
    }

    fn run(&self, how: How, faults: &Faults) -> Result<(), Failure> {
        let at = |path: PathBuf| path.display().to_string();
        let second = format!("file://{}", at(self.vault("second")));
        let (more, words) = match how {
            How::Quickstart | How::Init | How::InitWithSheet => (false, at(self.words("vault"))),
            How::QuickstartWithMore | How::InitWithMore => (true, at(self.words("second"))),
        };
        let mut typed = vec!["panicroom".to_owned(), "--config".to_owned(), at(self.config())];
        if matches!(how, How::Quickstart | How::QuickstartWithMore) {
            typed.extend(["quickstart".to_owned(), at(self.at("data")), "--home".to_owned(), at(self.at("home"))]);
        } else {
            typed.push("init".to_owned());
        }
        if how == How::Init && self.at("passphrase").exists() {
            typed.extend(["--passphrase-file".to_owned(), at(self.at("passphrase"))]);
        }
        typed.extend(["--words-file".to_owned(), words]);
        if more {
            typed.extend(["--vault".to_owned(), second]);
        }
        if how == How::InitWithMore {
            typed.extend(["--root".to_owned(), at(self.at("more"))]);
        }
        if how == How::InitWithSheet {
            typed.extend(["--kit".to_owned(), at(self.at("papers/sheet.pdf"))]);
        }
        let line: Line = clap::Parser::try_parse_from(typed).unwrap();
        match &line.command {
            Command::Quickstart(q) => begin::prepare(q, faults).map(drop),
            Command::Init(i) => begin::init(&line, i, faults).map(drop),
            other => panic!("{other:?}"),
        }
    }

    fn settings(&self) -> Settings {
        let text = fs::read_to_string(self.config()).unwrap();
        config::parse(&self.config(), &text, &mut |_| Err(Error::path("none"))).unwrap()
    }

    /// Whoever has the words opens what is there, at any instant.
    fn check_instant(&self, died: &str) {
        if self.config().exists() {
            let settings = self.settings();
            assert!(!settings.roots.is_empty() && !settings.vaults.is_empty(), "died at {died}");
        }
        for name in ["vault", "second"] {
            if self.vault(name).join(VAULT_NAME).exists() {
                self.check_vault(name, died);
            }
        }
        // A sheet has its name only when it is whole, and only of a vault that is there.
        if self.at("papers/sheet.pdf").exists() {
            assert!(self.vault("vault").join(VAULT_NAME).exists(), "died at {died}");
        }
    }

    fn check_vault(&self, name: &str, died: &str) {
        let store = FolderStore::open(&self.vault(name), Throttle::new(None, SystemClock::shared())).unwrap();
        let file = unlock::open_vault(&store, &Stop::new()).unwrap();
        let words = fs::read_to_string(self.words(name)).unwrap_or_else(|e| panic!("{name}, died at {died}: {e}"));
        let secret = unlock::secret_from(&store, &file, &words, &Stop::new()).unwrap();
        assert_eq!(secret.open_keys(file.id).seal.check, file.check, "died at {died}");
    }

    /// Everything is there, and the daemon would open each vault.
    fn check_end(&self, how: How, died: &str) {
        self.check_instant(died);
        let settings = Arc::new(self.settings());
        let more = matches!(how, How::QuickstartWithMore | How::InitWithMore);
        let vaults = if more { vec!["vault", "second"] } else { vec!["vault"] };
        assert_eq!(settings.vaults.len(), vaults.len(), "died at {died}");
        assert_eq!(settings.roots.len(), if how == How::InitWithMore { 2 } else { 1 });
        let house = House {
            home: Home::new(&settings.state_dir),
            settings: Arc::clone(&settings),
            clock: SystemClock::shared(),
            entropy: Arc::new(SystemEntropy),
            stop: Stop::new(),
            faults: Faults::default(),
            runtime: self.runtime.handle().clone(),
            gate: Gate::default(),
        };
        for vault in &settings.vaults {
            let opened = house.open_engine(vault, Throttle::new(None, SystemClock::shared()));
            opened.unwrap_or_else(|e| panic!("died at {died}: {e}")).engine.catalog.close().unwrap();
        }
        let mut papers: BTreeSet<String> = names(&self.at("papers"));
        if how == How::InitWithSheet {
            assert!(papers.remove("sheet.pdf"), "no sheet, died at {died}");
            let sheet = fs::read(self.at("papers/sheet.pdf")).unwrap();
            assert!(sheet.starts_with(b"%PDF") && sheet.trim_ascii_end().ends_with(b"%%EOF"), "died at {died}");
        }
        assert_eq!(papers, vaults.into_iter().map(str::to_owned).collect(), "nothing but words files, died at {died}");
        assert!(!names(&self.at("home")).contains("config.toml.new"), "died at {died}");
    }

    /// What must never change once it is there.
    fn seen(&self) -> Vec<Vec<u8>> {
        let keys = names(&self.at("home/state")).into_iter().map(|v| self.at("home/state").join(v).join("keys"));
        let papers = names(&self.at("papers")).into_iter().map(|w| self.at("papers").join(w));
        keys.chain(papers).chain([self.config()]).filter_map(|path| fs::read(path).ok()).collect()
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

/// Dies at each step in turn; the steps there were.
fn die_everywhere(how: How) -> BTreeSet<&'static str> {
    let mut died = BTreeSet::new();
    for at in 1.. {
        let machine = Machine::new();
        machine.ready(how);
        let faults = Faults::die_at(at);
        let outcome = machine.run(how, &faults);
        let Some(step) = faults.told().1 else {
            outcome.unwrap();
            machine.check_end(how, "no step");
            let seen = machine.seen();
            machine.run(how, &Faults::default()).unwrap();
            assert_eq!(machine.seen(), seen, "{how:?}: another start changes nothing");
            break;
        };
        assert!(matches!(&outcome, Err(Failure::Work(e)) if e.kind() == Kind::Stopping), "{step}: {outcome:?}");
        died.insert(step);
        machine.check_instant(step);
        machine.run(how, &Faults::default()).unwrap_or_else(|e| panic!("{how:?} after a death at {step}: {e:?}"));
        machine.check_end(how, step);
    }
    died
}

#[test]
fn quickstart_and_init_go_on_wherever_they_die() {
    let hows = [How::Quickstart, How::QuickstartWithMore, How::Init, How::InitWithMore, How::InitWithSheet];
    let died: BTreeSet<_> = std::thread::scope(|s| {
        let each = hows.map(|how| s.spawn(move || die_everywhere(how)));
        each.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    let founding = super::founding::STEPS;
    assert_eq!(died, STEPS.into_iter().chain(founding).collect());
}
