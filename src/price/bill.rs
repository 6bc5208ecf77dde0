//! What keeping costs: the month, the upload, and going early.

use super::held::Held;
use super::money::{GB, Money, sum};
use super::offer::Offer;

/// A month of what is held in one class. None: not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month {
    pub storage: Option<Money>,
    /// For what is billed with every object besides its bytes.
    pub overhead: Option<Money>,
    pub total: Option<Money>,
}

/// As if all of it lay there for the whole month.
pub fn month(offer: &Offer, held: &Held) -> Month {
    let nothing = Money::nothing(offer.currency);
    if held.is_empty() {
        return Month { storage: Some(nothing), overhead: Some(nothing), total: Some(nothing) };
    }
    let billed = held.billed(offer.min_bytes).max(u128::from(offer.min_bill_gb) * u128::from(GB));
    let storage = offer.store_gb_month.map(|p| p.for_bytes(billed, offer.currency));
    let extra = |bytes: u64, rate: Option<super::Price>| match bytes {
        0 => Some(nothing),
        _ => rate.map(|p| p.for_bytes(u128::from(bytes) * u128::from(held.objects()), offer.currency)),
    };
    let overhead = sum([
        extra(offer.overhead_class_bytes, offer.store_gb_month),
        extra(offer.overhead_standard_bytes, offer.standard_gb_month),
    ]);
    Month { storage, overhead, total: sum([storage, overhead]) }
}

/// Creating so many objects, each by one call. None: not known.
pub fn upload(offer: &Offer, objects: u64) -> Option<Money> {
    if objects == 0 {
        return Some(Money::nothing(offer.currency));
    }
    offer.put_1000.map(|p| p.for_calls(objects, offer.currency))
}

/// Deleting all of it today: what is still billed until each object is as old as the class asks. None: not known.
pub fn early(offer: &Offer, held: &Held) -> Option<Money> {
    let owed: u128 = held
        .younger(offer.min_days)
        .map(|(age, objects, bytes)| {
            let billed = u128::from(bytes) + u128::from(objects) * u128::from(offer.overhead_class_bytes);
            billed * u128::from(offer.min_days - age)
        })
        .sum();
    if owed == 0 {
        return Some(Money::nothing(offer.currency));
    }
    offer.store_gb_month.map(|p| p.for_bytes_and_days(owed, 1, offer.currency))
}

#[cfg(test)]
mod tests {
    use super::super::{Place, Price, PriceBook};
    use super::*;
    use proptest::prelude::*;

    fn deep() -> Offer {
        let book = PriceBook::shipped();
        book.terms(&Place::bucket(None, Some("us-east-1"), "DEEP_ARCHIVE")).offer().unwrap().clone()
    }
    fn held(objects: u64, size: u64, days: u64) -> Held {
        let mut held = Held::default();
        held.add_alike(objects, size, days);
        held
    }

    #[test]
    fn nothing_held_costs_nothing_even_where_the_price_is_not_known() {
        let unpriced = Offer { store_gb_month: None, put_1000: None, ..deep() };
        assert!(month(&unpriced, &Held::default()).total.unwrap().is_nothing());
        assert!(upload(&unpriced, 0).unwrap().is_nothing() && early(&unpriced, &Held::default()).unwrap().is_nothing());
        assert_eq!(month(&unpriced, &held(1, 1, 0)).total, None);
        assert_eq!((upload(&unpriced, 1), early(&unpriced, &held(1, 1, 0))), (None, None));
    }

    #[test]
    fn an_overhead_whose_rate_is_not_known_leaves_the_total_unknown() {
        let offer = Offer { standard_gb_month: None, ..deep() };
        let month = month(&offer, &held(1000, 25_000_000, 0));
        assert!(month.storage.is_some() && month.overhead.is_none() && month.total.is_none());
    }

    #[test]
    fn going_at_once_costs_the_whole_minimum_and_going_late_nothing() {
        // 180 days at 0.00099 for a month of 30: 0.00594 a GB.
        let offer = Offer { overhead_class_bytes: 0, ..deep() };
        assert_eq!(early(&offer, &held(40, 25_000_000, 0)).unwrap().as_micros(), 5_940);
        assert_eq!(early(&offer, &held(40, 25_000_000, 90)).unwrap().as_micros(), 2_970);
        assert!(early(&offer, &held(40, 25_000_000, 180)).unwrap().is_nothing());
    }

    #[test]
    fn a_bill_has_the_least_size_of_an_object_and_of_a_month() {
        let offer = Offer {
            min_bytes: 131_072,
            min_bill_gb: 0,
            overhead_class_bytes: 0,
            overhead_standard_bytes: 0,
            store_gb_month: Some(Price::nanos(1_000_000_000)),
            ..deep()
        };
        assert_eq!(month(&offer, &held(1000, 1000, 0)).total.unwrap().as_micros(), 131_072);
        let least = Offer { min_bill_gb: 1000, ..offer };
        assert_eq!(month(&least, &held(1000, 1000, 0)).total.unwrap().as_micros(), 1_000_000_000);
    }

    proptest! {
        #[test]
        fn more_never_costs_less(objects in 1..1_000_000_u64, size in 1..100_000_000_u64, more in 0..1000_u64, days in 0..400_u64) {
            let (offer, less) = (deep(), held(objects, size, days));
            let more = held(objects + more, size, days);
            prop_assert!(month(&offer, &less).total.unwrap().as_micros() <= month(&offer, &more).total.unwrap().as_micros());
            prop_assert!(early(&offer, &less).unwrap().as_micros() <= early(&offer, &more).unwrap().as_micros());
            prop_assert!(early(&offer, &less).unwrap().as_micros() >= early(&offer, &held(objects, size, days + 1)).unwrap().as_micros());
        }
    }
}
