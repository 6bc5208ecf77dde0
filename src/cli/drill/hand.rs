//! The receipt's way into the log: handed to the catalog of the machine that writes to the vault, and published at once
//! where no daemon is at work. A machine that does not back up to the vault writes nothing to it.

use super::super::args::Line;
use super::super::serve;
use super::super::source::Source;
use crate::catalog::Catalog;
use crate::config::{Settings, VaultSettings};
use crate::daemon::drill::Written;
use crate::daemon::home::Home;
use crate::error::Result;
use crate::format::segment::Receipt;
use std::sync::Arc;

/// Where the receipt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// In the catalog of this configured vault, by its place in the configuration.
    ForTheLog(usize),
    /// This machine does not write to the vault.
    Nowhere,
}

/// Hands it to the catalog of the vault it is of.
pub(super) fn over(
    settings: Option<&Settings>,
    source: &Source,
    name: Option<&str>,
    receipt: &Receipt,
) -> Result<Kept> {
    let Some(settings) = settings else { return Ok(Kept::Nowhere) };
    let home = Home::new(&settings.state_dir);
    let is_it = |vault: &VaultSettings| {
        let mine = home.vault(&vault.name);
        let same = mine.has_keys() && mine.keys().is_ok_and(|keys| keys.vault == source.keys.seal().vault);
        same && mine.catalog().exists() && name.is_none_or(|n| n.contains(':') || n == vault.name)
    };
    let Some(at) = settings.vaults.iter().position(is_it) else { return Ok(Kept::Nowhere) };
    Catalog::hand_over(&home.vault(&settings.vaults[at].name).catalog(), receipt)?;
    Ok(Kept::ForTheLog(at))
}

/// At once where nobody else writes. It is kept in any case: what does not work now works at the next backup.
pub(super) fn publish(line: &Line, settings: Option<Settings>, kept: Kept) {
    let (Some(settings), Kept::ForTheLog(at)) = (settings, kept) else {
        if kept == Kept::Nowhere && !line.json {
            println!(
                "This machine does not back up to the vault, so its log does not get the receipt: keep what is above."
            );
        }
        return;
    };
    let said = match now(settings, at) {
        Ok(Some(Written::InTheLog)) => "The receipt is in the vault's log.".to_owned(),
        Ok(Some(Written::Later)) => {
            "Nothing may be sent now: the receipt goes into the vault's log afterwards.".to_owned()
        }
        Ok(None) => "The running daemon takes the receipt into the vault's log with its next segment.".to_owned(),
        Err(e) => {
            eprintln!("the receipt is kept, and goes into the vault's log with the next backup: {e}");
            return;
        }
    };
    if line.json { eprintln!("{said}") } else { println!("{said}") }
}

/// None: a daemon or a pass is at work.
fn now(settings: Settings, at: usize) -> Result<Option<Written>> {
    let settings = Arc::new(settings);
    let runtime = super::super::runtime()?;
    let house = serve::house(&settings, &runtime);
    if house.home.is_held() {
        return Ok(None);
    }
    let _lock = house.home.lock()?;
    house.write_drills(&settings.vaults[at]).map(Some)
}
