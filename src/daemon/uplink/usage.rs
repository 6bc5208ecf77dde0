//! What was counted against the caps, kept in one small file of the state folder beside the orders.
//!
//! It is read before anything is sent. A power cut costs what was counted since it was last written: at most half a minute,
//! on a fast line a second. A file that is lost or damaged is said, and counting begins anew: what went before in this
//! period is not known.

use crate::clock::{Steady, Wall};
use crate::config::UplinkSettings;
use crate::daemon::home::{Home, name_over, write_synced};
use crate::error::{Error, Result};
use crate::uplink::cap::{Book, Cap, Count, Span};
use crate::worker::Faults;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Written after so many bytes, but not more often than [`OFTEN`]…
const BYTES: u64 = 4 << 20;
const OFTEN: Duration = Duration::from_secs(1);
/// …and after this time if there were any.
const SELDOM: Duration = Duration::from_secs(30);

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Milliseconds since 1970: since when bytes are counted.
    since: i64,
    #[serde(default)]
    month: KeptBook,
    #[serde(default)]
    day: KeptBook,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptBook {
    counts: Vec<KeptCount>,
    #[serde(default)]
    seen: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptCount {
    first: String,
    bytes: u64,
}

impl KeptBook {
    fn of(book: &Book) -> Self {
        let count = |c: &Count| KeptCount { first: c.first.to_string(), bytes: c.bytes };
        Self { counts: book.counts().iter().map(count).collect(), seen: book.seen().map(|at| at.0) }
    }
    /// None: a day that is none.
    fn book(&self) -> Option<Book> {
        let count = |c: &KeptCount| Some(Count { first: c.first.parse().ok()?, bytes: c.bytes });
        Some(Book::new(self.counts.iter().map(count).collect::<Option<Vec<_>>>()?, self.seen.map(Wall)))
    }
}

/// The caps, and how much of them is on the disk.
#[derive(Debug)]
pub struct Usage {
    pub month: Option<Cap>,
    pub day: Option<Cap>,
    /// Since when bytes are counted.
    pub since: Wall,
    /// Why not since longer, where that is not simply the first start with a cap.
    pub lost: Option<String>,
    unwritten: u64,
    written: Steady,
}

impl Usage {
    /// A file that cannot be read is no hindrance: it is said in `lost`.
    pub fn read(home: &Home, settings: &UplinkSettings, wall: Wall, now: Steady) -> Self {
        let path = home.usage();
        let broken = |why: String| Some(format!("{} {why}: what went before is not known", path.display()));
        let books = |kept: &Kept| Some((kept.month.book()?, kept.day.book()?, Wall(kept.since)));
        let (kept, lost) = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => (None, None),
            Err(e) => (None, broken(format!("cannot be read ({e})"))),
            Ok(text) => match serde_json::from_slice::<Kept>(&text).ok().as_ref().and_then(books) {
                Some(kept) => (Some(kept), None),
                None => (None, broken("is damaged".to_owned())),
            },
        };
        let (month, day, since) = kept.unwrap_or((Book::default(), Book::default(), wall));
        let cap = |span, bytes: u64, book| Cap::new(span, bytes, settings.reserve.of(bytes), book);
        Self {
            month: settings.month.map(|s| cap(Span::Month { billing_day: settings.billing_day }, s.0, month)),
            day: settings.day.map(|s| cap(Span::Day, s.0, day)),
            since,
            lost,
            unwritten: 0,
            written: now,
        }
    }

    pub fn caps(&self) -> impl Iterator<Item = &Cap> {
        self.month.iter().chain(&self.day)
    }

    pub fn count(&mut self, bytes: u64, wall: Wall, zone: &TimeZone) {
        if bytes == 0 {
            return;
        }
        for cap in self.month.iter_mut().chain(&mut self.day) {
            cap.count(bytes, wall, zone);
        }
        self.unwritten = self.unwritten.saturating_add(bytes);
    }

    /// Whether so much was counted, or so long ago, that it must be written now.
    pub fn is_due(&self, now: Steady) -> bool {
        let passed = now.since(self.written);
        let wanted = self.unwritten >= BYTES && passed >= OFTEN || self.unwritten > 0 && passed >= SELDOM;
        wanted && self.caps().next().is_some()
    }

    /// Whole and synced when this returns. Operator: the state folder cannot be written.
    pub fn write(&mut self, home: &Home, faults: &Faults, now: Steady) -> Result<()> {
        if self.unwritten == 0 || self.caps().next().is_none() {
            return Ok(());
        }
        let (path, temporary) = (home.usage(), home.usage().with_extension("new"));
        let refused = |e: std::io::Error| {
            Error::operator(format!("keep what was used of the caps in {}", path.display()))
                .because(e)
                .remedy("free space in the state folder and make it writable for the daemon")
        };
        let book = |cap: &Option<Cap>| cap.as_ref().map(|c| KeptBook::of(c.book())).unwrap_or_default();
        let kept = Kept { since: self.since.0, month: book(&self.month), day: book(&self.day) };
        let text = serde_json::to_vec(&kept).map_err(|e| refused(e.into()))?;
        write_synced(&temporary, &text).map_err(refused)?;
        faults.at("usage.name")?;
        name_over(&temporary, &path).map_err(refused)?;
        (self.unwritten, self.written) = (0, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Reserve;
    use crate::model::{Size, TreePath};

    const NOW: Wall = Wall(1_800_000_000_000);

    fn settings() -> UplinkSettings {
        UplinkSettings {
            limit: None,
            download: None,
            calendar: vec![],
            month: Some(Size(1_000_000_000)),
            day: Some(Size(100_000_000)),
            billing_day: 1,
            reserve: Reserve::Percent(1),
            polite: true,
        }
    }
    fn home(dir: &std::path::Path) -> Home {
        Home::new(&TreePath::from_typed(dir).unwrap())
    }
    fn steady(seconds: u64) -> Steady {
        Steady(Duration::from_secs(seconds))
    }
    fn used(usage: &Usage) -> Vec<u64> {
        usage.caps().map(|c| c.used(NOW, &TimeZone::UTC)).collect()
    }

    #[test]
    fn what_was_used_outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        let mut usage = Usage::read(&home, &settings(), NOW, steady(0));
        assert_eq!((usage.since, &usage.lost), (NOW, &None));
        usage.count(5_000_000, NOW, &TimeZone::UTC);
        assert!(!usage.is_due(steady(0)) && usage.is_due(steady(1)));
        usage.write(&home, &Faults::default(), steady(1)).unwrap();
        usage.count(7, NOW, &TimeZone::UTC);
        assert!(!usage.is_due(steady(30)) && usage.is_due(steady(31)), "a little waits half a minute");
        let again = Usage::read(&home, &settings(), Wall(NOW.0 + 5), steady(0));
        assert_eq!((used(&again), again.since), (vec![5_000_000, 5_000_000], NOW));
        assert!(!again.is_due(steady(99)), "nothing was counted since");
    }

    #[test]
    fn a_damaged_file_is_said_and_counting_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        for text in [
            "",
            "{",
            "[]",
            r#"{"since":1,"month":{"counts":[]},"other":1}"#,
            r#"{"since":1,"day":{"counts":[{"first":"2026-13-01","bytes":1}]}}"#,
        ] {
            std::fs::write(home.usage(), text).unwrap();
            let usage = Usage::read(&home, &settings(), NOW, steady(0));
            assert!(usage.lost.as_ref().is_some_and(|said| said.contains("usage.json")), "{text}");
            assert_eq!((used(&usage), usage.since), (vec![0, 0], NOW));
        }
    }

    #[test]
    fn without_a_cap_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        let none = UplinkSettings { month: None, day: None, ..settings() };
        let mut usage = Usage::read(&home, &none, NOW, steady(0));
        usage.count(1 << 30, NOW, &TimeZone::UTC);
        assert!(!usage.is_due(steady(99)));
        usage.write(&home, &Faults::default(), steady(99)).unwrap();
        assert!(!home.usage().exists());
    }
}
