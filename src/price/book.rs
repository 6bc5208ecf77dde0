//! A price list: its file, and which of its offers a vault has.

use super::offer::Offer;
use super::place::Place;
use crate::error::{Error, Result};
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;

/// Shipped with the program.
const SHIPPED: &str = include_str!("../../config/prices.toml");
/// What errors call the shipped list by.
const SHIPPED_NAME: &str = "prices.toml";

/// Every offer of one file, in its order; no two for the same provider, region and class.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceBook {
    offers: Vec<Offer>,
}

/// What is known of the prices at one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Terms<'a> {
    /// A disk or server of one's own: nothing is charged that could be known here.
    Own,
    Known(&'a Offer),
    /// The list has this class of this provider for another region only: a hint, not the price.
    Elsewhere(&'a Offer),
    Unknown,
}

impl<'a> Terms<'a> {
    /// The offer, be it of the region itself or of another.
    pub fn offer(self) -> Option<&'a Offer> {
        match self {
            Self::Known(offer) | Self::Elsewhere(offer) => Some(offer),
            Self::Own | Self::Unknown => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    offer: Vec<Spanned<Offer>>,
}

impl PriceBook {
    /// The list that came with this release.
    pub fn shipped() -> Self {
        Self::parse(Path::new(SHIPPED_NAME), SHIPPED).expect("a test holds that the shipped list is sound")
    }

    /// Operator: the first mistake, with its line.
    pub fn parse(name: &Path, text: &str) -> Result<Self> {
        let document: Document = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |s| s.start);
            let what = e.message().replace('\n', ", ");
            mistake(name, text, at, &what)
        })?;
        if document.offer.is_empty() {
            return Err(mistake(name, text, 0, "no offer; add an [[offer]]"));
        }
        let mut offers: Vec<Offer> = Vec::with_capacity(document.offer.len());
        for spanned in document.offer {
            let at = spanned.span().start;
            let offer = spanned.into_inner();
            if let Some(what) = contradiction(&offer, &offers) {
                return Err(mistake(name, text, at, &what));
            }
            offers.push(offer);
        }
        Ok(Self { offers })
    }

    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// The region's own offer before that for every region before that of another region.
    pub fn terms(&self, place: &Place) -> Terms<'_> {
        if place.is_own() {
            return Terms::Own;
        }
        let fits = || self.offers.iter().filter(|o| o.provider == place.provider && o.class == place.class);
        let of = |region: &str| fits().find(|o| o.region == region);
        if let Some(offer) = place.region.as_deref().and_then(of).or_else(|| of("*")) {
            return Terms::Known(offer);
        }
        fits().next().map_or(Terms::Unknown, Terms::Elsewhere)
    }

    /// The offer of the same provider and region in its standard class; None where the list has none.
    pub fn standard_of(&self, offer: &Offer) -> Option<&Offer> {
        self.offers.iter().find(|o| {
            o.provider == offer.provider
                && o.region == offer.region
                && o.class == "STANDARD"
                && o.currency == offer.currency
        })
    }
}

/// What is wrong with an offer beside those before it. Each text brings its remedy after a semicolon.
fn contradiction(new: &Offer, before: &[Offer]) -> Option<String> {
    let title = new.title();
    if before.iter().any(|o| (&o.provider, &o.region, &o.class) == (&new.provider, &new.region, &new.class)) {
        return Some(format!("{title} is there twice; keep one of the two"));
    }
    if before.iter().any(|o| o.provider == new.provider && o.region == new.region && o.currency != new.currency) {
        return Some(format!("{title} is in another currency than the classes beside it; give all of them in one"));
    }
    if new.provider != new.provider.to_ascii_lowercase() {
        return Some(format!("provider '{}' has capitals; write it in small letters", new.provider));
    }
    if let Some(key) = new.misnamed() {
        return Some(format!("unsure of {title} names '{key}'; name keys like \"put_1000\" or \"thaw.bulk.gb\""));
    }
    let steps = new.egress.as_ref().map_or(&[][..], |e| &e.steps);
    let rising = |pair: &[super::EgressStep]| match (pair[0].up_to_gb, pair[1].up_to_gb) {
        (Some(a), Some(b)) => a < b,
        (first, _) => first.is_some(),
    };
    if !steps.windows(2).all(rising) {
        return Some(format!("egress of {title} does not rise; order its steps, the last without up_to_gb"));
    }
    None
}

