//! The recovery sheet, as the console speaks of it: amber until its words were checked once, and again after a year.

use super::Desk;
use crate::backup::Engine;
use crate::catalog::Level;
use crate::clock::Wall;
use crate::config::defaults;
use crate::daemon::console::{Status, VaultStatus};
use crate::daemon::sheet::{Asking, Standing, asking, standing};
use crate::error::Result;
use std::path::Path;

/// When somebody was last asked to check the sheet, a fact of the catalog.
const ASKED: &str = "sheet_asked";

impl Desk {
    fn sheet_checked(&self, engine: &Engine) -> Option<Wall> {
        self.daemon.house.home.vault(&engine.name).sheet_checked(engine.keys.vault)
    }

    /// When it was last checked, and whether a check is due.
    pub(super) fn sheet(&self, engine: &Engine) -> (Option<Wall>, bool) {
        let checked = self.sheet_checked(engine);
        (checked, standing(checked, self.daemon.house.clock.wall()) != Standing::Checked)
    }

    /// What is to be said of sheets that are due, and how they are checked; None when all is well with them.
    pub(super) fn sheet_due(&self, status: &Status) -> Option<(String, String)> {
        let due: Vec<&VaultStatus> = status.vaults.iter().filter(|v| v.sheet_due == Some(true)).collect();
        let first = due.first()?;
        let many = status.vaults.len() > 1;
        let which = if many { format!(" of the vault \"{}\"", first.name) } else { String::new() };
        let said = match &first.sheet_checked {
            None => format!("the recovery sheet{which} was never checked"),
            Some(at) => format!("the recovery sheet{which} was last checked on {}", at.get(..10).unwrap_or(at)),
        };
        let advice = format!("Type its words once more: '{}'.", self.check_command(many.then_some(&first.name)));
        Some((said, advice))
    }

    /// For a command that is shown to people: nothing where the file is the usual one.
    pub(super) fn config_flag(&self) -> String {
        let file = &self.daemon.house.settings.file;
        if file == Path::new(defaults::CONFIG_FILE) { String::new() } else { format!("--config {} ", file.display()) }
    }

    fn check_command(&self, vault: Option<&String>) -> String {
        let vault = vault.map_or(String::new(), |name| format!(" --vault-name {name}"));
        format!("panicroom {}key check{vault}", self.config_flag())
    }

    /// Asks for the checks that are due now: an event each, and what to tell the operator. Told once, however often the
    /// daemon starts.
    pub fn ask_for_sheets(&self) -> Vec<String> {
        let engines = self.daemon.engines();
        engines.iter().filter_map(|engine| self.ask_for_sheet(engine).unwrap_or_default()).collect()
    }

    fn ask_for_sheet(&self, engine: &Engine) -> Result<Option<String>> {
        let (checked, now) = (self.sheet_checked(engine), self.daemon.house.clock.wall());
        let asked = engine.catalog.fact::<i64>(ASKED)?.map(Wall);
        let what = asking(checked, asked, now);
        if what == Asking::NotNow {
            return Ok(None);
        }
        engine.catalog.set_fact(ASKED, now.0)?;
        if what == Asking::Later {
            return Ok(None);
        }
        let when = if checked.is_some() { "was checked more than a year ago" } else { "was never checked" };
        let text = format!(
            "the recovery sheet of the vault \"{}\" {when}: find it, and type its words once with '{}'",
            engine.name,
            self.check_command((self.daemon.vaults.len() > 1).then_some(&engine.name))
        );
        engine.tell(Level::Warning, &text);
        Ok(Some(text))
    }
}
