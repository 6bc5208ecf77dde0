//! A console for tests of the faces: shows the status it is given and writes down what it is asked to do. The scenes
//! are states of the world the page must show well, nasty names included.

use panicroom::daemon::console::{
    Bound, CapStatus, CheckStatus, Console, Event, Explanation, FailedPath, ForecastStatus, Lasting, MannersStatus,
    Mood, Overall, PartStatus, RequestCounts, RootForecast, RootStatus, Status, UplinkStatus, VaultStatus, Verified,
    VerifyAsk, VerifyStatus, WireStatus,
};
use panicroom::error::{Error, Result};
use panicroom::model::TreePath;
use std::sync::{Arc, Mutex};

pub struct ConsoleDouble {
    pub status: Mutex<Status>,
    pub unhealthy: Mutex<Option<String>>,
    /// What was asked, in order; looking is not asking.
    pub asked: Mutex<Vec<String>>,
}

impl ConsoleDouble {
    pub fn showing(status: Status) -> Arc<Self> {
        Arc::new(Self { status: Mutex::new(status), unhealthy: Mutex::default(), asked: Mutex::default() })
    }
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
    fn note(&self, what: impl Into<String>) {
        self.asked.lock().unwrap().push(what.into());
    }
}

impl Console for ConsoleDouble {
    fn status(&self) -> Status {
        self.status.lock().unwrap().clone()
    }
    fn unhealthy(&self) -> Option<String> {
        self.unhealthy.lock().unwrap().clone()
    }
    fn pause(&self, lasting: Lasting) -> Result<()> {
        self.note(format!("pause{}", ending(lasting)));
        self.status.lock().unwrap().state = Overall::Paused;
        Ok(())
    }
    fn resume(&self) -> Result<()> {
        self.note("resume");
        self.status.lock().unwrap().state = Overall::Working;
        Ok(())
    }
    fn limit(&self, bound: Bound, lasting: Lasting) -> Result<()> {
        let rate = if let Bound::At(rate) = bound { Some(rate.get()) } else { None };
        let what = if bound == Bound::Configured { "configured".to_owned() } else { format!("{rate:?}") };
        self.note(format!("limit {what}{}", ending(lasting)));
        self.status.lock().unwrap().limit_bytes_per_s = rate;
        Ok(())
    }
    fn rescan(&self) -> Result<()> {
        self.note("rescan");
        Err(Error::retry("walk the roots: one walk is under way already"))
    }
    fn explain(&self, path: &TreePath) -> Result<Explanation> {
        Ok(Explanation { path: path.to_string(), rule: "no rule: kept".into(), chosen: true, stages: vec![] })
    }
    fn forecast(&self, what_if: &[String]) -> Result<ForecastStatus> {
        self.note(format!("forecast {}", what_if.join("|")));
        if what_if.iter().any(|text| text == "nonsense") {
            return Err(Error::operator("understand what is supposed: 'nonsense'"));
        }
        let root = |path: &str, state: &str, likely: Option<u64>| RootForecast {
            path: path.into(),
            vault: "cloud".into(),
            state: state.into(),
            waiting_bytes: 9_000_000_000,
            likely_s: likely,
            earliest_s: likely.map(|s| s / 2),
            latest_s: likely.map(|s| s * 2),
            likely: likely.map(|_| "2026-08-04T18:00:00Z".into()),
            ..RootForecast::default()
        };
        Ok(ForecastStatus {
            at: "2026-08-03T14:00:00Z".into(),
            what_if: what_if.to_vec(),
            roots: vec![root("/volume1/documents", "waiting", Some(100_800)), root(NASTY, "never", None)],
            assumptions: vec!["cloud: 31 h of sending were seen; the line was there 98 % of that time.".into()],
        })
    }
    fn backup_now(&self) -> Result<()> {
        self.note("backup");
        Ok(())
    }
    fn verify(&self, asked: &VerifyAsk) -> Result<Vec<Verified>> {
        self.note(format!("verify {}", asked.level));
        Ok(vec![])
    }
}