/// `name:line: key: what; remedy`.
fn mistake(name: &Path, text: &str, at: usize, what: &str) -> Error {
    let line = text.get(..at).unwrap_or_default().matches('\n').count();
    let key = text.lines().nth(line).and_then(|l| l.split_once('=')).map_or("", |(key, _)| key.trim());
    let key = if key.is_empty() || what.contains(key) { String::new() } else { format!("{key}: ") };
    let error = Error::operator(format!("{}:{}: {key}{what}", name.display(), line + 1));
    if what.contains("; ") { error } else { error.remedy("compare it with the shipped prices.toml") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::model::Speed;
    use proptest::prelude::*;

    const ONE: &str = "[[offer]]\nprovider = \"aws\"\nregion = \"*\"\nclass = \"STANDARD\"\nas_of = \"2026-08-21\"\nsource = \"a page\"\ncurrency = \"USD\"\n";

    fn parse(text: &str) -> Result<PriceBook> {
        PriceBook::parse(Path::new("my-prices.toml"), text)
    }

    #[test]
    fn the_shipped_list_is_sound_and_says_where_it_is_from() {
        let book = PriceBook::shipped();
        assert!(book.offers().len() > 10);
        for offer in book.offers() {
            assert!(!offer.source.is_empty(), "{}", offer.title());
        }
        let deep = book.terms(&Place::bucket(None, Some("us-east-1"), "DEEP_ARCHIVE")).offer().unwrap();
        assert_eq!(deep.speeds().collect::<Vec<_>>(), [Speed::Bulk, Speed::Standard]);
        assert_eq!(book.standard_of(deep).unwrap().class, "STANDARD");
    }

    #[test]
    fn other_regions_of_amazon_have_every_class_and_are_not_cheaper_than_the_first() {
        let book = PriceBook::shipped();
        let at = |region: &str, class: &str| match book.terms(&Place::bucket(None, Some(region), class)) {
            Terms::Known(offer) => offer,
            other => panic!("{region} {class}: {other:?}"),
        };
        for region in
            ["us-east-2", "us-west-2", "eu-west-1", "eu-west-2", "eu-central-1", "eu-north-1", "ap-southeast-2"]
        {
            for class in ["STANDARD", "STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"] {
                let (first, here) = (at("us-east-1", class), at(region, class));
                assert!(
                    here.store_gb_month >= first.store_gb_month && here.put_1000 >= first.put_1000,
                    "{region} {class}"
                );
                assert_eq!((here.min_days, here.min_bytes), (first.min_days, first.min_bytes));
                assert_eq!(
                    (here.overhead_class_bytes, here.overhead_standard_bytes),
                    (first.overhead_class_bytes, first.overhead_standard_bytes)
                );
                assert_eq!(here.speeds().collect::<Vec<_>>(), first.speeds().collect::<Vec<_>>());
                for speed in here.speeds().filter(|_| here.needs_thaw()) {
                    let (first, here) = (first.thaw_at(speed).unwrap(), here.thaw_at(speed).unwrap());
                    assert!(here.gb >= first.gb && here.calls_1000 >= first.calls_1000, "{region} {class} {speed}");
                    assert_eq!((here.hours_first, here.hours_last), (first.hours_first, first.hours_last));
                }
            }
        }
        let month = |region| at(region, "DEEP_ARCHIVE").store_gb_month.unwrap().as_nanos();
        assert_eq!((month("eu-central-1"), month("eu-west-1")), (1_800_000, 990_000));
    }

    #[test]
    fn what_is_not_said_is_not_known_rather_than_nothing() {
        let book = parse(ONE).unwrap();
        let offer = &book.offers()[0];
        assert_eq!((offer.store_gb_month, offer.put_1000, &offer.egress), (None, None, &None));
        assert!(!offer.needs_thaw());
    }

    #[test]
    fn a_mistake_is_refused_with_its_line_its_key_and_a_remedy() {
        let with = |more: &str| format!("{ONE}{more}\n");
        for (text, line, said) in [
            (with("put_1k = 0.005"), 8, "put_1k"),
            (with("put_1000 = -0.005"), 8, "put_1000"),
            (with("put_1000 = \"cheap\""), 8, "put_1000"),
            (with("min_days = 1.5"), 8, "min_days"),
            (with("store_gb_month = 1e9"), 8, "store_gb_month"),
            (with("[offer.thaw.slow]\ngb = 1"), 8, "slow"),
            (with("[offer.thaw.bulk]\nhours_last = -1.0"), 9, "hours_last"),
            (with("[offer.egress]\nsteps = [{ gb = 0.1 }, { up_to_gb = 5, gb = 0.2 }]"), 1, "does not rise"),
            (with("unsure = [\"putt_1000\"]"), 1, "putt_1000"),
            (with("put_1000 = "), 8, "put_1000"),
            (ONE.replace("2026-08-21", "yesterday"), 5, "as_of"),
            (ONE.replace("USD", "Dollar"), 7, "currency"),
            (ONE.replace("aws", "AWS"), 1, "small letters"),
            (ONE.replace("source = \"a page\"\n", ""), 1, "source"),
            (format!("{ONE}{ONE}"), 8, "twice"),
            (format!("{ONE}{}", ONE.replace("STANDARD", "COLD").replace("USD", "EUR")), 8, "currency"),
            (String::new(), 1, "offer"),
            ("offer = []".into(), 1, "add an [[offer]]"),
        ] {
            let error = parse(&text).expect_err(&text);
            assert_eq!(error.kind(), Kind::Operator);
            let shown = error.to_string();
            assert!(shown.starts_with(&format!("my-prices.toml:{line}: ")), "not line {line}: {shown}\n{text}");
            assert!(shown.contains(said) && shown.contains("; "), "{said}: {shown}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_list_cut_off_or_scribbled_over_is_read_or_refused_with_a_line(cut in 0..SHIPPED.len(), scribble in "[=\\[\\]\"{},.0-9a-z\n-]{0,6}") {
            let text = format!("{}{scribble}", SHIPPED.get(..cut).unwrap_or_default());
            if let Err(error) = parse(&text) {
                prop_assert_eq!(error.kind(), Kind::Operator);
                let shown = error.to_string();
                let line = shown.strip_prefix("my-prices.toml:").and_then(|r| r.split(':').next()).and_then(|n| n.parse::<usize>().ok());
                prop_assert!(line.is_some_and(|n| (1..=text.lines().count() + 1).contains(&n)), "{}", shown);
            }
        }
    }

    #[test]
    fn the_own_region_goes_before_every_region_and_another_one_is_only_a_hint() {
        let two = format!("{ONE}{}", ONE.replace("\"*\"", "\"eu-west-1\""));
        let book = parse(&two).unwrap();
        let region = |region| match book.terms(&Place::bucket(None, region, "STANDARD")) {
            Terms::Known(offer) => offer.region.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (region(Some("eu-west-1")), region(Some("x")), region(None)),
            ("eu-west-1".into(), "*".into(), "*".into())
        );
        let only = parse(&ONE.replace("\"*\"", "\"eu-west-1\"")).unwrap();
        assert!(matches!(only.terms(&Place::bucket(None, Some("x"), "STANDARD")), Terms::Elsewhere(_)));
        assert_eq!(only.terms(&Place::bucket(None, None, "GLACIER")), Terms::Unknown);
        assert_eq!(only.terms(&Place::folder()), Terms::Own);
    }
}
