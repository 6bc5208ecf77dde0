//! The configuration from its file.

use super::args::Line;
use super::{Failure, read_text};
use crate::config::{self, Settings};
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
