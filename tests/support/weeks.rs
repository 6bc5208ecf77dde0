//! Eight weeks of an uplink in a second: the daemon's own arithmetic (calendar, caps, what a forecast learns and foretells)
//! driven by a clock that only these lines move, over a model of the rest that is as coarse as it may be and no coarser:
//! packs and segments as objects that are sent whole or again, a spool of bounded size, a line with a temper, outages, power
//! cuts that forget what a power cut forgets, and people who go on making files.
//!
//! Every promise is checked at every step: what goes is never more than the limit, nothing goes while it may not, a cap
//! holds over power cuts, its reserve is the log's alone, a night with a window brings something home.

#[path = "dice.rs"]
mod dice;

use dice::Dice;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use panicroom::clock::{Clock, ManualClock, Wall};
use panicroom::model::Allowed;
use panicroom::uplink::calendar::{Calendar, LOG_ALONE, Stretch};
use panicroom::uplink::cap::{Book, Cap, Span};
use panicroom::uplink::forecast::learn::{Files, Given, Heard};
use panicroom::uplink::forecast::plan::Plan;
use panicroom::uplink::forecast::{Habits, Need, Outlook, forecast};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A step of the model, seconds: a minute of the calendar is six of them.
pub const STEP: u64 = 10;
pub const DAY: u64 = 86_400;
pub const WEEKS: u64 = 8;
const GB: u64 = 1_000_000_000;
const MB: u64 = 1_000_000;
const SPOOL: u64 = 512 << 20;
const PACK: u64 = 25 << 20;
const SEGMENT: u64 = 40_000;
const PUBLISH_S: u64 = 3600;
const GATHER_S: u64 = 3600;
/// What is learnt, and what a cap counted, is written so often.
const KEEP_S: u64 = 300;
const KEEP_USAGE_S: u64 = 30;
const KEEP_USAGE_BYTES: u64 = 4 << 20;
/// On the wire a body has heads, packets and acknowledgements about it, per mille; and a request takes this long beyond its
/// bytes. Limits and caps are kept on the wire.
const WIRE: f64 = 1.03;
const REQUEST_S: f64 = 0.4;

/// One folder and the people who fill it.
#[derive(Clone, Debug)]
pub struct Folder {
    pub name: &'static str,
    pub rank: u32,
    /// Bytes at the begin, and bytes of one file, about.
    pub bytes: u64,
    pub file: u64,
    /// Sealed bytes of a byte.
    pub ratio: f64,
    pub new_per_day: u64,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub seed: u64,
    pub limit: Option<&'static str>,
    pub calendar: &'static [&'static str],
    pub month: Option<u64>,
    pub day: Option<u64>,
    /// Bytes a second the line gives, and the part of it that is left in the evening.
    pub line: f64,
    pub evening: f64,
    /// Outages a day, and how long one is on average, seconds. Power cuts a week, and how long they last.
    pub outages: f64,
    pub outage_s: f64,
    pub cuts: f64,
    pub cut_s: f64,
    /// From this day on for so many hours the operator's pause stands.
    pub pause: Option<(u64, u64)>,
    pub folders: Vec<Folder>,
}

