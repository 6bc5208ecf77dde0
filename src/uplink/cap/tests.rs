use super::*;
use jiff::civil::date;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000;
const MONTH: Span = Span::Month { billing_day: 1 };

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}
fn utc(text: &str) -> Wall {
    Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
}
fn cap(span: Span, bytes: u64) -> Cap {
    Cap::new(span, bytes, bytes / 100, Book::default())
}

#[test]
fn a_month_begins_on_its_billing_day_at_local_midnight() {
    let berlin = zone("Europe/Berlin");
    for (day, now, first, ends) in [
        (1, "2026-11-23T12:00:00Z", date(2026, 11, 1), "2026-11-30T23:00:00Z"),
        (1, "2026-10-31T23:30:00Z", date(2026, 11, 1), "2026-11-30T23:00:00Z"),
        (15, "2026-11-14T22:59:59Z", date(2026, 10, 15), "2026-11-14T23:00:00Z"),
        (15, "2026-11-14T23:00:00Z", date(2026, 11, 15), "2026-12-14T23:00:00Z"),
        // In a short month its last day.
        (31, "2026-02-10T12:00:00Z", date(2026, 1, 31), "2026-02-27T23:00:00Z"),
        (31, "2026-02-28T12:00:00Z", date(2026, 2, 28), "2026-03-30T22:00:00Z"),
        (30, "2028-02-29T12:00:00Z", date(2028, 2, 29), "2028-03-29T22:00:00Z"),
        (31, "2026-12-31T12:00:00Z", date(2026, 12, 31), "2027-01-30T23:00:00Z"),
    ] {
        let period = Span::Month { billing_day: day }.period(utc(now), &berlin);
        assert_eq!((period.first, period.ends), (first, utc(ends)), "{day} {now}");
    }
}

#[test]
fn a_day_ends_at_local_midnight_however_long_it_is() {
    let berlin = zone("Europe/Berlin");
    let long = Span::Day.period(utc("2026-10-25T12:00:00Z"), &berlin);
    assert_eq!(long.ends.0 - long.begins.0, 25 * HOUR);
    let short = Span::Day.period(utc("2026-03-29T12:00:00Z"), &berlin);
    assert_eq!(short.ends.0 - short.begins.0, 23 * HOUR);
    // A midnight that is skipped: 2018-11-04 00:00 was 01:00 in São Paulo.
    let late = Span::Day.period(utc("2018-11-04T12:00:00Z"), &zone("America/Sao_Paulo"));
    assert_eq!(late.begins, utc("2018-11-04T03:00:00Z"));
}

#[test]
fn the_reserve_is_left_for_the_log_when_the_cap_is_used_up() {
    let berlin = zone("Europe/Berlin");
    let now = utc("2026-11-23T12:00:00Z");
    let mut month = cap(MONTH, 1000);
    assert_eq!((month.left(now, &berlin), month.left_for_log(now, &berlin)), (990, 1000));
    month.count(990, now, &berlin);
    assert_eq!((month.left(now, &berlin), month.left_for_log(now, &berlin)), (0, 10));
    month.count(50, now, &berlin);
    assert_eq!((month.left(now, &berlin), month.left_for_log(now, &berlin)), (0, 0));
    assert_eq!(month.left(month.resets_at(now, &berlin), &berlin), 990);
    assert_eq!(Cap::new(MONTH, 5, 9, Book::default()).left(now, &berlin), 0);
}

#[test]
fn a_clock_that_wakes_in_1970_at_every_start_gets_nothing_anew() {
    let berlin = zone("Europe/Berlin");
    let mut month = cap(MONTH, 1000);
    month.count(600, utc("2026-11-23T12:00:00Z"), &berlin);
    for start in 1..4 {
        assert_eq!(month.used(Wall(0), &berlin), 600 + (start - 1) * 10);
        month.count(10, Wall(0), &berlin);
    }
    // Corrected over a wrong guess: what was sent meanwhile counts.
    assert_eq!(month.used(utc("2024-06-01T12:00:00Z"), &berlin), 630);
    assert_eq!(month.used(utc("2026-11-23T13:00:00Z"), &berlin), 630);
}

#[test]
fn a_clock_that_was_far_ahead_once_blocks_no_later_month() {
    let berlin = zone("Europe/Berlin");
    let mut month = cap(MONTH, 1000);
    month.count(600, utc("2026-11-23T12:00:00Z"), &berlin);
    month.count(200, utc("2031-01-01T12:00:00Z"), &berlin);
    assert_eq!(month.used(utc("2026-11-23T13:00:00Z"), &berlin), 800);
    month.count(100, utc("2026-11-30T12:00:00Z"), &berlin);
    assert_eq!(month.used(utc("2026-12-01T12:00:00Z"), &berlin), 0);
    // Ahead a second time, all that went since the first is counted there.
    assert_eq!(month.used(utc("2031-01-02T12:00:00Z"), &berlin), 300);
}

