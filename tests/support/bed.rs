//! One vault's way in on a bench: a folder to protect, an engine, a memory vault that watches, and a clock moved by
//! hand. Small packs, so that a few megabytes make many; every step is driven from one thread.

use super::read_vault::{NOW, ReadVault};
use super::tree::{Tree, differences};
use super::witness::Witness;
use panicroom::backup::roots::Watched;
use panicroom::backup::start::Standing;
use panicroom::backup::upload::{Claims, Uploaded};
use panicroom::backup::{Bells, Engine, EngineSettings, Figures};
use panicroom::catalog::Catalog;
use panicroom::chunk::Chunker;
use panicroom::clock::{Clock, ManualClock, SystemClock};
use panicroom::config::{FilterList, Priority, RootSettings, defaults};
use panicroom::error::{Kind, Result};
use panicroom::format::Name;
use panicroom::format::vault::{self, Label};
use panicroom::model::{OrderRule, Shape, Size, Tier, TreePath, VaultId, WriterId};
use panicroom::seal::keys::{OpenKeys, Secret};
use panicroom::seal::{SystemEntropy, random};
use panicroom::spool::Spool;
use panicroom::store::{ObjectName, ObjectStore};
use panicroom::upkeep::rebuild;
use panicroom::worker::{Faults, Stop};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

pub const VAULT: VaultId = VaultId(*b"a vault of tests");
/// Ahead of the files' own times, so that no stamp is too young to be believed.
const AHEAD: Duration = Duration::from_secs(600);
/// No pass of these tests takes as many turns or tries as this.
const TURNS: usize = 2000;
const HOUR: Duration = Duration::from_secs(3600);

pub struct Bed {
    dir: tempfile::TempDir,
    pub clock: Arc<ManualClock>,
    pub store: Arc<Witness>,
    pub site: Site,
    /// None while it is being replaced.
    pub engine: Option<Engine>,
    pub claims: Claims,
}

/// What the benches differ in.
pub struct Site {
    pub order: Vec<OrderRule>,
    pub pack_size: Size,
    pub spool_size: Size,
    pub publish_every: Duration,
    pub hurried: bool,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            order: vec![],
            pack_size: Size::mib(1),
            spool_size: Size::mib(256),
            publish_every: Duration::ZERO,
            hurried: true,
        }
    }
}

pub fn keys() -> OpenKeys {
    Secret::from_bytes(*b"secret of a vault made for tests").open_keys(VAULT)
}

impl Bed {
    /// An empty folder, a founded vault and an engine that just opened.
    pub fn new() -> Self {
        Self::at(Site::default())
    }

