//! The bill for people.

use super::bill::Bill;
use crate::catalog::GROWTH_DAYS;
use crate::config::duration;
use crate::daemon::spell::words_for;
use crate::model::{Rate, Size};
use crate::price::{COPIES_DAYS, Estimate, Money, PriceBook, Quote, Terms, compare};
use std::io::{Result, Write};

const UNKNOWN: &str = "not known";

fn said(money: Option<Money>) -> String {
    money.map_or_else(|| UNKNOWN.to_owned(), |m| m.to_string())
}

/// `at once`, `after 12 hours at most`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hours of at most some years")]
fn after(hours: Option<f64>) -> String {
    match hours {
        None => format!("after a time that is {UNKNOWN}"),
        Some(h) if h <= 0.0 => "at once".to_owned(),
        Some(h) => format!("after {} at most", words_for((h.min(1e9) * 3600.0).ceil() as u64)),
    }
}

pub(super) fn print(
    bills: &[Bill],
    book: &PriceBook,
    comparing: bool,
    downlink: Option<Rate>,
    to: &mut dyn Write,
) -> Result<()> {
    for (number, bill) in bills.iter().enumerate() {
        if number > 0 {
            writeln!(to)?;
        }
        vault(bill, downlink, to)?;
        if comparing {
            writeln!(to)?;
            comparison(&compare(book, &bill.vault.place, &bill.stock, downlink), bill, to)?;
        }
    }
    Ok(())
}

fn vault(bill: &Bill, downlink: Option<Rate>, to: &mut dyn Write) -> Result<()> {
    let (sums, place) = (&bill.vault.sums, &bill.vault.place);
    writeln!(to, "vault {} ({})", bill.vault.name, bill.vault.url)?;
    if !bill.vault.started {
        writeln!(to, "  not started on this machine: nothing is stored yet")?;
    }
    writeln!(to, "  {} in {} objects", Size(bill.stock.bytes()), bill.stock.objects())?;
    let region = place.region.as_ref().map_or_else(String::new, |r| format!(" in {r}"));
    match bill.terms {
        Terms::Own => {
            writeln!(to, "  a disk or server of your own: costs nothing that could be known here")?;
        }
        Terms::Unknown => {
            writeln!(to, "  what {} {} costs{region} is {UNKNOWN}", place.provider, place.class)?;
            writeln!(to, "  a list with an [[offer]] for it, named by [prices] file, mends that")?;
        }
        Terms::Elsewhere(offer) => {
            writeln!(
                to,
                "  what {} {} costs{region} is {UNKNOWN}. As a hint only, in {}:",
                place.provider, place.class, offer.region
            )?;
        }
        Terms::Known(_) => {}
    }
    if let Some(quote) = &bill.quote {
        keeping(bill, quote, to)?;
    }
    if sums.queued_files + sums.spool_objects > 0 {
        writeln!(
            to,
            "  waiting: {} in {} files before dedup and compression, {} sealed",
            Size(sums.queued_bytes),
            sums.queued_files,
            Size(sums.spool_bytes)
        )?;
        if bill.quote.is_some() {
            let (month, upload) = (said(bill.queued_month), said(bill.queued_upload));
            writeln!(to, "    once it is stored {month} a month at most; sending it {upload} at most")?;
        }
    }
    match sums.grown {
        Some(grown) if bill.quote.is_some() => {
            let month = said(bill.grown_month);
            writeln!(to, "  grew by {} in {GROWTH_DAYS} days; so going on, {month} a month in a year", Size(grown))?;
        }
        Some(grown) => writeln!(to, "  grew by {} in {GROWTH_DAYS} days", Size(grown))?,
        None => writeln!(to, "  growth {UNKNOWN}: its log is younger than {GROWTH_DAYS} days")?,
    }
    if bill.quote.is_some() {
        calls(bill, to)?;
    }
    if !bill.restores.is_empty() {
        restores(bill, downlink, to)?;
    }
    Ok(())
}

