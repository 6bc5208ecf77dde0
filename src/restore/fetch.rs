//! Works a job off: the packs in order, neighbouring blocks joined into reads of a few MiB, opened and written on
//! several threads, settled batch by batch on another. What is found damaged is looked for in other packs, round
//! after round, until it is there or nowhere.
//!
//! Memory: one read and one block for each worker, and bounded lists of what is on its way.

use super::cut::Cutter;
use super::finish::Finisher;
use super::late::{Late, waits_for_a_word};
use super::plan::Plan;
use super::progress::{Phase, Progress};
use super::second::SecondLook;
use super::settle::{Event, Settler};
use super::thaw::{Tending, Thawer};
use super::unit::{Attempt, Bench, Hands, OpenParts, Unit};
use crate::catalog::Catalog;
use crate::catalog::jobs::{Cursor, JobFile, ThingKind};
use crate::chunk::Chunker;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::model::{Size, TreePath};
use crate::place::{Clobber, Target};
use crate::seal::keys::OpenKeys;
use crate::store::{ObjectStore, is_frozen};
use crate::worker::{Faults, Stop};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

pub use super::unit::Shortfalls;

/// How much is read between two syncs, bytes: what a kill can make a restore read again.
pub const BATCH_BYTES: u64 = 128 << 20;
/// Failures handed back in the report; all of them are in the job.
const TOLD: usize = 1000;

/// What a fetch is done with.
pub struct Fetching<'a> {
    pub catalog: &'a Catalog,
    pub store: &'a dyn ObjectStore,
    pub keys: &'a OpenKeys,
    pub target: &'a Target,
    pub progress: &'a Progress,
    pub clock: &'a dyn Clock,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
    /// Threads that read, open and write: at least 1.
    pub threads: usize,
    /// [`BATCH_BYTES`] unless there is a reason.
    pub batch_bytes: u64,
}

impl<'a> Fetching<'a> {
    fn tending(&self) -> Tending<'a> {
        let &Self { store, progress, clock, faults, stop, threads, .. } = self;
        Tending { store, progress, clock, faults, stop, threads }
    }
}

/// What came of a job, earlier runs included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files restored, or found restored already.
    pub done: u64,
    /// Symlinks, FIFOs, devices restored.
    pub others: u64,
    pub bytes: u64,
    /// Names that were taken by something else, which was kept.
    pub skipped: u64,
    pub failed: u64,
    /// The first of them in path order: path and reason.
    pub failures: Vec<(TreePath, String)>,
    pub shortfalls: Shortfalls,
}

/// Works off a planned job, from wherever an earlier run came to. An error leaves the job to be resumed.
/// Operator: the target has no room, or packs are frozen and their thaw was not agreed on ([`super::thaw::agree`]).
pub fn fetch(with: &Fetching<'_>, job: &JobFile) -> Result<Report> {
    let plan = planned(with, job)?;
    // As much as there is now: the plan may be older than the room that was made since.
    let (needed, free) = (Size(plan.needed_bytes), with.target.free()?);
    if job.count("runs")? == 0 && needed > free {
        return Err(Error::operator(format!("restore {needed}: the target has room for {free}"))
            .remedy("make room, then give the same command again; or choose another target"));
    }
    with.faults.at("fetch.begin")?;
    let attempt = if job.begin_run()? == 0 { Attempt::First } else { Attempt::Again };
    let clobber = if job.count("clobber")? == 1 { Clobber::Replace } else { Clobber::Keep };
    let parts = OpenParts::default();
    let finisher = Finisher {
        job,
        target: with.target,
        clobber,
        attempt,
        parts: &parts,
        progress: with.progress,
        faults: with.faults,
        stop: with.stop,
    };
    start_progress(with.progress, &plan, job)?;
    if job.count("finished")? == 0 {
        finisher.look_after_names()?;
        finisher.name_whole_files()?;
        let mut cursor = job.cursor()?;
        while job.pack_from(cursor.round, 0)?.is_some() {
            let round = Round { with, job, clobber, attempt, parts: &parts, finisher: &finisher };
            let mut thawer = Thawer::of(with.tending(), job, cursor.round)?;
            if let Some(thawer) = &thawer {
                thawer.look_at_turns(cursor)?;
            }
            while let Err(e) = round.run(cursor, thawer.as_mut()) {
                if !is_frozen(&e) {
                    return Err(e);
                }
                let Some(thawer) = &mut thawer else {
                    return Err(late(with, job).settle(e)?);
                };
                cursor = job.cursor()?;
                thawer.frozen_again(cursor)?;
            }
            cursor = Cursor { round: cursor.round + 1, ..Cursor::default() };
        }
        with.progress.enter(Phase::Finishing);
        finisher.things(ThingKind::Link)?;
        finisher.things(ThingKind::Other)?;
        finisher.folders()?;
        with.faults.at("fetch.ended")?;
    }
    with.progress.enter(Phase::Done);
    report(job, &plan)
}

fn late<'a>(with: &'a Fetching<'_>, job: &'a JobFile) -> Late<'a> {
    Late { store: with.store, job, faults: with.faults, stop: with.stop }
}

