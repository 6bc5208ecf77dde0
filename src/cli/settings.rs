//! The configuration from its file.

use super::args::Line;
use super::{Failure, read_text};
use crate::config::{self, Settings, VaultSettings};
use crate::error::{Error, Kind};
use std::path::Path;

/// A mistake in it is a usage error: exit 2.
pub fn load(line: &Line) -> Result<Settings, Failure> {
    load_from(&line.config)
}

pub fn load_from(path: &Path) -> Result<Settings, Failure> {
    let text = read_text(path, "the configuration").map_err(|e| {
        Failure::Usage(e.remedy("name one with '--config FILE', or begin with 'panicroom quickstart DIR'"))
    })?;
    parse(path, &text)
}

pub fn parse(path: &Path, text: &str) -> Result<Settings, Failure> {
    let mut load = |file: &Path| {
        std::fs::read(file).map_err(|e| Error::new(Kind::Operator, format!("read {}", file.display())).because(e))
    };
    config::parse(path, text, &mut load).map_err(Failure::Usage)
}

/// The vault of that name.
pub fn vault<'a>(settings: &'a Settings, name: &str) -> Result<&'a VaultSettings, Failure> {
    settings.vaults.iter().find(|v| v.name == name).ok_or_else(|| {
        let known: Vec<&str> = settings.vaults.iter().map(|v| v.name.as_str()).collect();
        let error = Error::operator(format!("open the vault '{name}': it is not in the configuration"));
        let known = known.join(", ");
        Failure::Usage(error.remedy(format!("there are {known}; or give an address: file:///path, s3://bucket/prefix")))
    })
}

/// That vault, or all where none is named.
pub fn vaults<'a>(settings: &'a Settings, name: Option<&str>) -> Result<Vec<&'a VaultSettings>, Failure> {
    name.map_or_else(|| Ok(settings.vaults.iter().collect()), |name| vault(settings, name).map(|v| vec![v]))
}