fn keeping(bill: &Bill, quote: &Quote, to: &mut dyn Write) -> Result<()> {
    let offer = quote.offer;
    writeln!(to, "  prices of {}: {}, {}", offer.as_of, offer.title(), offer.source)?;
    if let Some(standard) = quote.standard.filter(|s| s.as_of != offer.as_of) {
        writeln!(to, "    and of {}: {}, {}", standard.as_of, standard.title(), standard.source)?;
    }
    let unsure = quote.unsure();
    if !unsure.is_empty() {
        writeln!(to, "    not verified: {}", unsure.join(", "))?;
    }
    if let Some(note) = &offer.note {
        writeln!(to, "    {note}")?;
    }
    writeln!(to, "  a month now              {:>16}", said(quote.month))?;
    let one_bill = offer.class == "STANDARD";
    let what = if one_bill { "everything" } else { "packs" };
    writeln!(
        to,
        "    {:<12} {what:<10} {:>16}  (storage {}, overhead {})",
        offer.class,
        said(quote.cold.total),
        said(quote.cold.storage),
        said(quote.cold.overhead)
    )?;
    if !one_bill {
        writeln!(to, "    {:<12} {:<10} {:>16}", "STANDARD", "log, hot", said(quote.hot.total))?;
    }
    match &bill.vault.roots {
        None => writeln!(to, "  for each root: {UNKNOWN} without a configuration")?,
        Some(roots) => {
            writeln!(to, "  of it for each root, by the bytes of its files:")?;
            for (root, month) in roots.iter().zip(&bill.roots) {
                writeln!(to, "    {}: {}, {}", root.path, said(*month), Size(root.bytes))?;
            }
        }
    }
    writeln!(to, "  uploading what is there  {:>16}  once", said(quote.upload))?;
    writeln!(to, "  a year with that         {:>16}", said(quote.year))?;
    let least =
        if offer.min_days > 0 { format!("  (billed for {} days at least)", offer.min_days) } else { String::new() };
    writeln!(to, "  deleting it all today    {:>16}{least}", said(quote.early))
}

fn calls(bill: &Bill, to: &mut dyn Write) -> Result<()> {
    let Some(pace) = bill.vault.pace else { return Ok(()) };
    let gather = duration::text(pace.gather);
    match bill.calls {
        None => writeln!(to, "  gather = \"{gather}\": calls go by how often something changes, {UNKNOWN} before"),
        Some(calls) => {
            let month = bill.calls_day.map(|m| m.times(30));
            writeln!(
                to,
                "  gather = \"{gather}\": at most {} packs and {} other objects a day that are not full, {} a day, {} a month",
                calls.packs,
                calls.hot,
                said(bill.calls_day),
                said(month)
            )
        }
    }
}

fn restores(bill: &Bill, downlink: Option<Rate>, to: &mut dyn Write) -> Result<()> {
    let frozen = bill.quote.as_ref().is_some_and(|q| q.offer.needs_thaw());
    let copies = if frozen { format!(", thawed copies kept {COPIES_DAYS} days") } else { String::new() };
    writeln!(to, "  everything back{copies}:")?;
    // Without a thaw every speed is the same.
    for estimate in bill.restores.iter().take(if frozen { usize::MAX } else { 1 }) {
        let name = if frozen { estimate.speed.name() } else { "any speed" };
        writeln!(
            to,
            "    {name:<10} {:>16}  (retrieval {}, requests {}, copies {}, egress {})",
            total(estimate),
            said(estimate.retrieval),
            said(estimate.requests),
            said(estimate.copies),
            said(estimate.egress)
        )?;
        let last = match downlink {
            Some(_) => format!("all here {}", after(estimate.hours_last)),
            None if frozen => {
                format!("all thawed {}, then the download (--downlink RATE tells)", after(estimate.hours_thawed))
            }
            None => "then the download (--downlink RATE tells)".to_owned(),
        };
        writeln!(to, "               first pack {}, {last}", after(estimate.hours_first))?;
    }
    Ok(())
}

fn total(estimate: &Estimate) -> String {
    estimate.total.map_or_else(|| format!("{UNKNOWN}, at least {}", estimate.at_least()), |m| m.to_string())
}

fn comparison(quotes: &[Quote], bill: &Bill, to: &mut dyn Write) -> Result<()> {
    writeln!(to, "  the same vault elsewhere, the cheapest year first; currencies are not converted:")?;
    writeln!(
        to,
        "  {:<30} {:>14} {:>14} {:>14} {:>16}  prices of",
        "", "a month", "upload", "a year", "everything back"
    )?;
    for quote in quotes {
        let here = bill.terms.offer() == Some(quote.offer);
        let year = match quote.year {
            Some(year) => year.to_string(),
            None if quote.cold.total.is_some() => format!("> {}", quote.year_at_least),
            None => UNKNOWN.to_owned(),
        };
        let cheapest = quote.restores.iter().filter_map(|e| e.total).min_by_key(|m| m.as_micros());
        writeln!(
            to,
            "{} {:<30} {:>14} {:>14} {:>14} {:>16}  {}{}",
            if here { " *" } else { "  " },
            quote.offer.title(),
            said(quote.month),
            said(quote.upload),
            year,
            said(cheapest),
            quote.offer.as_of,
            if quote.unsure().is_empty() { "" } else { ", in part not verified" }
        )?;
    }
    Ok(())
}
