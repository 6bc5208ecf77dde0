//! Spooled objects to stored ones: segments first, then packs, those of the foremost files first: between two packs, what
//! goes first overtakes whatever waits in the spool.
//!
//! An object is stored when the vault confirmed the checksum computed at sealing (promise 2), in its own transaction;
//! only then does its spool file go. Dying in between sends it again: the vault answers that it is there.
//!
//! A segment is stored when, after its PUT, a listing shows nothing of its or a higher number but our own bytes:
//! anything else is a second writer, and this one stops (promise 10).

use super::{Engine, UnderWay};
use crate::catalog::{Level, SegmentRow, SpooledObject};
use crate::error::{Error, Kind, Result};
use crate::format::log::LogIndex;
use crate::format::{LOG_PREFIX, Name};
use crate::model::Sha256;
use crate::store::{Body, NewObject, ObjectName, is_body_damage};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

/// More lost spool files than this at once wait for the operator: the disk is failing, not a file.
const MOST_LOSSES: i64 = 8;

/// Among so many packs one is looked for that is small enough.
const PASSED_OVER: usize = 64;

/// What upload threads of one engine are at work on.
#[derive(Debug, Default)]
pub struct Claims(Mutex<BTreeSet<Sha256>>);

/// How an upload step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploaded {
    Pack,
    Segment,
    /// All that waits and that nobody is at work on has more bytes than may go.
    TooLarge,
    /// Nothing waits that nobody is at work on.
    Nothing,
}

/// What may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freight {
    Everything,
    /// Segments, and packs of at most so many bytes: a larger one would be cut off.
    UpTo(u64),
    /// Segments only: a cap is used up, and what is stored is to become safe all the same.
    Log,
}

impl Freight {
    fn takes_pack(self, size: u64) -> bool {
        match self {
            Self::Everything => true,
            Self::UpTo(most) => size <= most,
            Self::Log => false,
        }
    }
}

/// What a thread found to send.
enum Found<'a> {
    This(SpooledObject, Claim<'a>),
    TooLarge,
    Nothing,
}

struct Claim<'a>(&'a Claims, Sha256);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.0.lock().expect("claims lock").remove(&self.1);
    }
}

impl Engine {
    /// Sends one object. Several threads may do so at once.
    pub fn upload_one(&self, claims: &Claims) -> Result<Uploaded> {
        self.upload(claims, Freight::Everything)
    }

    /// The same, of what may be sent.
    pub fn upload(&self, claims: &Claims, freight: Freight) -> Result<Uploaded> {
        let _under_way = UnderWay::new(&self.figures.uploading);
        let (object, _claim) = match self.claim(claims, freight)? {
            Found::This(object, claim) => (object, claim),
            Found::TooLarge => return Ok(Uploaded::TooLarge),
            Found::Nothing => return Ok(Uploaded::Nothing),
        };
        match object {
            SpooledObject::Pack { id, hash, tier, size, rank } => {
                self.upload_pack(id, Name::Pack(tier, hash), hash, size)?;
                self.is_ready(rank);
                self.bells.publish.ring();
                Ok(Uploaded::Pack)
            }
            SpooledObject::Segment(row) => self.upload_segment(&row).map(|()| Uploaded::Segment),
        }
    }

