use super::*;
use crate::config::{Reserve, UplinkSettings};
use crate::daemon::home::Home;
use crate::model::{Size, TreePath};
use jiff::Timestamp;
use std::time::Duration;

/// A Monday at noon in Berlin.
const NOON: &str = "2026-11-23T11:00:00Z";
const HOUR: Duration = Duration::from_secs(3600);

struct Scene {
    calendar: Calendar,
    orders: Orders,
    usage: Usage,
    link: Option<String>,
}

fn utc(text: &str) -> Wall {
    Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
}
#[expect(clippy::unnecessary_wraps, reason = "as limits are")]
fn rate(text: &str) -> Option<Rate> {
    Some(text.parse().unwrap())
}
fn zone() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

/// `limit` 1 MB/s outside the windows; month and day as caps.
fn scene(windows: &[&str], caps: Option<(u64, u64)>) -> Scene {
    let settings = UplinkSettings {
        limit: rate("1 MB/s"),
        download: rate("3 MB/s"),
        calendar: windows.iter().map(|w| w.parse().unwrap()).collect(),
        month: caps.map(|c| Size(c.0)),
        day: caps.map(|c| Size(c.1)),
        billing_day: 1,
        reserve: Reserve::Percent(1),
        polite: true,
    };
    let nowhere = tempfile::tempdir().unwrap();
    let home = Home::new(&TreePath::from_typed(nowhere.path()).unwrap());
    Scene {
        usage: Usage::read(&home, &settings, utc(NOON), Steady::default()),
        calendar: Calendar::new(settings.calendar, settings.limit),
        orders: Orders::default(),
        link: None,
    }
}

impl Scene {
    fn at(&self, wall: Wall, steady: Duration) -> Now {
        let known = (Steady::default(), Steady::default());
        let link = self.link.as_deref();
        let given = Given {
            calendar: &self.calendar,
            download: rate("3 MB/s"),
            orders: &self.orders,
            known,
            usage: &self.usage,
            link,
        };
        given.decide(wall, Steady(steady), &zone())
    }
    fn now(&self) -> Now {
        self.at(utc(NOON), Duration::ZERO)
    }
}

#[test]
fn without_orders_the_calendar_holds_and_outside_its_windows_the_plain_limit() {
    let day = scene(&["mon-fri 08:00-18:00 500 kbit/s"], None);
    let now = day.now();
    assert_eq!((now.rates.up, now.rates.down), (rate("500 kbit/s"), rate("3 MB/s")));
    assert_eq!((now.why, now.hold, now.until), (Why::Window(0), None, Some(utc("2026-11-23T17:00:00Z"))));
    let evening = day.at(utc("2026-11-23T18:00:00Z"), Duration::ZERO);
    assert_eq!((evening.rates.up, evening.why), (rate("1 MB/s"), Why::Configured));
}

#[test]
fn an_ordered_limit_stands_in_the_place_of_the_calendar_off_included_and_gives_it_back() {
    let mut off = scene(&["daily off", "daily 20:00-22:00 2 MB/s"], None);
    assert_eq!(off.now().hold, Some(Hold::Window(0)));
    let until = utc(NOON).plus(HOUR);
    off.orders.set_limit(Some(rate("100 kB/s").into()), utc(NOON), Some(until));
    let now = off.now();
    assert_eq!((now.rates.up, now.hold, now.until), (rate("100 kB/s"), None, Some(until)));
    assert_eq!(off.at(until, HOUR).hold, Some(Hold::Window(0)));
    assert_eq!(
        (now.shuts_at, off.at(until, HOUR).shuts_at),
        (Some(until), None),
        "off when the order ends, and then off"
    );
    let evening = off.at(utc("2026-11-23T19:30:00Z"), HOUR);
    assert_eq!(evening.shuts_at, Some(utc("2026-11-23T21:00:00Z")), "when the window ends");
    off.orders.set_limit(Some(None.into()), utc(NOON), None);
    let now = off.now();
    assert_eq!((now.rates.up, now.hold, now.until, now.pack_bound), (None, None, None, None));
    assert_eq!(now.shuts_at, None, "the calendar is set aside");
}

#[test]
fn a_pause_beats_everything_and_ends_by_itself() {
    let mut scene = scene(&["daily off", "daily 20:00-22:00 2 MB/s"], Some((1_000_000_000, 1_000_000_000)));
    scene.link = Some("the phone's network".into());
    let until = utc(NOON).plus(HOUR);
    scene.orders.set_limit(Some(None.into()), utc(NOON), None);
    scene.orders.set_pause(utc(NOON), Some(until));
    let now = scene.now();
    assert!(matches!(now.hold, Some(Hold::Paused(_))) && now.hold == now.hold_of_buckets);
    assert_eq!(now.until, Some(until));
    let after = scene.at(until, HOUR);
    assert_eq!((after.hold, after.hold_of_buckets), (None, Some(Hold::Link("the phone's network".into()))));
    // The wall clock was put back a day: an hour is an hour.
    assert_eq!(scene.at(utc("2026-11-22T11:00:00Z"), HOUR).hold, None);
    assert!(scene.at(utc("2026-11-22T11:00:00Z"), HOUR / 2).hold.is_some());
}

#[test]
fn a_cap_that_is_used_up_leaves_its_reserve_to_the_log_and_folders_alone() {
    let mut scene = scene(&[], Some((100_000_000_000, 1_600_000_000)));
    scene.usage.count(1_400_000_000, utc(NOON), &zone());
    let now = scene.now();
    assert_eq!((now.hold_of_buckets, now.one_at_a_time), (None, true), "for a last pack or two");
    scene.usage.count(180_000_000, utc(NOON), &zone());
    let now = scene.now();
    assert_eq!((now.hold_of(false), now.hold_of(true)), (None, Some(&Hold::Cap(Span::Day))));
    assert_eq!(now.hold_of(true).map(Hold::may), Some(May::Log));
    assert!(now.underway_ends, "what was begun ends in what was kept back");
    assert_eq!(now.until, Some(utc("2026-11-23T23:00:00Z")));
    scene.usage.count(20_000_000, utc(NOON), &zone());
    assert_eq!(scene.now().hold_of(true).map(Hold::may), Some(May::Nothing));
    assert!(!scene.now().underway_ends);
    let tomorrow = scene.at(utc("2026-11-23T23:00:00Z"), Duration::ZERO);
    assert_eq!((tomorrow.hold_of_buckets, tomorrow.one_at_a_time), (None, false));
}

#[test]
fn packs_are_made_for_the_line_they_will_go_over() {
    let bound = |windows: &[&str], caps| scene(windows, caps).now().pack_bound;
    assert_eq!(bound(&[], None), Some(600_000_000), "ten minutes at 1 MB/s");
    assert_eq!(bound(&["daily 16 kbit/s"], None), Some(1_200_000));
    assert_eq!(bound(&["daily 1 kbit/s"], None), Some(1 << 20), "never less");
    // Shut now: as the next window will be, and so that one fits into it wherever it begins.
    assert_eq!(bound(&["daily off", "daily 01:00-06:00 16 kB/s"], None), Some(9_600_000));
    assert_eq!(bound(&["daily off", "daily 01:00-01:05 100 kB/s"], None), Some(15_000_000));
    assert_eq!(bound(&["daily unlimited"], None), None);
    assert_eq!(bound(&["daily unlimited"], Some((1_000_000_000, 320_000_000))), Some(10_000_000));
    assert_eq!(scene(&[], None).now().pack_bound_of(rate("16 kbit/s")), 1_200_000);
    assert_eq!(scene(&["daily unlimited"], None).now().pack_bound_of(None), 0);
}
