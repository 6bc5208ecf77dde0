//! The price list a command reckons with, and where a vault stands in it.

use super::{Failure, read_text};
use crate::config::VaultUrl;
use crate::price::{Place, PriceBook, RestoreNeed, Terms};
use crate::store::is_archive;
use std::path::PathBuf;

/// Vaults are compared by what this much of each would cost to bring back.
const COMPARED_PACKS: u64 = 40_000;
const COMPARED_BYTES: u64 = 1_000_000_000_000;
/// What is assumed of a place nobody has a price for, of a terabyte: about what the dear ones take for egress.
const ASSUMED: u64 = 100;
/// And for an archive, whose thaw comes on top.
const ASSUMED_ARCHIVE: u64 = 150;

/// The one of the file, else the shipped one. A mistake in it is a usage error.
pub fn book(file: Option<&PathBuf>) -> Result<PriceBook, Failure> {
    let Some(file) = file else { return Ok(PriceBook::shipped()) };
    let text = read_text(file, "the price list")
        .map_err(|e| Failure::Usage(e.remedy("name one that is there with [prices] file, or take the setting out")))?;
    PriceBook::parse(file, &text).map_err(Failure::Usage)
}

/// Of the class its packs were seen in; None: of the one it is set to.
pub fn place(url: &VaultUrl, class: Option<&str>) -> Place {
    match url {
        VaultUrl::Folder(_) => Place::folder(),
        VaultUrl::Bucket(b) => Place::bucket(b.endpoint.as_deref(), b.region.as_deref(), class.unwrap_or(b.class())),
    }
}

/// What bringing a terabyte back costs, at the cheapest speed, in whole units of whatever currency: the lower, the sooner a
/// vault is taken. Folders before everything.
pub fn dearness(url: &VaultUrl, book: &PriceBook) -> (u8, u64) {
    let VaultUrl::Bucket(bucket) = url else { return (0, 0) };
    let frozen = is_archive(bucket.class());
    let total = match book.terms(&place(url, None)) {
        Terms::Own => Some(0.0),
        Terms::Known(offer) => {
            let (packs, bytes) = (COMPARED_PACKS, COMPARED_BYTES);
            let either = |n: u64, is: bool| if is { n } else { 0 };
            let need = RestoreNeed {
                packs,
                bytes,
                cold_bytes: either(bytes, !frozen),
                frozen_packs: either(packs, frozen),
                frozen_bytes: either(bytes, frozen),
                days_of_copies: 2,
                reads: packs,
                lists: COMPARED_PACKS / 1000,
                stored_bytes: bytes,
                downlink: None,
            };
            let totals = offer.speeds().filter_map(|speed| crate::price::restore(offer, &need, speed).total);
            totals.min_by_key(|total| total.as_micros()).map(crate::price::Money::decimal)
        }
        Terms::Elsewhere(_) | Terms::Unknown => None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an amount of money, never below nothing"
    )]
    let whole = |total: f64| total.max(0.0).ceil() as u64;
    (1, total.map_or(if frozen { ASSUMED_ARCHIVE } else { ASSUMED }, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vault_that_is_cheapest_to_read_comes_first_whatever_its_kind() {
        let book = PriceBook::shipped();
        let mut urls: Vec<VaultUrl> = [
            "s3://box/p?region=us-east-1&class=DEEP_ARCHIVE",
            "s3://box/p?region=us-east-1&class=STANDARD",
            "s3://box/p?endpoint=https://s3.nobody.example&region=x&class=GLACIER",
            "s3://box/p?endpoint=https://s3.nobody.example&region=x&class=STANDARD",
            "s3://box/p?endpoint=http://127.0.0.1:8333&region=x",
            "file:///mnt/usb",
            "s3://box/p?endpoint=https://s3.us-west-004.backblazeb2.com&region=us-west-004",
        ]
        .map(|text| VaultUrl::parse(text).unwrap())
        .into();
        urls.sort_by_key(|url| dearness(url, &book));
        let order: Vec<String> = urls.iter().map(|url| format!("{url}")).collect();
        let at = |part: &str| order.iter().position(|url| url.contains(part)).unwrap_or_else(|| panic!("{part}"));
        assert_eq!((at("file:"), at("127.0.0.1"), at("backblaze")), (0, 1, 2), "{order:?}");
        assert!(at("us-east-1&class=STANDARD") < at("us-east-1&class=DEEP_ARCHIVE"), "{order:?}");
        assert_eq!(order.iter().position(|u| u.contains("nobody") && u.contains("GLACIER")), Some(6), "{order:?}");
    }
}
