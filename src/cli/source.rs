//! What a command that looks into a backup looks at: the catalog of a configured vault, or a vault alone, whose log is
//! read into a catalog of its own (kept in the cache folder, so that the next look need not read it again).

use super::log_state::Log;
use super::out_args::From;
use super::{Failure, patience, prices, read_text, settings};
use crate::catalog::Catalog;
use crate::catalog::jobs::JobFile;
use crate::clock::SystemClock;
use crate::config::{Settings, VaultSettings, VaultUrl};
use crate::daemon::home::Home;
use crate::daemon::open::{Folders, learnt, open_configured, open_store, throttle_of};
use crate::error::{Doing, Error, Kind, Result};
use crate::format::LOG_PREFIX;
use crate::format::vault::VaultFile;
use crate::model::{Rate, Sha256, WriterId};
use crate::restore::newest::{self, Lacks};
use crate::restore::{Progress, Wanted};
use crate::seal::keys::{OpenKeys, SealKeys};
use crate::seal::{SystemEntropy, random, sha256};
use crate::store::abilities::Abilities;
use crate::store::throttle::{Throttle, Way};
use crate::store::{Cover, ObjectStore};
use crate::upkeep::{rebuild, unlock};
use crate::worker::Stop;
use std::fs::File;
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A backup, open for looking.
pub struct Source {
    /// Patient: passing trouble is waited out.
    pub store: Arc<dyn ObjectStore>,
    /// Ends the waiting.
    pub stop: Stop,
    pub catalog: Catalog,
    pub keys: Keys,
    /// What is known to be wrong with the log the catalog was read from.
    pub log: Log,
    /// Where restore jobs of this vault are kept.
    pub jobs: PathBuf,
    pub url: VaultUrl,
    /// Where it was chosen among several.
    pub chosen: Option<Chosen>,
    /// What may be received at most, as configured.
    pub down: Option<Rate>,
    /// The operator's own price list.
    pub prices: Option<PathBuf>,
    /// Keeps the catalog's file from being cleared away.
    _held: Option<File>,
    /// The network's threads, for as long as the store is used.
    _runtime: tokio::runtime::Runtime,
}

/// What opens it so far.
pub enum Keys {
    /// The machine's own: names, no contents.
    Machine(SealKeys),
    Open(Box<OpenKeys>),
}

impl Keys {
    pub fn seal(&self) -> &SealKeys {
        match self {
            Self::Machine(keys) => keys,
            Self::Open(keys) => &keys.seal,
        }
    }
}

fn make_private(dir: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .doing(Kind::Operator, || format!("create {}", dir.display()))
}

fn cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base =
        set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|h| h.join(".cache"))).unwrap_or_else(std::env::temp_dir);
    base.join("panicroom")
}

