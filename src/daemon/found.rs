//! Founding a vault: the words reach the operator before anything is sealed to them, then the keys reach the machine,
//! then the vault gets its `meta_vault` and the files that explain it.
//!
//! Dying before `meta_vault` is there leaves nothing sealed to those words: the next start makes new ones (or goes on
//! with the ones in the words file). After it the vault exists and is only opened.

use super::home::VaultHome;
use crate::clock::{Clock, Wall};
use crate::error::{Doing, Error, Kind, Result};
use crate::format::vault::{self, Label};
use crate::format::{Name, key_file};
use crate::model::VaultId;
use crate::seal::keys::{SealKeys, Secret, WrapCost};
use crate::seal::{Entropy, random, sha256, words};
use crate::store::{Body, NewObject, ObjectName, ObjectStore};
use crate::worker::Stop;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
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
    /// Shown once; true when they reached a person.
    Show(&'a mut dyn FnMut(&[&'static str], VaultId) -> bool),
}

/// What founding needs.
pub struct Founding<'a> {
    pub store: &'a dyn ObjectStore,
    pub home: &'a VaultHome,
    pub entropy: &'a dyn Entropy,
    pub clock: &'a dyn Clock,
    pub host: Vec<u8>,
    pub passphrase: Option<Zeroizing<String>>,
    pub stop: &'a Stop,
}

const FILE_HEAD: &str = "panicroom recovery words of vault ";

impl Founding<'_> {
    /// Starts a vault and leaves its keys on this machine.
    pub fn found(&self, witness: &mut Witness<'_>) -> Result<SealKeys> {
        let meta = ObjectName::new(Name::Vault.to_string()).expect("an object name");
        if self.store.head(&meta)?.is_some() {
            return Err(Error::operator(format!("start a vault in {}: one is there already", self.store.url()))
                .remedy(
                    "'panicroom rebuild' with its recovery words opens it on this machine; or choose another place",
                ));
        }
        let (secret, id) = self.words(witness)?;
        let keys = secret.open_keys(id).seal;
        self.home.write_keys(&keys)?;
        if let Some(passphrase) = &self.passphrase {
            let (name, bytes) = key_file::write(&secret, id, passphrase, WrapCost::DEFAULT, self.entropy)?;
            self.create(&name.to_string(), bytes)?;
        }
        for (name, bytes) in RESCUE {
            self.create(&format!("{}_{name}", Name::Rescue(sha256(bytes))), bytes.to_vec())?;
        }
        let label = Label { created: self.clock.wall(), host: self.host.clone() };
        self.create(&Name::Vault.to_string(), vault::write(&keys, &label, self.entropy))?;
        Ok(keys)
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let name = ObjectName::new(name).expect("our names are object names");
        let object = NewObject { name, size: bytes.len() as u64, sha256: sha256(&bytes), body: Body::Bytes(bytes) };
        self.store.create(&object, self.stop).map(drop)
    }

    /// New words, seen by the operator; or those of a words file an earlier start left before it was cut off.
    fn words(&self, witness: &mut Witness<'_>) -> Result<(Secret, VaultId)> {
        let (secret, id) = (Secret::generate(self.entropy), VaultId(random(self.entropy)));
        match witness {
            Witness::File(path) => match fs::read_to_string(&path).map(Zeroizing::new) {
                Ok(text) => unfinished(path, &text),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    write_words(path, &secret, id)?;
                    Ok((secret, id))
                }
                Err(e) => Err(Error::operator(format!("read the words file {}", path.display())).because(e)),
            },
            Witness::Show(show) => {
                if show(&secret.words(), id) {
                    Ok((secret, id))
                } else {
                    Err(Error::operator("show the recovery words: there is no terminal to show them on")
                        .remedy("give '--words-file FILE'"))
                }
            }
        }
    }
}

/// A words file whose vault was never founded here: a start that was cut off. Any other is refused, never replaced.
fn unfinished(path: &Path, text: &str) -> Result<(Secret, VaultId)> {
    let foreign = || {
        Error::operator(format!(
            "write the recovery words to {}: a file is there already, and it is not this vault's",
            path.display()
        ))
        .remedy("keep that file safe and name another one")
    };
    let (id, rest) = text.strip_prefix(FILE_HEAD).and_then(|r| r.split_once('\n')).ok_or_else(foreign)?;
    let id = VaultId::from_hex(id.trim()).ok_or_else(foreign)?;
    let (check, rest) = rest.strip_prefix("check ").and_then(|r| r.split_once('\n')).ok_or_else(foreign)?;
    let check = crate::model::Sha256::from_hex(check.trim()).ok_or_else(foreign)?;
    Ok((words::parse(rest, id, &check.0)?, id))
}

/// Whether a words file is the one of this vault: it is left alone then.
pub fn is_words_file_of(path: &Path, vault: VaultId) -> bool {
    fs::read_to_string(path).is_ok_and(|t| {
        t.strip_prefix(FILE_HEAD).and_then(|r| r.lines().next()).is_some_and(|id| id.trim() == vault.to_string())
    })
}

fn write_words(path: &Path, secret: &Secret, id: VaultId) -> Result<()> {
    let check = crate::model::Sha256(secret.check(id));
    let mut text = Zeroizing::new(format!("{FILE_HEAD}{id}\ncheck {check}\n\n"));
    for (i, word) in secret.words().iter().enumerate() {
        text.push_str(&format!("{:2}. {word}\n", i + 1));
    }
    text.push_str("\nWrite these on paper and keep it away from this machine. Whoever has them can read the backup; without them nobody can.\n");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .doing(Kind::Operator, || format!("create the words file {}", path.display()))?;
    let synced = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    });
    synced.doing(Kind::Operator, || format!("write the words file {}", path.display()))
}

/// Words or passphrase of a words file: the words alone, without what we wrote around them.
pub fn secret_text(text: &str) -> Zeroizing<String> {
    let numbered =
        text.lines().filter_map(|l| l.trim().split_once(". ")).filter(|(n, _)| n.trim().parse::<u8>().is_ok());
    let found: Vec<&str> = numbered.map(|(_, w)| w.trim()).collect();
    Zeroizing::new(if text.starts_with(FILE_HEAD) && found.len() == words::COUNT {
        found.join(" ")
    } else {
        text.trim_end_matches(['\n', '\r']).to_owned()
    })
}

/// Milliseconds since 1970 as RFC 3339 in UTC, seconds precision.
pub fn rfc3339(at: Wall) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| "unknown".to_owned(), |t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
