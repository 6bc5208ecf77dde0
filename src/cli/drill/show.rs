//! What a drill says: before, what it will try and what that costs; afterwards, what it proved and what it did not.

use super::super::args::Line;
use super::super::restore::bill;
use super::super::source::Source;
use super::super::time;
use super::hand::Kept;
use super::plan::{money, offer};
use super::{Drill, Wish};
use crate::catalog::jobs::{FileState, JobFile};
use crate::daemon::checks::count;
use crate::error::Result;
use crate::format::segment::Receipt;
use crate::model::{Proof, Size, Verdict};
use crate::price::PriceBook;
use crate::restore::Plan;
use crate::restore::drill::findings;
use std::io::Write;

/// Findings told one by one; all of them are counted.
const TOLD: usize = 1000;

pub(super) fn plan(
    line: &Line,
    args: &Drill,
    plan: &Plan,
    proof: Proof,
    book: &PriceBook,
    source: &Source,
    wish: &Wish,
) {
    if args.plan && line.json {
        let mut document = serde_json::to_value(plan).unwrap_or_default();
        document["proof"] = proof.name().into();
        document["budget"] = money(wish.budget).into();
        println!("{document:#}");
        return;
    }
    let mut out = std::io::stderr();
    let packs = format!("{} ({})", count(plan.packs, "pack", "packs"), Size(plan.pack_bytes));
    let _ = match proof {
        Proof::Contents => {
            writeln!(out, "a drill of {}, {}, from {packs}", count(plan.files, "file", "files"), Size(plan.bytes))
        }
        Proof::Sealed => {
            writeln!(out, "a drill of {packs} without the words: it proves that their sealed bytes are what was stored")
        }
    };
    let _ = bill::show(plan, offer(book, plan, source), &wish.money, &mut out);
}

fn verdict(receipt: &Receipt) -> &'static str {
    match (receipt.verdict, receipt.proof) {
        (Verdict::Proved, Proof::Contents) => {
            "Proved: every file came back, each chunk by its recorded id. What was not drawn was not tried."
        }
        (Verdict::Proved, Proof::Sealed) => {
            "Proved: these packs are the very bytes that were sealed. That the words open them is proved by a drill with \
             '--key-file' only."
        }
        (Verdict::Failed, _) => "NOT proved: what is named below did not come back as it should.",
        (Verdict::Partly, _) => "Not proved: nothing was found wrong, and some of it could not be tried.",
    }
}

/// The report, and in it all that the receipt says.
pub(super) fn told(line: &Line, file: &JobFile, receipt: &Receipt, kept: Kept) -> Result<()> {
    let found = findings(file, TOLD)?;
    if line.json {
        println!("{:#}", document(receipt, &found, kept));
        return Ok(());
    }
    let mut out = std::io::stdout();
    let _ = write(&mut out, receipt, &found);
    Ok(())
}

fn write(out: &mut dyn Write, receipt: &Receipt, found: &[(String, FileState, String)]) -> std::io::Result<()> {
    writeln!(out, "{}", verdict(receipt))?;
    let packs = receipt.sound.len() + receipt.damaged.len();
    let cost = receipt.cost.as_ref().map_or("not known".to_owned(), |(micros, c)| format!("{} {c}", money(*micros)));
    match receipt.proof {
        Proof::Contents => writeln!(
            out,
            "{} files ({}) from {packs} packs: {} compared with the file on this machine, {} with what was recorded of it; \
             {} wrong",
            receipt.files,
            Size(receipt.bytes),
            receipt.live,
            receipt.files - receipt.live,
            receipt.failed
        )?,
        Proof::Sealed => {
            writeln!(out, "{packs} packs ({}) read whole; {} wrong", Size(receipt.bytes), receipt.failed)?;
        }
    }
    writeln!(out, "cost as agreed on: {cost}; ended {}; receipt {}", time::local(receipt.at), id(receipt))?;
    for (what, state, why) in found {
        let word = if *state == FileState::Failed { "wrong" } else { "not tried" };
        writeln!(out, "  {word} {what}: {why}")?;
    }
    for pack in &receipt.damaged {
        writeln!(out, "  damaged or missing: the pack with the SHA-256 {pack}")?;
    }
    Ok(())
}

fn id(receipt: &Receipt) -> String {
    receipt.id.iter().map(|b| format!("{b:02x}")).collect()
}

fn document(receipt: &Receipt, found: &[(String, FileState, String)], kept: Kept) -> serde_json::Value {
    let hashes = |list: &[crate::model::Sha256]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let of = |wanted: FileState| -> Vec<_> {
        let these = found.iter().filter(|f| f.1 == wanted);
        these.map(|(what, _, why)| serde_json::json!({"what": what, "why": why})).collect()
    };
    serde_json::json!({
        "verdict": receipt.verdict.name(),
        "proof": receipt.proof.name(),
        "files": receipt.files,
        "live": receipt.live,
        "failed": receipt.failed,
        "bytes": receipt.bytes,
        "packs": receipt.sound.len() + receipt.damaged.len(),
        "damaged_packs": hashes(&receipt.damaged),
        "wrong": of(FileState::Failed),
        "not_tried": of(FileState::Untried),
        "cost": receipt.cost.as_ref().map(|(micros, _)| money(*micros)),
        "currency": receipt.cost.as_ref().map(|(_, currency)| currency),
        "ended": crate::daemon::spell::rfc3339(receipt.at),
        "receipt": id(receipt),
        "for_the_log": kept != Kept::Nowhere,
    })
}
