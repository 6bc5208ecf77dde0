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
    let (prices, free) = match bill.terms {
        Terms::Own => ("own", true),
        Terms::Known(_) => ("known", false),
        Terms::Elsewhere(_) => ("elsewhere", false),
        Terms::Unknown => ("unknown", false),
    };
    // Of one's own nothing is charged; else what is not known is null.
    let or_free = |money: Option<Money>| if free { Some(0.0) } else { amount(money) };
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
            class(&place.class, "cold", bill.stock.cold.objects(), bill.stock.cold.bytes(), quote.map(|q| q.cold)),
            class("STANDARD", "hot", bill.stock.hot.objects(), bill.stock.hot.bytes(), quote.map(|q| q.hot)),
        ],
        "roots": bill.vault.roots.as_ref().map(|_| roots(bill, free)),
        "month": or_free(quote.and_then(|q| q.month)),
        "year": or_free(quote.and_then(|q| q.year)),
        "upload": or_free(quote.and_then(|q| q.upload)),
        "early_delete": or_free(quote.and_then(|q| q.early)),
        "queue": {
            "files": sums.queued_files,
            "bytes": sums.queued_bytes,
            "spool_objects": sums.spool_objects,
            "spool_bytes": sums.spool_bytes,
            "month_at_most": or_free(bill.queued_month),
            "upload_at_most": or_free(bill.queued_upload),
        },
        "growth": {
            "days": GROWTH_DAYS,
            "bytes": sums.grown,
            "month_in_a_year": if sums.grown.is_none() { None } else { or_free(bill.grown_month) },
        },
        "gather": bill.vault.pace.map(|pace| json!({
            "gather_s": pace.gather.as_secs(),
            "packs_a_day": bill.calls.map(|c| c.packs),
            "other_objects_a_day": bill.calls.map(|c| c.hot),
            "lists_a_day": bill.calls.map(|c| c.lists),
            "day": if free { Some(0.0) } else { amount(bill.calls_day) },
        })),
        "copies_days": COPIES_DAYS,
        "restore": bill.restores.iter().map(speed).collect::<Vec<_>>(),
    });
    if comparing {
        value["compare"] = compare(book, &bill.stock, downlink).iter().map(compared).collect();
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

fn roots(bill: &Bill, free: bool) -> Vec<Value> {
    let parts = bill.vault.roots.iter().flatten().zip(&bill.roots);
    parts
        .map(|(root, month)| {
            let (path, path_b64) = legible(&root.path);
            let tier = if root.tier == Tier::Hot { "hot" } else { "cold" };
            let month = if free { Some(0.0) } else { amount(*month) };
            json!({"path": path, "path_b64": path_b64, "tier": tier, "files": root.files, "bytes": root.bytes, "month": month})
        })
        .collect()
}

/// As the plan of a restore has it.
fn speed(estimate: &Estimate) -> Value {
    json!({
        "speed": estimate.speed.name(),
        "hours_first": estimate.hours_first,
        "hours_thawed": estimate.hours_thawed,
        "hours_last": estimate.hours_last,
        "cost": {
            "retrieval": amount(estimate.retrieval),
            "requests": amount(estimate.requests),
            "copies": amount(estimate.copies),
            "egress": amount(estimate.egress),
            "total": amount(estimate.total),
            "at_least": estimate.at_least().decimal(),
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
        "restore": quote.restores.iter().map(speed).collect::<Vec<_>>(),
    })
}
