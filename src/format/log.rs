//! Which objects of a vault's log to read, and what is missing or double, from their names alone.

use super::Name;
use crate::model::{SegmentNo, Sha256};
use std::collections::BTreeMap;

/// The log as a listing shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogIndex {
    segments: BTreeMap<SegmentNo, Vec<Sha256>>,
    merges: Vec<(SegmentNo, SegmentNo, Sha256)>,
}

/// One step of reading the log: a merge with the segments it stands for, or a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    Segment(Name),
    /// Read this; where it does not open, read the segments instead.
    Merge(Name, Vec<Name>),
}

impl LogIndex {
    /// Takes every name of a listing; foreign ones and other objects are passed over.
    pub fn add(&mut self, name: Name) {
        match name {
            Name::Segment(n, h) => self.segments.entry(n).or_default().push(h),
            Name::Merge(a, b, h) => self.merges.push((a, b, h)),
            _ => {}
        }
    }

    /// The highest number there is, merges included; None for an empty log.
    pub fn last(&self) -> Option<SegmentNo> {
        let merged = self.merges.iter().map(|m| m.1).max();
        self.segments.keys().next_back().copied().max(merged)
    }

    pub fn segment(&self, number: SegmentNo) -> &[Sha256] {
        self.segments.get(&number).map_or(&[], Vec::as_slice)
    }

    /// Objects in the order of their numbers: the widest merges first choice, single segments where none covers.
    pub fn readings(&self) -> Vec<Reading> {
        let mut merges = self.merges.clone();
        merges.sort_by_key(|(a, b, h)| (*a, std::cmp::Reverse(*b), *h));
        let mut out = vec![];
        let mut next = SegmentNo(1);
        let mut merges = merges.into_iter().peekable();
        let singles = |from: SegmentNo, to: SegmentNo| {
            let range = self.segments.range(from..=to);
            range.flat_map(|(n, hashes)| hashes.iter().map(|h| Name::Segment(*n, *h))).collect::<Vec<_>>()
        };
        while let Some((from, to, hash)) = merges.next() {
            if from < next {
                continue;
            }
            out.extend(
                if from > next { singles(next, SegmentNo(from.0 - 1)) } else { vec![] }
                    .into_iter()
                    .map(Reading::Segment),
            );
            out.push(Reading::Merge(Name::Merge(from, to, hash), singles(from, to)));
            next = to.next();
            while merges.peek().is_some_and(|m| m.0 < next) {
                merges.next();
            }
        }
        out.extend(singles(next, SegmentNo(u64::MAX)).into_iter().map(Reading::Segment));
        out
    }

    /// Numbers with no segment below the last one.
    pub fn gaps(&self) -> Vec<SegmentNo> {
        let last = self.last().unwrap_or_default().0;
        (1..=last).map(SegmentNo).filter(|n| !self.segments.contains_key(n)).take(1000).collect()
    }

    /// Numbers that two segments claim.
    pub fn doubles(&self) -> Vec<SegmentNo> {
        self.segments.iter().filter(|(_, h)| h.len() > 1).map(|(n, _)| *n).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h(n: u64) -> Sha256 {
        Sha256([u8::try_from(n).unwrap(); 32])
    }
    fn seg(n: u64) -> Name {
        Name::Segment(SegmentNo(n), h(n))
    }
    fn merge(a: u64, b: u64) -> Name {
        Name::Merge(SegmentNo(a), SegmentNo(b), h(100 + a))
    }

    #[test]
    fn merges_stand_for_their_segments_and_the_rest_is_read_singly() {
        let mut index = LogIndex::default();
        for name in [seg(1), seg(2), seg(3), seg(4), seg(5), merge(2, 3), merge(2, 2), Name::Vault] {
            index.add(name);
        }
        assert_eq!(
            index.readings(),
            [
                Reading::Segment(seg(1)),
                Reading::Merge(merge(2, 3), vec![seg(2), seg(3)]),
                Reading::Segment(seg(4)),
                Reading::Segment(seg(5))
            ]
        );
        assert_eq!((index.last(), index.gaps(), index.doubles()), (Some(SegmentNo(5)), vec![], vec![]));
    }

    #[test]
    fn gaps_and_doubles_are_told() {
        let mut index = LogIndex::default();
        for name in [seg(1), seg(4), Name::Segment(SegmentNo(4), h(9))] {
            index.add(name);
        }
        assert_eq!(index.gaps(), [SegmentNo(2), SegmentNo(3)]);
        assert_eq!(index.doubles(), [SegmentNo(4)]);
        assert_eq!(index.readings().len(), 3);
    }
}
