//! `key kit`, `key check`, `key passphrase`: what is done with the recovery words themselves. The machine does not keep
//! them: they are given anew each time, from a prompt or a file, and never as an argument (promise 15).

pub mod args;
mod check;
pub mod kit;
mod passphrase;
mod pdf;
mod sheet;
mod text;
mod width;

pub use check::{Typed, typed_back};

use super::args::Line;
use super::{Answer, Failure, patience, settings, source};
use crate::clock::SystemClock;
use crate::config::{Settings, VaultSettings, VaultUrl};
use crate::daemon::home::{Home, VaultHome};
use crate::daemon::open::{Folders, open_store, throttle_of};
use crate::error::{Doing, Error, Kind, Result};
use crate::format::vault::VaultFile;
use crate::seal::keys::Secret;
use crate::seal::words;
use crate::store::ObjectStore;
use crate::store::abilities::Abilities;
use crate::store::throttle::Throttle;
use crate::upkeep::unlock;
use crate::worker::{Faults, Stop};
use args::{Key, Which};
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

pub fn key(line: &Line, key: &Key) -> Answer {
    match key {
        Key::Kit(kit) => kit::kit(line, kit),
        Key::Check(which) => check::check(line, which),
        Key::Passphrase(passphrase) => passphrase::passphrase(line, passphrase),
    }
}

/// Where a vault is said to be, before anything is asked of it.
#[derive(Clone, Debug)]
struct Place {
    url: VaultUrl,
    /// As the configuration calls it, and what this machine keeps of it; None for an address given by hand.
    name: Option<String>,
    home: Option<VaultHome>,
    credentials: Option<crate::model::TreePath>,
    throttle: Throttle,
}

impl Place {
    fn of(settings: &Settings, vault: &VaultSettings, home: &Home) -> Self {
        Self {
            url: vault.url.clone(),
            name: Some(vault.name.clone()),
            home: Some(home.vault(&vault.name)),
            credentials: vault.credentials_file.clone(),
            throttle: throttle_of(settings, vault, SystemClock::shared()),
        }
    }

    /// As people know it.
    fn called(&self) -> String {
        self.name.as_ref().map_or_else(|| self.url.to_string(), |name| format!("\"{name}\""))
    }

    /// Whether this machine's own keys tell the words to be those of this vault.
    fn knows(&self, text: &str) -> Result<bool> {
        let Some(home) = self.home.as_ref().filter(|h| h.has_keys()) else { return Ok(false) };
        let keys = home.keys()?;
        match words::parse(text, keys.vault, &keys.check) {
            Ok(_) => Ok(true),
            // One word is wrong, and with the right one they would be.
            Err(e) if e.to_string().contains("is wrong: ") || e.to_string().contains("are exchanged") => Err(e),
            Err(_) => Ok(false),
        }
    }
}

/// The places a command may be about: the one that was named, else all of the configuration.
fn places(line: &Line, which: &Which) -> std::result::Result<Vec<Place>, Failure> {
    if let Some(url) = &which.from.vault {
        let url = VaultUrl::parse(url).map_err(|e| Failure::Usage(Error::operator(e)))?;
        let throttle = Throttle::new(None, SystemClock::shared());
        return Ok(vec![Place { url, name: None, home: None, credentials: None, throttle }]);
    }
    let settings = settings::load(line)?;
    let home = Home::new(&settings.state_dir);
    let chosen = settings::vaults(&settings, which.vault_name.as_deref())?;
    Ok(chosen.into_iter().map(|v| Place::of(&settings, v, &home)).collect())
}

/// The one of several places that the words are for.
fn meant(mut places: Vec<Place>, text: &str) -> std::result::Result<Place, Failure> {
    if places.len() == 1 {
        return Ok(places.remove(0));
    }
    let names: Vec<&str> = places.iter().filter_map(|p| p.name.as_deref()).collect();
    let names = names.join(", ");
    if !words::look_like_words(text) {
        return Err(Failure::Usage(
            Error::operator(format!("choose a vault: there are {names}, and these are not 24 words"))
                .remedy("name one with '--vault-name NAME'"),
        ));
    }
    for place in places {
        if place.knows(text)? {
            return Ok(place);
        }
    }
    Err(Failure::Work(
        Error::operator(format!("choose a vault: these are not the words of any of {names}"))
            .remedy("compare them with the sheet, or name the vault with '--vault-name NAME' to be told more"),
    ))
}

/// A vault, looked at.
struct Door {
    place: Place,
    store: Arc<dyn ObjectStore>,
    file: VaultFile,
    stop: Stop,
    /// The network's threads, for as long as the store is used.
    _runtime: tokio::runtime::Runtime,
}

impl Door {
    fn open(place: Place) -> Result<Self> {
        let runtime = super::runtime()?;
        let opened = open_store(
            &place.url,
            place.name.as_deref().unwrap_or("restore"),
            place.credentials.as_ref(),
            Abilities::default(),
            Folders::MustExist,
            place.throttle.clone(),
            runtime.handle(),
        )?;
        let stop = Stop::new();
        let store = patience::patient(opened.store, &stop, None);
        let file = unlock::open_vault(&*store, &stop)?;
        Ok(Self { place, store, file, stop, _runtime: runtime })
    }

    /// Proved against the vault's check value; a wrong word is named.
    fn secret(&self, text: &str) -> Result<Secret> {
        unlock::secret_from(&*self.store, &self.file, text, &self.stop)
    }
}

/// The vault the words are for, and what they open to.
fn unlocked(line: &Line, which: &Which) -> std::result::Result<(Door, Secret), Failure> {
    let places = places(line, which)?;
    let text = source::secret_text(&which.from)?;
    let door = Door::open(meant(places, &text)?)?;
    let secret = door.secret(&text)?;
    Ok((door, secret))
}

/// A new file for its owner alone.
fn write_new(path: &std::path::Path, what: &'static str, bytes: &[u8], faults: &Faults) -> Result<()> {
    crate::daemon::found::write_secret(path, what, bytes, faults)
}

/// Of a file that is asked for by name.
pub fn absent(path: &std::path::Path, what: &str) -> std::result::Result<(), Failure> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Failure::Usage(
        Error::operator(format!("write {what} to {}: a file is there already", path.display()))
            .remedy("name another one with '--out FILE'"),
    ))
}

/// The default name of a sheet's file, in the current folder.
fn default_file(place: &Place) -> PathBuf {
    PathBuf::from(format!("recovery-sheet-{}.pdf", place.name.as_deref().unwrap_or("vault")))
}

/// A line from the terminal, without its end.
fn typed_line() -> Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().read_line(&mut line).doing(Kind::Operator, || "read from the terminal".to_owned())?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}