fn planned(with: &Fetching<'_>, job: &JobFile) -> Result<Plan> {
    let Some(plan) = Plan::of(job)? else {
        return Err(Error::operator(format!("resume the restore {}: its plan was not finished", job.path().display()))
            .remedy("start the restore again"));
    };
    let of: Option<Vec<u8>> = job.fact("vault")?;
    if of.as_deref() != Some(&with.keys.seal.vault.0[..]) {
        return Err(
            Error::operator("resume a restore: it is of another vault").remedy("name the vault it was begun from")
        );
    }
    if waits_for_a_word(job)? {
        return Err(Error::operator(format!(
            "restore from {} packs in cold storage: nobody agreed to their thaw",
            plan.frozen_packs + plan.thawed_packs
        ))
        .remedy("give the same command again: it shows what the thaw costs, and asks"));
    }
    Ok(plan)
}

fn start_progress(progress: &Progress, plan: &Plan, job: &JobFile) -> Result<()> {
    use std::sync::atomic::Ordering::Relaxed;
    progress.enter(Phase::Fetching);
    progress.wait_for(None);
    let total = plan.files + plan.others;
    progress.files_total.store(total, Relaxed);
    progress.bytes_total.store(plan.bytes, Relaxed);
    let failed_later = job.failures()?.saturating_sub(plan.failed);
    let placed = ["done", "others", "skipped", "unsupported"].iter().try_fold(0, |n, c| Ok(n + job.count(c)?))?;
    progress.files.store((placed + failed_later).min(total), Relaxed);
    progress.bytes.store(job.count("bytes")?, Relaxed);
    Ok(())
}

fn report(job: &JobFile, plan: &Plan) -> Result<Report> {
    Ok(Report {
        done: job.count("done")? + plan.already,
        others: job.count("others")?,
        bytes: job.count("bytes")?,
        skipped: job.count("skipped")? + plan.skipped,
        failed: job.failures()?,
        failures: job.failures_after(None, TOLD)?,
        shortfalls: Shortfalls {
            owner: job.count("short_owner")?,
            set_id: job.count("short_set_id")?,
            mode: job.count("short_mode")?,
            time: job.count("short_time")?,
            attributes: job.count("short_attributes")?,
            unsupported: job.count("unsupported")?,
        },
    })
}

struct Round<'a> {
    with: &'a Fetching<'a>,
    job: &'a JobFile,
    clobber: Clobber,
    attempt: Attempt,
    parts: &'a OpenParts,
    finisher: &'a Finisher<'a>,
}

/// The first error of any thread; whoever sees one ends.
#[derive(Default)]
pub(super) struct Abort(Mutex<Option<Error>>);

impl Abort {
    fn raise(&self, e: Error) {
        self.0.lock().expect("abort lock").get_or_insert(e);
    }
    pub fn raised(&self) -> bool {
        self.0.lock().expect("abort lock").is_some()
    }
}

impl Round<'_> {
    fn run(&self, from: Cursor, thawer: Option<&mut Thawer<'_>>) -> Result<()> {
        let seal = &self.with.keys.seal;
        let chunker = Chunker::new(seal.cut_key(), seal.chunk_key());
        let second = SecondLook::default();
        let bench = Bench {
            store: self.with.store,
            keys: self.with.keys,
            chunker: &chunker,
            target: self.with.target,
            clobber: self.clobber,
            attempt: self.attempt,
            parts: self.parts,
            faults: self.with.faults,
            stop: self.with.stop,
            progress: self.with.progress,
            second: &second,
        };
        let settler = Settler { job: self.job, catalog: self.with.catalog, finisher: self.finisher, round: from.round };
        let abort = Abort::default();
        let threads = self.with.threads.max(1);
        let (units, work) = sync_channel::<Unit>(threads);
        let (tell, events) = sync_channel::<Event>(4 * threads + 16);
        let work = Mutex::new(work);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (tell, work, abort, bench) = (tell.clone(), &work, &abort, &bench);
                scope.spawn(move || labour(bench, work, &tell, abort));
            }
            let (abort, settler) = (&abort, &settler);
            scope.spawn(move || {
                if let Err(e) = settler.run(&events) {
                    abort.raise(e);
                    // Whoever still sends must not wait for ever.
                    events.iter().for_each(drop);
                }
            });
            let mut cutter = Cutter::new(self.job, self.with, from.round, units, tell, abort);
            if let Err(e) = cutter.run(from, thawer) {
                abort.raise(e);
            }
        });
        abort.0.into_inner().expect("abort lock").map_or(Ok(()), Err)
    }
}

/// One worker: units until there are no more.
fn labour(bench: &Bench<'_>, work: &Mutex<Receiver<Unit>>, tell: &SyncSender<Event>, abort: &Abort) {
    let mut hands = Hands::new().map_err(|e| abort.raise(e)).ok();
    loop {
        let Ok(unit) = work.lock().expect("work lock").recv() else { return };
        let Some(hands) = hands.as_mut().filter(|_| !abort.raised()) else {
            // Taken all the same: whoever cuts units must not wait for ever.
            continue;
        };
        match bench.run(&unit, hands) {
            Ok(outcome) => drop(tell.send(Event::Done(unit.batch, outcome))),
            Err(e) => abort.raise(e),
        }
    }
}
