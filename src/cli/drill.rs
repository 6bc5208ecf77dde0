//! `drill`: a proven sample of the way out, within a budget. It plans, shows what it costs, asks, thaws, reads, compares,
//! and leaves a receipt in the vault's log: a durable job like a restore, gone on with by the same command.
//!
//! One drill of a vault at a time. Where no daemon is at work, the receipt is published at once; beside one, it goes with
//! the daemon's next publication.

mod hand;
mod plan;
mod show;

use super::args::Line;
use super::out_args::{From, SpeedArg};
use super::restore::show::{progress, where_it_stands};
use super::restore::{bill, stop_on_signal};
use super::source::{self, Choice, Source};
use super::{Answer, Exit, Failure, prices, settings};
use crate::catalog::jobs::JobFile;
use crate::clock::SystemClock;
use crate::config::{self, Settings};
use crate::daemon::home::Home;
use crate::error::{Doing, Error, Kind, Result};
use crate::format::segment::Receipt;
use crate::model::{Proof, Size, TreePath, Verdict};
use crate::place::{Target, scratch};
use crate::restore::drill::{Drilling, proof_of};
use crate::restore::fetch::BATCH_BYTES;
use crate::restore::{Plan, Progress};
use crate::seal::keys::OpenKeys;
use crate::seal::sha256;
use crate::worker::Faults;
use clap::Args;
use std::fs::File;
use std::io::IsTerminal;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Args)]
pub struct Drill {
    /// Cost no more than this, in the currency of the price list ("0.05" when left out; [drill] budget)
    #[arg(long, value_name = "MONEY")]
    pub budget: Option<String>,
    /// Read and restore no more than this ("1 GiB" when left out; [drill] bytes)
    #[arg(long, value_name = "SIZE")]
    pub bytes: Option<String>,
    /// Prove the sealed bytes alone, without the words: packs are what their names say
    #[arg(long)]
    pub sealed: bool,
    /// How urgently to thaw (the cheapest speed there is when left out)
    #[arg(long, value_enum)]
    pub speed: Option<SpeedArg>,
    /// Which of the configured vaults (the one whose last drill is longest ago when left out)
    #[arg(long, value_name = "NAME", conflicts_with = "vault")]
    pub vault_name: Option<String>,
    /// Restore the sample into a new folder in this one, which goes afterwards (in the state folder when left out)
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Only say what would be tried, and what it would cost and last; spends nothing
    #[arg(long)]
    pub plan: bool,
    /// Do not ask before money is spent
    #[arg(long)]
    pub yes: bool,
    /// How often to look whether packs are thawed (15m for Deep Archive, 1m for expedited)
    #[arg(long, value_name = "DURATION")]
    pub poll: Option<String>,
    /// Go on with a drill that was cut off; the same command does, too
    #[arg(long, value_name = "JOB", conflicts_with = "plan")]
    pub resume: Option<String>,
    #[command(flatten)]
    pub from: From,
}

/// A fact of the job: what it may cost was agreed on.
const AGREED: &str = "drill_agreed";

/// What was typed and configured, read.
struct Wish {
    /// Millionths.
    budget: u64,
    bytes: Size,
    money: bill::Wish,
}

impl Wish {
    fn of(args: &Drill, settings: Option<&Settings>) -> std::result::Result<Self, Failure> {
        let usage = |e: String| Failure::Usage(Error::operator(e));
        let usual = settings.map(|s| s.drill).unwrap_or_default();
        let speed = args.speed.map(bill::speed);
        Ok(Self {
            budget: args
                .budget
                .as_deref()
                .map(|t| config::money(t).map_err(usage))
                .transpose()?
                .unwrap_or(usual.budget),
            bytes: args.bytes.as_deref().map(|t| t.parse::<Size>().map_err(usage)).transpose()?.unwrap_or(usual.bytes),
            money: bill::Wish {
                what: "drill",
                speed,
                downlink: None,
                poll: bill::poll(args.poll.as_deref())?,
                max_cost: None,
                yes: args.yes,
            },
        })
    }
}

/// The files of a drill: one a vault, so that the same command finds its own.
struct Job {
    id: String,
    dir: PathBuf,
    /// In which the scratch folder lies.
    scratch_in: PathBuf,
    /// Held while this process drills the vault.
    _held: Option<File>,
}

