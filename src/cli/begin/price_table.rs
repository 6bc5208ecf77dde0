//! What a new vault will cost, before it is one: its class beside the others of the same provider and region, each for one
//! TB. Short: `panicroom cost` has the whole bill once something is stored.

use crate::daemon::spell::words_for;
use crate::model::Size;
use crate::price::{Estimate, Money, Offer, Place, PriceBook, Stock, Terms, quote};
use std::fmt::Write as _;

const TB: u64 = 1_000_000_000_000;
const UNKNOWN: &str = "not known";

/// Nothing for a place of one's own: there is no bill.
pub fn table(book: &PriceBook, place: &Place, vault: &str, pack: Size) -> String {
    let (offer, hint) = match book.terms(place) {
        Terms::Own => return String::new(),
        Terms::Known(offer) => (offer, ""),
        Terms::Elsewhere(offer) => (offer, "that region's prices are not known, as a hint those of another: "),
        Terms::Unknown => {
            return format!(
                "What {vault} will cost is not known: no price list has {} {}. [prices] file can name one that has.\n",
                place.provider, place.class
            );
        }
    };
    let mut text = format!(
        "What {vault} will cost, for each TB ({hint}{} {}, list prices of {}, without taxes):\n  {:<14} {:>14} {:>14}  {}\n",
        offer.provider, offer.region, offer.as_of, "class", "upload", "a month", "all of it back, download included"
    );
    for other in book.offers().iter().filter(|o| (&o.provider, &o.region) == (&offer.provider, &offer.region)) {
        text.push_str(&row(book, other, pack, other.class == offer.class));
    }
    text.push_str("'*': this vault's class. 'panicroom cost' reckons with what is really stored.\n");
    text
}

fn row(book: &PriceBook, offer: &Offer, pack: Size, is_chosen: bool) -> String {
    let mut stock = Stock::default();
    stock.cold.add_alike(TB.div_ceil(pack.0.max(1)), pack.0.max(1), 0);
    let quote = quote(book, offer, &stock, None);
    let said = |money: Option<Money>| money.map_or_else(|| UNKNOWN.to_owned(), |m| m.to_string());
    let back: Vec<String> = if offer.needs_thaw() {
        quote.restores.iter().map(|e| format!("{} {} ({})", said(e.total), after(e), e.speed.name())).collect()
    } else {
        quote.restores.iter().take(1).map(|e| format!("{} at once", said(e.total))).collect()
    };
    let least =
        if offer.min_days > 0 { format!("; billed for {} days at least", offer.min_days) } else { String::new() };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} {:<14} {:>14} {:>14}  {}{least}{}",
        if is_chosen { "*" } else { " " },
        offer.class,
        said(quote.upload),
        said(quote.month),
        back.join(", "),
        if quote.unsure().is_empty() { "" } else { " (in part not verified)" }
    );
    text
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hours of at most some years")]
fn after(estimate: &Estimate) -> String {
    match estimate.hours_thawed {
        None => "after a time not known".to_owned(),
        Some(h) if h <= 0.0 => "at once".to_owned(),
        Some(h) => format!("after {}", words_for((h.min(1e9) * 3600.0).ceil() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACK: Size = Size(25 << 20);

    fn at(endpoint: Option<&str>, region: &str, class: &str) -> String {
        table(&PriceBook::shipped(), &Place::bucket(endpoint, Some(region), class), "main", PACK)
    }

    #[test]
    fn the_chosen_class_is_marked_among_those_of_its_region() {
        let text = at(None, "us-east-1", "DEEP_ARCHIVE");
        let marked: Vec<&str> = text.lines().filter(|l| l.starts_with("* ")).collect();
        assert!(marked.len() == 1 && marked[0].contains("DEEP_ARCHIVE") && marked[0].contains("180 days"), "{text}");
        assert!(marked[0].contains("after 2 days (bulk)") && marked[0].contains("1.00 USD"), "{text}");
        for class in ["STANDARD ", "STANDARD_IA", "GLACIER_IR", "GLACIER "] {
            assert_eq!(text.matches(class).count(), 1, "{class}: {text}");
        }
        assert!(text.lines().count() < 10, "short: {text}");
    }

    #[test]
    fn what_is_not_known_says_so_and_a_disk_of_ones_own_says_nothing() {
        assert!(at(None, "mars-north-1", "GLACIER").contains("as a hint"));
        assert!(at(Some("https://s3.example.org"), "x", "STANDARD").contains("not known"));
        assert_eq!(at(Some("http://192.168.1.4:9000"), "x", "STANDARD"), "");
        assert_eq!(table(&PriceBook::shipped(), &Place::folder(), "main", PACK), "");
    }
}
