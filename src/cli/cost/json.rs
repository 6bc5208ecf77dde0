//! The bill for programs: amounts as decimals of the currency beside them, null where not known.

use super::bill::Bill;
use crate::catalog::GROWTH_DAYS;
use crate::daemon::spell::legible;
use crate::model::{Rate, Tier};
use crate::price::{COPIES_DAYS, Estimate, Money, Month, Offer, PriceBook, Quote, Terms, compare};
use serde_json::{Value, json};

fn amount(money: Option<Money>) -> Option<f64> {
    money.map(Money::decimal)
}

/// Whether a figure may be given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charged {
    Nothing,
    Known,
    /// Prices of another region are no prices: they are in `hint` alone.
    Unknown,
}

impl Charged {
    fn amount(self, money: Option<Money>) -> Option<f64> {
        match self {
            Self::Nothing => Some(0.0),
            Self::Known => amount(money),
            Self::Unknown => None,
        }
    }
}

fn month(month: Option<Month>) -> Value {
    let part = |of: fn(&Month) -> Option<Money>| amount(month.as_ref().and_then(of));
    json!({"storage": part(|m| m.storage), "overhead": part(|m| m.overhead), "total": part(|m| m.total)})
}

pub(super) fn document(bills: &[Bill], book: &PriceBook, comparing: bool, downlink: Option<Rate>) -> Value {
    let vaults: Vec<Value> = bills.iter().map(|b| vault(b, book, comparing, downlink)).collect();
    json!({"vaults": vaults})
}

fn vault(bill: &Bill, book: &PriceBook, comparing: bool, downlink: Option<Rate>) -> Value {
    let (sums, place, quote) = (&bill.vault.sums, &bill.vault.place, bill.quote.as_ref());
    let (prices, charged) = match bill.terms {
        Terms::Own => ("own", Charged::Nothing),
        Terms::Known(_) => ("known", Charged::Known),
        Terms::Elsewhere(_) => ("elsewhere", Charged::Unknown),
        Terms::Unknown => ("unknown", Charged::Unknown),
    };
    let sum = |money: Option<Money>| charged.amount(money);
    let parts = |month: Option<Month>| month.filter(|_| charged == Charged::Known);
    let mut value = json!({
        "name": bill.vault.name,
        "url": bill.vault.url,
        "provider": place.provider,
        "region": place.region,
        "class": place.class,
        "prices": prices,
        "offer": bill.terms.offer().map(offer),
        "unsure": quote.map(Quote::unsure),
        "currency": bill.terms.offer().map(|o| o.currency.to_string()),
        "started": bill.vault.started,
        "objects": bill.stock.objects(),
        "bytes": bill.stock.bytes(),
        "classes": [
            class(&place.class, "cold", bill.stock.cold.objects(), bill.stock.cold.bytes(), parts(quote.map(|q| q.cold))),
            class("STANDARD", "hot", bill.stock.hot.objects(), bill.stock.hot.bytes(), parts(quote.map(|q| q.hot))),
        ],
        "roots": bill.vault.roots.as_ref().map(|_| roots(bill, charged)),
        "month": sum(quote.and_then(|q| q.month)),
        "year": sum(quote.and_then(|q| q.year)),
        "upload": sum(quote.and_then(|q| q.upload)),
        "early_delete": sum(quote.and_then(|q| q.early)),
        "queue": {
            "files": sums.queued_files,
            "bytes": sums.queued_bytes,
            "spool_objects": sums.spool_objects,
            "spool_bytes": sums.spool_bytes,
            "month_at_most": sum(bill.queued_month),
            "upload_at_most": sum(bill.queued_upload),
        },
        "growth": {
            "days": GROWTH_DAYS,
            "bytes": sums.grown,
            "month_in_a_year": if sums.grown.is_none() { None } else { sum(bill.grown_month) },
        },
        "gather": bill.vault.pace.map(|pace| json!({
            "gather_s": pace.gather.as_secs(),
            "packs_a_day": bill.calls.map(|c| c.packs),
            "other_objects_a_day": bill.calls.map(|c| c.hot),
            "lists_a_day": bill.calls.map(|c| c.lists),
            "day": sum(bill.calls_day),
        })),
        "copies_days": COPIES_DAYS,
        "restore": bill.restores.iter().map(|e| speed(e, charged)).collect::<Vec<_>>(),
        "hint": quote.filter(|_| charged == Charged::Unknown).map(|q| compared(q)),
    });
    if comparing {
        value["compare"] = compare(book, &bill.vault.place, &bill.stock, downlink).iter().map(compared).collect();
    }
    value
}

fn offer(offer: &Offer) -> Value {
    json!({
        "provider": offer.provider, "region": offer.region, "class": offer.class, "as_of": offer.as_of,
        "source": offer.source, "note": offer.note, "min_days": offer.min_days,
    })
}

fn class(name: &str, tier: &str, objects: u64, bytes: u64, billed: Option<Month>) -> Value {
    json!({"class": name, "tier": tier, "objects": objects, "bytes": bytes, "month": month(billed)})
}

fn roots(bill: &Bill, charged: Charged) -> Vec<Value> {
    let parts = bill.vault.roots.iter().flatten().zip(&bill.roots);
    parts
        .map(|(root, month)| {
            let (path, path_b64) = legible(&root.path);
            let tier = if root.tier == Tier::Hot { "hot" } else { "cold" };
            let month = charged.amount(*month);
            json!({"path": path, "path_b64": path_b64, "tier": tier, "files": root.files, "bytes": root.bytes, "month": month})
        })
        .collect()
}

/// As the plan of a restore has it.
fn speed(estimate: &Estimate, charged: Charged) -> Value {
    let sum = |money: Option<Money>| charged.amount(money);
    json!({
        "speed": estimate.speed.name(),
        "hours_first": estimate.hours_first,
        "hours_thawed": estimate.hours_thawed,
        "hours_last": estimate.hours_last,
        "cost": {
            "retrieval": sum(estimate.retrieval),
            "requests": sum(estimate.requests),
            "copies": sum(estimate.copies),
            "egress": sum(estimate.egress),
            "total": sum(estimate.total),
            "at_least": sum(Some(estimate.at_least())),
            "currency": estimate.currency.to_string(),
        },
    })
}

fn compared(quote: &Quote) -> Value {
    json!({
        "offer": offer(quote.offer),
        "currency": quote.offer.currency.to_string(),
        "unsure": quote.unsure(),
        "month": amount(quote.month),
        "upload": amount(quote.upload),
        "year": amount(quote.year),
        "year_at_least": quote.year_at_least.decimal(),
        "early_delete": amount(quote.early),
        "restore": quote.restores.iter().map(|e| speed(e, Charged::Known)).collect::<Vec<_>>(),
    })
}