pub fn scenarios() -> Vec<Scenario> {
    let folder = |name, rank, bytes, file, ratio, new_per_day| Folder { name, rank, bytes, file, ratio, new_per_day };
    let home = || {
        vec![
            folder("documents", 0, 20 * GB, MB / 5, 0.55, 60 * MB),
            folder("photos", 1, 200 * GB, 8 * MB, 0.97, 350 * MB),
            folder("videos", 2, 450 * GB, 3 * GB, 1.0, 900 * MB),
        ]
    };
    let calm = Scenario {
        name: "limit 2 Mbit/s",
        seed: 1,
        limit: Some("2 Mbit/s"),
        calendar: &[],
        month: None,
        day: None,
        line: 1_250_000.0,
        evening: 0.8,
        outages: 0.4,
        outage_s: 1500.0,
        cuts: 1.0,
        cut_s: 900.0,
        pause: Some((20, 6)),
        folders: home(),
    };
    vec![
        calm.clone(),
        Scenario {
            name: "nights only",
            seed: 2,
            limit: None,
            calendar: &["daily 00:00-24:00 off", "daily 23:00-06:00 5 Mbit/s"],
            ..calm.clone()
        },
        Scenario {
            name: "office hours",
            seed: 3,
            calendar: &["mon-fri 08:00-18:00 500 kbit/s", "daily 01:00-06:00 unlimited", "sun 09:00-22:00 off"],
            line: 600_000.0,
            ..calm.clone()
        },
        Scenario {
            name: "caps",
            seed: 4,
            limit: Some("8 Mbit/s"),
            month: Some(90 * GB),
            day: Some(5 * GB),
            folders: vec![
                folder("documents", 0, 20 * GB, MB / 5, 0.55, 60 * MB),
                folder("photos", 1, 100 * GB, 8 * MB, 0.97, 350 * MB),
            ],
            ..calm.clone()
        },
        Scenario {
            name: "poor line",
            seed: 5,
            limit: Some("20 Mbit/s"),
            line: 300_000.0,
            evening: 0.35,
            outages: 1.5,
            outage_s: 1200.0,
            cuts: 2.0,
            ..calm.clone()
        },
        Scenario {
            name: "16 kbit/s at night",
            seed: 6,
            limit: None,
            calendar: &["daily off", "daily 23:00-05:00 16 kbit/s"],
            pause: None,
            folders: vec![
                folder("letters", 0, 300 * MB, MB / 20, 0.5, MB),
                folder("photos", 1, 1200 * MB, 3 * MB, 0.97, 4 * MB),
            ],
            ..calm.clone()
        },
    ]
}

/// A file, or a lot of small ones, not yet wholly captured.
#[derive(Clone, Debug)]
struct Lot {
    number: u64,
    left: u64,
    noticed: u64,
    ratio: f64,
}

#[derive(Clone, Debug)]
struct Root {
    folder: Folder,
    /// The newest on top.
    queue: Vec<Lot>,
    /// Numbers of lots that are not safe.
    waiting: BTreeSet<u64>,
    next: u64,
}

#[derive(Clone, Debug)]
struct Object {
    size: u64,
    /// Root, and lots whole with it. None: a segment.
    of: Option<(usize, Vec<u64>)>,
}

/// What a power cut leaves.
#[derive(Clone, Debug)]
struct Disk {
    spool: VecDeque<Object>,
    spooled: u64,
    segment: Option<Object>,
    /// Stored and not named; named by the segment in the spool.
    unnamed: Vec<(usize, Vec<u64>)>,
    naming: Vec<(usize, Vec<u64>)>,
    unnamed_since: Option<u64>,
    counted: Vec<Book>,
    given: Vec<f64>,
    files: Vec<Vec<f64>>,
    /// When it last ran, while something waited.
    ran: Option<u64>,
}

/// What it forgets.
#[derive(Clone, Debug)]
struct Run {
    caps: Vec<Cap>,
    unwritten: u64,
    written: u64,
    given: Given,
    files: Vec<Files>,
    /// Of the object under way: bytes gone, and seconds before its body begins.
    gone: f64,
    segment: bool,
    turn: usize,
    head_s: f64,
    retry_at: u64,
    /// Of the minute that is looked at.
    minute: Minute,
    kept_at: u64,
    /// What was allowed a step ago.
    before: Allowed,
    grace_s: u64,
    /// A pack was stored since the window opened; what waits would be cut off when it closes.
    stored: bool,
    last_call: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    sent: f64,
    open_s: u64,
    stored: u64,
    allowed: Option<Allowed>,
}

/// One forecast, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub folder: usize,
    /// Seconds since the begin.
    pub at: u64,
    pub outlook: Outlook,
    /// The last lot known then.
    mark: u64,
    /// When everything up to it was safe; None: not within the eight weeks.
    pub came: Option<u64>,
}

impl Told {
    /// How far off it was, as a part of what was left, a day at least; None where it cannot be said.
    pub fn off(&self) -> Option<f64> {
        let left = (self.came? - self.at) as f64;
        let likely = self.outlook.likely.map_or(f64::INFINITY, |s| s as f64);
        Some((likely - left) / left.max(DAY as f64))
    }
    pub fn within_range(&self) -> Option<bool> {
        let left = self.came? - self.at;
        Some(self.outlook.earliest? <= left + 3600 && self.outlook.latest.is_none_or(|l| left <= l + 3600))
    }
}