fn ending(lasting: Lasting) -> String {
    if lasting == Lasting::Always { String::new() } else { format!(" {lasting:?}") }
}

/// A name that tries what names can try: markup, an attribute, a script, and 1 kB of it.
pub const NASTY: &str = "/volume1/photos/<script>alert(1)</script>\"' onmouseover=alert(2) &amp; {{x}}.jpg";

pub fn long_name() -> String {
    format!("/volume1/photos/{}.tiff", "a_very_long_name_without_a_single_space_".repeat(12))
}

fn root(path: &str, files: u64, bytes: u64) -> RootStatus {
    RootStatus {
        path: path.into(),
        path_b64: None,
        state: "safe".into(),
        files,
        bytes,
        safe_files: files,
        safe_bytes: bytes,
        dirty: 0,
        failed: 0,
        changed_while_read: 0,
        lag_s: Some(0),
        eta_s: None,
        eta_earliest_s: None,
        eta_latest_s: None,
        eta_at: None,
        progress: Some(1000),
        error: None,
        same_disk: false,
    }
}

fn manners() -> MannersStatus {
    MannersStatus {
        state: "on".into(),
        delay_ms: None,
        rate_bytes_per_s: Some(1_200_000),
        bounds: false,
        text: "Polite: nothing is being sent".into(),
    }
}

fn vault(name: &str, url: &str) -> VaultStatus {
    VaultStatus {
        name: name.into(),
        url: url.into(),
        state: "idle".into(),
        roots: vec!["/volume1/documents".into(), "/volume1/photos".into()],
        stored_bytes: 412_000_000_000,
        stored_objects: 16_482,
        queued_bytes: 0,
        queued_files: 0,
        spool_bytes: 0,
        rate_bytes_per_s: Some(0),
        limit_bytes_per_s: None,
        download_bytes_per_s: None,
        manners: url.starts_with("s3:").then(manners),
        wire: Some(WireStatus { sent_bytes: 434_000_000_000, received_bytes: 9_100_000_000 }),
        sent_bytes_total: 415_300_000_000,
        requests: RequestCounts { put: 16_530, get: 0, head: 0, list: 212, thaw: 0 },
        lag_s: Some(0),
        eta_s: None,
        eta_earliest_s: None,
        eta_latest_s: None,
        last_segment: Some("2026-08-03T13:51:00Z".into()),
        last_error: None,
        sheet_checked: Some("2026-07-30T19:02:00Z".into()),
        sheet_due: Some(false),
        drill: None,
        drill_due: Some(false),
        verify: Some(VerifyStatus {
            inventory: Some(CheckStatus {
                at: "2026-08-03T03:00:00Z".into(),
                looked: 16_482,
                bytes: 412_000_000_000,
                proves: "all of it is there".into(),
                ..CheckStatus::default()
            }),
            ..VerifyStatus::default()
        }),
    }
}

fn event(at: &str, level: &str, text: &str) -> Event {
    Event { at: at.into(), level: level.into(), text: text.into() }
}

