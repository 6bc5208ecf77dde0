//! What getting it back costs, and how long it takes.

use super::money::{Currency, GB, Money, sum};
use super::offer::{Egress, Offer};
use crate::model::{Rate, Speed};

/// What a restore needs of one vault. Packs count once each, however many files want them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreNeed {
    /// Packs that are read.
    pub packs: u64,
    /// What is read of them: all of it leaves the provider.
    pub bytes: u64,
    /// The part of `bytes` from packs of the offer's class that need no thaw: some classes charge for reading.
    pub cold_bytes: u64,
    /// Packs to thaw first, and their whole sizes: a pack is thawed whole.
    pub frozen_packs: u64,
    pub frozen_bytes: u64,
    /// Days for which a thawed copy is kept; of a restore in waves, those of one wave.
    pub days_of_copies: u32,
    /// Calls that read, where there are more than packs (several ranges of one).
    pub reads: u64,
    /// Calls that list, to see what is thawed.
    pub lists: u64,
    /// Everything the vault holds: some providers let so many times this much out for nothing.
    pub stored_bytes: u64,
    /// How fast the line is; None: not measured.
    pub downlink: Option<Rate>,
}

/// The bill of a restore at one speed, and its hours. None: not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub speed: Speed,
    pub currency: Currency,
    pub retrieval: Option<Money>,
    pub requests: Option<Money>,
    /// Thawed copies, for the days they are kept.
    pub copies: Option<Money>,
    pub egress: Option<Money>,
    /// Of the four; not known where one of them is not.
    pub total: Option<Money>,
    /// Until the first pack can be read.
    pub hours_first: Option<f64>,
    /// Until the last one can be read.
    pub hours_thawed: Option<f64>,
    /// Until the last byte is here; not known before the line is measured.
    pub hours_last: Option<f64>,
}

impl Estimate {
    /// From a disk or server of one's own.
    pub fn own(speed: Speed, bytes: u64, downlink: Option<Rate>) -> Self {
        let nothing = Some(Money::nothing(Currency::USD));
        Self {
            speed,
            currency: Currency::USD,
            retrieval: nothing,
            requests: nothing,
            copies: nothing,
            egress: nothing,
            total: nothing,
            hours_first: Some(0.0),
            hours_thawed: Some(0.0),
            hours_last: download_hours(bytes, downlink),
        }
    }

    /// The sum of the parts that are known: what it costs at least.
    pub fn at_least(&self) -> Money {
        let parts = [self.retrieval, self.requests, self.copies, self.egress];
        sum(parts.into_iter().flatten().map(Some)).unwrap_or(Money::nothing(self.currency))
    }
}

/// Of a speed that is not offered nothing is known; [`Offer::speeds`] has those that are.
pub fn restore(offer: &Offer, need: &RestoreNeed, speed: Speed) -> Estimate {
    let currency = offer.currency;
    let thaw = offer.thaw_at(speed);
    let of = |amount: u64, price: Option<super::Price>, what: fn(super::Price, u64, Currency) -> Money| {
        if amount == 0 { Some(Money::nothing(currency)) } else { price.map(|p| what(p, amount, currency)) }
    };
    let bytes = |p: super::Price, n: u64, c| p.for_bytes(u128::from(n), c);
    let calls = super::Price::for_calls;
    let retrieval = sum([
        of(need.frozen_bytes, thaw.and_then(|t| t.gb), bytes),
        // Out of a thawed copy reading is free.
        if offer.needs_thaw() { Some(Money::nothing(currency)) } else { of(need.cold_bytes, offer.read_gb, bytes) },
    ]);
    let requests = sum([
        of(need.frozen_packs, thaw.and_then(|t| t.calls_1000), calls),
        of(need.reads.max(need.packs), offer.get_1000, calls),
        of(need.lists, offer.list_1000, calls),
    ]);
    let copies = if need.frozen_bytes == 0 || need.days_of_copies == 0 {
        Some(Money::nothing(currency))
    } else {
        let held = u128::from(need.frozen_bytes);
        offer.standard_gb_month.map(|p| p.for_bytes_and_days(held, need.days_of_copies, currency))
    };
    let egress = egress(offer.egress.as_ref(), need.bytes, need.stored_bytes, currency);
    let (hours_first, hours_thawed) = match (need.frozen_packs, thaw) {
        (0, _) => (Some(0.0), Some(0.0)),
        (_, thaw) => (thaw.and_then(|t| t.hours_first), thaw.and_then(|t| t.hours_last)),
    };
    Estimate {
        speed,
        currency,
        retrieval,
        requests,
        copies,
        egress,
        total: sum([retrieval, requests, copies, egress]),
        hours_first,
        hours_thawed,
        hours_last: hours_thawed.zip(download_hours(need.bytes, need.downlink)).map(|(a, b)| a + b),
    }
}

#[expect(clippy::cast_precision_loss, reason = "hours for people")]
fn download_hours(bytes: u64, downlink: Option<Rate>) -> Option<f64> {
    if bytes == 0 {
        return Some(0.0);
    }
    downlink.map(|rate| bytes as f64 / rate.get() as f64 / 3600.0)
}

