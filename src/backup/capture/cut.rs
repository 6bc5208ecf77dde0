//! A file's bytes to chunks: read step by step into a window, cut where the content or the place says so.
//!
//! Memory is the window and one text, whatever the length of the file. Holes are neither read nor cut: they end a
//! chunk. Dying here leaves nothing behind.

use super::{Part, STEP};
use crate::backup::Engine;
use crate::chunk::{Cut, FIXED, MAX, MIN, Rest};
use crate::error::Result;
use crate::source::{Finish, Reading, Step};
use std::sync::atomic::Ordering;

/// What is read ahead of the cut, which wants the longest chunk before it decides; twice that, so that what is not
/// cut yet is moved to the front once in a while and not at every step.
const WINDOW: usize = 2 * MAX;

/// Parts, and the bytes of their chunks laid end to end.
#[derive(Debug, Default)]
pub struct Stretch {
    pub parts: Vec<Part>,
    pub text: Vec<u8>,
}

/// Whether a file is read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    On,
    /// It is given up for now: something goes before it.
    Off,
}

/// What is read and not cut yet.
pub struct Window(Box<[u8]>);

impl Window {
    /// For files of at most [`MIN`] bytes, which are one chunk, or cut at fixed places.
    pub fn small() -> Self {
        Self(vec![0; MIN].into_boxed_slice())
    }

    pub(super) fn long() -> Self {
        Self(vec![0; WINDOW].into_boxed_slice())
    }

    /// Reads to the end, or until `step_done` has enough (None). Each step's parts are added to `out`, and `step_done`
    /// may take them away.
    pub fn read(
        &mut self,
        engine: &Engine,
        mut file: Reading,
        how: Cut,
        out: &mut Stretch,
        mut step_done: impl FnMut(&mut Stretch) -> Result<Carry>,
    ) -> Result<Option<Finish>> {
        // What lies in the window and was not cut yet, and where in the file it begins (for cuts at fixed places).
        let (mut start, mut end, mut offset) = (0, 0, 0u64);
        loop {
            if end + STEP > self.0.len() {
                self.0.copy_within(start..end, 0);
                (start, end) = (0, end - start);
            }
            let until = self.0.len().min(end + STEP);
            let step = file.step(&mut self.0[end..until])?;
            let rest = match step {
                Step::Data(n) => {
                    engine.figures.read_bytes.fetch_add(n as u64, Ordering::Relaxed);
                    end += n;
                    Rest::More
                }
                Step::Hole(_) | Step::End => Rest::End,
            };
            while let Some(len) = next_cut(engine, &self.0[start..end], offset, how, rest) {
                let bytes = &self.0[start..start + len];
                out.text.reserve_exact(len);
                out.text.extend_from_slice(bytes);
                let size = u32::try_from(len).expect("a chunk is at most 4 MiB");
                out.parts.push(Part::Chunk { id: engine.chunker.id(bytes), len: size });
                start += len;
                offset += len as u64;
            }
            if let Step::Hole(n) = step {
                out.parts.push(Part::Hole(n));
                offset += n;
            }
            let carry = step_done(out)?;
            if step == Step::End {
                return file.finish().map(Some);
            }
            if carry == Carry::Off {
                return Ok(None);
            }
            engine.stop.check()?;
        }
    }
}

fn next_cut(engine: &Engine, window: &[u8], offset: u64, how: Cut, rest: Rest) -> Option<usize> {
    if how == Cut::ByContent {
        return engine.chunker.cut(window, how, rest);
    }
    // Up to the next place that is a multiple of the piece, whatever holes came before.
    let place = usize::try_from(offset % FIXED as u64).expect("less than a piece");
    let piece = FIXED - place;
    if window.len() >= piece {
        return Some(piece);
    }
    (rest == Rest::End && !window.is_empty()).then_some(window.len())
}
