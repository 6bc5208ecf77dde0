//! A household on a clock moved by hand: people who make files, a poor line, a calendar, a provider who counts, a machine
//! whose power fails; and in it the daemon as it is: settings, uplink, throttle, engine, catalog, spool and desk, one step
//! after the other on one thread. Only the vault's server is a double, and time passes nowhere but on the line.
//!
//! What goes is counted where it leaves, and checked there and then against what was set (promise 7). What is safe is read
//! from the segments that arrived, by a reader that knows nothing of the catalog, and what the daemon says is compared with
//! that (promises 1, 3, 4).

#[path = "dice.rs"]
mod dice;
#[path = "household/eyes.rs"]
mod eyes;
#[path = "household/machine.rs"]
mod machine;
#[path = "household/people.rs"]
mod people;
#[path = "household/road.rs"]
mod road;
#[path = "household/time.rs"]
mod time;

use super::bed::{self, VAULT};
use super::read_vault::{NOW, ReadVault, records_of};
use super::tree::{Tree, differences, look};
use super::witness::Witness;
use dice::Dice;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use panicroom::backup::roots::Watched;
use panicroom::backup::start::Standing;
use panicroom::backup::{Bells, Engine, EngineSettings, Figures};
use panicroom::catalog::Catalog;
use panicroom::chunk::Chunker;
use panicroom::clock::{Clock, ManualClock, Steady, Wall};
use panicroom::config;
use panicroom::daemon::console::{Console, Lasting};
use panicroom::daemon::desk::Desk;
use panicroom::daemon::gate::Gate;
use panicroom::daemon::home::Home;
use panicroom::daemon::open::House;
use panicroom::daemon::run::steps::{capture_step, publish_step, upload_step};
use panicroom::daemon::run::{Daemon, Step, Vault, Watching};
use panicroom::daemon::uplink::May;
use panicroom::error::{Error, Kind, Result};
use panicroom::format::Name;
use panicroom::format::segment::Record;
use panicroom::format::vault::{self, Label};
use panicroom::model::{FileTime, Rate, Sha256, TreePath, WriterId};
use panicroom::seal::{SystemEntropy, random, sha256};
use panicroom::source::watch::{Depth, Hint, Taken};
use panicroom::spool::Spool;
use panicroom::store::retry::Backoff;
use panicroom::store::throttle::{Freight, Way};
use panicroom::store::{
    Body, Created, Held, Inventory, NewObject, ObjectInfo, ObjectName, ObjectStore, Requests, Speed, Thaw,
};
use panicroom::uplink::{Grant, slice};
use panicroom::worker::{Faults, Nudge, Stop};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

pub const DAY: u64 = 86_400;
pub const WEEKS: u64 = 8;
const HOUR: u64 = 3600;
/// How often the daemon's uplink is settled while time passes, seconds. In the daemon it is every second.
const LOOK: u64 = 20;
/// What a request says beside its body and what comes back, bytes; and how long it takes, about.
const HEAD: u64 = 700;
const ANSWER: u64 = 300;
const ROUND: Duration = Duration::from_millis(150);
/// After a window closed, what was under way may take this long: see `store/throttle/closing`. And a look.
const GRACE: u64 = 75 + LOOK;
/// A power cut forgets what was counted in the last half minute, and in the look before it.
const FORGOTTEN_S: u64 = 30 + 2 * LOOK;
/// What is made after the eight weeks is over must be safe within.
const AFTERWARDS: u64 = 60 * DAY;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Makes {
    Films,
    /// What shrinks.
    Letters,
}

