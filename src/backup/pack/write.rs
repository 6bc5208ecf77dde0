//! Orders to files and rows: one thread writes blocks into the spool, another closes packs, so that neither a sync nor
//! a commit of ten thousand paths keeps the sealers waiting.
//!
//! Both work in the order they were told. Dying before a pack's transaction leaves dirty rows and an orphan file.

use super::{Fresh, Meter, Order, Texts};
use crate::backup::Engine;
use crate::backup::capture::{Lane, Turns};
use crate::catalog::{FirstWalks, NewPackRow, Outcome, RootId, Settled};
use crate::error::{Error, Result};
use crate::format::Name;
use crate::format::pack::{NewPack, Table};
use crate::model::Band;
use crate::spool::Writing;
use crossbeam_channel::{Receiver, Sender};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// What the packer may know of packs it has closed.
#[derive(Debug, Default)]
pub(super) struct Closings {
    /// Committed since the packer last looked: their chunks are found in the catalog from now on.
    pub committed: Mutex<Vec<i64>>,
}

/// A pack being written.
pub(super) struct Spooling<'a> {
    pack: NewPack,
    lane: Lane,
    root: RootId,
    table: Table,
    file: Writing<'a>,
    meter: Arc<Meter>,
}

/// To the closer, in order.
pub(super) enum Closing<'a> {
    Pack { id: i64, open: Box<Spooling<'a>>, settled: Vec<Settled>, fresh: Fresh },
    Paths(Vec<Settled>),
}

/// Carries out orders, in order.
pub(super) struct Writer<'a> {
    engine: &'a Engine,
    open: HashMap<i64, Spooling<'a>>,
    closings: Sender<Closing<'a>>,
    texts: Texts,
}

impl<'a> Writer<'a> {
    pub fn new(engine: &'a Engine, closings: Sender<Closing<'a>>, texts: Texts) -> Self {
        Self { engine, open: HashMap::new(), closings, texts }
    }

    pub fn run(mut self, orders: &Receiver<Order>) -> Result<()> {
        orders.iter().try_for_each(|order| self.carry_out(order))
    }

    fn carry_out(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Begin { id, pack, lane, root, meter } => {
                self.engine.faults.at("pack.begin")?;
                let mut file = self.engine.spool.begin()?;
                file.write(&pack.head())?;
                self.open.insert(id, Spooling { pack, lane, root, table: Table::new(lane.tier), file, meter });
                Ok(())
            }
            Order::Block { id, sealed } => {
                let block = sealed.recv().map_err(|_| Error::stopping())??;
                let open = self.open.get_mut(&id).ok_or_else(Error::stopping)?;
                open.file.write(&block.bytes)?;
                open.table.push(&block);
                open.meter.text.fetch_add(u64::from(block.info.text), Ordering::Relaxed);
                open.meter.sealed.fetch_add(u64::from(block.info.sealed), Ordering::Relaxed);
                self.texts.give(block.bytes);
                Ok(())
            }
            Order::Finish { id, settled, fresh } => {
                let open = Box::new(self.open.remove(&id).ok_or_else(Error::stopping)?);
                self.close(Closing::Pack { id, open, settled, fresh })
            }
            Order::Commit(settled) => self.close(Closing::Paths(settled)),
        }
    }

    fn close(&self, closing: Closing<'a>) -> Result<()> {
        self.closings.send(closing).map_err(|_| Error::stopping())
    }
}

impl Engine {
    /// Syncs, names and commits what the writer hands over, until it is gone.
    pub(super) fn close_packs(
        &self,
        closings: &Receiver<Closing<'_>>,
        told: &Closings,
        turns: &Turns,
        walks: &FirstWalks,
    ) -> Result<()> {
        closings.iter().try_for_each(|closing| match closing {
            Closing::Pack { id, open, settled, fresh } => {
                let band = open.lane.rank.band;
                let size = self.close_pack(id, *open, &settled)?;
                self.count_sealed(band, size, &fresh);
                told.committed.lock().expect("committed lock").push(id);
                turns.committed();
                self.count_yield(&settled, walks);
                turns.settled(&settled);
                self.bells.upload.ring();
                Ok(())
            }
            Closing::Paths(settled) => {
                self.faults.at("capture.commit")?;
                self.catalog.commit(None, &settled)?;
                self.count_yield(&settled, walks);
                turns.settled(&settled);
                if let Some(rank) = settled.iter().map(|one| one.row.rank).min() {
                    self.is_ready(rank);
                }
                self.bells.publish.ring();
                Ok(())
            }
        })
    }

    fn close_pack(&self, id: i64, open: Spooling<'_>, settled: &[Settled]) -> Result<u64> {
        let Spooling { pack, lane, root, table, mut file, .. } = open;
        let tail = pack.tail(&table, file.size(), &*self.entropy);
        file.write(&tail)?;
        let (hash, size) = (file.hash_so_far(), file.size());
        self.faults.at("pack.sync")?;
        file.finish(&Name::Pack(table.tier, hash).to_string())?;
        self.faults.at("pack.commit")?;
        let record = pack.record(hash, size, table);
        self.catalog.commit(Some(&NewPackRow { id, record, rank: lane.rank, root }), settled)?;
        Ok(size)
    }

    /// A pack of `size` bytes, for the forecast: each has its part by the bytes of it that are in there.
    fn count_sealed(&self, band: Band, size: u64, fresh: &Fresh) {
        let mut yields = self.figures.yields.lock().expect("yields lock");
        let all = fresh.values().sum::<u64>().max(1);
        for ((root, origin), bytes) in fresh {
            let part = u128::from(size) * u128::from(*bytes) / u128::from(all);
            yields.entry((*root, band, *origin)).or_default().sealed += u64::try_from(part).unwrap_or(u64::MAX);
        }
    }

    /// Files that are captured, for the forecast: what they weighed.
    fn count_yield(&self, settled: &[Settled], walks: &FirstWalks) {
        let mut yields = self.figures.yields.lock().expect("yields lock");
        for one in settled {
            if let Outcome::Version(version) = &one.outcome {
                let size = version.entry.size().0;
                let kind = (one.row.root, Band::of(size), walks.origin(one.row.root, one.row.notice));
                yields.entry(kind).or_default().source += size;
            }
        }
    }
}
