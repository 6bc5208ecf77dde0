//! How far a restore came, for whoever sits before it: a line that lives on a terminal, and one now and then where there
//! is none. What it waits for in cold storage is said in words, with times.

use super::super::source::Chosen;
use super::super::time;
use crate::catalog::jobs::JobFile;
use crate::clock::{Clock, SystemClock};
use crate::daemon::checks::count;
use crate::daemon::spell::words_for;
use crate::error::Result;
use crate::model::Size;
use crate::restore::newest::Lacks;
use crate::restore::thaw::standing;
use crate::restore::{Phase, Progress, Seen, Wait};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Without a terminal a wait that goes on is told of again after so long.
const SILENCE: Duration = Duration::from_secs(6 * 3600);

/// In words: for what, and until when.
fn waiting(wait: &Wait) -> String {
    let by = wait.by.map_or(String::new(), |by| format!(", the first by {} at the latest", time::local(by)));
    let later = if wait.later > 0 { format!("; {} more are asked for later", wait.later) } else { String::new() };
    format!(
        "waiting for {} packs ({}) to thaw ({}){by}; looking again at {}{later}",
        wait.packs,
        Size(wait.bytes),
        wait.speed,
        time::local(wait.look)
    )
}

/// Where a job from cold storage stands, as it is taken up again.
/// `what` it is, and the command that goes on with it.
pub(in crate::cli) fn where_it_stands(job: &JobFile, what: &str, next: &str) -> Result<()> {
    let Some(at) = standing(job)? else { return Ok(()) };
    let asked = match at.asked.first_asked {
        Some(first) if at.asked.packs > 0 => format!(
            "{} asked for (since {}, the first by {} at the latest)",
            at.asked.packs,
            time::local(first),
            time::local(first.plus(at.terms.takes))
        ),
        _ => format!("{} asked for", at.asked.packs),
    };
    eprintln!(
        "{what}: thawing at the speed {}: {} packs still frozen, {asked}, {} thawed and to be fetched",
        at.terms.speed, at.frozen.packs, at.ready.packs
    );
    eprintln!("it may be interrupted at any time: '{next}' goes on from here");
    Ok(())
}

fn lacking(lacks: &Lacks) -> String {
    let first = lacks.first.as_ref().map_or(String::new(), |first| format!(" ({first} the first)"));
    format!("has not the newest state of {}{first}", count(lacks.things, "thing", "things"))
}

/// Which of several vaults is behind, where any is: the chosen one first, for that is what will be missing.
pub(super) fn what_vaults_lack(chosen: &Chosen) {
    if chosen.lacks.things > 0 {
        eprintln!(
            "NOT ALL: the vault '{}' {}; another vault has it: restore from that too, with '--vault NAME', into a folder of its own",
            chosen.name,
            lacking(&chosen.lacks)
        );
    }
    for (name, lacks) in chosen.others.iter().filter(|(_, lacks)| lacks.things > 0) {
        eprintln!("the vault '{name}' {}", lacking(lacks));
    }
}

pub(in crate::cli) fn progress(progress: &Progress, over: &AtomicBool) {
    let clock = SystemClock::shared();
    if !std::io::stderr().is_terminal() {
        return lines(progress, over, &*clock);
    }
    let bar = indicatif::ProgressBar::new(1);
    if let Ok(style) = indicatif::ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
        bar.set_style(style);
    }
    let begun = clock.steady();
    while !over.load(Ordering::SeqCst) {
        let seen = progress.look();
        bar.set_length(seen.bytes_total.max(1));
        bar.set_position(seen.bytes);
        let passed = clock.steady().since(begun).as_secs();
        bar.set_message(message(seen, passed));
        clock.sleep(Duration::from_millis(200));
    }
    bar.finish_and_clear();
}

fn message(seen: Seen, passed: u64) -> String {
    if let Some(waits) = seen.waiting {
        return waits;
    }
    if let Some(wait) = &seen.thaw {
        return waiting(wait);
    }
    match seen.phase {
        Phase::Planning => "planning".to_owned(),
        Phase::Finishing | Phase::Done => "links and folders".to_owned(),
        Phase::Fetching => {
            let eta = (seen.bytes > 0 && seen.bytes < seen.bytes_total && passed > 2)
                .then(|| words_for(passed * (seen.bytes_total - seen.bytes) / seen.bytes));
            let eta = eta.map_or(String::new(), |e| format!(", about {e} to go"));
            format!("{} of {} files{eta}", seen.files, seen.files_total)
        }
    }
}

/// A wait for cold storage is news when it begins, when it shrinks, and every few hours.
fn lines(progress: &Progress, over: &AtomicBool, clock: &dyn Clock) {
    let mut told: Option<(u64, crate::clock::Steady)> = None;
    while !over.load(Ordering::SeqCst) {
        if let Some(wait) = progress.look().thaw {
            let now = clock.steady();
            if told.is_none_or(|(packs, at)| packs != wait.packs || now.since(at) >= SILENCE) {
                eprintln!("{}", waiting(&wait));
                told = Some((wait.packs, now));
            }
        }
        clock.sleep(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::model::Speed;

    #[test]
    fn a_wait_says_for_what_and_until_when() {
        let wait = Wait {
            packs: 12,
            bytes: 300_000_000,
            later: 0,
            speed: Speed::Bulk,
            by: Some(Wall(172_800_000)),
            look: Wall(900_000),
        };
        let said = waiting(&wait);
        assert!(said.starts_with("waiting for 12 packs (300 MB) to thaw (bulk), the first by 1970-01-03"), "{said}");
        assert!(said.contains("looking again at 1970-01-01") && !said.contains("later"), "{said}");
        assert!(waiting(&Wait { by: None, later: 7, ..wait }).contains("7 more are asked for later"));
    }
}
