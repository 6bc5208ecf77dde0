//! The whole bill of one vault at one offer: what `cost` shows, and what `cost --compare` puts beside each other.

use super::bill::{Month, early, month, upload};
use super::book::PriceBook;
use super::held::Held;
use super::money::{Money, sum};
use super::offer::Offer;
use super::place::Place;
use super::restore::{Estimate, RestoreNeed, restore};
use crate::model::Rate;

/// Days for which a thawed copy is kept, where a restore is only thought of: one in waves keeps none longer.
pub const COPIES_DAYS: u32 = 7;

/// What a vault holds, by where it lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// In the class of the vault.
    pub cold: Held,
    /// Hot packs and the log: always in the standard class.
    pub hot: Held,
}

/// Calls of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Created in the class of the vault.
    pub packs: u64,
    /// Created in the standard class.
    pub hot: u64,
    pub lists: u64,
}

/// None: not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote<'a> {
    pub offer: &'a Offer,
    /// What the log and hot packs are billed by; the offer itself where it is the standard class.
    pub standard: Option<&'a Offer>,
    pub cold: Month,
    pub hot: Month,
    pub month: Option<Money>,
    /// Creating every object that is there, once.
    pub upload: Option<Money>,
    /// The upload and twelve such months.
    pub year: Option<Money>,
    /// The sum of what is known of the year.
    pub year_at_least: Money,
    /// Deleting all of it today.
    pub early: Option<Money>,
    /// Everything back, at each speed there is.
    pub restores: Vec<Estimate>,
}

impl Stock {
    pub fn objects(&self) -> u64 {
        self.cold.objects() + self.hot.objects()
    }
    pub fn bytes(&self) -> u64 {
        self.cold.bytes().saturating_add(self.hot.bytes())
    }

    /// A restore of all of it.
    pub fn whole(&self, offer: &Offer, downlink: Option<Rate>) -> RestoreNeed {
        let (packs, bytes) = (self.objects(), self.bytes());
        let cold = (self.cold.objects(), self.cold.bytes());
        let (frozen, read) = if offer.needs_thaw() { (cold, 0) } else { ((0, 0), cold.1) };
        RestoreNeed {
            packs,
            bytes,
            cold_bytes: read,
            frozen_packs: frozen.0,
            frozen_bytes: frozen.1,
            days_of_copies: COPIES_DAYS,
            reads: packs,
            lists: self.cold.objects().div_ceil(LISTED_AT_ONCE),
            stored_bytes: bytes,
            downlink,
        }
    }
}

/// Objects one call lists.
const LISTED_AT_ONCE: u64 = 1000;

pub fn quote<'a>(book: &'a PriceBook, offer: &'a Offer, stock: &Stock, downlink: Option<Rate>) -> Quote<'a> {
    let standard = book.standard_of(offer);
    // One class, one bill: a least bill is not paid twice.
    let (cold_held, hot_held) = if offer.class == "STANDARD" {
        (stock.cold.clone().and(&stock.hot), Held::default())
    } else {
        (stock.cold.clone(), stock.hot.clone())
    };
    let cold = month(offer, &cold_held);
    let hot = hot_month(offer, standard, &hot_held);
    let month = sum([cold.total, hot.total]);
    let upload = sum([upload(offer, cold_held.objects()), hot_upload(offer, standard, hot_held.objects())]);
    let known = [cold.storage, cold.overhead, hot.storage, hot.overhead];
    let nothing = Money::nothing(offer.currency);
    let known = sum(known.into_iter().flatten().map(Some)).unwrap_or(nothing).times(12);
    let year_at_least = known.plus(upload.unwrap_or(nothing)).unwrap_or(known);
    let whole = stock.whole(offer, downlink);
    Quote {
        offer,
        standard,
        cold,
        hot,
        month,
        upload,
        year: sum([month.map(|m| m.times(12)), upload]),
        year_at_least,
        early: sum([early(offer, &cold_held), standard.map_or(Some(nothing), |standard| early(standard, &hot_held))]),
        restores: offer.speeds().map(|speed| restore(offer, &whole, speed)).collect(),
    }
}

/// Without an offer of the standard class its rate still tells the storage.
fn hot_month(offer: &Offer, standard: Option<&Offer>, held: &Held) -> Month {
    if let Some(standard) = standard {
        return month(standard, held);
    }
    let bare = Offer {
        store_gb_month: offer.standard_gb_month,
        min_bytes: 0,
        min_bill_gb: 0,
        overhead_class_bytes: 0,
        overhead_standard_bytes: 0,
        ..offer.clone()
    };
    month(&bare, held)
}

fn hot_upload(offer: &Offer, standard: Option<&Offer>, objects: u64) -> Option<Money> {
    if objects == 0 { Some(Money::nothing(offer.currency)) } else { upload(standard?, objects) }
}

impl Quote<'_> {
    /// What so many calls cost; None: not known.
    pub fn calls(&self, calls: Calls) -> Option<Money> {
        let lists = if calls.lists == 0 {
            Some(Money::nothing(self.offer.currency))
        } else {
            self.offer.list_1000.map(|p| p.for_calls(calls.lists, self.offer.currency))
        };
        sum([upload(self.offer, calls.packs), hot_upload(self.offer, self.standard, calls.hot), lists])
    }

    /// What more bytes of the vault's class cost a month, in objects of the given size; None: not known.
    pub fn more(&self, bytes: u64, object: u64) -> Option<Money> {
        let mut held = Held::default();
        held.add_alike(bytes.div_ceil(object.max(1)), object, 0);
        let bare = Offer { min_bill_gb: 0, ..self.offer.clone() };
        if bytes == 0 { Some(Money::nothing(self.offer.currency)) } else { month(&bare, &held).total }
    }

    /// Keys of the prices nobody verified, of both offers; those nothing here is reckoned from left out.
    pub fn unsure(&self) -> Vec<&str> {
        let standard = self.standard.filter(|s| s.class != self.offer.class);
        let mut out: Vec<&str> = self.offer.unsure.iter().map(String::as_str).collect();
        out.extend(standard.into_iter().flat_map(|s| &s.unsure).map(String::as_str));
        out.retain(|key| *key != "head_1000");
        out.sort_unstable();
        out.dedup();
        out
    }
}

