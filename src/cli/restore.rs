//! `restore` and `rebuild`: from a vault and the words to files on a disk, or to a catalog.
//!
//! A restore is a durable job: the same command again, or `--resume JOB`, goes on where it was cut off. What it costs is
//! shown and agreed on before ([`bill`]); what it waits for is said ([`show`]).

pub(super) mod bill;
pub(super) mod show;

use super::args::Line;
use super::log_state::Log;
use super::look::typed;
use super::out_args::{Rebuild, Restore};
use super::source::{self, Choice, Source};
use super::{Answer, Exit, Failure, patience, prices, settings, time};
use crate::catalog::jobs::JobFile;
use crate::clock::SystemClock;
use crate::daemon::checks::count;
use crate::daemon::open::{Folders, open_configured, throttle_of};
use crate::error::{Doing, Error, Kind, Result};
use crate::model::{Size, TreePath};
use crate::place::{Clobber, Target};
use crate::price::PriceBook;
use crate::restore::fetch::BATCH_BYTES;
use crate::restore::{
    Fetching, Layout, Plan, Planning, Progress, Report, Wanted, fetch, plan, preview, waits_for_a_word,
};
use crate::seal::keys::OpenKeys;
use crate::seal::sha256;
use crate::store::abilities::Abilities;
use crate::upkeep::unlock;
use crate::worker::{Faults, Stop};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A job's files: named by what was asked for, so that the same command finds its own.
struct Job {
    id: String,
    dir: PathBuf,
}

impl Job {
    fn of(source: &Source, args: &Restore, wanted: &Wanted, to: &Path) -> Result<Self> {
        let mut text = format!(
            "{}\n{}\n{:?}\n{:?}\n{:?}\n",
            source.keys.seal().vault,
            to.display(),
            args.at,
            wanted.layout,
            wanted.clobber
        );
        // In whatever order they are given: it is the same restore.
        let paths: std::collections::BTreeSet<_> = wanted.paths.iter().collect();
        for path in paths {
            text.push_str(&path.to_string());
            text.push('\n');
        }
        let id = sha256(text.as_bytes()).to_string()[..12].to_owned();
        Self::named(source, id)
    }
    /// What a plan alone is worked out in: never the job of a restore that goes on or was cut off.
    fn for_plan(source: &Source) -> Result<Self> {
        Self::named(source, format!("plan-{}", std::process::id()))
    }
    fn named(source: &Source, id: String) -> Result<Self> {
        let dir = source.jobs.clone();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .doing(Kind::Operator, || format!("create {}", dir.display()))?;
        Ok(Self { id, dir })
    }
    fn path(&self) -> PathBuf {
        self.dir.join(format!("{}.db", self.id))
    }
    fn remove(&self) {
        // It stops nothing: it never dies here but in a test.
        let _ = JobFile::remove(&self.path(), &Faults::default());
    }
}

fn wanted(args: &Restore) -> std::result::Result<Wanted, Failure> {
    let paths: Vec<TreePath> = args.paths.iter().map(|p| typed(p)).collect::<std::result::Result<_, _>>()?;
    Ok(Wanted {
        paths,
        when: time::when(args.at.as_deref(), SystemClock::shared().wall())?,
        layout: if args.strip { Layout::Strip } else { Layout::Whole },
        clobber: if args.overwrite { Clobber::Replace } else { Clobber::Keep },
    })
}

