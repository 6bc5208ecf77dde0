//! Drills, as the console speaks of them: amber where the last one that succeeded is old, or the newest did not succeed.

use super::Desk;
use crate::backup::Engine;
use crate::catalog::Level;
use crate::clock::Wall;
use crate::daemon::console::{DrillStatus, Status, VaultStatus};
use crate::daemon::drill::{Standing, is_to_be_asked, standing};
use crate::daemon::spell::rfc3339;
use crate::error::Result;
use crate::model::Verdict;

/// When somebody was last asked for a drill, a fact of the catalog.
const ASKED: &str = "drill_asked";

impl Desk {
    fn drill_standing(&self, engine: &Engine) -> Result<Standing> {
        let (catalog, house) = (&engine.catalog, &self.daemon.house);
        let last = catalog.drills(1)?.pop();
        let (proved, begun) = (catalog.last_proved()?, catalog.first_segment()?);
        Ok(standing(last.as_ref(), proved, begun, house.settings.drill.warn_after, house.clock.wall()))
    }

    /// The newest drill and whether one is due; None where the catalog cannot say.
    pub(super) fn drill(&self, engine: &Engine) -> Option<(Option<DrillStatus>, bool)> {
        let due = self.drill_standing(engine).ok()? != Standing::Proved;
        let last = engine.catalog.drills(1).ok()?.pop();
        let proved = engine.catalog.last_proved().ok()?;
        let shown = last.map(|r| DrillStatus {
            last_at: rfc3339(r.at),
            kind: r.proof.name().to_owned(),
            ok: r.verdict == Verdict::Proved,
            packs: (r.sound.len() + r.damaged.len()) as u64,
            files: r.files,
            failed: r.failed,
            proved_at: proved.map(rfc3339),
        });
        Some((shown, due))
    }

    /// What is to be said of drills that are due, and how one is run; None when all is well with them.
    pub(super) fn drill_due(&self, status: &Status) -> Option<(String, String)> {
        let first = status.vaults.iter().find(|v| v.drill_due == Some(true))?;
        let many = status.vaults.len() > 1;
        let said = format!(
            "{}{}",
            what_is_due(first),
            if many { format!(" (vault \"{}\")", first.name) } else { String::new() }
        );
        Some((said, format!("Try the way out: '{}'.", self.drill_command(many.then_some(&first.name)))))
    }

    fn drill_command(&self, vault: Option<&String>) -> String {
        let vault = vault.map_or(String::new(), |name| format!(" --vault-name {name}"));
        format!("panicroom {}drill{vault}", self.config_flag())
    }

    /// Asks for the drills that are due now: an event each, and what to tell the operator.
    pub fn ask_for_drills(&self) -> Vec<String> {
        let engines = self.daemon.engines();
        engines.iter().filter_map(|engine| self.ask_for_drill(engine).unwrap_or_default()).collect()
    }

    fn ask_for_drill(&self, engine: &Engine) -> Result<Option<String>> {
        let now = self.daemon.house.clock.wall();
        let standing = self.drill_standing(engine)?;
        if !is_to_be_asked(standing, engine.catalog.fact::<i64>(ASKED)?.map(Wall), now) {
            return Ok(None);
        }
        engine.catalog.asked_for_drill(now)?;
        let when = match standing {
            Standing::NotProved => "the last drill did not prove",
            _ => "no drill has proved for long",
        };
        let text = format!(
            "{when} that the vault \"{}\" gives back what it holds: run '{}'",
            engine.name,
            self.drill_command((self.daemon.vaults.len() > 1).then_some(&engine.name))
        );
        engine.tell(Level::Warning, &text);
        Ok(Some(text))
    }
}

fn what_is_due(vault: &VaultStatus) -> String {
    let date = |at: &str| at.get(..10).unwrap_or(at).to_owned();
    match &vault.drill {
        None => "no drill ever tried to get it back".to_owned(),
        Some(last) if !last.ok => format!("the drill of {} did not succeed", date(&last.last_at)),
        Some(last) => format!("the last drill was on {}", date(last.proved_at.as_deref().unwrap_or(&last.last_at))),
    }
}
