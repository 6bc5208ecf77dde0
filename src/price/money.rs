//! Amounts and prices as whole numbers: sums of money are never rounded twice and never a float.

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// Three capital letters of ISO 4217: `USD`, `EUR`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

/// Millionths of a currency. Sums that would not fit stay at the largest amount there is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    micros: i64,
    currency: Currency,
}

/// What one unit costs (a GB, a GB for a month, 1000 calls), in thousand-millionths: `0.00099` is 990,000. 0 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price(u64);

/// Bytes of the GB that prices are for. Amazon counts 2^30: its bills come out up to 7 % lower.
pub const GB: u64 = 1_000_000_000;
/// Days of the month that prices are for.
pub const MONTH_DAYS: u32 = 30;

const NANOS: u128 = 1_000_000_000;

impl Currency {
    pub const USD: Self = Self(*b"USD");

    pub fn new(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{}", char::from(*b)))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let code = String::deserialize(from)?;
        Self::new(&code)
            .ok_or_else(|| D::Error::custom(format!("'{code}' is no currency; write three capitals like \"USD\"")))
    }
}

impl Money {
    pub fn micros(micros: i64, currency: Currency) -> Self {
        Self { micros, currency }
    }
    pub fn nothing(currency: Currency) -> Self {
        Self { micros: 0, currency }
    }
    pub fn currency(self) -> Currency {
        self.currency
    }
    pub fn as_micros(self) -> i64 {
        self.micros
    }
    pub fn is_nothing(self) -> bool {
        self.micros == 0
    }
    /// None: two currencies have no sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        (self.currency == other.currency)
            .then(|| Self { micros: self.micros.saturating_add(other.micros), currency: self.currency })
    }
    #[must_use]
    pub fn times(self, n: u32) -> Self {
        Self { micros: self.micros.saturating_mul(i64::from(n)), currency: self.currency }
    }
    /// The part `of` has in `all`; all of it where there is nothing to share by.
    #[must_use]
    pub fn share(self, of: u64, all: u64) -> Self {
        if all == 0 {
            return self;
        }
        let micros = i128::from(self.micros) * i128::from(of) / i128::from(all);
        Self { micros: i64::try_from(micros).unwrap_or(i64::MAX), currency: self.currency }
    }
    /// For faces only: `0.99`. Nothing is ever summed up from it.
    #[expect(clippy::cast_precision_loss, reason = "shown, not summed; exact below nine thousand millions")]
    pub fn decimal(self) -> f64 {
        self.micros as f64 / 1e6
    }
}

impl fmt::Display for Money {
    /// To the cent: `14.25 USD`; `under 0.01 USD` for what is less but not nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if (1..5_000).contains(&self.micros) {
            return write!(f, "under 0.01 {}", self.currency);
        }
        let cents = (self.micros.unsigned_abs() + 5_000) / 10_000;
        let sign = if self.micros < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02} {}", cents / 100, cents % 100, self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} {}", self.micros / 1_000_000, self.micros.unsigned_abs() % 1_000_000, self.currency)
    }
}

/// The sum of what is known; None as soon as one part is not, or two currencies meet.
pub fn sum(parts: impl IntoIterator<Item = Option<Money>>) -> Option<Money> {
    parts.into_iter().reduce(|a, b| a?.plus(b?)).flatten()
}

impl Price {
    /// The price of nothing charged.
    pub const NOTHING: Self = Self(0);

    pub const fn nanos(nanos: u64) -> Self {
        Self(nanos)
    }
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked against the range first")]
    fn from_decimal(value: f64) -> Option<Self> {
        (0.0..=1e6).contains(&value).then(|| Self((value * 1e9).round() as u64))
    }

    /// Price of a GB: what `bytes` cost.
    pub fn for_bytes(self, bytes: u128, currency: Currency) -> Money {
        self.of(bytes, u128::from(GB), currency)
    }
    /// Price of a GB for a month: what `bytes` cost for so many days.
    pub fn for_bytes_and_days(self, bytes: u128, days: u32, currency: Currency) -> Money {
        self.of(bytes.saturating_mul(u128::from(days)), u128::from(GB) * u128::from(MONTH_DAYS), currency)
    }
    /// Price of 1000 calls: what `calls` cost.
    pub fn for_calls(self, calls: u64, currency: Currency) -> Money {
        self.of(u128::from(calls), 1000, currency)
    }

    /// Rounded to the nearest millionth, once.
    fn of(self, amount: u128, unit: u128, currency: Currency) -> Money {
        let whole = unit * (NANOS / 1_000_000);
        let micros = (amount.saturating_mul(u128::from(self.0)).saturating_add(whole / 2)) / whole;
        Money { micros: i64::try_from(micros).unwrap_or(i64::MAX), currency }
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Decimal;
        impl Visitor<'_> for Decimal {
            type Value = Price;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a price like 0.023, from 0 to 1000000")
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Price, E> {
                Price::from_decimal(value)
                    .ok_or_else(|| E::custom(format!("{value} is no price; write 0.023, from 0 to 1000000")))
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Price, E> {
                let whole = u64::try_from(value).ok().filter(|n| *n <= 1_000_000);
                whole
                    .map(|n| Price(n * 1_000_000_000))
                    .ok_or_else(|| E::custom(format!("{value} is no price; write 0.023, from 0 to 1000000")))
            }
        }
        from.deserialize_any(Decimal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usd(micros: i64) -> Money {
        Money::micros(micros, Currency::USD)
    }

    #[test]
    fn money_shows_cents_and_never_calls_a_little_nothing() {
        for (micros, text) in [
            (0, "0.00 USD"),
            (1, "under 0.01 USD"),
            (4_999, "under 0.01 USD"),
            (5_000, "0.01 USD"),
            (990_000, "0.99 USD"),
            (139_844_999, "139.84 USD"),
            (139_845_000, "139.85 USD"),
        ] {
            assert_eq!(usd(micros).to_string(), text);
        }
        assert_eq!(format!("{:?}", usd(1_000_001)), "1.000001 USD");
    }

    #[test]
    fn two_currencies_have_no_sum_and_what_is_not_known_stays_so() {
        let euro = Money::micros(1, Currency::new("EUR").unwrap());
        assert_eq!(usd(1).plus(euro), None);
        assert_eq!(sum([Some(usd(1)), None, Some(usd(2))]), None);
        assert_eq!(sum([Some(usd(1)), Some(usd(2))]), Some(usd(3)));
        assert_eq!(Currency::new("usd"), None);
    }

    proptest! {
        #[test]
        fn a_price_times_an_amount_is_right_to_the_millionth(nanos in 0..10_000_000_000_u64, bytes in 0..u64::MAX / 4) {
            let exact = u128::from(nanos) * u128::from(bytes);
            let got = u128::from(Price::nanos(nanos).for_bytes(u128::from(bytes), Currency::USD).as_micros().unsigned_abs());
            if got < u128::from(i64::MAX.unsigned_abs()) {
                let unit = 1_000 * u128::from(GB);
                prop_assert!(got * unit <= exact + unit / 2 && exact <= got * unit + unit / 2);
            }
        }

        #[test]
        fn shares_never_come_to_more_than_the_whole(micros in 0..i64::MAX, parts in prop::collection::vec(0..u64::MAX / 16, 1..8)) {
            let all: u64 = parts.iter().sum();
            let shared: i64 = if all == 0 { 0 } else { parts.iter().map(|p| usd(micros).share(*p, all).as_micros()).sum() };
            prop_assert!(shared <= micros);
        }
    }
}
