//! `verify`: whether vaults hold what they should, without a thaw. Beside a running daemon it asks the daemon; otherwise it
//! opens the machine's own vaults and looks itself, writing down what it finds. With the address of a vault, or with the
//! words, it only looks: nothing is written anywhere.

use super::args::Line;
use super::out_args::From;
use super::source::{self, Choice, Source};
use super::{Answer, Exit, Failure, serve, settings, time};
use crate::catalog::Check;
use crate::clock::{SystemClock, Wall};
use crate::config::{Settings, VaultSettings, VaultUrl};
use crate::daemon::checks::count;
use crate::daemon::console::{CheckStatus, Console, Verified, VerifyAsk};
use crate::daemon::desk::Desk;
use crate::daemon::desk::verify::{REREAD, defect_shown, shown};
use crate::daemon::home::Home;
use crate::daemon::run::{Daemon, Watching};
use crate::error::{Doing, Error, Kind};
use crate::model::Size;
use crate::seal::SystemEntropy;
use crate::upkeep::verify::{Keeping, Scope, Verifying};
use crate::web::ask::Ask;
use crate::web::control;
use crate::worker::Faults;
use clap::{Args, ValueEnum};
use std::io::Write;
use std::sync::Arc;

/// Packs looked at when nobody says how many: a HEAD each, and a whole read each.
const HEADS: u64 = 200;
const READS: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LevelArg {
    /// The listing against the catalog: presence, size, ETag, delete markers
    Inventory,
    /// The checksum the server keeps of each pack
    Checksum,
    /// The bytes themselves, of what needs no thaw
    Read,
    /// Not the vault but the files here: whether they still are what was captured, where nothing says they changed
    Reread,
}

impl LevelArg {
    /// None: nothing of the vault is looked at.
    fn check(self) -> Option<Check> {
        match self {
            Self::Inventory => Some(Check::Inventory),
            Self::Checksum => Some(Check::Checksum),
            Self::Read => Some(Check::Read),
            Self::Reread => None,
        }
    }
    fn word(self) -> &'static str {
        self.check().map_or(REREAD, Check::word)
    }
}

#[derive(Debug, Args)]
pub struct Verify {
    /// How closely to look
    #[arg(long, value_enum, default_value = "inventory")]
    pub level: LevelArg,
    /// Look at so many packs (files, to re-read), those looked at longest ago first (200 for checksum, 20 for reading a bucket)
    #[arg(long, value_name = "N", conflicts_with = "all", value_parser = clap::value_parser!(u64).range(1..))]
    pub sample: Option<u64>,
    /// Look at every pack or file (reading a folder and re-reading do so anyway)
    #[arg(long)]
    pub all: bool,
    /// Send again what is missing or damaged, however much it is
    #[arg(long)]
    pub heal: bool,
    /// What cannot be brought back was seen: no alarm any more
    #[arg(long)]
    pub acknowledge: bool,
    /// Only the vault of this name
    #[arg(long, value_name = "NAME", conflicts_with = "vault")]
    pub vault_name: Option<String>,
    #[command(flatten)]
    pub from: From,
}

impl Verify {
    fn sample_of(&self, url: &VaultUrl) -> Option<u64> {
        let unasked = match (self.level, url) {
            (LevelArg::Checksum, _) => Some(HEADS),
            (LevelArg::Read, VaultUrl::Bucket(_)) => Some(READS),
            _ => None,
        };
        self.sample.or(unasked.filter(|_| !self.all))
    }
    fn is_only_a_look(&self) -> bool {
        let address = self.from.vault.as_deref().is_some_and(|vault| vault.contains(':'));
        address || (self.level == LevelArg::Read && self.from.key_file.is_some())
    }
}

