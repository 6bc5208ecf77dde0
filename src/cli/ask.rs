//! Questions and orders to a running daemon, over its socket.

use super::args::Line;
use super::{Answer, Exit, Failure, settings, uplink};
use crate::daemon::console::{Explanation, MannersStatus, Mood, Status, VaultStatus};
use crate::daemon::home::Home;
use crate::daemon::spell::words_for;
use crate::error::{Doing, Error, Kind, Result};
use crate::model::{Size, TreePath};
use crate::web::ask::Ask;
use crate::web::control;
use std::io::Write;
use std::path::Path;

pub(super) fn home(line: &Line) -> std::result::Result<Home, Failure> {
    Ok(Home::new(&settings::load(line)?.state_dir))
}

pub fn fetch(home: &Home) -> Result<Status> {
    let value = control::ask(&home.socket(), &Ask::Status)?;
    serde_json::from_value(value).doing(Kind::Damaged, || "read the daemon's status".to_owned())
}

pub fn status(line: &Line) -> Answer {
    let home = home(line)?;
    let status = fetch(&home)?;
    if line.json {
        println!("{}", serde_json::to_string_pretty(&status).unwrap_or_default());
    } else {
        print_status(&status, &mut std::io::stdout());
    }
    Ok(if status.mood == Mood::Alarm { Exit::Unhealthy } else { Exit::Done })
}

pub fn print_status(status: &Status, to: &mut dyn Write) {
    let mut print = || -> std::io::Result<()> {
        writeln!(to, "{}", status.headline)?;
        if let Some(advice) = &status.advice {
            writeln!(to, "  {advice}")?;
        }
        if let Some(line) = status.uplink.as_ref().filter(|line| uplink::says_something(line)) {
            uplink::print(line, "  ", to)?;
        }
        for root in &status.roots {
            let lag = root.lag_s.map_or(String::new(), |s| format!(", oldest change waiting {}", words_for(s)));
            writeln!(
                to,
                "  {}: {} of {} files safe ({} of {}){lag}",
                root.path,
                root.safe_files,
                root.files,
                Size(root.safe_bytes),
                Size(root.bytes)
            )?;
            if root.failed > 0 || root.changed_while_read > 0 {
                writeln!(to, "    {} failed, {} changed while read", root.failed, root.changed_while_read)?;
            }
            if let Some(error) = &root.error {
                writeln!(to, "    {error}")?;
            }
        }
        for vault in &status.vaults {
            let spool = if vault.spool_bytes > 0 {
                format!(", {} waiting to be sent", Size(vault.spool_bytes))
            } else {
                String::new()
            };
            writeln!(
                to,
                "  vault {} ({}): {}, {} in {} objects{spool}",
                vault.name,
                vault.url,
                vault.state,
                Size(vault.stored_bytes),
                vault.stored_objects
            )?;
            if let Some(manners) = vault.manners.as_ref().filter(|manners| matters(manners, vault)) {
                writeln!(to, "    {}", manners.text)?;
            }
            if let Some(drill) = &vault.drill {
                let how = if drill.ok { "succeeded" } else { "did NOT succeed" };
                writeln!(to, "    last drill {} ({}): {how}", drill.last_at, drill.kind)?;
            }
            let looks = vault.verify.iter().flat_map(|v| {
                let here = ("files here re-read", &v.reread);
                [("listed", &v.inventory), ("checksums compared", &v.checksum), ("read", &v.read), here]
            });
            let looks: Vec<String> =
                looks.filter_map(|(what, look)| Some(format!("{what} {}", look.as_ref()?.at))).collect();
            if !looks.is_empty() {
                writeln!(to, "    last {}", looks.join(", "))?;
            }
            for rot in vault.verify.iter().flat_map(|v| &v.rot).take(20) {
                writeln!(to, "    {} {}: {} (captured {})", rot.wrong, rot.path, rot.said, rot.captured)?;
            }
            if let Some(error) = &vault.last_error {
                writeln!(to, "    {error}")?;
            }
        }
        for failed in status.failed.iter().take(20) {
            writeln!(to, "  failed {}: {}", failed.path, failed.error)?;
        }
        for lost in status.lost.iter().take(20) {
            let what = format!("{} as of {}", lost.path, lost.captured);
            writeln!(to, "  lost in {}: {what}: {} {}", lost.vault, lost.pack, lost.why)?;
        }
        Ok(())
    };
    // A closed pipe is the reader's choice.
    let _ = print();
}

/// Manners are worth a line where they hold the vault back, and where they were asked for in vain.
fn matters(manners: &MannersStatus, vault: &VaultStatus) -> bool {
    let is_sending = vault.spool_bytes > 0 || vault.rate_bytes_per_s.is_some_and(|rate| rate > 0);
    manners.bounds && is_sending || manners.state == "no_tcp_info"
}

pub fn simple(line: &Line, ask: &Ask) -> Answer {
    control::ask(&home(line)?.socket(), ask)?;
    Ok(Exit::Done)
}

pub fn explain(line: &Line, path: &Path) -> Answer {
    let absolute = std::path::absolute(path).doing(Kind::Operator, || format!("find {}", path.display()))?;
    let path = TreePath::from_typed(&absolute)
        .ok_or_else(|| Failure::Usage(Error::operator(format!("explain {}: not a plain path", path.display()))))?;
    let value = control::ask(&home(line)?.socket(), &Ask::Explain(path))?;
    if line.json {
        println!("{value}");
        return Ok(Exit::Done);
    }
    let told: Explanation =
        serde_json::from_value(value).doing(Kind::Damaged, || "read the daemon's answer".to_owned())?;
    println!("{}: {}", told.path, told.rule);
    for stage in told.stages {
        println!("  {stage}");
    }
    Ok(Exit::Done)
}