pub struct Weeks {
    scenario: Scenario,
    clock: Arc<ManualClock>,
    start: Wall,
    zone: TimeZone,
    calendar: Calendar,
    stretch: Stretch,
    target: u64,
    dice: Dice,
    roots: Vec<Root>,
    disk: Disk,
    run: Option<Run>,
    now: u64,
    outage_until: u64,
    next_outage: f64,
    next_cut: f64,
    on_again: u64,
    mood: f64,
    pub told: Vec<Told>,
    /// Bytes that really went by day and by billing period, and power cuts in each.
    pub sent: u64,
    pub wasted: u64,
    cut_count: u64,
    periods: Vec<(Wall, u64, u64)>,
    stored_tonight: u64,
    open_tonight: u64,
    /// A segment was stored in this step.
    named: bool,
}

impl Weeks {
    pub fn new(scenario: Scenario) -> Self {
        let zone = TimeZone::get("Europe/Berlin").expect("a zone the library knows");
        // Four weeks before the clocks go back.
        let start: Timestamp = "2026-09-28T00:00:00+02:00".parse().expect("a time");
        let start = Wall(start.as_millisecond());
        let windows = scenario.calendar.iter().map(|text| text.parse().expect("an entry")).collect();
        let calendar = Calendar::new(windows, scenario.limit.map(|l| l.parse().expect("a rate")));
        let mut dice = Dice(scenario.seed);
        let roots = scenario.folders.iter().map(|f| Root::filled(f, &mut dice)).collect::<Vec<_>>();
        let caps = Self::caps(&scenario, &[]);
        let disk = Disk {
            spool: VecDeque::new(),
            spooled: 0,
            segment: None,
            unnamed: vec![],
            naming: vec![],
            unnamed_since: None,
            counted: caps.iter().map(|c| c.book().clone()).collect(),
            given: Given::default().figures(),
            files: vec![Files::default().figures(); roots.len()],
            ran: None,
        };
        let stretch = calendar.at(start, &zone);
        let (next_outage, next_cut) =
            (dice.wait(DAY as f64, scenario.outages), dice.wait(7.0 * DAY as f64, scenario.cuts));
        let mut weeks = Self {
            clock: ManualClock::at(start),
            start,
            zone,
            calendar,
            stretch,
            target: PACK,
            dice,
            roots,
            disk,
            run: None,
            now: 0,
            outage_until: 0,
            next_outage,
            next_cut,
            on_again: 0,
            mood: 1.0,
            told: vec![],
            sent: 0,
            wasted: 0,
            cut_count: 0,
            periods: vec![],
            stored_tonight: 0,
            open_tonight: 0,
            named: false,
            scenario,
        };
        weeks.target = weeks.pack_target();
        weeks
    }

    fn caps(scenario: &Scenario, books: &[Book]) -> Vec<Cap> {
        let spans = [(Span::Month { billing_day: 15 }, scenario.month), (Span::Day, scenario.day)];
        let wanted = spans.into_iter().filter_map(|(span, bytes)| Some((span, bytes?)));
        let book = |i: usize| books.get(i).cloned().unwrap_or_default();
        wanted.enumerate().map(|(i, (span, bytes))| Cap::new(span, bytes, bytes / 100, book(i))).collect()
    }

    /// All eight weeks; what was foretold each day, with what came.
    pub fn live(mut self) -> Self {
        while self.now < WEEKS * 7 * DAY {
            self.step();
        }
        self
    }

    fn wall(&self) -> Wall {
        self.clock.wall()
    }

    fn step(&mut self) {
        assert_eq!(self.wall(), self.start.plus(Duration::from_secs(self.now)));
        if self.stretch.until.is_some_and(|until| self.wall() >= until) {
            self.stretch = self.calendar.at(self.wall(), &self.zone);
            self.target = self.pack_target();
        }
        self.people();
        self.weather();
        self.power();
        if let Some(mut run) = self.run.take() {
            self.work(&mut run);
            self.run = Some(run);
        }
        self.night();
        if std::mem::take(&mut self.named) {
            self.settle_told();
        }
        if self.now % DAY == 12 * 3600 && self.now > DAY {
            self.foretell();
        }
        self.clock.advance(Duration::from_secs(STEP));
        self.now += STEP;
    }

    /// Files come by day, mostly.
    fn people(&mut self) {
        if !self.now.is_multiple_of(1800) {
            return;
        }
        let awake = (7..23).contains(&(self.now / 3600 % 24));
        if !awake {
            return;
        }
        for root in &mut self.roots {
            let bytes = root.folder.new_per_day as f64 / 32.0 * (0.3 + 1.4 * self.dice.roll());
            let ratio = root.folder.ratio * (0.9 + 0.2 * self.dice.roll());
            root.add(bytes as u64, self.now, ratio);
            if let Some(run) = &mut self.run {
                let i = root.folder.rank as usize;
                run.files[i].changed(bytes as u64, 0.0);
            }
        }
    }