/// Two folders, two vaults, everything safe.
/// A line with a calendar of three entries and a cap, at work by day.
pub fn uplink() -> UplinkStatus {
    let part = |from: &str, to: &str, rate: Option<u64>, allowed: &str, entry: Option<&str>| PartStatus {
        from: from.into(),
        to: to.into(),
        allowed: allowed.into(),
        bytes_per_s: rate,
        entry: entry.map(Into::into),
    };
    let plain = |from, to| part(from, to, Some(250_000), "250 kB/s", None);
    let night = part("01:00", "06:00", None, "unlimited", Some("daily 01:00-06:00 unlimited"));
    let day = part("08:00", "18:00", Some(62_500), "62.5 kB/s", Some("mon-fri 08:00-18:00 500 kbit/s"));
    let work = vec![plain("00:00", "01:00"), night, plain("06:00", "08:00"), day, plain("18:00", "24:00")];
    let rest = vec![part("00:00", "24:00", None, "off", Some("sat,sun off"))];
    UplinkStatus {
        now: "At most 62.5 kB/s until 18:00, by the window \"mon-fri 08:00-18:00 500 kbit/s\".".into(),
        up_bytes_per_s: Some(62_500),
        why: "window".into(),
        until: Some("2026-08-03T16:00:00Z".into()),
        calendar_until: Some("2026-08-03T16:00:00Z".into()),
        zone: "Europe/Berlin".into(),
        caps: vec![CapStatus {
            span: "month".into(),
            bytes: 200_000_000_000,
            used: 61_400_000_000,
            left: 136_600_000_000,
            reserve: 2_000_000_000,
            since: "2026-07-31T22:00:00Z".into(),
            resets: "2026-08-31T22:00:00Z".into(),
            counted_since: None,
        }],
        week: vec![work.clone(), work.clone(), work.clone(), work.clone(), work, rest.clone(), rest],
        ..UplinkStatus::default()
    }
}

pub fn all_good() -> Status {
    Status {
        state: Overall::Idle,
        headline: "Everything is safe: 184,311 files in 2 vaults".into(),
        mood: Mood::Good,
        advice: None,
        version: "0.1.0".into(),
        uptime_s: 1_036_800,
        limit_bytes_per_s: Some(250_000),
        roots: vec![
            root("/volume1/documents", 61_204, 38_400_000_000),
            root("/volume1/photos", 123_107, 391_000_000_000),
        ],
        vaults: vec![
            vault("cloud", "s3://home-panicroom/nas?region=eu-central-1&class=DEEP_ARCHIVE"),
            vault("usb", "file:///mnt/usb/vault"),
        ],
        failed: vec![],
        lost: vec![],
        events: vec![
            event("2026-08-03T13:51:00Z", "good", "everything is safe"),
            event("2026-08-03T13:22:00Z", "note", "38 files of /volume1/photos changed"),
            event("2026-08-03T02:00:00Z", "note", "walked /volume1/documents: 61,204 files, nothing missed"),
            event("2026-08-02T19:04:00Z", "warning", "cloud: no connection for 12 minutes, went on after"),
        ],
        uplink: Some(uplink()),
    }
}

/// The first weeks: one folder walked and going up, one still being walked.
pub fn first_backup() -> Status {
    let mut status = all_good();
    status.state = Overall::Working;
    status.mood = Mood::Busy;
    status.headline = "The first backup is under way: 71,220 of 184,311 files are safe".into();
    status.advice = Some("At this rate it takes about 5 more weeks. Nothing needs to be done.".into());
    status.uptime_s = 5400;
    let documents = &mut status.roots[0];
    (documents.state, documents.safe_files, documents.safe_bytes) = ("working".into(), 58_113, 33_120_000_000);
    (documents.dirty, documents.lag_s, documents.eta_s) = (3_091, Some(172_000), Some(21_000));
    let photos = &mut status.roots[1];
    (photos.state, photos.safe_files, photos.safe_bytes) = ("checking".into(), 13_107, 29_000_000_000);
    (photos.dirty, photos.lag_s, photos.eta_s) = (110_000, None, None);
    status.vaults.truncate(1);
    let cloud = &mut status.vaults[0];
    (cloud.state, cloud.stored_bytes, cloud.stored_objects) = ("working".into(), 62_120_000_000, 2_491);
    (cloud.queued_files, cloud.queued_bytes, cloud.spool_bytes) = (113_091, 367_000_000_000, 498_000_000);
    (cloud.rate_bytes_per_s, cloud.eta_s, cloud.last_segment) = (Some(248_700), Some(3_100_000), None);
    let manners = cloud.manners.as_mut().unwrap();
    (manners.delay_ms, manners.rate_bytes_per_s, manners.bounds) = (Some(12), Some(248_000), true);
    manners.text = "Polite: others' packets wait 12 ms; sending at most 248 kB/s".into();
    status.events.truncate(1);
    status.events[0] = event("2026-08-03T12:31:00Z", "note", "started; checking 2 folders");
    status
}

