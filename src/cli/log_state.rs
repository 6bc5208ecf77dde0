//! What is wrong with a vault's log, in words: which segments are lost, what that may cost, and what mends it. Kept with
//! the catalog that was read from the log, so that it is said every time and not only the first.

use super::time;
use crate::catalog::Catalog;
use crate::clock::Wall;
use crate::error::Result;
use crate::model::SegmentNo;
use crate::upkeep::rebuild::{Lost, Report};

/// What mends a log; said once, after all that is lost.
const REMEDY: &str = "to mend it: put those objects back from a copy of the vault or, where the bucket keeps them, from \
    their older versions; or, as long as the machine that was backed up lives, run 'panicroom rebuild' and then \
    'panicroom backup' there: it records again all that still exists";

const MARKERS: &str =
    "take the delete markers away with the reaper's key (docs/setup.md), and find out whose key set them";

/// Facts of a catalog: the lines, and how many of them are losses.
const LINES: &str = "log_lines";
const LOSSES: &str = "log_losses";

/// What was found, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Parts nobody can read: what a restore brings back may be older than it could be, or lack things.
    losses: Vec<String>,
    /// Everything else worth knowing.
    oddities: Vec<String>,
}

impl Log {
    pub fn read(report: &Report) -> Self {
        let losses: Vec<String> = report.lost.iter().map(|lost| loss(lost, report)).collect();
        let mut oddities = Vec::new();
        let is_lost = |n: SegmentNo| report.lost.iter().any(|l| (l.from..=l.to).contains(&n));
        for number in report.gaps.iter().filter(|n| !is_lost(**n)) {
            oddities.push(format!("segment {} of the log is missing; a merge stands in for it", number.0));
        }
        for number in &report.doubles {
            oddities.push(format!("two segments have the number {}: two machines wrote to this vault", number.0));
        }
        let told = |name: &String| report.lost.iter().any(|l| l.names.contains(name));
        for (name, why) in report.unreadable.iter().filter(|(name, _)| !told(name)) {
            oddities.push(format!("{name} could not be read: {why}; what it says was read elsewhere"));
        }
        if report.hidden > 0 {
            oddities.push(format!(
                "{} objects of the vault's log lie behind delete markers: somebody deleted them. They were read all the \
                 same; {MARKERS}",
                report.hidden
            ));
        }
        if report.overwritten > 0 {
            oddities.push(format!(
                "{} objects of the vault's log were overwritten by somebody; what lies beneath was read",
                report.overwritten
            ));
        }
        if let Some(why) = report.unseen.filter(|_| !report.lost.is_empty()) {
            oddities.push(format!("what is lost of the log may lie behind delete markers, which nobody saw: {why}"));
        }
        oddities.extend(report.oddities.iter().cloned());
        if report.unknown_records > 0 {
            oddities.push(format!(
                "{} records were written by a later release and are not understood",
                report.unknown_records
            ));
        }
        if report.incomplete_versions > 0 {
            oddities.push(format!("{} versions are incomplete in the log", report.incomplete_versions));
        }
        Self { losses, oddities }
    }

    /// What was found when this catalog was read; None where it is to be read again: something could not be read
    /// then, and perhaps it can now.
    pub fn of(catalog: &Catalog) -> Result<Option<Self>> {
        let Some(losses) = catalog.fact::<i64>(LOSSES)?.and_then(|n| usize::try_from(n).ok()) else {
            return Ok(None);
        };
        let text: String = catalog.fact(LINES)?.unwrap_or_default();
        let mut losses_then_oddities = text.lines().map(str::to_owned);
        let losses = losses_then_oddities.by_ref().take(losses).collect();
        Ok(Some(Self { losses, oddities: losses_then_oddities.collect() }))
    }

    pub fn keep(&self, catalog: &Catalog, report: &Report) -> Result<()> {
        if !report.unreadable.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = self.losses.iter().chain(&self.oddities).map(|l| l.replace('\n', " ")).collect();
        catalog.set_fact(LINES, lines.join("\n"))?;
        catalog.set_fact(LOSSES, i64::try_from(self.losses.len()).unwrap_or(i64::MAX))
    }

    pub fn is_whole(&self) -> bool {
        self.losses.is_empty()
    }

    /// Everything else is used all the same.
    pub fn say(&self) {
        for line in self.losses.iter().chain(&self.oddities) {
            eprintln!("warning: {line}");
        }
        if !self.is_whole() {
            eprintln!("{REMEDY}");
        }
    }
}

/// Which segments, when they were written as far as their neighbours tell, what that may cost.
fn loss(lost: &Lost, report: &Report) -> String {
    let which = if lost.from == lost.to {
        format!("segment {} of the vault's log is lost", lost.from.0)
    } else {
        format!("segments {} to {} of the vault's log are lost", lost.from.0, lost.to.0)
    };
    let at = |wall: Wall| time::local(wall);
    let span = match (lost.after, lost.before) {
        (Some(after), Some(before)) => format!("between {} and {}", at(after), at(before)),
        (Some(after), None) => format!("after {}", at(after)),
        (None, Some(before)) => format!("before {}", at(before)),
        (None, None) => "at any time".to_owned(),
    };
    let names: Vec<String> = lost
        .names
        .iter()
        .take(8)
        .map(|name| match report.unreadable.iter().find(|(unreadable, _)| unreadable == name) {
            Some((_, why)) => format!("{name}: {why}"),
            None => format!("{name}: it is missing"),
        })
        .collect();
    let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join("; ")) };
    format!(
        "{which}{names}: a file that was recorded {span} and not again later comes back as it was before, or not at all, \
         and what was deleted then comes back"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let lost = Lost {
            from: SegmentNo(3),
            to: SegmentNo(3),
            names: vec!["meta_log_3".to_owned()],
            after: Some(Wall(0)),
            before: Some(Wall(3_600_000)),
        };
        Report {
            lost: vec![lost],
            gaps: vec![SegmentNo(3), SegmentNo(9)],
            unreadable: vec![
                ("meta_log_3".to_owned(), "cut".to_owned()),
                ("meta_log_1-2".to_owned(), "cut".to_owned()),
            ],
            ..Report::default()
        }
    }

    #[test]
    fn a_loss_names_segment_reason_and_span_and_what_is_covered_is_none() {
        let log = Log::read(&report());
        assert_eq!(log.losses.len(), 1);
        assert!(!log.is_whole());
        for text in ["segment 3 of", "meta_log_3: cut", &time::local(Wall(0)), &time::local(Wall(3_600_000))] {
            assert!(log.losses[0].contains(text), "{text}: {log:?}");
        }
        assert_eq!(log.oddities.len(), 2, "{log:?}");
        assert!(log.oddities[0].contains("segment 9") && log.oddities[1].contains("meta_log_1-2"), "{log:?}");
    }

    #[test]
    fn what_was_found_is_kept_with_the_catalog_unless_it_may_pass() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&dir.path().join("c.db")).unwrap();
        let log = Log::read(&report());
        log.keep(&catalog, &report()).unwrap();
        assert_eq!(Log::of(&catalog).unwrap(), None, "what could not be read is tried again");
        let gone = Report { unreadable: vec![], ..report() };
        let log = Log::read(&gone);
        log.keep(&catalog, &gone).unwrap();
        assert_eq!(Log::of(&catalog).unwrap(), Some(log));
    }
}