impl Job {
    fn of(source: &Source, args: &Drill) -> std::result::Result<Self, Failure> {
        let dir = source.jobs.clone();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .doing(Kind::Operator, || format!("create {}", dir.display()))?;
        let scratch_in = match &args.scratch {
            None => dir.clone(),
            Some(folder) => {
                std::path::absolute(folder).doing(Kind::Operator, || format!("find {}", folder.display()))?
            }
        };
        if args.plan {
            return Ok(Self { id: format!("plan-{}", std::process::id()), dir, scratch_in, _held: None });
        }
        let text = format!("drill\n{}\n", source.keys.seal().vault);
        let id = sha256(text.as_bytes()).to_string()[..12].to_owned();
        if let Some(typed) = &args.resume
            && (*typed != id || !path(&dir, &id).exists())
        {
            return Err(Failure::Usage(
                Error::operator(format!("resume the drill {typed}: there is no such job in {}", dir.display()))
                    .remedy("'panicroom drill' begins one, and goes on with one that was begun"),
            ));
        }
        let held = hold(&dir.join(format!("drill-{id}.lock")))?;
        Ok(Self { id, dir, scratch_in, _held: Some(held) })
    }

    fn path(&self) -> PathBuf {
        path(&self.dir, &self.id)
    }

    fn remove(&self) {
        // It stops nothing: it never dies here but in a test.
        let _ = JobFile::remove(&self.path(), &Faults::default());
    }

    /// A drill that was begun, and where its scratch folder is. One that never got its plan, or that nobody agreed to, is
    /// cleared away.
    fn begun(&self) -> Result<Option<(JobFile, PathBuf)>> {
        if !self.path().exists() {
            return Ok(None);
        }
        let file = JobFile::open(&self.path())?;
        if file.fact::<i64>(AGREED)?.is_some()
            && Plan::of(&file)?.is_some()
            && proof_of(&file)?.is_some()
            && let Some(scratch) = file.target()?
        {
            return Ok(Some((file, scratch)));
        }
        let left = file.target()?;
        drop(file);
        for folder in left.into_iter().chain([scratch::path(&self.scratch_in, &self.id)]) {
            scratch::remove(&folder, &Faults::default())?;
        }
        self.remove();
        Ok(None)
    }

    /// Everything of it goes: the scratch folder first, so that a job that is there says where it is.
    fn end(&self, scratch: &Path) -> Result<()> {
        scratch::remove(scratch, &Faults::default())?;
        self.remove();
        Ok(())
    }
}

fn path(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("drill-{id}.db"))
}

fn hold(path: &Path) -> Result<File> {
    let file = File::create(path).doing(Kind::Operator, || format!("lock {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::operator("drill: another drill of this vault is at work")
            .remedy("wait until it has ended, or stop it and give the same command again: it goes on")),
        Err(std::fs::TryLockError::Error(e)) => Err(e).doing(Kind::Operator, || format!("lock {}", path.display())),
    }
}

pub fn drill(line: &Line, args: &Drill) -> Answer {
    let from =
        From { vault: args.vault_name.clone().or(args.from.vault.clone()), key_file: args.from.key_file.clone() };
    let is_address = from.vault.as_deref().is_some_and(|text| text.contains(':'));
    // Beside an address a configuration only helps: whose vault it is, and which bounds hold.
    let settings = match settings::load(line) {
        Err(_) if is_address => None,
        loaded => Some(loaded?),
    };
    let wish = Wish::of(args, settings.as_ref())?;
    if let (Some(folder), Some(settings)) = (&args.scratch, &settings) {
        lies_in_no_root(folder, settings)?;
    }
    let from = From { vault: from.vault.or_else(|| settings.as_ref().and_then(longest_ago)), ..from };
    let shown = Arc::new(Progress::default());
    let source = source::open(line, &from, Some(Arc::clone(&shown)), &Choice::First)?;
    let wish = Wish { money: wish.money.within(source.down), ..wish };
    let book = prices::book(source.prices.as_ref().or(settings.as_ref().and_then(|s| s.prices_file.as_ref())))?;
    let job = Job::of(&source, args)?;
    let begun = job.begun()?;
    let (proof, keys) = keys(args, &from, &source, begun.as_ref().map(|b| &b.0))?;
    stop_on_signal(&source.stop);
    let (file, folder, planned) = if let Some((file, folder)) = begun {
        let mut planned = Plan::of(&file)?.unwrap_or_default();
        bill::look_up(&mut planned, &source, &book, &wish.money)?;
        eprintln!("going on with the drill {} that was begun: what it may take was settled then", job.id);
        (file, folder, planned)
    } else {
        let planning = plan::Planner { source: &source, job: &job, wish: &wish, book: &book, progress: &shown };
        planning.plan(proof).map_err(|e| interrupted(e, "the same command begins again"))?
    };
    show::plan(line, args, &planned, proof, &book, &source, &wish);
    if args.plan {
        drop(file);
        job.end(&folder)?;
        return Ok(Exit::Done);
    }
    let next = format!("panicroom drill --resume {}", job.id);
    where_it_stands(&file, &format!("drill {}", job.id), &next)?;
    let target = Target::open(&folder)?;
    plan::agree(line, &planned, &file, &target, &wish)?;
    let receipt = carry_out(&source, keys.as_ref(), &folder, &target, &shown, &file)
        .map_err(|e| interrupted(e, &format!("'{next}' goes on from here")))?;
    let kept = hand::over(settings.as_ref(), &source, from.vault.as_deref(), &receipt);
    show::told(line, &file, &receipt, kept.as_ref().copied().unwrap_or(hand::Kept::Nowhere))?;
    // Once more, it is the same receipt.
    let kept = kept?;
    drop((file, target));
    job.end(&folder)?;
    hand::publish(line, settings, kept);
    source.log.say();
    Ok(match receipt.verdict {
        Verdict::Proved => Exit::Done,
        Verdict::Failed => Exit::Unhealthy,
        Verdict::Partly => Exit::SomeFailed,
    })
}