    fn weather(&mut self) {
        if self.now.is_multiple_of(600) {
            self.mood = 0.85 + 0.3 * self.dice.roll();
        }
        if self.now as f64 >= self.next_outage {
            let long = self.dice.wait(self.scenario.outage_s, 1.0).min(6.0 * self.scenario.outage_s);
            self.outage_until = self.now + long as u64;
            self.next_outage = self.outage_until as f64 + self.dice.wait(DAY as f64, self.scenario.outages);
        }
    }

    fn power(&mut self) {
        if self.run.is_some() && self.now as f64 >= self.next_cut {
            let run = self.run.take().expect("it runs");
            self.wasted += run.gone as u64;
            self.cut_count += 1;
            for period in &mut self.periods {
                period.2 += 1;
            }
            let long = self.dice.wait(self.scenario.cut_s, 1.0).min(6.0 * self.scenario.cut_s);
            self.on_again = self.now + long as u64;
            self.next_cut = self.on_again as f64 + self.dice.wait(7.0 * DAY as f64, self.scenario.cuts);
        }
        if self.run.is_none() && self.now >= self.on_again {
            self.run = Some(self.begin());
        }
    }

    /// A start: everything but what lies on the disk is gone.
    fn begin(&self) -> Run {
        let caps = Self::caps(&self.scenario, &self.disk.counted);
        let mut given = Given::of_figures(&self.disk.given).expect("as it was kept");
        if let Some(ran) = self.disk.ran {
            given.absent(self.start.plus(Duration::from_secs(ran)), self.wall());
        }
        let files = self.disk.files.iter().map(|f| Files::of_figures(f).expect("as it was kept")).collect();
        Run {
            caps,
            unwritten: 0,
            written: self.now,
            given,
            files,
            gone: 0.0,
            segment: false,
            turn: 0,
            head_s: REQUEST_S,
            retry_at: 0,
            minute: Minute::default(),
            kept_at: self.now,
            before: Allowed::Off,
            grace_s: 0,
            stored: false,
            last_call: false,
        }
    }

    fn paused(&self) -> Option<u64> {
        let (day, hours) = self.scenario.pause?;
        let (from, to) = (day * DAY + 36_000, day * DAY + 36_000 + hours * 3600);
        (from..to).contains(&self.now).then_some(to)
    }

    fn work(&mut self, run: &mut Run) {
        self.capture(run);
        self.publish(run.last_call);
        let allowed = if self.paused().is_some() { Allowed::Off } else { self.stretch.allowed };
        // A window that closes lets an object with under a minute to go end.
        run.grace_s = match (run.before, allowed, self.paused()) {
            (Allowed::At(_) | Allowed::Unlimited, Allowed::Off, None) => 60,
            (_, Allowed::Off, None) => run.grace_s.saturating_sub(STEP),
            _ => 0,
        };
        if allowed != Allowed::Off || self.paused().is_some() {
            run.grace_s = 0;
        }
        let rate = if run.grace_s > 0 { run.before } else { allowed };
        self.send(run, rate, allowed);
        if run.grace_s == 0 {
            run.before = allowed;
        }
        if allowed == Allowed::Off {
            (run.stored, run.last_call) = (false, false);
        }
        self.listen(run, allowed);
        self.keep(run);
    }

    fn pack_target(&self) -> u64 {
        let rate = match self.calendar.next_open(self.wall(), &self.zone) {
            Some(Allowed::At(rate)) => rate.get() * 600,
            _ => PACK,
        };
        let cap = self.scenario.day.into_iter().chain(self.scenario.month).min().map_or(PACK, |c| c / 16);
        rate.min(cap).clamp(1 << 20, PACK)
    }

