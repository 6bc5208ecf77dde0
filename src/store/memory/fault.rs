//! What goes wrong with calls to the memory double, one by one from a script or by dice; and the calls it met.

use crate::store::{ObjectName, Speed};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: a place in a script.
    None,
    /// A 5xx; nothing happened.
    ServerError,
    /// No answer in time; nothing happened.
    TimeOut,
    /// Rights, bucket or account: only a person can mend it.
    Refused,
    /// The connection broke off after so many bytes, or names of a listing; nothing was kept.
    Cut { after: u64 },
    /// A sloppy server keeps the first half of the body; the echoed checksum tells.
    CutKept,
    /// It was done; the answer never came.
    LostAnswer,
    /// What was kept, or what is read, has one byte flipped.
    Flipped,
    /// Confirmed, and gone right after; or gone before it is read.
    Vanished,
    /// A read is refused as one of a frozen object is.
    Frozen,
    /// It takes so long by the clock of the store.
    Slow(Duration),
}

/// One call that reached the double.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Create(ObjectName),
    Read(ObjectName, Option<Range<u64>>),
    Head(ObjectName),
    List(String),
    Thaw(ObjectName, Speed),
}

/// What the next calls meet.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub script: VecDeque<Fault>,
    pub random: Option<Random>,
}

#[derive(Debug)]
pub(super) struct Random {
    pub dice: u64,
    pub per_mille: u64,
}

impl Faults {
    pub fn next(&mut self) -> Fault {
        if let Some(fault) = self.script.pop_front() {
            return fault;
        }
        let Some(random) = &mut self.random else { return Fault::None };
        let mut roll = || {
            random.dice = random.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random.dice >> 33
        };
        if roll() % 1000 >= random.per_mille {
            return Fault::None;
        }
        match roll() % 4 {
            0 => Fault::ServerError,
            1 => Fault::TimeOut,
            2 => Fault::Cut { after: roll() % 100 },
            _ => Fault::LostAnswer,
        }
    }
}
