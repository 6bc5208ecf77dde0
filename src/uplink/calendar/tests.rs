use super::*;
use proptest::prelude::*;

const MINUTE: i64 = 60_000;
/// Two of them set their clocks by an hour, one by half an hour, one never but lies at a quarter.
const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"];

fn calendar(windows: &[&str], otherwise: Option<&str>) -> Calendar {
    Calendar::new(windows.iter().map(|w| w.parse().unwrap()).collect(), otherwise.map(|r| r.parse().unwrap()))
}
fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}
fn utc(text: &str) -> Wall {
    Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
}
fn rate(text: &str) -> Allowed {
    Allowed::At(text.parse().unwrap())
}

#[test]
fn the_last_entry_that_holds_decides_and_the_plain_limit_where_none_does() {
    let all =
        calendar(&["mon-fri 08:00-18:00 500 kbit/s", "daily 01:00-06:00 unlimited", "sat,sun off"], Some("2 Mbit/s"));
    let berlin = zone("Europe/Berlin");
    // A Monday; Berlin is an hour ahead.
    let at = |text: &str| all.at(utc(text), &berlin);
    let expect = |allowed, until: &str, entry| {
        let shuts_at = (allowed != Allowed::Off).then(|| utc("2026-11-27T23:00:00Z"));
        Stretch { allowed, until: Some(utc(until)), shuts_at, entry }
    };
    assert_eq!(at("2026-11-23T07:00:00Z"), expect(rate("500 kbit/s"), "2026-11-23T17:00:00Z", Some(0)));
    assert_eq!(at("2026-11-23T06:59:59.999Z"), expect(rate("2 Mbit/s"), "2026-11-23T07:00:00Z", None));
    assert_eq!(at("2026-11-23T02:00:00Z"), expect(Allowed::Unlimited, "2026-11-23T05:00:00Z", Some(1)));
    assert_eq!(at("2026-11-28T02:00:00Z"), expect(Allowed::Off, "2026-11-29T23:00:00Z", Some(2)));
    assert_eq!(all.next_open(utc("2026-11-28T02:00:00Z"), &berlin), Some(rate("2 Mbit/s")));
}

#[test]
fn what_never_changes_has_no_end_and_what_never_opens_no_next() {
    let berlin = zone("Europe/Berlin");
    let plain = calendar(&[], None).at(Wall(0), &berlin);
    assert_eq!(plain, Stretch { allowed: Allowed::Unlimited, until: None, shuts_at: None, entry: None });
    let shut = calendar(&["daily off"], None);
    assert_eq!(shut.at(Wall(0), &berlin).until, None);
    assert_eq!(shut.next_open(Wall(0), &berlin), None);
    // At the ends of what a calendar knows there is an answer too.
    for far in [i64::MIN, i64::MAX] {
        let said = calendar(&["mon off"], None).at(Wall(far), &berlin);
        assert!(said.until.is_none_or(|until| until > Wall(far)));
    }
}

#[test]
fn an_hour_that_is_skipped_is_in_no_window_and_one_shown_twice_is_in_it_twice() {
    let berlin = zone("Europe/Berlin");
    // 2026-03-29 02:00 becomes 03:00 at 01:00 UTC.
    let skipped = calendar(&["daily 02:00-02:30 off"], None);
    assert_eq!(skipped.at(utc("2026-03-28T12:00:00Z"), &berlin).until, Some(utc("2026-03-30T00:00:00Z")));
    let cut = calendar(&["daily 23:00-02:30 off"], None);
    assert_eq!(cut.at(utc("2026-03-29T00:00:00Z"), &berlin).until, Some(utc("2026-03-29T01:00:00Z")));
    // 2026-10-25 03:00 becomes 02:00 at 01:00 UTC.
    let twice = calendar(&["daily 02:00-02:30 off"], None);
    let at = |text: &str| twice.at(utc(text), &berlin);
    assert_eq!(at("2026-10-25T00:00:00Z").until, Some(utc("2026-10-25T00:30:00Z")));
    assert_eq!(at("2026-10-25T00:30:00Z").until, Some(utc("2026-10-25T01:00:00Z")));
    assert_eq!(at("2026-10-25T01:00:00Z").until, Some(utc("2026-10-25T01:30:00Z")));
}

#[test]
fn a_week_is_whole_and_says_what_each_hour_allows() {
    let week = calendar(&["mon-fri 08:00-18:00 500 kbit/s", "sun 22:00-02:00 off"], None).week();
    for day in &week {
        assert_eq!((day[0].from, day[day.len() - 1].to), (0, window::DAY));
        assert!(day.windows(2).all(|two| two[0].to == two[1].from));
    }
    let monday: Vec<_> = week[0].iter().map(|p| (p.from, p.to, p.entry)).collect();
    assert_eq!(monday, [(0, 120, Some(1)), (120, 480, None), (480, 1080, Some(0)), (1080, 1440, None)]);
    assert_eq!(week[5].len(), 1);
    assert_eq!(week[6][1].allowed, Allowed::Off);
}

