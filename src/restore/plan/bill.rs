//! What a plan says: how much it is, what it reads, what that costs and how long it takes. Kept in the job as text.

use crate::catalog::jobs::JobFile;
use crate::error::{Error, Result};
use crate::model::Speed;
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
    /// A pack is thawed whole: all their bytes.
    #[serde(default)]
    pub frozen_bytes: u64,
    /// Of an archive class and thawed already, for another day at least.
    #[serde(default)]
    pub thawed_packs: u64,
    /// Of a class that archives by itself and keeps to itself which: whether they can be read shows when they are.
    #[serde(default)]
    pub untold_packs: u64,
    /// Behind a delete marker, or beneath other bytes: somebody else was at the vault. They are read all the same.
    #[serde(default)]
    pub hidden_packs: u64,
    #[serde(default)]
    pub overwritten_packs: u64,
    /// Of the frozen ones, as the vault lists it; the slowest to thaw where there are several.
    #[serde(default)]
    pub class: Option<String>,
    /// Calls made to find that out.
    #[serde(default)]
    pub lists: u64,
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
    /// Until the first byte and the last; None: not known.
    pub hours_first: Option<f64>,
    pub hours_last: Option<f64>,
    pub cost: Cost,
}

/// None: not known, and never the same as nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub retrieval: Option<f64>,
    pub requests: Option<f64>,
    pub copies: Option<f64>,
    pub egress: Option<f64>,
    pub total: Option<f64>,
    pub currency: String,
}

impl Plan {
    /// Nothing needs a thaw, and what it costs is known to be nothing.
    pub fn costs_nothing(&self) -> bool {
        self.frozen_packs == 0 && !self.speeds.is_empty() && self.speeds.iter().all(|s| s.cost.total == Some(0.0))
    }
    /// Cold storage is waited for, or has just been: the job must know on what terms.
    pub fn needs_terms(&self) -> bool {
        self.frozen_packs + self.thawed_packs > 0
    }
    /// The price and hours of a speed, where they were looked up.
    pub fn at_speed(&self, speed: Speed) -> Option<&SpeedPlan> {
        self.speeds.iter().find(|s| s.speed == speed.name())
    }
    pub fn fits(&self) -> bool {
        self.needed_bytes <= self.free_bytes
    }
    /// One frozen pack more, of this class; the slowest one to thaw stays.
    pub(in crate::restore) fn add_frozen(&mut self, size: u64, class: Option<String>) {
        self.frozen_packs += 1;
        self.frozen_bytes += size;
        self.note_class(class);
    }
    pub(in crate::restore) fn note_class(&mut self, class: Option<String>) {
        if self.class.as_deref() != Some("DEEP_ARCHIVE") {
            self.class = class.or(self.class.take());
        }
    }
    /// As it is kept in a job.
    pub(in crate::restore) fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::damaged("write down the plan").because(e))
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
    pub(in crate::restore) fn free(speed: &str) -> Self {
        let nothing = Some(0.0);
        let cost = Cost {
            retrieval: nothing,
            requests: nothing,
            copies: nothing,
            egress: nothing,
            total: nothing,
            currency: "USD".into(),
        };
        Self { speed: speed.into(), hours_first: nothing, hours_last: nothing, cost }
    }
}
