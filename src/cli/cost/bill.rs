//! One vault and its figures, ready to be shown.

use crate::catalog::{GROWTH_DAYS, VaultSums};
use crate::model::{Rate, Size, Tier, TreePath};
use crate::price::{Calls, Estimate, Money, Place, PriceBook, Quote, Stock, Terms, quote, upload};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// A vault as the catalog and the config tell of it.
pub(super) struct Vault {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) place: Place,
    /// Whether there is a catalog at all.
    pub(super) started: bool,
    pub(super) sums: VaultSums,
    /// None: without a configuration nobody knows them.
    pub(super) roots: Option<Vec<RootPart>>,
    pub(super) pace: Option<Pace>,
    pub(super) pack_size: Size,
}

/// One root, as its files are now.
pub(super) struct RootPart {
    pub(super) path: TreePath,
    pub(super) tier: Tier,
    pub(super) files: u64,
    /// Before dedup and compression.
    pub(super) bytes: u64,
}

/// How often something is sent that did not fill a pack.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) gather: Duration,
    pub(super) publish: Duration,
    pub(super) hot: bool,
    pub(super) cold: bool,
}

pub(super) struct Bill<'a> {
    pub(super) vault: &'a Vault,
    pub(super) terms: Terms<'a>,
    pub(super) stock: Stock,
    /// None: own, or no price is known.
    pub(super) quote: Option<Quote<'a>>,
    /// A month of each root, by its part of the bytes of its tier; in the order of the vault's roots.
    pub(super) roots: Vec<Option<Money>>,
    /// A month once all that waits is stored, at most; and sending it.
    pub(super) queued_month: Option<Money>,
    pub(super) queued_upload: Option<Money>,
    /// A month in a year's time, growing as in the last month; None also where the growth is not known.
    pub(super) grown_month: Option<Money>,
    /// The most calls a day that gathering leads to; None: not known, or not bounded by time.
    pub(super) calls: Option<Calls>,
    pub(super) calls_day: Option<Money>,
    pub(super) restores: Vec<Estimate>,
}

impl<'a> Bill<'a> {
    pub(super) fn of(vault: &'a Vault, book: &'a PriceBook, downlink: Option<Rate>) -> Self {
        let terms = book.terms(&vault.place);
        let stock = Stock { cold: vault.sums.cold.clone(), hot: vault.sums.hot.clone().and(&vault.sums.log) };
        let quote = terms.offer().map(|offer| quote(book, offer, &stock, downlink));
        let pack = vault.pack_size.0;
        let waiting = vault.sums.queued_bytes.saturating_add(vault.sums.spool_bytes);
        let more = |bytes: u64| {
            let quote = quote.as_ref()?;
            quote.month?.plus(quote.more(bytes, pack)?)
        };
        let yearly = vault.sums.grown.map(|g| g.saturating_mul(365) / u64::from(GROWTH_DAYS));
        let objects = vault.sums.spool_objects.saturating_add(vault.sums.queued_bytes.div_ceil(pack.max(1)));
        let calls = vault.pace.and_then(calls);
        let restores = match terms {
            Terms::Own => {
                crate::model::Speed::ALL.map(|s| Estimate::own(s, stock.bytes(), downlink)).into_iter().collect()
            }
            _ => quote.as_ref().map(|q| q.restores.clone()).unwrap_or_default(),
        };
        Self {
            vault,
            terms,
            roots: vault.roots.iter().flatten().map(|root| root_month(vault, quote.as_ref()?, root)).collect(),
            queued_month: more(waiting),
            queued_upload: terms.offer().and_then(|offer| upload(offer, objects)),
            grown_month: yearly.and_then(more),
            calls,
            calls_day: calls.zip(quote.as_ref()).and_then(|(c, q)| q.calls(c)),
            restores,
            stock,
            quote,
        }
    }
}

/// A pack whenever the gathering time is over, a segment at each publication, a listing after each segment.
fn calls(pace: Pace) -> Option<Calls> {
    let a_day = |every: Duration| DAY.as_secs().checked_div(every.as_secs());
    let (packs, segments) = (a_day(pace.gather)?, a_day(pace.publish)?);
    let of = |yes: bool| if yes { packs } else { 0 };
    Some(Calls { packs: of(pace.cold), hot: of(pace.hot) + segments, lists: segments })
}

/// Its part of what its tier costs. The log is nobody's.
fn root_month(vault: &Vault, quote: &Quote, root: &RootPart) -> Option<Money> {
    let sums = &vault.sums;
    let one_bill = quote.offer.class == "STANDARD";
    let (group, tier) = match (root.tier, one_bill) {
        (Tier::Cold, true) => {
            (quote.cold.total?, (sums.cold.bytes(), sums.cold.bytes() + sums.hot.bytes() + sums.log.bytes()))
        }
        (Tier::Hot, true) => {
            (quote.cold.total?, (sums.hot.bytes(), sums.cold.bytes() + sums.hot.bytes() + sums.log.bytes()))
        }
        (Tier::Cold, false) => (quote.cold.total?, (sums.cold.bytes(), sums.cold.bytes())),
        (Tier::Hot, false) => (quote.hot.total?, (sums.hot.bytes(), sums.hot.bytes() + sums.log.bytes())),
    };
    let of_tier = vault.roots.iter().flatten().filter(|r| r.tier == root.tier).map(|r| r.bytes).sum::<u64>();
    if of_tier == 0 || tier.1 == 0 {
        return Some(Money::nothing(group.currency()));
    }
    Some(group.share(tier.0, tier.1).share(root.bytes, of_tier))
}