/// The free part first, then step by step; None as soon as a byte lies where no price is known.
fn egress(egress: Option<&Egress>, bytes: u64, stored: u64, currency: Currency) -> Option<Money> {
    let gb = |n: u64| u128::from(n) * u128::from(GB);
    let bytes = u128::from(bytes);
    let nothing = Some(Money::nothing(currency));
    if bytes == 0 {
        return nothing;
    }
    let egress = egress?;
    let mut at = gb(egress.free_gb).max(u128::from(stored) * u128::from(egress.free_times_stored));
    let mut total = nothing;
    for step in &egress.steps {
        let end = step.up_to_gb.map_or(bytes, |n| gb(n).min(bytes));
        if end > at {
            total = sum([total, Some(step.gb.for_bytes(end - at, currency))]);
            at = end;
        }
    }
    if at >= bytes { total } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::{EgressStep, Place, Price, PriceBook};
    use super::*;
    use proptest::prelude::*;

    fn offer(class: &str) -> Offer {
        let book = PriceBook::shipped();
        book.terms(&Place::bucket(None, Some("us-east-1"), class)).offer().unwrap().clone()
    }
    fn whole(bytes: u64) -> RestoreNeed {
        let packs = bytes.div_ceil(25_000_000);
        RestoreNeed {
            packs,
            bytes,
            frozen_packs: packs,
            frozen_bytes: bytes,
            days_of_copies: 14,
            ..RestoreNeed::default()
        }
    }

    #[test]
    fn a_speed_that_is_not_offered_has_no_price_and_no_hours() {
        let estimate = restore(&offer("DEEP_ARCHIVE"), &whole(1_000_000_000), Speed::Expedited);
        assert_eq!((estimate.retrieval, estimate.total, estimate.hours_first), (None, None, None));
        assert_eq!(estimate.copies.map(Money::is_nothing), Some(false), "what does not hang on the speed is known");
        assert!(estimate.at_least().as_micros() > 0);
    }

    #[test]
    fn one_unknown_part_leaves_the_total_unknown_and_the_known_ones_known() {
        let offer = Offer { egress: None, ..offer("DEEP_ARCHIVE") };
        let estimate = restore(&offer, &whole(1_000_000_000), Speed::Bulk);
        assert_eq!((estimate.egress, estimate.total), (None, None));
        assert!(estimate.retrieval.is_some() && estimate.requests.is_some());
    }

    #[test]
    fn what_needs_no_thaw_is_there_at_once_and_a_class_may_charge_for_reading() {
        let need = RestoreNeed { packs: 40, bytes: GB, cold_bytes: GB, ..RestoreNeed::default() };
        let estimate = restore(&offer("GLACIER_IR"), &need, Speed::Standard);
        assert_eq!(estimate.retrieval.map(Money::as_micros), Some(30_000));
        assert_eq!((estimate.hours_first, estimate.hours_thawed, estimate.hours_last), (Some(0.0), Some(0.0), None));
        assert!(restore(&offer("STANDARD"), &need, Speed::Bulk).retrieval.unwrap().is_nothing());
        let thawed = restore(&offer("DEEP_ARCHIVE"), &need, Speed::Bulk);
        assert!(thawed.retrieval.unwrap().is_nothing() && thawed.copies.unwrap().is_nothing());
    }

    #[test]
    fn the_last_byte_comes_after_the_last_thaw_and_the_download() {
        let need = RestoreNeed { downlink: Rate::bytes_per_second(2_500_000), ..whole(9_000_000_000) };
        let estimate = restore(&offer("DEEP_ARCHIVE"), &need, Speed::Bulk);
        assert_eq!((estimate.hours_thawed, estimate.hours_last), (Some(48.0), Some(49.0)));
        assert_eq!(Estimate::own(Speed::Bulk, 9_000_000_000, need.downlink).hours_last, Some(1.0));
    }

    #[test]
    fn egress_is_free_up_to_the_free_part_then_goes_by_steps_and_ends_where_nothing_is_known() {
        let step = |up_to_gb, nanos| EgressStep { up_to_gb, gb: Price::nanos(nanos) };
        let steps = vec![step(Some(10), 90_000_000), step(Some(20), 50_000_000)];
        let terms = Egress { free_gb: 2, free_times_stored: 3, steps };
        let cost = |bytes: u64, stored: u64| {
            egress(Some(&terms), bytes * GB, stored * GB, Currency::USD).map(Money::as_micros)
        };
        assert_eq!(cost(2, 0), Some(0));
        assert_eq!(cost(3, 0), Some(90_000));
        assert_eq!(cost(12, 0), Some(8 * 90_000 + 2 * 50_000));
        assert_eq!(cost(12, 4), Some(0), "three times what is stored");
        assert_eq!(cost(16, 5), Some(50_000));
        assert_eq!(cost(21, 0), None);
        assert_eq!(egress(None, 1, 0, Currency::USD), None);
        assert_eq!(egress(None, 0, 0, Currency::USD), Some(Money::nothing(Currency::USD)));
    }

    proptest! {
        #[test]
        fn the_total_is_the_parts_and_more_never_costs_less(bytes in 1..20_000_000_000_000_u64, more in 0..1_000_000_000_u64) {
            for speed in [Speed::Bulk, Speed::Standard] {
                let (a, b) = (restore(&offer("DEEP_ARCHIVE"), &whole(bytes), speed), restore(&offer("DEEP_ARCHIVE"), &whole(bytes + more), speed));
                prop_assert_eq!(a.total.unwrap(), a.at_least());
                prop_assert!(a.total.unwrap().as_micros() <= b.total.unwrap().as_micros());
            }
        }

        #[test]
        fn a_restore_never_costs_more_split_into_its_parts_than_whole_but_for_the_free_part(a in 0..1_000_000_000_000_u64, b in 0..1_000_000_000_000_u64) {
            let flat = Egress { free_gb: 0, free_times_stored: 0, steps: vec![EgressStep { up_to_gb: None, gb: Price::nanos(90_000_000) }] };
            let cost = |n| egress(Some(&flat), n, 0, Currency::USD).unwrap().as_micros();
            prop_assert!((cost(a) + cost(b) - cost(a + b)).abs() <= 1);
        }
    }
}
