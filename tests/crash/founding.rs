//! Dying while a vault is started: the next start goes on or begins anew, and whatever is sealed in the end opens with
//! the words, and with the passphrase, that reached the operator.

use panicroom::clock::{SystemClock, Wall};
use panicroom::daemon::found::{Founding, Witness};
use panicroom::daemon::home::Home;
use panicroom::error::{Kind, Result};
use panicroom::format::VAULT_NAME;
use panicroom::model::TreePath;
use panicroom::seal::SystemEntropy;
use panicroom::seal::keys::SealKeys;
use panicroom::store::ObjectName;
use panicroom::store::memory::MemoryStore;
use panicroom::upkeep::unlock;
use panicroom::worker::{Faults, Stop};
use std::collections::BTreeSet;
use std::path::PathBuf;

pub const STEPS: [&str; 7] =
    ["found.keys", "keys.name", "found.words", "found.words_name", "found.key", "found.rescue", "found.vault"];

const PASSPHRASE: &str = "correct horse battery staple";

struct Bench {
    dir: tempfile::TempDir,
    store: MemoryStore,
    /// The words shown last, where they are shown.
    shown: String,
}

/// How the words reach the operator.
#[derive(Clone, Copy)]
enum By {
    File,
    Screen,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, store: MemoryStore::new(SystemClock::shared()), shown: String::new() }
    }
    fn words(&self) -> PathBuf {
        self.dir.path().join("words")
    }
    fn is_there(&self) -> bool {
        self.store.names().contains(&ObjectName::new(VAULT_NAME).unwrap())
    }
    fn found(&mut self, by: By, faults: &Faults) -> Result<SealKeys> {
        let home = Home::new(&TreePath::from_typed(&self.dir.path().join("state")).unwrap()).vault("v");
        let (clock, stop, words) = (SystemClock::shared(), Stop::new(), self.words());
        let founding = Founding {
            store: &self.store,
            home: &home,
            entropy: &SystemEntropy,
            clock: &*clock,
            host: b"bench".to_vec(),
            passphrase: Some(PASSPHRASE.to_owned().into()),
            faults,
            stop: &stop,
        };
        let shown = &mut self.shown;
        let mut show = |words: &[&'static str], _: &SealKeys| {
            *shown = words.join("\n");
            true
        };
        let keys = founding.found(&mut match by {
            By::File => Witness::File(&words),
            By::Screen => Witness::Show(&mut show),
        })?;
        assert_eq!(home.keys()?.vault, keys.vault, "the machine has the keys of the vault");
        Ok(keys)
    }
    /// The vault that is there opens with what the operator has.
    fn check(&self, by: By, keys: &SealKeys) {
        let stop = Stop::new();
        let file = unlock::open_vault(&self.store, &stop).unwrap();
        assert_eq!((file.id, file.check), (keys.vault, keys.check));
        let words = match by {
            By::File => std::fs::read_to_string(self.words()).unwrap(),
            By::Screen => self.shown.clone(),
        };
        for text in [words.as_str(), PASSPHRASE] {
            let secret = unlock::secret_from(&self.store, &file, text, &stop).unwrap();
            assert_eq!(secret.open_keys(file.id).seal.check, keys.check);
        }
        assert!(file.label(keys).unwrap().created > Wall(0));
    }
}

#[test]
fn whoever_has_the_words_opens_the_vault_wherever_its_founding_dies() {
    for by in [By::File, By::Screen] {
        let mut died = BTreeSet::new();
        for at in 1.. {
            let (mut bench, faults) = (Bench::new(), Faults::die_at(at));
            let outcome = bench.found(by, &faults);
            let Some(step) = faults.told().1 else {
                bench.check(by, &outcome.unwrap());
                break;
            };
            died.insert(step);
            assert_eq!(outcome.unwrap_err().kind(), Kind::Stopping);
            assert!(!bench.is_there(), "{step}: nothing can be sealed to words that may be lost");
            let keys = bench.found(by, &Faults::default()).unwrap();
            bench.check(by, &keys);
        }
        // Words on a screen have no file.
        let reached = |step: &&str| matches!(by, By::File) || *step != "found.words_name";
        assert_eq!(died, STEPS.into_iter().filter(reached).collect());
    }
}