/// The words or the passphrase: from the file, else asked for.
pub fn secret_text(from: &From) -> std::result::Result<Zeroizing<String>, Failure> {
    if let Some(file) = &from.key_file {
        return Ok(Zeroizing::new(read_text(file, "the words or the passphrase").map_err(Failure::Usage)?));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(
            Error::operator("open the vault: no words")
                .remedy("give '--key-file FILE' with the 24 words or the passphrase"),
        ));
    }
    eprintln!("The 24 recovery words (several lines are fine), or the passphrase; end with an empty line:");
    let _ = std::io::stderr().flush();
    let mut text = Zeroizing::new(String::new());
    for line in std::io::stdin().lock().lines() {
        let line = Zeroizing::new(line.doing(Kind::Operator, || "read the words".to_owned())?);
        if line.trim().is_empty() {
            break;
        }
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// Which of several configured vaults.
pub enum Choice<'a> {
    /// The first.
    First,
    /// The one whose restore job this is; the first where nobody knows it.
    OfJob(&'a str),
    /// The cheapest to read of those that have the newest state of what is wanted; where none has all of it, the one that
    /// lacks least.
    Newest(&'a Wanted),
}

/// One of several vaults, beside the others.
pub struct Chosen {
    pub name: String,
    pub lacks: Lacks,
    /// The others: names, and what they lack.
    pub others: Vec<(String, Lacks)>,
}

/// Opens the backup a command is about. With the address of a vault the words are needed even to look; a configured vault
/// shows its names with the machine's own keys. `progress` is told what is waited for. One that cannot be opened is named
/// and passed over where there are others.
pub fn open(
    line: &super::args::Line,
    from: &From,
    progress: Option<Arc<Progress>>,
    choice: &Choice<'_>,
) -> std::result::Result<Source, Failure> {
    // An address, as told from the name of a configured vault.
    match from.vault.as_deref().filter(|text| text.contains(':')) {
        Some(url) => alone(url, from, progress),
        None => configured(line, from, progress, choice),
    }
}

fn configured(
    line: &super::args::Line,
    from: &From,
    progress: Option<Arc<Progress>>,
    choice: &Choice<'_>,
) -> std::result::Result<Source, Failure> {
    let settings = settings::load(line)?;
    let home = Home::new(&settings.state_dir);
    let mut vaults: Vec<&VaultSettings> = match &from.vault {
        Some(name) => vec![settings::vault(&settings, name)?],
        None => settings.vaults.iter().filter(|v| home.vault(&v.name).catalog().exists()).collect(),
    };
    if vaults.is_empty() {
        vaults.extend(settings.vaults.first());
    }
    if let [vault] = vaults[..] {
        return of_vault(&settings, &home, vault, progress);
    }
    let book = prices::book(settings.prices_file.as_ref())?;
    vaults.sort_by_key(|vault| prices::dearness(&vault.url, &book));
    let mut trouble = None;
    let ranked = ranked(&home, vaults, choice, &mut trouble)?;
    for (vault, lacks) in &ranked {
        match of_vault(&settings, &home, vault, progress.clone()) {
            Ok(source) => {
                let others = ranked.iter().filter(|(other, _)| other.name != vault.name);
                let others = others.map(|(other, lacks)| (other.name.clone(), lacks.clone())).collect();
                let chosen = Chosen { name: vault.name.clone(), lacks: lacks.clone(), others };
                return Ok(Source { chosen: Some(chosen), ..source });
            }
            Err(Failure::Work(e)) => passed_over(vault, e, &mut trouble),
            Err(e) => return Err(e),
        }
    }
    Err(match trouble {
        Some(e) => Failure::Work(e),
        None => Failure::Usage(Error::operator("open a vault: none is configured")),
    })
}

/// The vaults whose catalogs can be read, in the order to be tried. They come with the cheapest first.
fn ranked<'a>(
    home: &Home,
    vaults: Vec<&'a VaultSettings>,
    choice: &Choice<'_>,
    trouble: &mut Option<Error>,
) -> Result<Vec<(&'a VaultSettings, Lacks)>> {
    let (mut readable, mut catalogs) = (vec![], vec![]);
    for vault in vaults {
        match Catalog::look(&home.vault(&vault.name).catalog()) {
            Ok(catalog) => {
                readable.push(vault);
                catalogs.push(catalog);
            }
            Err(e) => passed_over(vault, e, trouble),
        }
    }
    let lacks = match choice {
        Choice::Newest(wanted) if catalogs.len() > 1 => newest::compare(&catalogs, wanted, &Stop::new())?,
        _ => vec![Lacks::default(); catalogs.len()],
    };
    let mut ranked: Vec<_> = readable.into_iter().zip(lacks).collect();
    ranked.sort_by_key(|(vault, lacks)| match choice {
        Choice::OfJob(id) => u64::from(!is_job_of(home, vault, id)),
        Choice::First | Choice::Newest(_) => lacks.things,
    });
    Ok(ranked)
}

fn passed_over(vault: &VaultSettings, why: Error, trouble: &mut Option<Error>) {
    eprintln!("the vault '{}' is passed over: {why}", vault.name);
    trouble.get_or_insert(why);
}

/// Whether a job was begun from this vault. One that nobody knows is said to be unknown later.
fn is_job_of(home: &Home, vault: &VaultSettings, id: &str) -> bool {
    let path = home.jobs().join(format!("{id}.db"));
    if !id.bytes().all(|b| b.is_ascii_hexdigit()) || !path.exists() {
        return false;
    }
    let of =
        || Ok::<_, Error>((JobFile::open(&path)?.fact::<Vec<u8>>("vault")?, home.vault(&vault.name).keys()?.vault));
    of().is_ok_and(|(of, vault)| of.as_deref() == Some(&vault.0[..]))
}

fn of_vault(
    settings: &Settings,
    home: &Home,
    vault: &VaultSettings,
    progress: Option<Arc<Progress>>,
) -> std::result::Result<Source, Failure> {
    let mine = home.vault(&vault.name);
    let keys = mine.keys()?;
    let runtime = super::runtime()?;
    let throttle = throttle_of(settings, vault, SystemClock::shared());
    let down = throttle.pace(Way::Down);
    let catalog = Catalog::look(&mine.catalog())?;
    let opened = open_configured(vault, learnt(&catalog)?, Folders::MustExist, throttle, runtime.handle())?;
    let stop = Stop::new();
    let store = patience::patient(opened.store, &stop, progress);
    Ok(Source {
        store,
        stop,
        catalog,
        keys: Keys::Machine(keys),
        log: Log::default(),
        jobs: home.jobs(),
        url: vault.url.clone(),
        chosen: None,
        down,
        prices: settings.prices_file.clone(),
        _held: None,
        _runtime: runtime,
    })
}

fn alone(url: &str, from: &From, progress: Option<Arc<Progress>>) -> std::result::Result<Source, Failure> {
    let parsed = VaultUrl::parse(url).map_err(|e| Failure::Usage(Error::operator(e)))?;
    let runtime = super::runtime()?;
    let throttle = Throttle::new(None, SystemClock::shared());
    let opened =
        open_store(&parsed, "restore", None, Abilities::default(), Folders::MustExist, throttle, runtime.handle())?;
    let stop = Stop::new();
    let store = patience::patient(opened.store, &stop, progress);
    let vault = unlock::open_vault(&*store, &stop)?;
    let keys = open_keys(&*store, &vault, from, &stop)?;
    let folder = cache().join(vault.id.to_string());
    make_private(&folder)?;
    let (catalog, log, held) = catalog_of(&*store, &keys, &folder, &stop)?;
    let (keys, jobs) = (Keys::Open(Box::new(keys)), folder.join("jobs"));
    Ok(Source {
        store,
        stop,
        catalog,
        keys,
        log,
        jobs,
        url: parsed,
        chosen: None,
        down: None,
        prices: None,
        _held: Some(held),
        _runtime: runtime,
    })
}

fn open_keys(
    store: &dyn ObjectStore,
    vault: &VaultFile,
    from: &From,
    stop: &Stop,
) -> std::result::Result<OpenKeys, Failure> {
    let text = secret_text(from)?;
    Ok(unlock::secret_from(store, vault, &text, stop)?.open_keys(vault.id))
}

/// The words on top of what a configured vault shows: needed to read contents.
pub fn unlocked(source: &Source, from: &From) -> std::result::Result<OpenKeys, Failure> {
    match &source.keys {
        Keys::Open(keys) => Ok((**keys).clone()),
        Keys::Machine(_) => {
            let vault = unlock::open_vault(&*source.store, &source.stop)?;
            open_keys(&*source.store, &vault, from, &source.stop)
        }
    }
}

/// What the log's listing looks like, what is hidden included: a catalog read from it is good for exactly that.
fn log_print(store: &dyn ObjectStore) -> Result<Sha256> {
    let mut names = String::new();
    store.inventory(LOG_PREFIX, &mut |held| {
        names.push_str(held.object.name.as_str());
        names.push_str(match held.cover {
            Cover::Bare => "\n",
            Cover::DeleteMarker => " hidden\n",
            Cover::OtherBytes => " overwritten\n",
        });
        Ok(())
    })?;
    Ok(sha256(names.as_bytes()))
}

/// The log as a catalog, and what to know about it; the one of an earlier look where the log is still the same. One
/// process at a time reads a log; the catalogs of logs that are no more go.
fn catalog_of(
    store: &dyn ObjectStore,
    keys: &OpenKeys,
    folder: &Path,
    stop: &Stop,
) -> std::result::Result<(Catalog, Log, File), Failure> {
    let _one = one_at_a_time(folder)?;
    let print = log_print(store)?;
    let path = folder.join(format!("{print}.db"));
    if let Ok(catalog) = Catalog::look(&path)
        && let Some(log) = Log::of(&catalog)?
    {
        log.say();
        return Ok((catalog, log, hold(&path)?));
    }
    clear(folder)?;
    let new = folder.join(format!("{print}.new"));
    let catalog = Catalog::open(&new)?;
    let terminal = std::io::stderr().is_terminal();
    let report = rebuild::rebuild(store, &keys.seal, &catalog, &[], stop, &|at, of| {
        if terminal {
            eprint!("\rreading the vault's log: {at} of {of} ");
        }
    })?;
    if terminal {
        eprintln!();
    }
    let log = Log::read(&report);
    log.say();
    log.keep(&catalog, &report)?;
    catalog.set_identity(keys.seal.vault, WriterId(random(&SystemEntropy)))?;
    catalog.close()?;
    drop(catalog);
    std::fs::rename(&new, &path).doing(Kind::Operator, || format!("name {}", path.display()))?;
    Ok((Catalog::look(&path)?, log, hold(&path)?))
}

/// Held by everyone who looks into a catalog, with a lock SQLite knows nothing of.
fn hold(catalog: &Path) -> Result<File> {
    let doing = || format!("hold {}", catalog.display());
    let file = File::open(catalog).doing(Kind::Operator, doing)?;
    file.lock_shared().doing(Kind::Operator, doing)?;
    Ok(file)
}

/// Held while a log is looked at and read: a second process waits, and then finds it read.
fn one_at_a_time(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let doing = || format!("lock {}", path.display());
    let file = File::create(&path).doing(Kind::Operator, doing)?;
    if matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
        eprintln!("waiting for another panicroom that reads this vault's log");
    }
    file.lock().doing(Kind::Operator, doing)?;
    Ok(file)
}

/// Catalogs nobody looks into, and what dying left half read.
fn clear(folder: &Path) -> Result<()> {
    let doing = || format!("clear {}", folder.display());
    for entry in std::fs::read_dir(folder).doing(Kind::Operator, doing)? {
        let entry = entry.doing(Kind::Operator, doing)?;
        let name = entry.file_name();
        let is_ours = [".db", ".db-wal", ".db-shm", ".new", ".new-wal", ".new-shm"]
            .iter()
            .any(|end| name.to_str().is_some_and(|name| name.ends_with(end)));
        let is_free = || File::open(entry.path()).is_ok_and(|f| f.try_lock().is_ok());
        if is_ours && entry.file_type().is_ok_and(|t| t.is_file()) && is_free() {
            std::fs::remove_file(entry.path()).doing(Kind::Operator, doing)?;
        }
    }
    Ok(())
}