/// The same vault elsewhere: every class of its own region, its class in each other region of its provider, and every
/// class of the other providers in the region their list begins with. The cheapest year first, then those of which only a
/// part is known, by that part. Currencies are not converted: numbers are compared as they stand.
pub fn compare<'a>(book: &'a PriceBook, place: &Place, stock: &Stock, downlink: Option<Rate>) -> Vec<Quote<'a>> {
    let usual = |provider: &str| {
        let mut of = book.offers().iter().filter(|o| o.provider == provider);
        let first = of.clone().next();
        let own = of.find(|o| provider == place.provider && place.region.as_ref() == Some(&o.region));
        own.or(first).map(|o| o.region.as_str())
    };
    let shown = |o: &&Offer| {
        usual(&o.provider) == Some(&o.region) || (&o.provider, &o.class) == (&place.provider, &place.class)
    };
    let mut quotes: Vec<Quote<'a>> =
        book.offers().iter().filter(shown).map(|o| quote(book, o, stock, downlink)).collect();
    quotes.sort_by_key(|q| (q.year.is_none(), q.cold.total.is_none(), q.year_at_least.as_micros()));
    quotes
}

#[cfg(test)]
mod tests {
    use super::super::{Place, Terms};
    use super::*;
    use crate::model::Speed;

    fn stock(packs: u64) -> Stock {
        let mut stock = Stock::default();
        stock.cold.add_alike(packs, 25_000_000, 0);
        stock.hot.add_alike(packs / 100, 1_000_000, 0);
        stock
    }
    fn of<'a>(book: &'a PriceBook, class: &str) -> &'a Offer {
        match book.terms(&Place::bucket(None, Some("us-east-1"), class)) {
            Terms::Known(offer) => offer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_year_is_the_upload_and_twelve_months() {
        let book = PriceBook::shipped();
        let quote = quote(&book, of(&book, "DEEP_ARCHIVE"), &stock(40_000), None);
        let year = quote.upload.unwrap().plus(quote.month.unwrap().times(12)).unwrap();
        assert_eq!((quote.year, quote.year_at_least), (Some(year), year));
        assert_eq!(quote.restores.iter().map(|e| e.speed).collect::<Vec<_>>(), [Speed::Bulk, Speed::Standard]);
        assert!(quote.early.unwrap() != Money::nothing(quote.offer.currency));
    }

    #[test]
    fn the_standard_class_holds_everything_in_one_bill() {
        let book = PriceBook::shipped();
        let quote = quote(&book, of(&book, "STANDARD"), &stock(40_000), None);
        assert!(quote.hot.total.unwrap().is_nothing());
        let bytes = u128::from(stock(40_000).bytes());
        assert_eq!(quote.month, quote.offer.store_gb_month.map(|p| p.for_bytes(bytes, quote.offer.currency)));
    }

    #[test]
    fn what_is_cheapest_in_a_year_stands_first_and_what_is_not_known_last() {
        let book = PriceBook::shipped();
        let place = Place::bucket(None, Some("us-east-1"), "DEEP_ARCHIVE");
        let quotes = compare(&book, &place, &stock(40_000), None);
        assert_eq!(quotes[0].offer.class, "DEEP_ARCHIVE");
        let known = quotes.iter().take_while(|q| q.year.is_some()).count();
        assert!(known > 5 && quotes[known..].iter().all(|q| q.year.is_none()));
        let years: Vec<i64> = quotes[..known].iter().map(|q| q.year.unwrap().as_micros()).collect();
        assert!(years.is_sorted(), "{years:?}");
    }

    #[test]
    fn a_region_is_compared_by_all_its_classes_and_others_by_the_class_of_the_vault() {
        let book = PriceBook::shipped();
        for (region, home) in [("eu-central-1", "eu-central-1"), ("mars-north-1", "us-east-1")] {
            let place = Place::bucket(None, Some(region), "DEEP_ARCHIVE");
            let quotes = compare(&book, &place, &stock(1000), None);
            let aws: Vec<&Offer> = quotes.iter().map(|q| q.offer).filter(|o| o.provider == "aws").collect();
            assert_eq!(aws.iter().filter(|o| o.region == home).count(), 5);
            assert!(aws.iter().all(|o| o.region == home || o.class == "DEEP_ARCHIVE"));
            assert!(aws.len() > 10 && quotes.len() < 40, "{} of {}", aws.len(), quotes.len());
        }
    }

    #[test]
    fn calls_of_a_day_are_priced_each_in_its_class() {
        let book = PriceBook::shipped();
        let quote = quote(&book, of(&book, "DEEP_ARCHIVE"), &Stock::default(), None);
        // 24 at 0.05, 24 at 0.005, 24 at 0.005 for a thousand.
        let day = quote.calls(Calls { packs: 24, hot: 24, lists: 24 });
        assert_eq!(day.map(Money::as_micros), Some(1_200 + 120 + 120));
        assert!(quote.month.unwrap().is_nothing() && quote.year.unwrap().is_nothing());
    }
}
