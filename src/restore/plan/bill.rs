//! What a plan says: how much it is, what it reads, what that costs and how long it takes. Kept in the job as text.

use crate::catalog::jobs::JobFile;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// `restore --plan --json`. Sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// To be written, hard links among them.
    pub files: u64,
    /// Their contents, each file once however many names it has; holes count.
    pub bytes: u64,
    pub packs: u64,
    /// What is read from packs.
    pub pack_bytes: u64,
    pub frozen_packs: u64,
    /// Empty where hours and prices are not known.
    pub speeds: Vec<SpeedPlan>,
    pub folders: u64,
    /// Symlinks, FIFOs, devices.
    pub others: u64,
    /// At the target already, with size and time of the wanted version.
    pub already: u64,
    /// At the target already and different: kept.
    pub skipped: u64,
    /// Wanted, and not in the vault or not restorable: known before anything is fetched.
    pub failed: u64,
    /// Room the contents take, holes aside.
    pub needed_bytes: u64,
    /// Room there is at the target.
    pub free_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpeedPlan {
    pub speed: String,
    pub hours_first: f64,
    pub hours_last: f64,
    pub cost: Cost,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub retrieval: f64,
    pub requests: f64,
    pub copies: f64,
    pub egress: f64,
    pub total: f64,
    pub currency: String,
}

impl Plan {
    /// Nothing needs a thaw, and what it costs is known to be nothing.
    pub fn costs_nothing(&self) -> bool {
        self.frozen_packs == 0 && !self.speeds.is_empty() && self.speeds.iter().all(|s| s.cost.total == 0.0)
    }
    pub fn fits(&self) -> bool {
        self.needed_bytes <= self.free_bytes
    }
    /// The plan of a job; None where planning never came to its end.
    pub fn of(job: &JobFile) -> Result<Option<Self>> {
        let Some(text) = job.fact::<String>("plan")? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|e| {
            Error::operator(format!("read the plan of the restore {}", job.path().display()))
                .because(e)
                .remedy("start the restore again")
        })
    }
}

impl SpeedPlan {
    pub(super) fn free(speed: &str) -> Self {
        let cost = Cost { retrieval: 0.0, requests: 0.0, copies: 0.0, egress: 0.0, total: 0.0, currency: "USD".into() };
        Self { speed: speed.into(), hours_first: 0.0, hours_last: 0.0, cost }
    }
}
