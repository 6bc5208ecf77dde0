//! Merges: a run of small segments said once more in one object, so that opening a vault stays cheap however many
//! years of hourly segments it has. The segments stay; a merge is never needed (docs/format.md section 5).
//!
//! Dying between the PUT and the note in the catalog leaves a merge that is made a second time under another name:
//! readers use either.

use crate::catalog::{Catalog, SegmentRow};
use crate::clock::Wall;
use crate::error::{Error, Result};
use crate::format::segment::{Builder, Opened, Record};
use crate::format::{MAX_SEGMENT, Name, ObjectKind};
use crate::model::{SegmentNo, Sha256};
use crate::seal::Entropy;
use crate::seal::compress::{Compressor, Decompressor};
use crate::seal::keys::SealKeys;
use crate::store::{Body, NewObject, ObjectName, ObjectStore};
use crate::worker::{Faults, Stop};

/// A merge is made once this many segments wait for one.
const RUN: usize = 64;
/// No more segments in one merge.
const MOST: usize = 512;
/// A segment this large is cheap enough to read alone, and ends a run.
const LARGE: u64 = 1 << 20;
/// A run shorter than this is not worth an object.
const WORTH: usize = 8;

/// What merging is done with.
pub struct Merging<'a> {
    pub store: &'a dyn ObjectStore,
    pub keys: &'a SealKeys,
    pub catalog: &'a Catalog,
    pub entropy: &'a dyn Entropy,
    /// zstd level.
    pub level: i32,
    pub now: Wall,
    pub faults: &'a Faults,
    pub stop: &'a Stop,
}

impl Merging<'_> {
    /// Makes the next merge when enough segments wait for one: its first and last number.
    pub fn merge_due(&self) -> Result<Option<(SegmentNo, SegmentNo)>> {
        let through = self.catalog.fact::<i64>("merged_through")?.unwrap_or(0).cast_unsigned();
        let waiting = self.catalog.segments_after(SegmentNo(through), MOST)?;
        if waiting.len() < RUN {
            return Ok(None);
        }
        let small: Vec<SegmentRow> = waiting.iter().take_while(|s| s.size < LARGE).copied().collect();
        if small.len() < waiting.len() && small.len() < WORTH {
            // A large one stands in the way of too few: all of these are read singly.
            return self.pass_over(waiting[small.len()].number).map(|()| None);
        }
        self.merge(&small)
    }

    fn pass_over(&self, number: SegmentNo) -> Result<()> {
        self.faults.at("merge.note")?;
        self.catalog.set_fact("merged_through", number.0.cast_signed())
    }

    fn merge(&self, run: &[SegmentRow]) -> Result<Option<(SegmentNo, SegmentNo)>> {
        let (mut builder, mut bench, mut hashes) = (Builder::new(), Decompressor::new()?, Vec::<Sha256>::new());
        for segment in run {
            self.stop.check()?;
            if builder.is_full() {
                break;
            }
            if self.repeat(segment, &mut builder, &mut bench)? == Content::Foreign {
                break;
            }
            hashes.push(segment.hash);
        }
        if hashes.len() < WORTH {
            return self.pass_over(run[hashes.len().min(run.len() - 1)].number).map(|()| None);
        }
        let (from, to) = (run[0].number, run[hashes.len() - 1].number);
        let mut compressor = Compressor::new(self.level)?;
        let sealed = builder.seal_merge(from, to, &hashes, self.now, self.keys, &mut compressor, self.entropy)?;
        let name = ObjectName::from(Name::Merge(from, to, sealed.hash));
        let size = sealed.bytes.len() as u64;
        self.faults.at("merge.put")?;
        self.store
            .create(&NewObject { name, body: Body::Bytes(sealed.bytes), size, sha256: sealed.hash }, self.stop)?;
        self.pass_over(to)?;
        Ok(Some((from, to)))
    }

    fn repeat(&self, segment: &SegmentRow, builder: &mut Builder, bench: &mut Decompressor) -> Result<Content> {
        let name = ObjectName::from(Name::Segment(segment.number, segment.hash));
        let object = self.store.read(&name, Some(0..segment.size.min(MAX_SEGMENT)), self.stop)?;
        if crate::seal::sha256(&object) != segment.hash {
            return Err(Error::damaged(format!("merge the log: segment {} is not what was stored", segment.number.0))
                .remedy("'panicroom rebuild' says what the log has lost"));
        }
        let opened = Opened::open(&object, ObjectKind::Segment, self.keys.vault, &self.keys.meta, bench)?;
        let mut content = Content::Ours;
        let mut records = vec![];
        opened.records(|record| {
            if matches!(record, Record::Unknown(_)) {
                content = Content::Foreign;
            }
            records.push(record);
            Ok(())
        })?;
        if content == Content::Ours {
            for record in &records {
                builder.repeat(record);
            }
        }
        Ok(content)
    }
}

/// Whether a segment holds only records this release understands: others cannot be said again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Ours,
    Foreign,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::format::segment::{Heartbeat, SegmentHead};
    use crate::model::{Seq, TreePath, VaultId, WriterId};
    use crate::seal::SystemEntropy;
    use crate::seal::keys::Secret;
    use crate::store::memory::MemoryStore;

    #[test]
    fn many_small_segments_become_one_merge_that_rebuilds_to_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&dir.path().join("c.db")).unwrap();
        let keys = Secret::from_bytes([3; 32]).open_keys(VaultId([4; 16])).seal;
        let store = MemoryStore::new(ManualClock::at(Wall(0)));
        let mut before = None;
        for n in 1..=70_u64 {
            let mut builder = Builder::new();
            let path = TreePath::root().join(format!("gone-{n}").as_bytes()).unwrap();
            builder.deletion(&path, Seq(n), Wall(0));
            builder.status(&Heartbeat::default());
            let head = SegmentHead { number: SegmentNo(n), writer: WriterId([1; 16]), before, written: Wall(0) };
            let sealed = builder.seal_segment(&head, &keys, &mut Compressor::new(3).unwrap(), &SystemEntropy).unwrap();
            before = Some(sealed.hash);
            let row = SegmentRow {
                number: head.number,
                hash: sealed.hash,
                size: sealed.bytes.len() as u64,
                written: Wall(0),
            };
            store.put(&ObjectName::from(Name::Segment(row.number, row.hash)), &sealed.bytes);
            catalog.segment_sealed(&row, &[], &[], &[], &[]).unwrap();
            catalog.segment_stored(row.number, Wall(0)).unwrap();
        }
        let stop = Stop::new();
        let merging = Merging {
            store: &store,
            keys: &keys,
            catalog: &catalog,
            entropy: &SystemEntropy,
            level: 3,
            now: Wall(0),
            faults: &Faults::default(),
            stop: &stop,
        };
        assert_eq!(merging.merge_due().unwrap(), Some((SegmentNo(1), SegmentNo(70))));
        assert_eq!(merging.merge_due().unwrap(), None, "nothing new waits");
        let rebuilt = Catalog::open(&dir.path().join("r.db")).unwrap();
        let gets = |store: &MemoryStore| store.requests().get;
        let before = gets(&store);
        let report = super::super::rebuild::rebuild(&store, &keys, &rebuilt, &[], &stop, &|_, _| {}).unwrap();
        assert_eq!(report.deletions, 70);
        assert!(gets(&store) - before < 10, "the merge was read, not the segments");
    }
}