#[test]
fn another_billing_day_in_the_middle_of_a_period_gives_nothing_anew() {
    let berlin = zone("Europe/Berlin");
    let mut month = cap(MONTH, 1000);
    month.count(600, utc("2026-11-20T12:00:00Z"), &berlin);
    let moved = Cap::new(Span::Month { billing_day: 15 }, 1000, 10, month.book().clone());
    assert_eq!(moved.used(utc("2026-11-20T13:00:00Z"), &berlin), 600);
    assert_eq!(moved.used(utc("2026-12-15T13:00:00Z"), &berlin), 0);
}

#[test]
fn a_book_that_was_written_by_hand_is_put_in_order_and_bounded() {
    let count = |day, bytes| Count { first: date(2026, 11, day), bytes };
    let book = Book::new((1..20).rev().map(|d| count(d, 5)).chain([count(19, 3), count(18, 9)]), None);
    assert_eq!(book.counts().len(), KEPT);
    assert_eq!(book.counts()[KEPT - 2..], [count(18, 9), count(19, 5)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever respects `left` and whatever the clock does forward, hour by hour, never takes more than the cap a period.
    #[test]
    fn no_period_takes_more_than_its_cap_and_each_gets_all_of_it(
        billing_day in 1u8..=31, name in prop::sample::select(vec!["Europe/Berlin", "Asia/Kathmandu", "America/New_York"]),
        wanted in prop::collection::vec(0u64..400, 60..90), daily: bool,
    ) {
        let (span, zone) = (if daily { Span::Day } else { Span::Month { billing_day } }, zone(name));
        let (mut cap, mut now) = (Cap::new(span, 1000, 0, Book::default()), utc("2026-01-10T00:00:00Z"));
        let (mut period, mut taken) = (span.period(now, &zone), 0);
        for (turn, want) in wanted.iter().cycle().take(1500).enumerate() {
            if now >= period.ends {
                prop_assert_eq!(cap.resets_at(now, &zone) > period.ends, true);
                (period, taken) = (span.period(now, &zone), 0);
                prop_assert_eq!(cap.left(now, &zone), 1000);
            }
            let go = cap.left(now, &zone).min(*want);
            cap.count(go, now, &zone);
            taken += go;
            prop_assert_eq!(taken, cap.used(now, &zone));
            prop_assert!(taken <= 1000);
            now = Wall(now.0 + HOUR * (1 + i64::try_from(turn % 7).unwrap()));
        }
    }

    /// However often the clock is thrown among a few months already seen, each gives its cap once.
    #[test]
    fn a_clock_that_is_thrown_about_never_gives_bytes_twice(
        throws in prop::collection::vec((0usize..4, 1u64..300), 1..200),
    ) {
        let zone = zone("Europe/Berlin");
        let places = ["2026-09-10T00:00:00Z", "2026-10-10T00:00:00Z", "2026-11-10T00:00:00Z", "2026-12-10T00:00:00Z"].map(utc);
        let mut cap = Cap::new(MONTH, 1000, 0, Book::default());
        let mut total = 0;
        let mut reached = 0;
        for (place, want) in throws {
            reached = reached.max(place);
            let go = cap.left(places[place], &zone).min(want);
            cap.count(go, places[place], &zone);
            total += go;
            // A cap for each month the clock came to, in whatever order: never a second one.
            prop_assert!(total <= 1000 * (u64::try_from(reached).unwrap() + 1), "{total} with {reached}");
        }
    }

    /// The period of an instant holds it, and the next begins where it ends.
    #[test]
    fn periods_lie_end_to_end(
        billing_day in 1u8..=31, daily: bool, at in -2_000_000_000_000i64..4_000_000_000_000,
        name in prop::sample::select(vec!["Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe"]),
    ) {
        let (span, zone) = (if daily { Span::Day } else { Span::Month { billing_day } }, zone(name));
        let period = span.period(Wall(at), &zone);
        prop_assert!(period.begins <= Wall(at) && Wall(at) < period.ends);
        let next = span.period(period.ends, &zone);
        prop_assert_eq!(next.begins, period.ends);
        prop_assert!(next.first > period.first);
    }
}