#[test]
fn the_shortest_run_is_what_goes_between_two_times_that_are_shut() {
    let run = |windows: &[&str]| calendar(windows, Some("1 MB/s")).shortest_run();
    assert_eq!(run(&[]), None);
    assert_eq!(run(&["daily 01:00-02:00 500 kbit/s"]), None, "nothing is ever shut");
    // Two hours at 1 MB/s on Mondays.
    assert_eq!(run(&["daily off", "mon 03:00-05:00 1 MB/s"]), Some(7_200_000_000));
    // Over midnight, and over the end of the week, it is one run; two rates add up.
    assert_eq!(run(&["daily 06:00-22:00 off"]), Some(8 * 3_600_000_000));
    assert_eq!(
        run(&["daily off", "sun 23:00-01:00 1 kB/s", "mon 00:30-01:00 2 kB/s"]),
        Some(90 * 60_000 + 30 * 120_000)
    );
    assert_eq!(run(&["daily off", "wed 03:00-03:05 unlimited"]), None);
    assert_eq!(run(&["daily off", "wed 03:00-03:05 unlimited", "thu 03:00-03:01 1 kB/s"]), Some(60_000));
}

/// Any window, its hours on the quarter or odd.
fn any_window() -> impl Strategy<Value = Window> {
    let days = prop::sample::select(vec!["daily", "mon-fri", "sat,sun", "sun", "fri-mon", "wed", "mon,thu"]);
    let minute = || prop_oneof![(0u16..96).prop_map(|q| q * 15), 0u16..1440, 60u16..240];
    let allowed = prop::sample::select(vec!["off", "unlimited", "500 kbit/s", "2 MB/s"]);
    (days, prop::option::of((minute(), minute())), allowed).prop_map(|(days, hours, allowed)| {
        let hours = hours
            .filter(|(from, to)| from != to)
            .map(|(from, to)| format!("{:02}:{:02}-{:02}:{:02} ", from / 60, from % 60, to / 60, to % 60));
        format!("{days} {}{allowed}", hours.unwrap_or_default()).parse().unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A whole year minute by minute in every zone: what `at` said would hold until then does, and at that instant it
    /// no longer does.
    #[test]
    fn until_is_the_first_instant_at_which_the_answer_differs(
        windows in prop::collection::vec(any_window(), 1..5), name in prop::sample::select(&ZONES[..]),
        offset in 0..MINUTE,
    ) {
        let (calendar, zone) = (Calendar::new(windows, None), zone(name));
        let (begin, end) = (utc("2026-01-01T00:00:00Z").0, utc("2027-01-01T00:00:00Z").0);
        let mut now = begin;
        let mut held = calendar.at(Wall(begin + offset), &zone);
        while now < end {
            let allowed = calendar.decide(instant(Wall(now)), &zone).0;
            if held.until.is_some_and(|until| until.0 <= now) {
                prop_assert_eq!(held.until, Some(Wall(now)), "borders lie on whole minutes");
                prop_assert_ne!(allowed, held.allowed, "until was no change");
                held = calendar.at(Wall(now), &zone);
            }
            prop_assert_eq!(allowed, held.allowed, "changed before until, at {}", instant(Wall(now)));
            now += MINUTE;
        }
    }

    /// The weeks in which clocks are set, from any instant, to the millisecond.
    #[test]
    fn around_the_days_clocks_are_set_every_instant_is_answered_right(
        windows in prop::collection::vec(any_window(), 1..5), name in prop::sample::select(&ZONES[..]),
        month in prop::sample::select(vec!["2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31"]),
        from in 0..2 * DAY_MS,
    ) {
        let (calendar, zone) = (Calendar::new(windows, None), zone(name));
        let now = utc(&format!("{month}T00:00:00Z")).0 + from;
        let said = calendar.at(Wall(now), &zone);
        let first = |wanted: &dyn Fn(Allowed) -> bool| (now / MINUTE + 1..=(now + AHEAD * DAY_MS) / MINUTE)
            .map(|m| Wall(m * MINUTE))
            .find(|at| wanted(calendar.decide(instant(*at), &zone).0));
        prop_assert_eq!(said.until, first(&|then| then != said.allowed));
        let shuts_at = first(&|then| then == Allowed::Off).filter(|_| said.allowed != Allowed::Off);
        prop_assert_eq!(said.shuts_at, shuts_at);
    }
}