    /// Due files become packs while the spool has room.
    fn capture(&mut self, run: &mut Run) {
        let target = self.target;
        while self.disk.spooled + target <= SPOOL {
            let waits: u64 = self.roots.iter().flat_map(|r| &r.queue).map(|l| l.left).sum();
            let oldest = self.roots.iter().flat_map(|r| &r.queue).map(|l| l.noticed).min();
            let due = waits >= target || oldest.is_some_and(|o| self.now - o >= GATHER_S);
            let Some(i) = (0..self.roots.len()).find(|i| !self.roots[*i].queue.is_empty()).filter(|_| due) else {
                return;
            };
            let (mut size, mut whole, mut source) = (0.0, vec![], 0);
            let root = &mut self.roots[i];
            while let Some(lot) = root.queue.last_mut() {
                let room = (target as f64 - size) / lot.ratio;
                let part = lot.left.min(room as u64 + 1);
                lot.left -= part;
                size += part as f64 * lot.ratio;
                source += part;
                if lot.left > 0 {
                    break;
                }
                whole.push(lot.number);
                root.queue.pop();
                if size >= target as f64 {
                    break;
                }
            }
            run.files[i].sealed(source, size as u64);
            let size = (size as u64).max(300);
            self.disk.spooled += size;
            self.disk.spool.push_back(Object { size, of: Some((i, whole)) });
        }
    }

    /// When drained, on the timetable, and before a window closes; one publication after the other.
    fn publish(&mut self, last_call: bool) {
        if self.disk.segment.is_some() || self.disk.unnamed.is_empty() {
            return;
        }
        let drained = self.disk.spool.is_empty() && self.roots.iter().all(|r| r.queue.is_empty());
        let waited = self.disk.unnamed_since.is_some_and(|since| self.now - since >= PUBLISH_S);
        if drained || waited || last_call {
            self.disk.naming = std::mem::take(&mut self.disk.unnamed);
            self.disk.unnamed_since = None;
            self.disk.segment = Some(Object { size: SEGMENT, of: None });
        }
    }

    fn line(&self) -> f64 {
        if self.now < self.outage_until {
            return 0.0;
        }
        let evening = (18..23).contains(&(self.now / 3600 % 24));
        self.scenario.line * self.mood * if evening { self.scenario.evening } else { 1.0 }
    }

    fn send(&mut self, run: &mut Run, rate: Allowed, allowed: Allowed) {
        let limit = match rate {
            Allowed::Off => 0.0,
            Allowed::At(limit) => limit.get() as f64,
            Allowed::Unlimited => f64::INFINITY,
        };
        let speed = limit.min(self.line());
        let mut left = STEP as f64;
        let mut went = 0.0;
        if speed <= 0.0 {
            // Cut off: what was under way goes again from its first byte.
            self.give_up(run);
            if limit > 0.0 {
                run.retry_at = self.now + 30;
            }
            return;
        }
        let wall = self.wall();
        let mut data_left = run.caps.iter().map(|c| c.left(wall, &self.zone)).min().unwrap_or(u64::MAX);
        let mut log_left = run.caps.iter().map(|c| c.left_for_log(wall, &self.zone)).min().unwrap_or(u64::MAX);
        while left > 0.0 && self.now >= run.retry_at {
            let begins = run.gone == 0.0;
            if begins {
                run.segment = self.disk.segment.is_some();
                run.turn = self.turn();
            }
            let is_segment = run.segment;
            let next = if is_segment { self.disk.segment.as_ref() } else { self.disk.spool.get(run.turn) };
            let Some(object) = next else { break };
            let size = object.size as f64 * WIRE;
            if begins && !is_segment && data_left < self.kept_back() {
                break;
            }
            if begins && is_segment && log_left < SEGMENT * 2 {
                break;
            }
            if begins && !is_segment && run.grace_s == 0 && !self.ends_in_time(run.stored, object.size, speed) {
                run.last_call = true;
                break;
            }
            // Only what ends in time goes on while the window closes.
            if run.grace_s > 0 && (begins || (size - run.gone) / speed > run.grace_s as f64) {
                self.give_up(run);
                break;
            }
            if run.head_s > 0.0 {
                let pause = run.head_s.min(left);
                run.head_s -= pause;
                left -= pause;
                continue;
            }
            let part = (size - run.gone).min(speed * left);
            let before = run.gone as u64;
            run.gone += part;
            went += part;
            left -= part / speed;
            let counted = run.gone as u64 - before;
            for cap in &mut run.caps {
                cap.count(counted, wall, &self.zone);
            }
            run.unwritten += counted;
            (data_left, log_left) = (data_left.saturating_sub(counted), log_left.saturating_sub(counted));
            self.count_periods(run, counted, is_segment);
            if size - run.gone < 1.0 {
                run.gone = 0.0;
                run.head_s = REQUEST_S;
                self.stored(run, is_segment);
            }
        }
        run.minute.sent += went / WIRE;
        self.sent += went as u64;
        assert!(went <= limit * STEP as f64 * 1.02 + 1.0, "{went} bytes in {STEP} s at a limit of {limit}");
        assert!(allowed != Allowed::Off || run.grace_s > 0 || went == 0.0, "{went} bytes went while nothing may");
        assert!(self.paused().is_none() || went == 0.0, "{went} bytes went during a pause");
    }