#[derive(Clone, Copy, Debug)]
pub struct Folder {
    pub name: &'static str,
    pub priority: &'static str,
    pub makes: Makes,
    /// Bytes at the begin, of one file, and new on a day.
    pub bytes: u64,
    pub file: u64,
    pub new_per_day: u64,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub seed: u64,
    /// Bytes a second, and from when to when (hours of the day, over midnight); None: always.
    pub limit: u64,
    pub window: Option<(u64, u64)>,
    /// Bytes of a month, which begins on its 15th.
    pub month: Option<u64>,
    /// Bytes a second the line gives, and the part of it that is left in the evening.
    pub line: f64,
    pub evening: f64,
    /// Outages a day and how long one is; power cuts a week and how long they last, seconds.
    pub outages: f64,
    pub outage_s: f64,
    pub cuts: f64,
    pub cut_s: f64,
    /// On this day at ten the operator pauses for so many hours.
    pub pause: (u64, u64),
    /// How likely it is that a file of a folder is changed within half an hour, one moved, one taken away.
    pub changes: f64,
    pub folders: Vec<Folder>,
}

/// One file as it was written.
#[derive(Clone, Debug)]
struct Made {
    path: TreePath,
    mtime: FileTime,
    content: Sha256,
    /// Whether the daemon heard or saw that there is something.
    known: bool,
    /// Whether it is safe, or another one of its path that came after it, or it was taken away.
    over: bool,
}

#[derive(Debug)]
struct Place {
    folder: Folder,
    top: PathBuf,
    made: Vec<Made>,
    /// Numbers of what was made at a path, the last one being there; files that are there.
    by_path: HashMap<TreePath, Vec<usize>>,
    there: Vec<PathBuf>,
    count: u64,
}

/// One forecast, and what came of it.
#[derive(Clone, Debug)]
pub struct Told {
    pub folder: usize,
    /// Seconds since the begin.
    pub at: u64,
    pub earliest: Option<u64>,
    pub likely: Option<u64>,
    pub latest: Option<u64>,
    /// All that was known then: so many were made.
    mark: usize,
    pub came: Option<u64>,
}

impl Told {
    /// How far off it was, as a part of what was left, a day at least; None: it did not come.
    #[expect(clippy::cast_precision_loss, reason = "seconds of weeks")]
    pub fn off(&self) -> Option<f64> {
        let left = (self.came? - self.at) as f64;
        let likely = self.likely.map_or(f64::INFINITY, |s| s as f64);
        Some((likely - left) / left.max(DAY as f64))
    }
    pub fn in_range(&self) -> Option<bool> {
        let left = self.came? - self.at;
        Some(self.earliest? <= left + HOUR && self.latest.is_none_or(|l| left <= l + HOUR))
    }
}

/// The daemon while the power is on.
#[derive(Clone)]
struct Running {
    daemon: Arc<Daemon>,
    desk: Arc<Desk>,
    vault: Arc<Vault>,
    engine: Arc<Engine>,
}

/// What was counted of one month.
#[derive(Clone, Copy, Debug, Default)]
struct Month {
    up: u64,
    down: u64,
    forgiven: u64,
}

struct State {
    /// For each kind of event its own, so that what happens does not hang on how long something took.
    dice: Dice,
    sky: Dice,
    mains: Dice,
    places: Vec<Place>,
    running: Option<Running>,
    /// The power is gone, and nobody noticed yet.
    dead: bool,
    /// A moment is under way: what it does on the line takes time, and no other moment.
    busy: bool,
    next: u64,
    outage_until: u64,
    next_outage: u64,
    next_cut: u64,
    mood: f64,
    above: f64,
    counted_at: Steady,
    months: BTreeMap<Date, Month>,
    told: Vec<Told>,
    tally: Tally,
    people_are_here: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub sent: u64,
    pub given_up: u64,
    pub outages: u64,
    pub cuts: u64,
    pub deaths_in_a_step: u64,
    pub segments: u64,
    pub packs: u64,
    pub paused: u64,
    pub capped: u64,
    pub checked: u64,
}

/// A number below `n`.
fn below(dice: &mut Dice, n: u64) -> u64 {
    part(n, dice.roll()).min(n.saturating_sub(1))
}