pub fn restore(line: &Line, args: &Restore) -> Answer {
    let wanted = wanted(args)?;
    let wish = bill::Wish::of(args)?;
    let progress = Arc::new(Progress::default());
    // Claimed before anything is waited for, and before a job of it is looked at: another one's is left alone.
    let claimed = match &args.to {
        Some(to) if args.resume.is_none() => Some(claim(to, args)?),
        _ => None,
    };
    let choice = match &args.resume {
        Some(id) => Choice::OfJob(id),
        None => Choice::Newest(&wanted),
    };
    let source = source::open(line, &args.from, Some(Arc::clone(&progress)), &choice)?;
    if let Some(chosen) = &source.chosen {
        eprintln!("from the vault '{}' ({}); '--vault NAME' takes another", chosen.name, source.url);
        show::what_vaults_lack(chosen);
    }
    let wish = wish.within(source.down);
    let book = prices::book(source.prices.as_ref())?;
    let (job, file, to, target) = match (&args.resume, claimed) {
        (Some(id), _) => {
            let (job, file, to) = resumed(&source, id)?;
            let (to, target) = claim(&to, args)?;
            (job, file, to, target)
        }
        (None, Some((to, target))) => {
            let job = if args.plan { Job::for_plan(&source)? } else { Job::of(&source, args, &wanted, &to)? };
            let file = fresh_or_begun(&job)?;
            (job, file, to, target)
        }
        (None, None) => return Err(Failure::Usage(Error::operator("restore: no target").remedy("give '--to DIR'"))),
    };
    let target = target.marked(&job.id);
    // A plan needs no words: it opens no contents.
    let keys = if args.plan { None } else { Some(source::unlocked(&source, &args.from)?) };
    // Not before: a prompt for the words ends by an interrupt as everything does.
    stop_on_signal(&source.stop);
    let mut planned = if let Some(plan) = Plan::of(&file)? {
        plan
    } else {
        let with = Planning {
            catalog: &source.catalog,
            store: &*source.store,
            keys: source.keys.seal(),
            target: &target,
            target_path: &to,
            progress: &progress,
            faults: &Faults::default(),
            stop: &source.stop,
            now: SystemClock::shared().wall(),
        };
        let made = if args.plan { preview(&with, &wanted, &file) } else { plan(&with, &wanted, &file) };
        made.map_err(|e| {
            // Nothing was placed yet: nothing of it is worth keeping.
            job.remove();
            interrupted(e, "the same command begins again")
        })?
    };
    bill::look_up(&mut planned, &source, &book, &wish)?;
    show_plan(line, args, &planned, &book, &source, &wish);
    let Some(keys) = keys else {
        drop(file);
        if args.resume.is_none() {
            job.remove();
        }
        return Ok(Exit::Done);
    };
    let next = format!("panicroom restore --resume {}", job.id);
    show::where_it_stands(&file, &format!("restore {}", job.id), &next)?;
    let report = loop {
        bill::settle(line, &planned, &file, target.free()?, &wish)?;
        let e = match carry_out(&source, &keys, &target, &progress, &file) {
            Ok(report) => break report,
            Err(e) => e,
        };
        if e.kind() == Kind::Stopping || !waits_for_a_word(&file)? {
            let next = format!("the same command, or 'panicroom restore --resume {}', goes on from here", job.id);
            return Err(interrupted(e, &next).into());
        }
        // What no listing told: its price was not shown before. Now it is, and nothing is asked for unless it is agreed to.
        eprintln!("{e}");
        planned = Plan::of(&file)?.unwrap_or(planned);
        bill::look_up(&mut planned, &source, &book, &wish)?;
        show_plan(line, args, &planned, &book, &source, &wish);
    };
    drop(file);
    if report.failed == 0 {
        job.remove();
    }
    let exit = told(line, &report, &to);
    if let Some(chosen) = source.chosen.as_ref().filter(|chosen| chosen.lacks.things > 0) {
        show::what_vaults_lack(chosen);
    }
    if source.log.is_whole() {
        return Ok(exit);
    }
    source.log.say();
    Ok(Exit::SomeFailed)
}

/// The target, and ours alone until the restore ends or dies. A plan writes nothing there and needs no claim.
fn claim(to: &Path, args: &Restore) -> Result<(PathBuf, Target)> {
    let to = std::path::absolute(to).doing(Kind::Operator, || format!("find {}", to.display()))?;
    let target = Target::open(&to)?;
    if !args.plan {
        target.claim().map_err(|e| e.during(&format!("restore into {}", to.display())))?;
    }
    Ok((to, target))
}

fn interrupted(e: Error, next: &str) -> Error {
    if e.kind() == Kind::Stopping { Error::retry(format!("restore: interrupted; {next}")) } else { e }
}

/// A job that was begun is gone on with; one that ended with failures or never got its plan begins anew. Where some
/// failed and it did not end, parts of ours still lie at the target: only that job knows them.
fn fresh_or_begun(job: &Job) -> Result<JobFile> {
    let file = JobFile::open(&job.path())?;
    let over = Plan::of(&file)?.is_none() || (file.failures()? > 0 && file.count("finished")? > 0);
    if !over {
        return Ok(file);
    }
    drop(file);
    job.remove();
    JobFile::open(&job.path())
}

fn resumed(source: &Source, id: &str) -> std::result::Result<(Job, JobFile, PathBuf), Failure> {
    let unknown = || {
        Failure::Usage(
            Error::operator(format!("resume the restore {id}: there is no such job in {}", source.jobs.display()))
                .remedy("give the same command as the first time instead"),
        )
    };
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(unknown());
    }
    let job = Job::named(source, id.to_owned())?;
    if !job.path().exists() {
        return Err(unknown());
    }
    let file = JobFile::open(&job.path())?;
    let to = file.target()?.ok_or_else(unknown)?;
    if Plan::of(&file)?.is_none() {
        return Err(Failure::Usage(
            Error::operator(format!("resume the restore {id}: its plan was not finished, and nothing was restored"))
                .remedy("give the same command as the first time instead"),
        ));
    }
    Ok((job, file, to))
}