pub fn verify(line: &Line, args: &Verify) -> Answer {
    let asks_more = args.heal || args.acknowledge || args.from.key_file.is_some();
    if args.level == LevelArg::Reread && (args.is_only_a_look() || asks_more) {
        let error = Error::operator("read the files here again: that takes this machine's catalog and nothing else");
        return Err(Failure::Usage(
            error.remedy("leave out '--vault URL', '--key-file', '--heal' and '--acknowledge'"),
        ));
    }
    if args.is_only_a_look() {
        if args.heal || args.acknowledge {
            let error = Error::operator("verify with the words or an address: that only looks");
            return Err(Failure::Usage(
                error.remedy("'--heal' and '--acknowledge' go without '--vault' and '--key-file'"),
            ));
        }
        return only_look(line, args);
    }
    let settings = Arc::new(settings::load(line)?);
    let vaults = chosen(&settings, args)?;
    let home = Home::new(&settings.state_dir);
    let mut all = vec![];
    if home.is_held() {
        for vault in vaults {
            let answer = control::ask(&home.socket(), &Ask::Verify(asked(args, vault)))?;
            let told: Vec<Verified> =
                serde_json::from_value(answer).doing(Kind::Damaged, || "read the daemon's answer".to_owned())?;
            all.extend(told);
        }
    } else {
        let runtime = super::runtime()?;
        let house = serve::house(&settings, &runtime);
        let _lock = house.home.lock()?;
        let daemon = Daemon::new(house.clone(), Watching::Off)?;
        daemon.open_idle();
        let desk = Desk::new(Arc::clone(&daemon));
        for vault in vaults {
            all.extend(desk.verify(&asked(args, vault))?);
        }
        daemon.keep_lessons();
        daemon.close_idle();
    }
    show(line, &all);
    Ok(exit(&all))
}

fn chosen<'a>(settings: &'a Settings, args: &Verify) -> Result<Vec<&'a VaultSettings>, Failure> {
    let name = args.vault_name.as_ref().or(args.from.vault.as_ref());
    let chosen: Vec<_> = settings.vaults.iter().filter(|v| name.is_none_or(|name| *name == v.name)).collect();
    if chosen.is_empty() {
        let known: Vec<&str> = settings.vaults.iter().map(|v| v.name.as_str()).collect();
        let error = Error::operator("verify a vault: no vault of this name is configured");
        return Err(Failure::Usage(error.remedy(format!("there are {}", known.join(", ")))));
    }
    Ok(chosen)
}

fn asked(args: &Verify, vault: &VaultSettings) -> VerifyAsk {
    VerifyAsk {
        vault: Some(vault.name.clone()),
        level: args.level.word().to_owned(),
        sample: args.sample_of(&vault.url),
        heal: args.heal,
        acknowledge: args.acknowledge,
    }
}

fn only_look(line: &Line, args: &Verify) -> Answer {
    let from = From { vault: args.from.vault.clone().or(args.vault_name.clone()), ..args.from.clone() };
    let source = source::open(line, &from, None, &Choice::First)?;
    let open = if args.level == LevelArg::Read { Some(source::unlocked(&source, &from)?) } else { None };
    let Source { store, catalog, stop, url, .. } = &source;
    let clock = SystemClock::shared();
    let verifying = Verifying {
        store: &**store,
        catalog,
        keeping: Keeping::Nothing,
        vault: source.keys.seal().vault,
        open: open.as_ref(),
        entropy: &SystemEntropy,
        clock: &*clock,
        faults: &Faults::default(),
        stop,
    };
    let scope = args.sample_of(url).map_or(Scope::All, Scope::Sample);
    let report = verifying.run(args.level.check().unwrap_or(Check::Inventory), scope)?;
    let told = Verified {
        vault: source.chosen.as_ref().map_or_else(|| url.to_string(), |chosen| chosen.name.clone()),
        level: args.level.word().to_owned(),
        sound: report.is_sound() && source.log.is_whole(),
        result: shown(&report.run, report.opened),
        defects: report.defects.iter().map(defect_shown).collect(),
        ..Verified::default()
    };
    let all = [told];
    show(line, &all);
    Ok(exit(&all))
}

