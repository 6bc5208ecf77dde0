//! Founding a vault: the keys reach the machine, the words reach the operator, and only then the vault gets the files
//! that explain it and, last, its `meta_vault`.
//!
//! Dying before `meta_vault` is there leaves nothing sealed to those words: the next start makes new ones (or goes on
//! with the ones in the words file). After it the vault exists and is only opened.

use super::home::{VaultHome, name_new, write_synced};
use crate::clock::Clock;
use crate::error::{Doing, Error, Kind, Result};
use crate::format::vault::{self, Label};
use crate::format::{Name, key_file};
use crate::model::VaultId;
use crate::seal::keys::{SealKeys, Secret, WrapCost};
use crate::seal::{Entropy, random, sha256, words};
use crate::store::{Body, NewObject, ObjectName, ObjectStore};
use crate::worker::{Faults, Stop};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use zeroize::Zeroizing;

/// Files that lie in every vault so that it explains itself.
const RESCUE: [(&str, &[u8]); 2] = [
    ("format.md", include_bytes!("../../docs/format.md")),
    ("panicroom-rescue.py", include_bytes!("../../docs/rescue/panicroom-rescue.py")),
];

/// Where the words go.
pub enum Witness<'a> {
    /// A new file, 0600.
    File(&'a Path),
    /// Shown once, with the keys they are for; true when they reached a person.
    Show(&'a mut dyn FnMut(&[&'static str], &SealKeys) -> bool),
}

/// What founding needs.
pub struct Founding<'a> {
    pub store: &'a dyn ObjectStore,
    pub home: &'a VaultHome,
    pub entropy: &'a dyn Entropy,
    pub clock: &'a dyn Clock,
    pub host: Vec<u8>,
    pub passphrase: Option<Zeroizing<String>>,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
}

impl Founding<'_> {
    /// Starts a vault and leaves its keys on this machine.
    pub fn found(&self, witness: &mut Witness<'_>) -> Result<SealKeys> {
        let meta = ObjectName::from(Name::Vault);
        if self.store.head(&meta)?.is_some() {
            return Err(Error::operator(format!("start a vault in {}: one is there already", self.store.url()))
                .remedy(
                    "'panicroom rebuild' with its recovery words opens it on this machine; or choose another place",
                ));
        }
        let (secret, keys) = self.keys(witness)?;
        if let Some(passphrase) = &self.passphrase {
            let (name, bytes) = key_file::write(&secret, keys.vault, passphrase, WrapCost::DEFAULT, self.entropy)?;
            self.faults.at("found.key")?;
            self.create(name.into(), bytes)?;
        }
        for (name, bytes) in RESCUE {
            let name = format!("{}_{name}", Name::Rescue(sha256(bytes)));
            self.faults.at("found.rescue")?;
            self.create(ObjectName::new(name).expect("our names are object names"), bytes.to_vec())?;
        }
        let label = Label { created: self.clock.wall(), host: self.host.clone() };
        self.faults.at("found.vault")?;
        self.create(Name::Vault.into(), vault::write(&keys, &label, self.entropy))?;
        Ok(keys)
    }

    fn create(&self, name: ObjectName, bytes: Vec<u8>) -> Result<()> {
        let object = NewObject { name, size: bytes.len() as u64, sha256: sha256(&bytes), body: Body::Bytes(bytes) };
        self.store.create(&object, self.stop).map(drop)
    }

    /// Keys on the machine first, then the words before the operator's eyes. Keys without a vault are what a start that
    /// was cut off left: its words file is gone on with, words that were only shown are made anew.
    fn keys(&self, witness: &mut Witness<'_>) -> Result<(Secret, SealKeys)> {
        let before = self.home.has_keys().then(|| self.home.keys()).transpose()?;
        if let (Witness::File(path), Some(keys)) = (&*witness, before)
            && path.exists()
        {
            return Ok((secret_of(path, &keys)?, keys));
        }
        if let Witness::File(path) = witness
            && path.exists()
        {
            return Err(foreign(path));
        }
        let (secret, id) = (Secret::generate(self.entropy), VaultId(random(self.entropy)));
        let keys = secret.open_keys(id).seal;
        self.faults.at("found.keys")?;
        self.home.write_keys(&keys, self.faults)?;
        self.faults.at("found.words")?;
        let reached = match witness {
            Witness::File(path) => {
                write_words(path, &secret, self.faults)?;
                true
            }
            Witness::Show(show) => show(&secret.words(), &keys),
        };
        if !reached {
            return Err(Error::operator("show the recovery words: there is no terminal to show them on")
                .remedy("give '--words-file FILE'"));
        }
        Ok((secret, keys))
    }
}

fn foreign(path: &Path) -> Error {
    Error::operator(format!(
        "write the recovery words to {}: a file is there already, and it is not this vault's",
        path.display()
    ))
    .remedy("keep that file safe and name another one")
}

/// The secret in a words file, which must be that of these keys.
fn secret_of(path: &Path, keys: &SealKeys) -> Result<Secret> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|e| Error::operator(format!("read the words file {}", path.display())).because(e))?;
    words::parse(&text, keys.vault, &keys.check).map_err(|_| foreign(path))
}

/// Whether a words file is the one of this vault: it is left alone then.
pub fn is_words_file_of(path: &Path, keys: &SealKeys) -> bool {
    secret_of(path, keys).is_ok()
}

/// 24 numbered words and nothing else, 0600, under its name only when whole and synced.
fn write_words(path: &Path, secret: &Secret, faults: &Faults) -> Result<()> {
    let mut text = Zeroizing::new(String::with_capacity(512));
    for (i, word) in secret.words().iter().enumerate() {
        let _ = writeln!(text, "{:2}. {word}", i + 1);
    }
    write_secret(path, "the words file", text.as_bytes(), faults)
}

/// A new file that holds words, 0600, under its name only when whole and synced; never in the place of another.
pub fn write_secret(path: &Path, what: &'static str, bytes: &[u8], faults: &Faults) -> Result<()> {
    let doing = || format!("write {what} {}", path.display());
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sweep_words(folder).doing(Kind::Operator, doing)?;
    let temporary = folder.join(format!("{UNNAMED}{}", std::process::id()));
    write_synced(&temporary, bytes).doing(Kind::Operator, doing)?;
    faults.at("found.words_name")?;
    name_new(&temporary, path).doing(Kind::Operator, doing).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// A words file without its name; the process that writes it follows.
const UNNAMED: &str = ".tmp-words-";

/// Words that a death left without their name open nothing, as no vault was founded with them; or they are a sheet's, which
/// is written anew. Nobody shall take them for those of the vault. Should another founding be at work here, it fails before it seals anything.
fn sweep_words(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let number =
            entry.file_name().to_str().and_then(|n| n.strip_prefix(UNNAMED)).is_some_and(|n| n.parse::<u32>().is_ok());
        if number {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
