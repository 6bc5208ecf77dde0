//! What a machine knows of a vault's recovery sheet: when it was last proved right. The sheet itself, its words and its
//! vault's secret are never here.
//!
//! `<state>/<vault>/sheet` is written by `panicroom key check`, also beside a running daemon, which reads it each time it
//! is asked how things are. It names the vault, so that a vault begun anew is not taken for checked. Dying while it is
//! written leaves the one before.

use super::home::{VaultHome, name_over, write_synced};
use crate::clock::Wall;
use crate::error::{Doing, Kind, Result};
use crate::model::VaultId;
use std::os::unix::fs::{MetadataExt, chown};
use std::time::Duration;

const DAY: u64 = 24 * 3600;
/// Paper fades, moves house and burns: a check is good for a year.
const GOOD_FOR: Duration = Duration::from_secs(365 * DAY);
/// A sheet that is due is asked for again after this; one that was never checked for the first time too.
const PATIENCE: Duration = Duration::from_secs(30 * DAY);

const FIRST_LINE: &str = "# panicroom sheet 1: when the recovery sheet was last proved right";

/// How much the sheet can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Checked,
    Never,
    /// More than a year ago.
    LongAgo,
}

pub fn standing(checked: Option<Wall>, now: Wall) -> Standing {
    match checked {
        None => Standing::Never,
        Some(at) if now.since(at) > GOOD_FOR => Standing::LongAgo,
        Some(_) => Standing::Checked,
    }
}

/// Whether somebody is to be asked for a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    NotNow,
    /// The time to the first question begins.
    Later,
    Now,
}

/// `asked`: when somebody was last asked, or the time to it began.
pub fn asking(checked: Option<Wall>, asked: Option<Wall>, now: Wall) -> Asking {
    match (standing(checked, now), asked) {
        (Standing::Checked, _) => Asking::NotNow,
        (Standing::Never, None) => Asking::Later,
        (_, Some(at)) if now.since(at) < PATIENCE => Asking::NotNow,
        _ => Asking::Now,
    }
}

impl VaultHome {
    /// When the sheet of this vault was last proved right here; None: never, or not to be known.
    pub fn sheet_checked(&self, vault: VaultId) -> Option<Wall> {
        let text = std::fs::read_to_string(self.sheet()).ok()?;
        let value = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(" = "));
        if text.lines().next() != Some(FIRST_LINE) || VaultId::from_hex(value("vault")?) != Some(vault) {
            return None;
        }
        value("checked_ms")?.parse().ok().map(Wall)
    }

    /// Keeps that it was proved right. Operator: the state folder cannot be written.
    pub fn keep_sheet_checked(&self, vault: VaultId, at: Wall) -> Result<()> {
        let (path, doing) = (self.sheet(), || format!("keep in {} that the sheet was checked", self.sheet().display()));
        let aside = path.with_extension(format!("new-{}", std::process::id()));
        let text = format!("{FIRST_LINE}\nvault = {vault}\nchecked_ms = {}\n", at.0);
        write_synced(&aside, text.as_bytes()).doing(Kind::Operator, doing)?;
        // Written by root, read by the daemon's own user.
        if let Ok(owner) = std::fs::metadata(path.parent().unwrap_or(&path)) {
            let _ = chown(&aside, Some(owner.uid()), Some(owner.gid()));
        }
        name_over(&aside, &path).doing(Kind::Operator, doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::home::Home;
    use crate::model::TreePath;
    use crate::seal::keys::Secret;
    use crate::worker::Faults;

    const NOW: Wall = Wall(1_800_000_000_000);

    fn days_ago(days: u64) -> Wall {
        Wall(NOW.0 - i64::try_from(days * DAY * 1000).unwrap())
    }

    #[test]
    fn a_check_is_good_for_a_year() {
        assert_eq!(standing(None, NOW), Standing::Never);
        assert_eq!(standing(Some(days_ago(365)), NOW), Standing::Checked);
        assert_eq!(standing(Some(days_ago(366)), NOW), Standing::LongAgo);
        assert_eq!(standing(Some(NOW.plus(GOOD_FOR)), NOW), Standing::Checked, "a clock that was ahead");
    }

    #[test]
    fn who_never_checked_is_asked_after_a_month_and_who_did_after_a_year_and_then_monthly() {
        assert_eq!(asking(None, None, NOW), Asking::Later);
        assert_eq!(asking(None, Some(days_ago(29)), NOW), Asking::NotNow);
        assert_eq!(asking(None, Some(days_ago(30)), NOW), Asking::Now);
        assert_eq!(asking(Some(days_ago(300)), None, NOW), Asking::NotNow);
        assert_eq!(asking(Some(days_ago(366)), None, NOW), Asking::Now);
        assert_eq!(asking(Some(days_ago(366)), Some(days_ago(400)), NOW), Asking::Now);
        assert_eq!(asking(Some(days_ago(366)), Some(days_ago(1)), NOW), Asking::NotNow);
    }

    #[test]
    fn a_check_is_kept_for_its_vault_alone_and_anything_else_is_no_check() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(&TreePath::from_typed(dir.path()).unwrap()).vault("v");
        let (vault, other) = (VaultId([1; 16]), VaultId([2; 16]));
        home.write_keys(&Secret::from_bytes([1; 32]).open_keys(vault).seal, &Faults::default()).unwrap();
        assert_eq!(home.sheet_checked(vault), None);
        home.keep_sheet_checked(vault, Wall(5)).unwrap();
        home.keep_sheet_checked(vault, NOW).unwrap();
        assert_eq!((home.sheet_checked(vault), home.sheet_checked(other)), (Some(NOW), None));
        for text in ["", "nonsense", "vault = x\nchecked_ms = 7\n", &format!("{FIRST_LINE}\nvault = {vault}\n")] {
            std::fs::write(home.sheet(), text).unwrap();
            assert_eq!(home.sheet_checked(vault), None, "{text}");
        }
        assert_eq!(std::fs::read_dir(dir.path().join("v")).unwrap().count(), 2, "nothing is left beside it");
    }
}
