//! A file's bytes to chunks: read step by step into a window, cut where the content or the place says so.
//!
//! Memory is the window and one text, whatever the length of the file. Holes are neither read nor cut: they end a
//! chunk. Dying here leaves nothing behind.

use super::{Part, STEP};
use crate::backup::Engine;
use crate::chunk::{Cut, FIXED, MAX, Rest};
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

/// One reading thread's window.
pub struct Cutter<'a> {
    engine: &'a Engine,
    window: Box<[u8]>,
}

impl<'a> Cutter<'a> {
    pub fn new(engine: &'a Engine) -> Self {
        Self { engine, window: vec![0; WINDOW].into_boxed_slice() }
    }

    /// Reads to the end. Each step's parts are added to `out`, and `step_done` may take them away.
    pub fn read(
        &mut self,
        mut file: Reading,
        how: Cut,
        out: &mut Stretch,
        mut step_done: impl FnMut(&mut Stretch) -> Result<()>,
    ) -> Result<Finish> {
        // What lies in the window and was not cut yet, and where in the file it begins (for cuts at fixed places).
        let (mut start, mut end, mut offset) = (0, 0, 0u64);
        loop {
            if WINDOW - end < STEP {
                self.window.copy_within(start..end, 0);
                (start, end) = (0, end - start);
            }
            let step = file.step(&mut self.window[end..end + STEP])?;
            let rest = match step {
                Step::Data(n) => {
                    self.engine.figures.read_bytes.fetch_add(n as u64, Ordering::Relaxed);
                    end += n;
                    Rest::More
                }
                Step::Hole(_) | Step::End => Rest::End,
            };
            while let Some(len) = self.next_cut(&self.window[start..end], offset, how, rest) {
                let bytes = &self.window[start..start + len];
                out.text.reserve_exact(len);
                out.text.extend_from_slice(bytes);
                let size = u32::try_from(len).expect("a chunk is at most 4 MiB");
                out.parts.push(Part::Chunk { id: self.engine.chunker.id(bytes), len: size });
                start += len;
                offset += len as u64;
            }
            if let Step::Hole(n) = step {
                out.parts.push(Part::Hole(n));
                offset += n;
            }
            step_done(out)?;
            if step == Step::End {
                return file.finish();
            }
            self.engine.stop.check()?;
        }
    }

    fn next_cut(&self, window: &[u8], offset: u64, how: Cut, rest: Rest) -> Option<usize> {
        if how == Cut::ByContent {
            return self.engine.chunker.cut(window, how, rest);
        }
        // Up to the next place that is a multiple of the piece, whatever holes came before.
        let place = usize::try_from(offset % FIXED as u64).expect("less than a piece");
        let piece = FIXED - place;
        if window.len() >= piece {
            return Some(piece);
        }
        (rest == Rest::End && !window.is_empty()).then_some(window.len())
    }
}
