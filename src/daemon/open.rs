//! From settings to engines: stores by address, keys and catalogs from the state folder, catalogs rebuilt where the
//! vault knows more.

use super::gate::Gate;
use super::home::{Home, VaultHome};
use crate::backup::in_hand::InHand;
use crate::backup::roots::Watched;
use crate::backup::start::Standing;
use crate::backup::{Bells, Engine, EngineSettings, Figures};
use crate::catalog::{ACKNOWLEDGED, Catalog, Level};
use crate::chunk::Chunker;
use crate::clock::Clock;
use crate::config::{Settings, VaultSettings, VaultUrl};
use crate::error::{Error, Kind, Result};
use crate::model::{TreePath, WriterId};
use crate::seal::keys::SealKeys;
use crate::seal::{Entropy, random};
use crate::spool::Spool;
use crate::store::ObjectStore;
use crate::store::abilities::Abilities;
use crate::store::folder::FolderStore;
use crate::store::retry::{Backoff, Patience, Patient, Told};
use crate::store::s3::{Credentials, S3Store, Settings as S3Settings};
use crate::store::throttle::{Line, Throttle};
use crate::upkeep::rebuild;
use crate::uplink::Rates;
use crate::worker::{Faults, Stop};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What every vault of one process shares.
#[derive(Clone, Debug)]
pub struct House {
    pub settings: Arc<Settings>,
    pub home: Home,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub stop: Stop,
    pub faults: Faults,
    pub runtime: tokio::runtime::Handle,
    /// What the buckets' rules said so far.
    pub gate: Gate,
}

/// A segment at least this often says that we live.
const HEARTBEAT: Duration = Duration::from_secs(6 * 3600);

/// How often one read of a rebuild is tried before the whole is given up and shown: about two minutes of waiting. Who
/// waits in the foreground hands in a store that never gives up.
const REBUILD: Patience = Patience::Tries(8);

/// Facts of a catalog that no vault knows: what was counted, when somebody was asked for the sheet or a drill, and which
/// losses the owner has seen.
const KEPT: [&str; 4] = ["sent", "sheet_asked", "drill_asked", ACKNOWLEDGED];

/// Whether a folder vault's folder may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folders {
    MustExist,
    Create,
}

/// A store, and for servers what was learnt about them.
pub struct OpenStore {
    pub store: Arc<dyn ObjectStore>,
    pub s3: Option<Arc<S3Store>>,
}

/// Opens the place a vault lies in.
pub fn open_store(
    url: &VaultUrl,
    name: &str,
    credentials: Option<&TreePath>,
    abilities: Abilities,
    folders: Folders,
    throttle: Throttle,
    runtime: &tokio::runtime::Handle,
) -> Result<OpenStore> {
    match url {
        VaultUrl::Folder(path) => {
            let open = if folders == Folders::Create { FolderStore::open_or_create } else { FolderStore::open };
            Ok(OpenStore { store: Arc::new(open(path.as_path(), throttle)?), s3: None })
        }
        VaultUrl::Bucket(bucket) => {
            let systemd = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            let credentials = Credentials::of_vault(name, credentials.map(TreePath::as_path), systemd.as_deref());
            let settings = S3Settings { bucket: bucket.clone(), credentials, abilities };
            let store = Arc::new(S3Store::connect(settings, runtime.clone(), throttle)?);
            Ok(OpenStore { store: Arc::clone(&store) as Arc<dyn ObjectStore>, s3: Some(store) })
        }
    }
}

/// For a command that somebody waits for: the vault's own limits both ways, and for a bucket those of the line, whatever the
/// hour, the orders and the caps. Beside a running daemon both keep to them, each for itself.
pub fn throttle_of(settings: &Settings, vault: &VaultSettings, clock: Arc<dyn Clock>) -> Throttle {
    let line = match vault.url {
        VaultUrl::Folder(_) => Rates::FREE,
        VaultUrl::Bucket(_) => Rates { up: settings.uplink.limit, down: settings.uplink.download },
    };
    Throttle::on(&Line::new(line, clock), Rates { up: vault.limit, down: vault.download })
}

