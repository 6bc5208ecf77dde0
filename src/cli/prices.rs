//! The price list a command reckons with, and where a vault stands in it.

use super::{Failure, read_text};
use crate::config::VaultUrl;
use crate::price::{Place, PriceBook};
use std::path::PathBuf;

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
