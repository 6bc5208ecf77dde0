//! The whole arithmetic against a table worked out apart from it: Deep Archive in us-east-1, data resident all year,
//! thawed copies kept 14 days, no egress beyond the column.

use super::*;
use crate::model::Speed;

/// GB, MB a pack, packs, then: upload, month, year with upload, thaw requests (bulk, standard), restore without egress
/// (bulk, standard), egress. Dollars to the cent.
#[rustfmt::skip]
const TABLE: [(u64, u64, u64, [&str; 8]); 18] = [
    (100, 2, 50_000, ["2.50", "0.11", "3.82", "1.25", "5.00", "2.59", "8.09", "0.00"]),
    (100, 4, 25_000, ["1.25", "0.10", "2.50", "0.62", "2.50", "1.96", "5.58", "0.00"]),
    (100, 16, 6_250, ["0.31", "0.10", "1.52", "0.16", "0.62", "1.48", "3.70", "0.00"]),
    (100, 25, 4_000, ["0.20", "0.10", "1.40", "0.10", "0.40", "1.42", "3.47", "0.00"]),
    (100, 64, 1_562, ["0.08", "0.10", "1.27", "0.04", "0.16", "1.36", "3.23", "0.00"]),
    (100, 256, 391, ["0.02", "0.10", "1.21", "0.01", "0.04", "1.33", "3.11", "0.00"]),
    (1_000, 2, 500_000, ["25.00", "1.10", "38.17", "12.50", "50.00", "25.93", "80.93", "81.00"]),
    (1_000, 4, 250_000, ["12.50", "1.04", "25.03", "6.25", "25.00", "19.58", "55.83", "81.00"]),
    (1_000, 16, 62_500, ["3.12", "1.00", "15.17", "1.56", "6.25", "14.82", "37.01", "81.00"]),
    (1_000, 25, 40_000, ["2.00", "1.00", "13.98", "1.00", "4.00", "14.25", "34.75", "81.00"]),
    (1_000, 64, 15_625, ["0.78", "0.99", "12.70", "0.39", "1.56", "13.63", "32.30", "81.00"]),
    (1_000, 256, 3_906, ["0.20", "0.99", "12.09", "0.10", "0.39", "13.33", "31.13", "81.00"]),
    (10_000, 2, 5_000_000, ["250.00", "10.98", "381.74", "125.00", "500.00", "259.33", "809.33", "891.00"]),
    (10_000, 4, 2_500_000, ["125.00", "10.44", "250.27", "62.50", "250.00", "195.83", "558.33", "891.00"]),
    (10_000, 16, 625_000, ["31.25", "10.03", "151.67", "15.62", "62.50", "148.21", "370.08", "891.00"]),
    (10_000, 25, 400_000, ["20.00", "9.99", "139.84", "10.00", "40.00", "142.49", "347.49", "891.00"]),
    (10_000, 64, 156_250, ["7.81", "9.93", "127.02", "3.91", "15.62", "136.30", "323.02", "891.00"]),
    (10_000, 256, 39_062, ["1.95", "9.91", "120.85", "0.98", "3.91", "133.33", "311.26", "891.00"]),
];

/// Half a cent is rounded up here and to even in the table.
fn is_about(found: Money, dollars: &str) -> bool {
    let (whole, cents) = dollars.split_once('.').unwrap();
    let micros = whole.parse::<i64>().unwrap() * 1_000_000 + cents.parse::<i64>().unwrap() * 10_000;
    (found.as_micros() - micros).abs() <= 5_000
}

#[test]
fn the_sums_are_those_of_the_table() {
    let book = PriceBook::shipped();
    let offer = book.terms(&Place::bucket(None, Some("us-east-1"), "DEEP_ARCHIVE")).offer().unwrap();
    for (gb, mb, packs, dollars) in TABLE {
        let bytes = gb * GB;
        // As many packs of one size as there are, and one more for the rest of the bytes.
        let mut held = Held::default();
        let size = bytes / packs;
        held.add_alike(packs - 1, size, 0);
        held.add(bytes - (packs - 1) * size, 0);
        let need = RestoreNeed {
            packs,
            bytes,
            frozen_packs: packs,
            frozen_bytes: bytes,
            days_of_copies: 14,
            stored_bytes: bytes,
            ..RestoreNeed::default()
        };
        let keep = month(offer, &held).total.unwrap();
        let first = upload(offer, packs).unwrap();
        let [bulk, standard] = [Speed::Bulk, Speed::Standard].map(|s| restore(offer, &need, s));
        let [thaw_bulk, thaw_standard] = [Speed::Bulk, Speed::Standard]
            .map(|s| offer.thaw_at(s).unwrap().calls_1000.unwrap().for_calls(packs, Currency::USD));
        let without = |e: &Estimate| sum([e.retrieval, e.requests, e.copies]).unwrap();
        let found = [
            first,
            keep,
            first.plus(keep.times(12)).unwrap(),
            thaw_bulk,
            thaw_standard,
            without(&bulk),
            without(&standard),
            bulk.egress.unwrap(),
        ];
        for (number, (found, dollars)) in found.into_iter().zip(dollars).enumerate() {
            assert!(is_about(found, dollars), "{gb} GB of {mb} MB, figure {number}: {found:?} is not {dollars}");
        }
    }
}