/// Which proof, and what opens the contents. A drill that was begun stays what it is.
fn keys(
    args: &Drill,
    from: &From,
    source: &Source,
    begun: Option<&JobFile>,
) -> std::result::Result<(Proof, Option<OpenKeys>), Failure> {
    let proof = match begun.map(proof_of).transpose()?.flatten() {
        Some(proof) => proof,
        None if args.sealed => Proof::Sealed,
        None if from.key_file.is_some() || matches!(source.keys, source::Keys::Open(_)) => Proof::Contents,
        None if std::io::stdin().is_terminal() => Proof::Contents,
        None => Proof::Sealed,
    };
    if proof == Proof::Sealed || args.plan {
        return Ok((proof, None));
    }
    Ok((proof, Some(source::unlocked(source, from)?)))
}

/// The configured vault that waits longest for a drill; one whose drill was begun before all others.
fn longest_ago(settings: &Settings) -> Option<String> {
    if settings.vaults.len() < 2 {
        return None;
    }
    let home = Home::new(&settings.state_dir);
    let last = |name: &str| {
        let catalog = crate::catalog::Catalog::look(&home.vault(name).catalog()).ok()?;
        catalog.last_proved().ok()
    };
    let mut known: Vec<_> = settings.vaults.iter().filter_map(|v| Some((last(&v.name)?, &v.name))).collect();
    known.sort_by_key(|(at, _)| *at);
    known.first().map(|(_, name)| (*name).clone())
}

/// What is restored there would be backed up again.
fn lies_in_no_root(folder: &Path, settings: &Settings) -> std::result::Result<(), Failure> {
    let absolute = std::path::absolute(folder).doing(Kind::Operator, || format!("find {}", folder.display()))?;
    let real = absolute.canonicalize().unwrap_or(absolute);
    let inside = TreePath::from_typed(&real).and_then(|path| settings.roots.iter().find(|r| path.is_within(&r.path)));
    match inside {
        Some(root) => Err(Failure::Usage(
            Error::operator(format!("drill into {}: it lies in the watched folder {}", folder.display(), root.path))
                .remedy("name a folder outside with '--scratch', or leave it out"),
        )),
        None => Ok(()),
    }
}

fn carry_out(
    source: &Source,
    keys: Option<&OpenKeys>,
    folder: &Path,
    target: &Target,
    shown: &Progress,
    file: &JobFile,
) -> Result<Receipt> {
    let over = AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| progress(shown, &over));
        let drilling =
            drilling(source, folder, target, shown, file, &*SystemClock::shared(), &Faults::default(), |d| {
                d.carry_out(keys)
            });
        over.store(true, Ordering::SeqCst);
        drilling
    })
}

/// Everything a drill is done with.
fn drilling<T>(
    source: &Source,
    folder: &Path,
    target: &Target,
    progress: &Progress,
    job: &JobFile,
    clock: &dyn crate::clock::Clock,
    faults: &Faults,
    act: impl FnOnce(&Drilling<'_>) -> T,
) -> T {
    // One more than there are cores: somebody always waits for the vault.
    let threads = std::thread::available_parallelism().map_or(2, usize::from).saturating_add(1).clamp(3, 5);
    act(&Drilling {
        catalog: &source.catalog,
        store: &*source.store,
        keys: source.keys.seal(),
        scratch: folder,
        target,
        job,
        progress,
        clock,
        faults,
        stop: &source.stop,
        threads,
        batch_bytes: BATCH_BYTES,
    })
}

fn interrupted(e: Error, next: &str) -> Error {
    if e.kind() == Kind::Stopping { Error::retry(format!("drill: interrupted; {next}")) } else { e }
}