/// What was learnt of a vault's server, by the daemon or by `doctor`.
pub fn learnt(catalog: &Catalog) -> Result<Abilities> {
    Ok(catalog.fact::<String>("abilities")?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Opens the place of a vault of the configuration.
pub fn open_configured(
    vault: &VaultSettings,
    learnt: Abilities,
    folders: Folders,
    throttle: Throttle,
    runtime: &tokio::runtime::Handle,
) -> Result<OpenStore> {
    let credentials = vault.credentials_file.as_ref();
    open_store(&vault.url, &vault.name, credentials, learnt, folders, throttle, runtime)
}

/// An open engine and its handles.
pub struct Opened {
    pub engine: Engine,
    pub s3: Option<Arc<S3Store>>,
}

impl House {
    /// Our own folders: never watched, never captured.
    pub fn ours(&self) -> Vec<TreePath> {
        let mut ours = vec![self.settings.state_dir.clone()];
        // Of the config only the file: its folder may hold anything.
        ours.extend(std::path::absolute(&self.settings.file).ok().and_then(|p| TreePath::from_typed(&p)));
        ours.extend(
            self.settings
                .vaults
                .iter()
                .filter_map(|v| if let VaultUrl::Folder(path) = &v.url { Some(path.clone()) } else { None }),
        );
        let real =
            ours.iter().filter_map(|p| TreePath::from_typed(&p.as_path().canonicalize().ok()?)).collect::<Vec<_>>();
        ours.extend(real);
        ours
    }

    /// Opens one vault's way in: nothing is written to the vault before it proved to be ours.
    pub fn open_engine(&self, vault: &VaultSettings, throttle: Throttle) -> Result<Opened> {
        let home = self.home.vault(&vault.name);
        let keys = home.keys()?;
        let catalog = self.open_catalog(&home, &vault.name)?;
        let fresh = catalog.identity()?.is_none();
        if fresh {
            self.faults.at("open.identity")?;
            catalog.set_identity(keys.vault, WriterId(random(&*self.entropy)))?;
        }
        let abilities = learnt(&catalog)?;
        let opened = open_store(
            &vault.url,
            &vault.name,
            vault.credentials_file.as_ref(),
            abilities,
            Folders::MustExist,
            throttle,
            &self.runtime,
        )?;
        let frozen = opened.s3.as_deref().map(|s3| self.gate.pass(s3)).transpose()?.flatten();
        let paths: Vec<TreePath> = vault.roots.clone();
        self.faults.at("open.roots")?;
        let ids = catalog.roots(&paths)?;
        let mut roots =
            self.settings.roots_of(vault).map(|r| Watched::new(r, ids[&r.path])).collect::<Result<Vec<_>>>()?;
        roots.sort_by_key(|r| std::cmp::Reverse(r.path.as_bytes().len()));
        let engine = Engine {
            name: vault.name.clone(),
            chunker: Chunker::new(keys.cut_key(), keys.chunk_key()),
            spool: Spool::open(&home.spool())?,
            catalog,
            store: opened.store,
            keys,
            entropy: Arc::clone(&self.entropy),
            clock: Arc::clone(&self.clock),
            faults: self.faults.clone(),
            stop: self.stop.clone(),
            settings: EngineSettings {
                pack_size: vault.pack_size,
                spool_size: self.settings.spool_size,
                gather: vault.gather,
                level: vault.level,
                publish_every: self.settings.publish_every,
                heartbeat: HEARTBEAT,
            },
            roots,
            ours: self.ours(),
            bells: Bells::default(),
            figures: Figures::default(),
            in_hand: InHand::default(),
        };
        engine.agree_with_spool()?;
        let mut engine = engine;
        if engine.look_at_vault()? == Standing::CatalogBehind {
            engine = self.catch_up(engine, &home, &paths, fresh)?;
        }
        engine.settle_order()?;
        engine.catalog.recount()?;
        if let Some(alarm) = frozen {
            engine.tell(Level::Alarm, &alarm);
        }
        Ok(Opened { engine, s3: opened.s3 })
    }

    /// Damaged: moved aside and begun anew, to be rebuilt from the vault.
    fn open_catalog(&self, home: &VaultHome, name: &str) -> Result<Catalog> {
        match Catalog::open(&home.catalog()) {
            Err(e) if e.kind() == Kind::Damaged => {
                self.faults.at("open.aside")?;
                let label = format!("damaged-{}", self.clock.wall().0);
                let aside = home.put_catalog_aside(&label)?;
                tracing::warn!(vault = %name, "{e}; it was moved to {} and is rebuilt from the vault", aside.display());
                let catalog = Catalog::open(&home.catalog())?;
                catalog.note(
                    self.clock.wall(),
                    Level::Warning,
                    &format!("the catalog was damaged; it lies in {} and was rebuilt from the vault", aside.display()),
                )?;
                Ok(catalog)
            }
            other => other,
        }
    }

    /// The vault's log goes further than the catalog. A new or older catalog of this very machine is rebuilt; another
    /// writer's segments wait for the operator.
    fn catch_up(&self, engine: Engine, home: &VaultHome, roots: &[TreePath], fresh: bool) -> Result<Engine> {
        let mine = engine.catalog.identity()?.map(|i| i.1);
        let older = engine.catalog.last_segment()?.is_some();
        engine.tell(
            Level::Note,
            "the vault's log goes further than this machine's catalog: rebuilding the catalog from it",
        );
        let (path, report) = self.rebuild_beside(home, &*engine.store, &engine.keys, roots)?;
        if !fresh && older && report.last_writer != mine {
            return Err(another_writer(&engine));
        }
        // The old file must be closed before the new one takes its name.
        let old = engine.catalog;
        old.close()?;
        drop(old);
        let mut engine = Engine { catalog: self.put_in_place(home, &path)?, ..engine };
        let ids = engine.catalog.roots(roots)?;
        for root in &mut engine.roots {
            root.id = ids[&root.path];
        }
        engine.agree_with_spool()?;
        engine.tell(
            Level::Good,
            &format!(
                "the catalog was rebuilt from the vault: {} segments, {} versions, {} packs",
                report.segments, report.versions, report.packs
            ),
        );
        if report.hidden + report.overwritten > 0 {
            let said = format!(
                "of the vault's log {} objects lie behind delete markers and {} were overwritten, by somebody else: what \
                 lies beneath was read",
                report.hidden, report.overwritten
            );
            engine.tell(Level::Alarm, &said);
        }
        for (name, why) in &report.unreadable {
            engine.tell(Level::Alarm, &format!("{name} could not be read: {why}"));
        }
        Ok(engine)
    }

    /// A new catalog from the vault, in a file of its own: dying here leaves the old one as it was. What only the old one
    /// counted is in the new one before it gets its name.
    pub fn rebuild_beside(
        &self,
        home: &VaultHome,
        store: &dyn ObjectStore,
        keys: &SealKeys,
        roots: &[TreePath],
    ) -> Result<(PathBuf, rebuild::Report)> {
        self.faults.at("rebuild.fill")?;
        let path = home.new_catalog()?;
        let catalog = Catalog::open(&path)?;
        let backoff = Backoff::new(u64::from_le_bytes(random(&*self.entropy)));
        let store = Patient::new(store, REBUILD, backoff, self.stop.clone(), |told| {
            if let Told::Waits { why, by, .. } = told {
                tracing::warn!("rebuild the catalog: {why}; tried again within {} s", by.as_secs() + 1);
            }
        });
        let report = rebuild::rebuild(&store, keys, &catalog, roots, &self.stop, &|_, _| {})?;
        self.faults.at("rebuild.facts")?;
        catalog.set_identity(keys.vault, WriterId(random(&*self.entropy)))?;
        catalog.set_fact("takeover_from", report.last_writer.map_or(vec![], |w| w.0.to_vec()))?;
        // One that cannot be read has nothing to give.
        if let Ok(old) = Catalog::look(&home.catalog()) {
            for name in KEPT {
                if let Ok(Some(value)) = old.fact::<i64>(name) {
                    catalog.set_fact(name, value)?;
                }
            }
            if let Err(e) = catalog.take_over_drills(&old) {
                tracing::warn!("take over the receipts the log does not have yet: {e}");
            }
        }
        catalog.close()?;
        Ok((path, report))
    }

    /// Gives a rebuilt catalog its name; the one before is kept aside.
    pub fn put_in_place(&self, home: &VaultHome, new: &std::path::Path) -> Result<Catalog> {
        // All of the old one in its one file, so that it is whole wherever this dies; a broken one is what it is.
        if home.catalog().exists()
            && let Ok(old) = Catalog::open(&home.catalog())
        {
            old.close()?;
        }
        home.name_catalog(new, self.clock.wall(), &self.faults)?;
        Catalog::open(&home.catalog())
    }
}

fn another_writer(engine: &Engine) -> Error {
    Error::operator(format!(
        "write to the vault {}: another machine or another catalog wrote to it",
        engine.store.url()
    ))
    .remedy("stop the other one; then run 'panicroom rebuild' here to take over")
}