    pub fn at(site: Site) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("source")).unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        let clock = ManualClock::at(SystemClock::shared().wall().plus(AHEAD));
        let store = Arc::new(Witness::new(Arc::clone(&clock) as Arc<dyn Clock>, keys()));
        let label = Label { created: clock.wall(), host: b"bench".to_vec() };
        store.memory.put(&ObjectName::from(Name::Vault), &vault::write(&keys().seal, &label, &SystemEntropy));
        let mut bed = Self { dir, clock, store, site, engine: None, claims: Claims::default() };
        bed.reopen(Faults::default());
        bed
    }

    pub fn source(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("source")
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("an engine is open")
    }

    fn root(&self) -> RootSettings {
        RootSettings {
            path: TreePath::from_typed(&self.source()).unwrap(),
            tier: Tier::Cold,
            priority: Priority::Normal,
            order: self.site.order.clone(),
            quiet: Duration::ZERO,
            quiet_max: Duration::ZERO,
            filter: FilterList::Lines(vec![]),
            default_excludes: true,
            marker: None,
            cachedir_tag: true,
            filesystems: vec![],
            fixed_chunks: defaults::FIXED_CHUNKS.map(str::to_owned).to_vec(),
            walk_every: HOUR,
        }
    }

    /// Drops the engine as it is and opens another over the same catalog, spool and vault, as a start does. Where that
    /// start dies itself, the next one lives; the step it died at.
    pub fn reopen(&mut self, faults: Faults) -> Option<&'static str> {
        match self.start(faults.clone()) {
            Ok(()) => None,
            Err(e) => {
                assert_eq!(e.kind(), Kind::Stopping, "{e}");
                self.start(Faults::default()).unwrap();
                faults.told().1
            }
        }
    }

    /// One start; where it fails, the engine stands as far as it came.
    fn start(&mut self, faults: Faults) -> Result<()> {
        drop(self.engine.take());
        let state = self.dir.path().join("state");
        let catalog = Catalog::open(&state.join("catalog.db")).unwrap();
        if catalog.identity().unwrap().is_none() {
            catalog.set_identity(VAULT, WriterId(random(&SystemEntropy))).unwrap();
        }
        let settings = self.root();
        let id = catalog.roots(std::slice::from_ref(&settings.path)).unwrap()[&settings.path];
        let keys = keys().seal;
        let engine = Engine {
            name: "test".to_owned(),
            chunker: Chunker::new(keys.cut_key(), keys.chunk_key()),
            spool: Spool::open(&state.join("spool")).unwrap(),
            catalog,
            store: Arc::clone(&self.store) as _,
            keys,
            entropy: Arc::new(SystemEntropy),
            clock: Arc::clone(&self.clock) as _,
            faults,
            stop: Stop::new(),
            settings: EngineSettings {
                pack_size: self.site.pack_size,
                spool_size: self.site.spool_size,
                gather: Duration::ZERO,
                level: 1,
                publish_every: self.site.publish_every,
                heartbeat: 6 * HOUR,
            },
            roots: vec![Watched::new(&settings, id).unwrap()],
            ours: vec![TreePath::from_typed(&state).unwrap()],
            bells: Bells::default(),
            in_hand: panicroom::backup::in_hand::InHand::default(),
            figures: Figures {
                hurry: AtomicBool::new(self.site.hurried),
                sent: AtomicU64::new(self.store.memory.sent_bytes()),
                ..Figures::default()
            },
        };
        self.claims = Claims::default();
        let engine = self.engine.insert(engine);
        engine.agree_with_spool()?;
        engine.settle_order()?;
        assert_eq!(patiently(|| engine.look_at_vault()).unwrap(), Standing::Agrees);
        engine.catalog.recount()
    }

    /// One whole pass: walk, capture, upload and publish until nothing is left. Passing trouble is tried again.
    pub fn pass(&self) -> Result<()> {
        let engine = self.engine();
        engine.figures.walked.lock().unwrap().clear();
        engine.roots.iter().try_for_each(|root| engine.mark_root(root))?;
        for _ in 0..TURNS {
            self.clock.advance(Duration::from_secs(60));
            patiently(|| engine.walk_due(None))?;
            patiently(|| engine.capture_due())?;
            self.send()?;
            if engine.is_drained()? {
                // Two changes within one grain of the kernel's clock would look like one.
                Stop::new().wait(Duration::from_millis(10));
                return Ok(());
            }
        }
        panic!("a pass did not end: {:?}", engine.catalog.failed(10));
    }

    /// Uploads all there is and publishes whenever it may, however much is still on its way.
    pub fn send(&self) -> Result<()> {
        let engine = self.engine();
        loop {
            if engine.occasion()?.is_some() {
                engine.publish()?;
            }
            if patiently(|| engine.upload_one(&self.claims))? == Uploaded::Nothing && engine.occasion()?.is_none() {
                return Ok(());
            }
        }
    }

    pub fn vault(&self) -> ReadVault {
        ReadVault::open(self.store.objects(), keys())
    }

    pub fn spool(&self) -> PathBuf {
        self.dir.path().join("state/spool")
    }

    /// Promises that hold once a pass has ended: the vault is what the source is, and nothing was done twice.
    pub fn check_end(&self, now: &Tree) {
        let vault = self.vault();
        let differing = differences(&vault.tree(NOW).unwrap(), now);
        assert!(differing.is_empty(), "the vault is not what the source is:\n{}", differing.join("\n"));
        assert_eq!(std::fs::read_dir(self.spool()).unwrap().count(), 0, "the spool is empty");
        let engine = self.engine();
        assert_eq!(engine.catalog.failed(10).unwrap(), [], "no path fails");
        assert_eq!(vault.chunks_sent_twice(), [], "nothing is sent twice");
        assert_eq!(self.store.complaints(), Vec::<String>::new());
        let counts = engine.catalog.root_counts(engine.roots[0].id).unwrap();
        let files = now.values().filter(|t| t.shape == Shape::File).count() as u64;
        assert_eq!((counts.files, counts.safe_files, counts.dirty, counts.oldest), (files, files, 0, None));
    }

    /// A catalog made from the vault alone says the same as the one that was there all along.
    pub fn check_rebuilt(&self, now: &Tree) {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("catalog.db")).unwrap();
        let engine = self.engine();
        let roots = [engine.roots[0].path.clone()];
        self.store.memory.random_faults(0, 0.0);
        let report =
            rebuild::rebuild(&self.store.memory, &engine.keys, &catalog, &roots, &Stop::new(), &|_, _| {}).unwrap();
        assert!(report.is_sound(), "{report:?}");
        for path in now.keys() {
            let seq = |c: &Catalog| c.find(path).unwrap().and_then(|n| c.node(n).unwrap()).map(|n| (n.seq, n.shape));
            assert_eq!(seq(&catalog), seq(&engine.catalog), "{path}");
        }
    }
}

/// Again and again while the trouble is passing.
fn patiently<T>(mut act: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..TURNS {
        match act() {
            Err(e) if e.kind() == Kind::Retry => {}
            other => return other,
        }
    }
    act()
}

/// Bytes that do not shrink and differ with the seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

pub fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