    /// Whether a pack may begin before the window closes, if it does.
    fn ends_in_time(&self, one_was_stored: bool, size: u64, speed: f64) -> bool {
        let Some(shuts_at) = self.stretch.shuts_at.filter(|_| one_was_stored) else { return true };
        let left = shuts_at.since(self.wall()).as_secs().saturating_sub(LOG_ALONE.as_secs());
        size as f64 <= left as f64 * speed * 0.94
    }

    /// Higher ranks first, in a rank the oldest: what waits for the next object's turn.
    fn turn(&self) -> usize {
        let ranks = self.disk.spool.iter().map(|o| o.of.as_ref().map_or(0, |(root, _)| self.roots[*root].folder.rank));
        ranks.enumerate().min_by_key(|(i, rank)| (*rank, *i)).map_or(0, |(i, _)| i)
    }

    /// No pack begins with less than this left of a cap.
    fn kept_back(&self) -> u64 {
        let caps = self.scenario.day.into_iter().chain(self.scenario.month);
        caps.map(|cap| (cap / 16).min(64 << 20)).min().unwrap_or(0)
    }

    fn give_up(&mut self, run: &mut Run) {
        self.wasted += run.gone as u64;
        run.gone = 0.0;
        run.head_s = REQUEST_S;
    }

    /// What really went in each period of the caps, beside what the caps were told.
    fn count_periods(&mut self, run: &Run, bytes: u64, is_segment: bool) {
        let caps: Vec<&Cap> = run.caps.iter().collect();
        self.periods.resize(caps.len(), (Wall(0), 0, 0));
        for (cap, period) in caps.into_iter().zip(&mut self.periods) {
            let ends = cap.resets_at(self.start.plus(Duration::from_secs(self.now)), &self.zone);
            if period.0 != ends {
                *period = (ends, 0, 0);
            }
            period.1 += bytes;
            // A power cut may forget what was counted since it was last written.
            let forgotten = period.2 * (KEEP_USAGE_BYTES + 30 * 3_000_000);
            assert!(period.1 <= cap.bytes + forgotten, "{} of a cap of {}", period.1, cap.bytes);
            let for_data = cap.bytes - cap.reserve;
            assert!(is_segment || period.1 <= for_data + PACK + forgotten, "the reserve is for the log");
        }
    }

    fn stored(&mut self, run: &mut Run, is_segment: bool) {
        if is_segment {
            let segment = self.disk.segment.take().expect("it was sent");
            run.minute.stored += segment.size;
            self.named = true;
            for (root, lots) in self.disk.naming.drain(..) {
                for lot in lots {
                    self.roots[root].waiting.remove(&lot);
                }
            }
        } else {
            let pack = self.disk.spool.remove(run.turn).expect("it was sent");
            self.disk.spooled -= pack.size;
            run.minute.stored += pack.size;
            self.stored_tonight += pack.size;
            run.stored = true;
            self.disk.unnamed.extend(pack.of);
            self.disk.unnamed_since.get_or_insert(self.now);
        }
    }

    /// The look of a minute.
    fn listen(&mut self, run: &mut Run, allowed: Allowed) {
        let wall = self.wall();
        let full = run.caps.iter().any(|c| c.left(wall, &self.zone) < self.kept_back());
        let wanted = !self.disk.spool.is_empty() && !full;
        let rests = run.last_call || run.stored && !self.ends_in_time(true, 1, 1e9);
        if wanted && allowed != Allowed::Off && !rests {
            if run.minute.allowed.is_some_and(|a| a != allowed) {
                self.hear(run);
            }
            run.minute.allowed = Some(allowed);
            run.minute.open_s += STEP;
            self.open_tonight += STEP;
        }
        if self.now % 60 == 60 - STEP {
            self.hear(run);
            for files in &mut run.files {
                files.changed(0, 60.0);
            }
        }
        self.disk.ran = (wanted && allowed != Allowed::Off).then_some(self.now);
    }

