//! One entry of a price list: what one class of one provider costs. A key that is not there is not known.

use super::money::{Currency, Price};
use crate::model::Speed;
use serde::{Deserialize, Deserializer};

/// `[[offer]]`. Prices are for a GB, a GB for a month, or 1000 calls.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// As [`super::Place`] names it.
    pub provider: String,
    /// `*`: every one of its regions.
    pub region: String,
    pub class: String,
    /// When the prices were true, `YYYY-MM-DD` or `YYYY-MM`.
    #[serde(deserialize_with = "date")]
    pub as_of: String,
    pub source: String,
    pub currency: Currency,
    /// Keys whose values nobody read in a source that was opened.
    #[serde(default)]
    pub unsure: Vec<String>,
    /// For people: what else differs.
    pub note: Option<String>,

    pub store_gb_month: Option<Price>,
    /// What a month costs at least, GB.
    #[serde(default)]
    pub min_bill_gb: u64,
    pub put_1000: Option<Price>,
    pub list_1000: Option<Price>,
    pub get_1000: Option<Price>,
    pub head_1000: Option<Price>,
    /// Reading without a thaw; of classes that need one it is in `thaw`.
    pub read_gb: Option<Price>,
    /// An object that goes earlier is billed until then.
    #[serde(default)]
    pub min_days: u32,
    /// A smaller object is billed as one of this size.
    #[serde(default)]
    pub min_bytes: u64,
    /// Bytes billed with every object at this class's rate…
    #[serde(default)]
    pub overhead_class_bytes: u64,
    /// …and at that of the standard class.
    #[serde(default)]
    pub overhead_standard_bytes: u64,
    /// Rate of the standard class, in which thawed copies are kept.
    pub standard_gb_month: Option<Price>,
    /// There is one for each speed offered; none at all where nothing needs a thaw.
    #[serde(default)]
    pub thaw: ThawTerms,
    pub egress: Option<Egress>,
}

/// `[offer.thaw.bulk]` and so on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThawTerms {
    pub bulk: Option<SpeedTerms>,
    pub standard: Option<SpeedTerms>,
    pub expedited: Option<SpeedTerms>,
}

/// What a thaw at one speed costs and how long it takes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeedTerms {
    pub gb: Option<Price>,
    #[serde(rename = "per_1000")]
    pub calls_1000: Option<Price>,
    /// Until the first pack can be read, and until the last; hours, at the latest where a provider promises that.
    #[serde(default, deserialize_with = "hours")]
    pub hours_first: Option<f64>,
    #[serde(default, deserialize_with = "hours")]
    pub hours_last: Option<f64>,
}

/// `[offer.egress]`: what bytes cost that leave the provider, each month.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// Free each month, GB.
    #[serde(default)]
    pub free_gb: u64,
    /// Free as well: so many times what is stored.
    #[serde(default)]
    pub free_times_stored: u32,
    /// In rising order, counted from the first byte of a month; what lies beyond the last is not known.
    #[serde(default)]
    pub steps: Vec<EgressStep>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressStep {
    /// None: without end.
    pub up_to_gb: Option<u64>,
    pub gb: Price,
}

/// What `unsure` may name.
const KEYS: [&str; 23] = [
    "store_gb_month",
    "min_bill_gb",
    "put_1000",
    "list_1000",
    "get_1000",
    "head_1000",
    "read_gb",
    "min_days",
    "min_bytes",
    "overhead_class_bytes",
    "overhead_standard_bytes",
    "standard_gb_month",
    "thaw.bulk.gb",
    "thaw.bulk.per_1000",
    "thaw.bulk.hours",
    "thaw.standard.gb",
    "thaw.standard.per_1000",
    "thaw.standard.hours",
    "thaw.expedited.gb",
    "thaw.expedited.per_1000",
    "thaw.expedited.hours",
    "egress",
    "currency",
];

impl Offer {
    /// What of `unsure` is no key.
    pub(super) fn misnamed(&self) -> Option<&str> {
        self.unsure.iter().map(String::as_str).find(|key| !KEYS.contains(key))
    }

    /// Whether packs of this class can be read only after a thaw.
    pub fn needs_thaw(&self) -> bool {
        Speed::ALL.into_iter().any(|s| self.thaw_at(s).is_some())
    }

    /// The speeds there are: those of the thaw, or all where nothing needs one.
    pub fn speeds(&self) -> impl Iterator<Item = Speed> {
        Speed::ALL.into_iter().filter(|s| !self.needs_thaw() || self.thaw_at(*s).is_some())
    }

    pub fn thaw_at(&self, speed: Speed) -> Option<&SpeedTerms> {
        match speed {
            Speed::Bulk => self.thaw.bulk.as_ref(),
            Speed::Standard => self.thaw.standard.as_ref(),
            Speed::Expedited => self.thaw.expedited.as_ref(),
        }
    }

    /// For people: `aws us-east-1 DEEP_ARCHIVE`.
    pub fn title(&self) -> String {
        let region = if self.region == "*" { String::new() } else { format!(" {}", self.region) };
        format!("{}{region} {}", self.provider, self.class)
    }
}

/// `2026-08-21` or `2026-08`.
fn date<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let numbers: Vec<&str> = text.split('-').collect();
    let is_number = |n: &&str, len: usize| n.len() == len && n.bytes().all(|b| b.is_ascii_digit());
    let good = matches!(numbers.len(), 2 | 3)
        && is_number(&numbers[0], 4)
        && numbers[1..].iter().all(|n| is_number(n, 2))
        && (1..=12).contains(&numbers[1].parse::<u32>().unwrap_or(0));
    if good { Ok(text) } else { Err(serde::de::Error::custom(format!("'{text}' is no date; write \"2026-08-21\""))) }
}

/// A thaw takes at most a year.
fn hours<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let hours = f64::deserialize(from)?;
    if (0.0..=8784.0).contains(&hours) {
        return Ok(Some(hours));
    }
    Err(serde::de::Error::custom(format!("{hours} hours are no time to thaw; write hours, like 12.0")))
}
