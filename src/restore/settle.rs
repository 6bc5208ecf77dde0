//! What the workers did becomes durable: batch by batch, in order, one sync of the target and then one transaction
//! of the job. On a thread of its own, so that nobody waits for a disk but here.
//!
//! Dying before the transaction: the batch is fetched again. Between it and the naming of the files it made whole:
//! they are named at the next start.

use super::finish::Finisher;
use super::progress::Progress;
use super::unit::{Outcome, Owner, PackAt, Slice};
use crate::catalog::Catalog;
use crate::catalog::jobs::{Batch, Cursor, JobFile, JobPack, NewPack, Repair, Run};
use crate::error::Result;
use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;

/// What reaches the settler.
pub(super) enum Event {
    /// One unit of a batch came to this.
    Done(u64, Outcome),
    /// The batch has so many units; everything before the cursor is in it or in an earlier one.
    Close { batch: u64, units: u64, cursor: Cursor },
}

#[derive(Default)]
struct Open {
    outcome: Outcome,
    done: u64,
    closed: Option<(u64, Cursor)>,
}

pub(super) struct Settler<'a> {
    pub job: &'a JobFile,
    pub catalog: &'a Catalog,
    pub finisher: &'a Finisher<'a>,
    pub round: u32,
}

impl Settler<'_> {
    /// Until nobody sends any more. On an error the rest is taken and dropped, so that nobody waits for it.
    pub fn run(&self, events: &Receiver<Event>) -> Result<()> {
        let mut open: BTreeMap<u64, Open> = BTreeMap::new();
        for event in events {
            match event {
                Event::Done(batch, outcome) => {
                    let batch = open.entry(batch).or_default();
                    batch.outcome.add(outcome);
                    batch.done += 1;
                }
                Event::Close { batch, units, cursor } => open.entry(batch).or_default().closed = Some((units, cursor)),
            }
            while let Some(first) = open.first_entry() {
                let Some((_, cursor)) = first.get().closed.filter(|(units, _)| *units == first.get().done) else {
                    break;
                };
                self.settle(first.remove().outcome, cursor)?;
            }
        }
        Ok(())
    }

    fn settle(&self, outcome: Outcome, cursor: Cursor) -> Result<()> {
        let mut batch = Batch { cursor, failed: outcome.failed, ..Batch::default() };
        for (id, chunks) in outcome.written {
            *batch.written.entry(id).or_default() += chunks;
        }
        for (pack, slice, reason) in &outcome.broken {
            if let Some(repairs) = self.elsewhere(pack, slice)? {
                batch.repairs.extend(repairs);
            } else {
                let reason = format!("pack {}: {reason}", pack.name);
                batch.failed.push((slice.owner.row(), slice.owner.path().clone(), reason));
            }
        }
        batch.counts = vec![("done", outcome.done), ("skipped", outcome.skipped), ("bytes", outcome.bytes)];
        batch.counts.extend(outcome.short.counts());
        self.finisher.faults.at("settle.sync")?;
        self.finisher.target.sync()?;
        self.finisher.faults.at("settle.note")?;
        Progress::add(&self.finisher.progress.files, self.job.settle(&batch)?);
        self.finisher.name_whole_files()
    }

    /// Every chunk of a broken piece in another pack, for the next round; None where one of them lies nowhere else.
    fn elsewhere(&self, pack: &PackAt, slice: &Slice) -> Result<Option<Vec<Repair>>> {
        let mut repairs = Vec::new();
        // Packs are tried in the order of their ids, so that this ends.
        let after = if self.round == 0 { 0 } else { pack.id };
        for chunk in slice.chunks.clone() {
            let Some(id) = pack.record.table.ids.get(chunk as usize) else { return Ok(None) };
            let Some(place) = self.catalog.another_place(*id, slice.origin, after)? else { return Ok(None) };
            if self.job.pack(place.pack)?.is_none() {
                let Some((record, _)) = self.catalog.pack_record(place.pack)? else { return Ok(None) };
                let (hash, tier) = (record.hash, record.table.tier);
                self.finisher.faults.at("settle.pack")?;
                let pack = JobPack { id: place.pack, hash, tier, record: Some(record) };
                self.job.add_packs(&[NewPack { pack, thaw: None }])?;
            }
            let offset = slice.offset + pack.starts[chunk as usize] - pack.starts[slice.chunks.start as usize];
            let small = match &slice.owner {
                Owner::Small { path, entry, .. } => Some((path.clone(), entry.clone())),
                Owner::Part(_) => None,
            };
            repairs.push(Repair {
                round: self.round + 1,
                run: Run { pack: place.pack, first: place.number, count: 1, offset },
                origin: slice.origin,
                file: slice.owner.id(),
                small,
            });
        }
        Ok(Some(repairs))
    }
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.bytes += other.bytes;
        self.done += other.done;
        self.skipped += other.skipped;
        self.written.extend(other.written);
        self.failed.extend(other.failed);
        self.broken.extend(other.broken);
        self.short.add(other.short);
    }
}