/// 4 where nothing goes on without the owner, else 1 where something is wrong or nothing could be looked at.
fn exit(all: &[Verified]) -> Exit {
    if all.iter().any(|v| v.needs_owner) {
        Exit::NeedsOperator
    } else if all.iter().any(|v| !v.sound || saw_nothing(v)) {
        Exit::Unhealthy
    } else {
        Exit::Done
    }
}

/// There was something, and none of it could be looked at: all of it frozen, or this key may not.
fn saw_nothing(v: &Verified) -> bool {
    v.result.looked == 0 && v.result.not_looked > 0
}

fn show(line: &Line, all: &[Verified]) {
    let mut out = std::io::stdout().lock();
    // A closed pipe is the reader's choice.
    let _ = if line.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&serde_json::json!({ "vaults": all })).unwrap_or_default())
    } else {
        all.iter().try_for_each(|one| text(one, &mut out))
    };
}

/// In the machine's own time.
fn local(rfc3339: &str) -> String {
    rfc3339.parse::<jiff::Timestamp>().map_or_else(|_| rfc3339.to_owned(), |at| time::local(Wall(at.as_millisecond())))
}

fn text(v: &Verified, out: &mut dyn Write) -> std::io::Result<()> {
    if let Some(error) = &v.error {
        return writeln!(out, "{}: not looked at: {error}", v.vault);
    }
    let sound = match v.sound {
        false => "NOT SOUND",
        true if saw_nothing(v) => "NOTHING WAS LOOKED AT, nothing is proved",
        true => "sound, as far as this looks",
    };
    writeln!(out, "{}: {sound}", v.vault)?;
    result(&v.level, &v.result, out)?;
    for defect in &v.defects {
        writeln!(out, "  {}: {}: {} (since {})", defect.wrong, defect.name, defect.said, local(&defect.since))?;
    }
    if v.result.wrong > v.defects.len() as u64 {
        writeln!(out, "  and {} more", v.result.wrong - v.defects.len() as u64)?;
    }
    if v.healed_packs > 0 {
        writeln!(
            out,
            "  {} given up; what needs it ({}) is read again and sent anew",
            count(v.healed_packs, "pack is", "packs are"),
            count(v.healed_files, "file", "files")
        )?;
    }
    if v.waiting_packs > 0 {
        writeln!(
            out,
            "  {} ({}) for your word: when this is the right vault and they are really gone, 'panicroom verify --heal'",
            count(v.waiting_packs, "pack waits", "packs wait"),
            Size(v.waiting_bytes)
        )?;
    }
    if v.lost_versions > 0 {
        let lost = count(v.lost_versions, "version of a file", "versions of files");
        writeln!(out, "  {lost} cannot be brought back from here:")?;
        for one in &v.lost {
            let latest = if one.latest { " (the newest there is)" } else { "" };
            writeln!(out, "    {}  {}{latest}: {} {}", local(&one.captured), one.path, one.pack, one.why)?;
        }
    }
    Ok(())
}

fn result(level: &str, r: &CheckStatus, out: &mut dyn Write) -> std::io::Result<()> {
    let is_here = level == REREAD;
    let looked = if is_here { count(r.looked, "file", "files") } else { count(r.looked, "object", "objects") };
    writeln!(out, "  {level}: {looked}, {}; {} not as it should be", Size(r.bytes), r.wrong)?;
    if r.not_looked > 0 {
        let (one, many) = if is_here { ("file was", "files were") } else { ("pack was", "packs were") };
        writeln!(out, "  {} not looked at", count(r.not_looked, one, many))?;
    }
    if let Some(note) = &r.note {
        writeln!(out, "  {note}")?;
    }
    if r.foreign > 0 || r.unnamed > 0 {
        writeln!(
            out,
            "  not ours and left alone: {}; packs that no log names: {}",
            count(r.foreign, "object", "objects"),
            r.unnamed
        )?;
    }
    if r.looked > 0 {
        writeln!(out, "  proves that {}", r.proves)?;
    }
    match &r.does_not_prove {
        Some(not) => writeln!(out, "  does not prove {not}"),
        None => Ok(()),
    }
}
