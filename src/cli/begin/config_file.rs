//! The configuration as a file: written where there was none, made longer where something is added. It has its name only
//! when it is whole: dying here leaves the one before, or none, and what lies beside it is written anew.

use super::super::{Failure, read_text, settings};
use crate::config::{Settings, VaultUrl, render};
use crate::daemon::home::{Home, name_new, name_over, write_synced};
use crate::error::{Doing, Error, Kind, Result};
use crate::model::TreePath;
use crate::worker::Faults;
use std::path::{Path, PathBuf};

/// A configuration that was not there; it has its name only when it is whole.
pub fn write_new(path: &Path, text: &str, faults: &Faults) -> Result<()> {
    let (aside, doing) = (beside(path), || format!("write {}", path.display()));
    faults.at("config.write")?;
    write_synced(&aside, text.as_bytes()).doing(Kind::Operator, doing)?;
    faults.at("config.name")?;
    name_new(&aside, path).doing(Kind::Operator, doing)
}

/// Where a configuration lies until it is whole.
fn beside(config: &Path) -> PathBuf {
    config.with_extension("toml.new")
}

pub fn address(url: &str) -> std::result::Result<VaultUrl, Failure> {
    VaultUrl::parse(url).map_err(|e| Failure::Usage(Error::operator(e)))
}

/// Roots and a vault put at the end of a config that lacks them; as it was when it has them.
pub fn with_more(
    config: &Path,
    roots: &[TreePath],
    vault: Option<&str>,
    faults: &Faults,
) -> std::result::Result<Settings, Failure> {
    let text = read_text(config, "the configuration").map_err(Failure::Usage)?;
    let settings = settings::parse(config, &text)?;
    let new: Vec<TreePath> =
        roots.iter().filter(|r| !settings.roots.iter().any(|known| known.path == **r)).cloned().collect();
    let url = vault.map(address).transpose()?.filter(|url| !settings.vaults.iter().any(|v| v.url == *url));
    if new.is_empty() && url.is_none() {
        return Ok(settings);
    }
    // Refused before anything is changed.
    drop(Home::new(&settings.state_dir).lock()?);
    let taken = |name: &String| settings.vaults.iter().any(|v| v.name == *name);
    let highest = settings.vaults.len() + 2;
    let name = (2..=highest).map(|n| format!("vault{n}")).find(|n| !taken(n)).expect("there are more than are taken");
    let longer = text + &render::more(&new, url.as_ref().map(|url| (name.as_str(), url)))?;
    let settings = settings::parse(config, &longer)?;
    let (aside, doing) = (beside(config), || format!("write {}", config.display()));
    let _ = std::fs::remove_file(&aside);
    faults.at("config.write")?;
    write_synced(&aside, longer.as_bytes()).doing(Kind::Operator, doing)?;
    let mode = std::fs::metadata(config).map(|m| m.permissions());
    mode.and_then(|mode| std::fs::set_permissions(&aside, mode)).doing(Kind::Operator, doing)?;
    faults.at("config.name")?;
    name_over(&aside, config).doing(Kind::Operator, doing)?;
    println!("added to {}", config.display());
    Ok(settings)
}