fn show_plan(line: &Line, args: &Restore, plan: &Plan, book: &PriceBook, source: &Source, wish: &bill::Wish) {
    if args.plan && line.json {
        println!("{}", serde_json::to_string_pretty(plan).unwrap_or_default());
        return;
    }
    let mut out = std::io::stderr();
    let _ = writeln!(
        out,
        "{}, {}; {} to be read from {}",
        count(plan.files, "file", "files"),
        Size(plan.bytes),
        Size(plan.pack_bytes),
        count(plan.packs, "pack", "packs")
    );
    if plan.already + plan.skipped > 0 {
        let _ = writeln!(
            out,
            "{} are at the target already, {} others stand in the way and are kept (--overwrite replaces them)",
            plan.already, plan.skipped
        );
    }
    if plan.failed > 0 {
        let _ = writeln!(out, "{} cannot be restored: the vault has lost what they need", plan.failed);
    }
    if plan.hidden_packs > 0 {
        let _ = writeln!(
            out,
            "ALARM: {} behind delete markers: somebody deleted them. They are not lost and are restored as the others; find \
             out whose key it was",
            count(plan.hidden_packs, "pack lies", "packs lie")
        );
    }
    if plan.overwritten_packs > 0 {
        let _ = writeln!(
            out,
            "ALARM: {} overwritten by somebody; what lies beneath is restored",
            count(plan.overwritten_packs, "pack was", "packs were")
        );
    }
    let place = prices::place(&source.url, plan.class.as_deref());
    let _ = bill::show(plan, book.terms(&place).offer(), wish, &mut out);
}

fn carry_out(source: &Source, keys: &OpenKeys, target: &Target, progress: &Progress, file: &JobFile) -> Result<Report> {
    // One more than there are cores: somebody always waits for the vault.
    let threads = std::thread::available_parallelism().map_or(2, usize::from).saturating_add(1).clamp(3, 5);
    let over = AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| show::progress(progress, &over));
        let with = Fetching {
            catalog: &source.catalog,
            store: &*source.store,
            keys,
            target,
            progress,
            clock: &*SystemClock::shared(),
            faults: &Faults::default(),
            stop: &source.stop,
            threads,
            batch_bytes: BATCH_BYTES,
        };
        let report = fetch(&with, file);
        over.store(true, Ordering::SeqCst);
        report
    })
}

/// An interrupt ends the batch in hand and leaves a job to go on with; a second one does not wait for that.
pub(super) fn stop_on_signal(stop: &Stop) {
    let stop = stop.clone();
    let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        for _ in 0..2 {
            if runtime.block_on(tokio::signal::ctrl_c()).is_err() {
                return;
            }
            if stop.asked() {
                // A restore may die at any instant: the job goes on from its last batch.
                std::process::exit(1);
            }
            stop.ask();
        }
    });
}

fn told(line: &Line, report: &Report, to: &Path) -> Exit {
    let short = &report.shortfalls;
    if line.json {
        let failures: Vec<_> =
            report.failures.iter().map(|(p, why)| serde_json::json!({"path": p.to_string(), "error": why})).collect();
        println!(
            "{}",
            serde_json::json!({"done": report.done, "others": report.others, "bytes": report.bytes, "skipped": report.skipped, "failed": report.failed, "failures": failures,
                "shortfalls": {"owner": short.owner, "set_id": short.set_id, "mode": short.mode, "time": short.time, "attributes": short.attributes, "unsupported": short.unsupported}})
        );
    } else {
        println!(
            "Restored {} files ({}) and {} other things to {}; {} skipped, {} failed.",
            report.done,
            Size(report.bytes),
            report.others,
            to.display(),
            report.skipped,
            report.failed
        );
        for (path, why) in &report.failures {
            println!("  failed {path}: {why}");
        }
        for (n, what) in [
            (short.owner, "owners"),
            (short.set_id, "set-id bits"),
            (short.mode, "modes"),
            (short.time, "times"),
            (short.attributes, "extended attributes"),
            (short.unsupported, "things this file system or user cannot make"),
        ] {
            if n > 0 {
                println!("  not as they were: {n} {what}");
            }
        }
    }
    if report.failed > 0 { Exit::SomeFailed } else { Exit::Done }
}

/// A catalog from the vault alone; with the words also the keys, on a machine that has none. Takes the vault over.
pub fn rebuild(line: &Line, args: &Rebuild) -> Answer {
    let settings = Arc::new(settings::load(line)?);
    let runtime = super::runtime()?;
    let house = super::serve::house(&settings, &runtime);
    let _lock = house.home.lock()?;
    for vault in &settings.vaults {
        let home = house.home.vault(&vault.name);
        let throttle = throttle_of(&settings, vault, Arc::clone(&house.clock));
        let opened = open_configured(vault, Abilities::default(), Folders::MustExist, throttle, runtime.handle())?;
        let store = patience::patient(opened.store, &house.stop, None);
        let keys = if home.has_keys() {
            home.keys()?
        } else {
            let file = unlock::open_vault(&*store, &house.stop)?;
            let text = source::secret_text(&args.from)?;
            let keys = unlock::secret_from(&*store, &file, &text, &house.stop)?.open_keys(file.id).seal;
            home.write_keys(&keys, &Faults::default())?;
            keys
        };
        let (path, report) = house.rebuild_beside(&home, &*store, &keys, &vault.roots)?;
        drop(house.put_in_place(&home, &path)?);
        Log::read(&report).say();
        println!(
            "{}: rebuilt from {} segments: {} versions, {} deletions, {} packs.",
            vault.name, report.segments, report.versions, report.deletions, report.packs
        );
    }
    Ok(Exit::Done)
}