    fn claim<'a>(&self, claims: &'a Claims, freight: Freight) -> Result<Found<'a>> {
        let mut held = claims.0.lock().expect("claims lock");
        let passed_over = if matches!(freight, Freight::UpTo(_)) { PASSED_OVER } else { 0 };
        let (mut first_segment, mut found) = (true, Found::Nothing);
        // What may be overtaken is a matter of bytes: on a slow line packs are small, and many.
        let smaller = self.settings.pack_size.0 / self.pack_target().max(1);
        for object in self.catalog.spooled_of(held.len() + 1 + passed_over, smaller)? {
            let hash = match &object {
                SpooledObject::Pack { hash, size, .. } if !freight.takes_pack(*size) => {
                    if matches!(freight, Freight::UpTo(_)) && !held.contains(hash) {
                        found = Found::TooLarge;
                    }
                    continue;
                }
                SpooledObject::Pack { hash, .. } => *hash,
                // One after the other: a later one must never be there before an earlier one.
                SpooledObject::Segment(_) if !std::mem::take(&mut first_segment) => continue,
                SpooledObject::Segment(row) => row.hash,
            };
            if held.insert(hash) {
                return Ok(Found::This(object, Claim(claims, hash)));
            }
        }
        Ok(found)
    }

    fn put(&self, name: &Name, hash: Sha256, size: u64) -> Result<()> {
        let object = NewObject {
            name: ObjectName::from(*name),
            body: Body::File(self.spool.path(&name.to_string())),
            size,
            sha256: hash,
        };
        self.faults.at("upload.put")?;
        let created = self.store.create(&object, &self.stop);
        // Several threads send: each counts what nobody counted yet.
        let sent = self.store.sent_bytes();
        let counted = self.figures.sent.fetch_max(sent, Ordering::SeqCst);
        self.faults.at("upload.count")?;
        self.catalog.add_to_fact("sent", sent.saturating_sub(counted))?;
        created.map(drop)
    }

    fn upload_pack(&self, id: i64, name: Name, hash: Sha256, size: u64) -> Result<()> {
        match self.put(&name, hash, size) {
            Ok(()) => {}
            // Rotten here, or kept there as something else: it never becomes stored, its contents are sealed anew.
            Err(e) if e.kind() == Kind::Damaged => return self.lose(id, &name, &e),
            Err(e) => return Err(e),
        }
        self.faults.at("upload.stored")?;
        self.catalog.pack_stored(id, self.clock.wall())?;
        self.figures.stored.fetch_add(size, Ordering::Relaxed);
        self.faults.at("upload.unspool")?;
        self.spool.remove(&name.to_string())?;
        self.bells.capture.ring();
        Ok(())
    }

    /// A pack cannot become stored as it was sealed: it is lost, and its files are captured again.
    fn lose(&self, id: i64, name: &Name, e: &Error) -> Result<()> {
        let losses = self.catalog.fact::<i64>("spool_losses")?.unwrap_or(0);
        if losses >= MOST_LOSSES {
            return Err(Error::operator(format!("send {name}: {e}; {losses} packs were lost on their way before it"))
                .remedy("check the disk of the state folder and the vault, then run 'panicroom resume'"));
        }
        self.faults.at("upload.count")?;
        self.catalog.add_to_fact("spool_losses", 1)?;
        self.faults.at("upload.lost")?;
        let paths = self.catalog.pack_lost(id, self.clock.wall())?;
        self.faults.at("upload.unspool")?;
        self.spool.remove(&name.to_string())?;
        self.tell(Level::Warning, &format!("a pack was lost on its way ({e}); {paths} files are read again"));
        self.bells.capture.ring();
        Ok(())
    }

    fn upload_segment(&self, row: &SegmentRow) -> Result<()> {
        let name = Name::Segment(row.number, row.hash);
        match self.put(&name, row.hash, row.size) {
            Err(e) if is_body_damage(&e) => {
                return Err(Error::operator(format!(
                    "send segment {}: its file in the spool is gone or damaged ({e})",
                    row.number.0
                ))
                .remedy("run 'panicroom rebuild': the vault's log is the truth; nothing stored is lost"));
            }
            other => other?,
        }
        self.faults.at("upload.segment")?;
        self.alone(row)?;
        self.catalog.segment_stored(row.number, self.clock.wall())?;
        self.figures.stored.fetch_add(row.size, Ordering::Relaxed);
        self.faults.at("upload.unspool")?;
        self.spool.remove(&name.to_string())?;
        self.bells.publish.ring();
        Ok(())
    }

    /// Nobody else wrote a segment of this number or a higher one.
    fn alone(&self, row: &SegmentRow) -> Result<()> {
        let index = self.list_log()?;
        let others = index.segment(row.number).iter().any(|h| *h != row.hash);
        let higher = index.last().is_some_and(|last| last > row.number);
        let there = index.segment(row.number).contains(&row.hash);
        if others || higher {
            return Err(Error::operator(format!(
                "write segment {} to {}: another machine or another catalog writes to this vault too",
                row.number.0,
                self.store.url()
            ))
            .remedy("stop one of the two; then run 'panicroom rebuild' here to go on from what the vault holds"));
        }
        if !there {
            return Err(Error::new(
                Kind::Retry,
                format!(
                    "look for segment {} in {}: it was confirmed, but a listing does not show it",
                    row.number.0,
                    self.store.url()
                ),
            ));
        }
        Ok(())
    }

    fn list_log(&self) -> Result<LogIndex> {
        let mut index = LogIndex::default();
        self.store.list(LOG_PREFIX, &mut |info| {
            if let Some(name) = Name::parse(info.name.as_str()) {
                index.add(name);
            }
            Ok(())
        })?;
        Ok(index)
    }
}