/// Seconds to the next of events that come `often` times in `span` on average; never is far away.
fn wait(dice: &mut Dice, span: f64, often: f64) -> u64 {
    if often <= 0.0 { u64::MAX / 4 } else { seconds(dice.wait(span, often)) }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "round numbers"
)]
fn part(of: u64, share: f64) -> u64 {
    (of as f64 * share) as u64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative")]
fn seconds(n: f64) -> u64 {
    n as u64
}

pub struct Household {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    pub scenario: Scenario,
    clock: Arc<ManualClock>,
    zone: TimeZone,
    witness: Witness,
    state: Mutex<State>,
}

/// Where syncing costs nothing, if there is such a place: eight weeks are some hundred thousand synced writes.
fn folder() -> tempfile::TempDir {
    let named = |at: &Path| tempfile::Builder::new().prefix("weeks-").tempdir_in(at);
    named(Path::new("/dev/shm")).unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

impl Household {
    pub fn new(scenario: Scenario) -> Arc<Self> {
        let dir = folder();
        let zone = TimeZone::system();
        // A Monday that is to come: files are never younger than the clock shows.
        let begin = jiff::civil::date(2035, 10, 1).to_zoned(zone.clone()).unwrap().timestamp();
        let begin = Wall(begin.as_millisecond());
        let clock = ManualClock::at(begin);
        let witness = Witness::new(Arc::clone(&clock) as Arc<dyn Clock>, bed::keys());
        let label = Label { created: begin, host: b"a household".to_vec() };
        witness.memory.put(&ObjectName::from(Name::Vault), &vault::write(&bed::keys().seal, &label, &SystemEntropy));
        let [dice, mut sky, mut mains] = [1, 2, 3].map(|n| Dice(scenario.seed * 1000 + n));
        let top = dir.path().canonicalize().unwrap();
        let place = |folder: &Folder| Place {
            folder: *folder,
            top: top.join(folder.name),
            made: vec![],
            by_path: HashMap::new(),
            there: vec![],
            count: 0,
        };
        let state = State {
            places: scenario.folders.iter().map(place).collect(),
            running: None,
            dead: false,
            busy: false,
            next: 0,
            outage_until: 0,
            next_outage: wait(&mut sky, DAY as f64, scenario.outages),
            next_cut: wait(&mut mains, 7.0 * DAY as f64, scenario.cuts),
            mood: 1.0,
            above: 0.0,
            counted_at: Steady::default(),
            months: BTreeMap::new(),
            told: vec![],
            tally: Tally::default(),
            people_are_here: true,
            dice,
            sky,
            mains,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let house = Arc::new(Self { dir, runtime, scenario, clock, zone, witness, state: Mutex::new(state) });
        house.witness.memory.random_faults(house.scenario.seed, 0.02);
        for (i, folder) in house.scenario.folders.iter().enumerate() {
            fs::create_dir(house.state().places[i].top.as_path()).unwrap();
            let mut left = folder.bytes;
            while left > 0 {
                let bytes = folder.file.min(left);
                house.make(i, bytes);
                left -= bytes;
            }
        }
        house
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
    /// Seconds since the begin.
    fn now(&self) -> u64 {
        self.clock.steady().0.as_secs()
    }
    pub fn told(&self) -> Vec<Told> {
        self.state().told.clone()
    }
    pub fn tally(&self) -> Tally {
        self.state().tally
    }
    fn running(&self) -> Option<Running> {
        self.state().running.clone()
    }
    fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// All eight weeks, and what it takes after them until everything is safe.
    pub fn live(self: &Arc<Self>) {
        let mut backoff = Backoff::new(self.scenario.seed);
        while self.now() < WEEKS * 7 * DAY {
            self.work(&mut backoff);
        }
        {
            let mut state = self.state();
            state.people_are_here = false;
            (state.next_cut, state.next_outage) = (u64::MAX, u64::MAX);
        }
        self.witness.memory.random_faults(0, 0.0);
        while self.running().is_none() {
            self.work(&mut backoff);
        }
        // What nobody heard of is found at once.
        self.running().unwrap().desk.rescan().unwrap();
        while self.running().is_none_or(|r| !r.engine.is_drained().unwrap()) {
            assert!(self.now() < WEEKS * 7 * DAY + AFTERWARDS, "it is not safe in the end");
            self.work(&mut backoff);
        }
        self.check_end();
        self.switch_off();
    }

    /// One step of the uploader; the other workers have theirs while time passes.
    fn work(self: &Arc<Self>, backoff: &mut Backoff) {
        let Some(Running { daemon, vault, engine, .. }) = self.running() else {
            self.start();
            *backoff = Backoff::new(self.now());
            return;
        };
        // As the daemon does under a cap.
        let outcome = daemon.uplink.settle(&daemon.vaults).and_then(|_| upload_step(&vault, &engine, 0));
        match outcome {
            Ok(Step::Again) => backoff.reset(),
            Ok(Step::Wait(_)) => {
                backoff.reset();
                self.wait_for(&engine.bells.upload, Duration::from_secs(60));
            }
            Err(e) if e.kind() == Kind::Retry => self.pass(backoff.failed()),
            Err(e) if e.kind() == Kind::Stopping => self.state().dead = true,
            Err(e) => panic!("the uploader: {e}"),
        }
        if self.is_dead() {
            drop((daemon, vault, engine));
            self.power_cut();
        }
    }

    fn wait_for(self: &Arc<Self>, bell: &Nudge, by: Duration) {
        let until = self.clock.steady().plus(by);
        while self.clock.steady() < until && !self.is_dead() && !bell.wait(Duration::ZERO) {
            self.pass(Duration::from_secs(LOOK));
        }
    }
}

impl Place {
    fn note(&mut self, made: Made) {
        self.by_path.entry(made.path.clone()).or_default().push(self.made.len());
        self.made.push(made);
    }
    /// What was made there is no longer: nobody waits for it. The last of it.
    fn gone(&mut self, path: &TreePath) -> Made {
        let numbers = self.by_path.remove(path).unwrap();
        for i in &numbers {
            self.made[*i].over = true;
        }
        self.made[numbers[numbers.len() - 1]].clone()
    }
    fn is_safe(&mut self, path: &TreePath, mtime: FileTime) {
        let Some(numbers) = self.by_path.get(path) else { return };
        let Some(at) = numbers.iter().position(|i| self.made[*i].mtime == mtime) else { return };
        for i in &numbers[..=at] {
            self.made[*i].over = true;
        }
    }
}

/// The first day of the month that is billed with this day.
fn month_of(day: Date) -> Date {
    let this = day.first_of_month().saturating_add(jiff::ToSpan::days(14_i64));
    if this <= day { this } else { this.saturating_add(jiff::ToSpan::months(-1_i64)) }
}

impl ObjectStore for Household {
    fn create(&self, object: &NewObject, stop: &Stop) -> Result<Created> {
        self.carry(object)?;
        let created = self.witness.create(object, stop)?;
        match Name::parse(object.name.as_str()) {
            Some(Name::Segment(..)) => self.named(object),
            Some(Name::Pack(..)) => self.state().tally.packs += 1,
            _ => {}
        }
        Ok(created)
    }
    fn read_into(&self, name: &ObjectName, range: Option<Range<u64>>, into: &mut Vec<u8>, stop: &Stop) -> Result<()> {
        self.reach("read")?;
        self.witness.read_into(name, range, into, stop)
    }
    fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        self.reach("look")?;
        self.witness.head(name)
    }
    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()> {
        self.reach("list")?;
        self.witness.list(prefix, each)
    }
    fn inventory(&self, prefix: &str, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<Inventory> {
        self.reach("list")?;
        self.witness.inventory(prefix, each)
    }
    fn uncover(&self, name: &ObjectName) -> Result<bool> {
        self.witness.uncover(name)
    }
    fn thaw(&self, name: &ObjectName, speed: Speed, days: u32) -> Result<Thaw> {
        self.witness.thaw(name, speed, days)
    }
    fn may_freeze(&self) -> bool {
        self.witness.may_freeze()
    }
    fn requests(&self) -> Requests {
        self.witness.requests()
    }
    fn sent_bytes(&self) -> u64 {
        self.running().map_or(0, |r| r.vault.throttle.sent_bytes())
    }
    fn url(&self) -> String {
        self.witness.url()
    }
}