/// No limit was ordered, and the vault keeps one of its own.
pub fn own_limit() -> Status {
    let mut status = first_backup();
    status.limit_bytes_per_s = Some(400_000);
    status.vaults[0].limit_bytes_per_s = Some(400_000);
    let uplink = status.uplink.as_mut().unwrap();
    uplink.now = "No limit from now on, as ordered; the calendar is set aside.".into();
    (uplink.why, uplink.up_bytes_per_s, uplink.until) = ("ordered".into(), None, None);
    uplink.own_limits = vec!["Vault cloud keeps its own limit of 400 kB/s.".into()];
    let manners = status.vaults[0].manners.as_mut().unwrap();
    (manners.rate_bytes_per_s, manners.bounds) = (Some(1_200_000), false);
    manners.text = "Polite: others' packets wait 12 ms; it would let 1.20 MB/s go, the limit is lower".into();
    status
}

/// `quickstart` on one disk: all safe, and yet amber.
pub fn same_disk() -> Status {
    let mut status = all_good();
    status.mood = Mood::Warning;
    status.headline = "All 61,204 files are in the vault, but it lies on the same disk".into();
    status.advice =
        Some("A fire, a thief or a dead disk takes both. Add a vault elsewhere: panicroom setup aws".into());
    status.limit_bytes_per_s = None;
    status.roots.truncate(1);
    status.roots[0].same_disk = true;
    status.vaults.remove(0);
    status
}

/// Files that cannot be read under names that try everything, and a vault that refuses.
pub fn alarm() -> Status {
    let mut status = all_good();
    status.state = Overall::Attention;
    status.mood = Mood::Alarm;
    status.headline = "5 files are not backed up, and the vault cloud refuses us".into();
    status.advice = Some("Give the daemon the right to read them, and renew the credentials of cloud.".into());
    let photos = &mut status.roots[1];
    (photos.state, photos.safe_files, photos.failed) = ("failed".into(), 123_098, 5);
    (photos.changed_while_read, photos.dirty, photos.lag_s) = (4, 9, Some(301_000));
    status.roots.push(RootStatus {
        state: "missing".into(),
        error: Some("the folder is not there; is its disk mounted? Nothing of it is taken as deleted".into()),
        lag_s: None,
        dirty: 1,
        ..root("/mnt/usb2/video", 1_022, 1_440_000_000_000)
    });
    let cloud = &mut status.vaults[0];
    cloud.state = "attention".into();
    cloud.last_error = Some("list s3://home-panicroom/nas: access denied (403); renew the access key".into());
    (cloud.queued_files, cloud.queued_bytes, cloud.spool_bytes) = (9, 78_000_000, 78_100_000);
    cloud.rate_bytes_per_s = None;
    let failed = |path: &str, error: &str| FailedPath {
        path: path.into(),
        path_b64: None,
        error: error.into(),
        since: "2026-08-01T22:10:00Z".into(),
    };
    status.failed = vec![
        failed(NASTY, "permission denied"),
        failed("/volume1/photos/\\xe2\\x80\\xaegpj.exe", "permission denied"),
        failed("/volume1/photos/صور العائلة/٢٠٢٤/عيد.jpg", "input/output error"),
        failed(&long_name(), "it changed while it was read, 5 times"),
        failed("/volume1/photos/a\\nb\\xff", "permission denied"),
    ];
    status.events.insert(0, event("2026-08-03T13:58:00Z", "alarm", "cloud: access denied (403)"));
    status.events.insert(1, event("2026-08-01T22:10:00Z", "alarm", &format!("cannot read {NASTY}")));
    status
}