    fn hear(&self, run: &mut Run) {
        let minute = std::mem::take(&mut run.minute);
        if let Some(allowed) = minute.allowed {
            let at = self.wall();
            run.given.hear(&Heard { at, seconds: minute.open_s as f64, allowed, sent: minute.sent as u64 });
        }
        run.given.landed(minute.sent as u64, minute.stored);
    }

    fn keep(&mut self, run: &mut Run) {
        if run.unwritten >= KEEP_USAGE_BYTES || self.now - run.written >= KEEP_USAGE_S {
            self.disk.counted = run.caps.iter().map(|c| c.book().clone()).collect();
            (run.unwritten, run.written) = (0, self.now);
        }
        if self.now - run.kept_at >= KEEP_S {
            self.disk.given = run.given.figures();
            self.disk.files = run.files.iter().map(Files::figures).collect();
            run.kept_at = self.now;
        }
    }

    /// At noon: a night that was open for two hours or more, while something waited, brought at least a pack home.
    fn night(&mut self) {
        if self.now % DAY != 12 * 3600 {
            return;
        }
        let (stored, open) = (std::mem::take(&mut self.stored_tonight), std::mem::take(&mut self.open_tonight));
        if open >= 7200 && self.now > DAY {
            assert!(stored > 0, "day {}: open for {open} s, and nothing came home", self.now / DAY);
        }
    }

    fn foretell(&mut self) {
        let Some(run) = &self.run else { return };
        let needs: Vec<Need> = (0..self.roots.len())
            .map(|i| {
                let root = &self.roots[i];
                let mine = |o: &&Object| o.of.as_ref().is_some_and(|(r, _)| *r == i);
                Need {
                    rank: root.folder.rank,
                    unread: root.queue.iter().map(|l| l.left).sum(),
                    sealed: self.disk.spool.iter().filter(mine).map(|o| o.size).sum(),
                    ratio: run.files[i].ratio_or(root.folder.file),
                    new_per_day: run.files[i].new_per_day(),
                    unnamed: !root.waiting.is_empty(),
                }
            })
            .collect();
        let habits = Habits {
            publish_every: Duration::from_secs(PUBLISH_S),
            gather: Duration::from_secs(GATHER_S),
            pack: self.target,
            object: self.target,
            spool: SPOOL,
        };
        let plan = Plan {
            now: self.wall(),
            calendar: self.calendar.clone(),
            zone: self.zone.clone(),
            ordered: None,
            paused: self.paused().map(|to| Some(self.start.plus(Duration::from_secs(to)))),
            own: None,
            sharing: 1,
            pack: self.target,
            caps: run.caps.clone(),
        };
        let Some(outlooks) = forecast(self.wall(), &needs, &run.given, &habits, || plan.teller()) else { return };
        for (folder, outlook) in outlooks.into_iter().enumerate() {
            let root = &self.roots[folder];
            if let Some(mark) = root.waiting.last().copied() {
                assert!(outlook.earliest.is_none_or(|s| s > 0), "something waits, and it says 0 s");
                self.told.push(Told { folder, at: self.now, outlook, mark, came: None });
            }
        }
    }

    fn settle_told(&mut self) {
        for told in self.told.iter_mut().filter(|t| t.came.is_none()) {
            let root = &self.roots[told.folder];
            if root.waiting.first().is_none_or(|first| *first > told.mark) {
                told.came = Some(self.now);
            }
        }
    }

    pub fn folder(&self, number: usize) -> &'static str {
        self.roots[number].folder.name
    }

    pub fn cuts(&self) -> u64 {
        self.cut_count
    }
}

impl Root {
    /// The first walk found everything at once.
    fn filled(folder: &Folder, dice: &mut Dice) -> Self {
        let mut root = Self { folder: folder.clone(), queue: vec![], waiting: BTreeSet::new(), next: 0 };
        // Small files in lots: a lot is at most a fiftieth of the folder.
        let lot = folder.file.max(folder.bytes / 50);
        let mut left = folder.bytes;
        while left > 0 {
            let bytes = lot.min(left);
            root.add(bytes, 0, folder.ratio * (0.8 + 0.4 * dice.roll()));
            left -= bytes;
        }
        root
    }

    fn add(&mut self, bytes: u64, noticed: u64, ratio: f64) {
        self.next += 1;
        self.waiting.insert(self.next);
        self.queue.push(Lot { number: self.next, left: bytes.max(1), noticed, ratio: ratio.min(1.02) });
    }
}
