//! What an operator ordered that outlives a restart: a limit in the place of the configured one, a pause. They are kept
//! in one small file of the state folder and read before any vault is opened, so they hold from the first byte of the
//! next start (promise 7), for a vault too that was not open when the order was given.
//!
//! An order is on the disk before it is obeyed and answered. Dying in between leaves the old ones or the new ones.

use super::home::{Home, name_over, write_synced};
use crate::config::VaultSettings;
use crate::error::{Error, Result};
use crate::model::Rate;
use crate::worker::Faults;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;

/// The orders that stand. The default: none, everything is as configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// For all vaults together, in the place of `[uplink] limit`. A vault's own `limit` holds beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Ordered>,
    /// Since when nothing is sent, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<i64>,
}

/// A limit as it was ordered, bytes per second; 0 is an order too: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ordered(u64);

impl From<Option<Rate>> for Ordered {
    fn from(rate: Option<Rate>) -> Self {
        Self(rate.map_or(0, Rate::get))
    }
}

impl Orders {
    /// Operator: the file cannot be read. Going on without would break a limit.
    pub fn read(home: &Home) -> Result<Self> {
        let path = home.orders();
        let broken = || {
            Error::operator(format!("read the operator's orders {}", path.display()))
                .remedy("remove the file, start again, and give 'panicroom limit' and 'panicroom pause' anew")
        };
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|e| broken().because(e)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(broken().because(e)),
        }
    }

    /// Whole and synced when this returns. Operator: the state folder cannot be written; nothing changed.
    pub fn write(&self, home: &Home, faults: &Faults) -> Result<()> {
        let (path, temporary) = (home.orders(), home.orders().with_extension("new"));
        let refused = |e: std::io::Error| {
            Error::operator(format!("keep the order in {}: it does not hold", path.display()))
                .because(e)
                .remedy("free space in the state folder and make it writable for the daemon, then give the order again")
        };
        let text = serde_json::to_vec(self).map_err(|e| refused(e.into()))?;
        write_synced(&temporary, &text).map_err(refused)?;
        faults.at("orders.name")?;
        name_over(&temporary, &path).map_err(refused)
    }

    /// The limit of all vaults together.
    pub fn line(&self, configured: Option<Rate>) -> Option<Rate> {
        self.limit.map_or(configured, |Ordered(rate)| Rate::bytes_per_second(rate))
    }

    /// The bound of a vault that has the line to itself: the common limit, or its own if that is lower.
    pub fn rate_of(&self, vault: &VaultSettings, configured: Option<Rate>) -> Option<Rate> {
        [self.line(configured), vault.limit].into_iter().flatten().min()
    }
}
