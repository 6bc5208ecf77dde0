//! Zstandard, with the cheap test that spares incompressible data the try.

use crate::error::{Error, Kind, Result};
use zstd::zstd_safe;

/// How the text of a block is written; the numbers are those of docs/format.md section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Raw,
    Zstd,
}

impl Codec {
    pub fn number(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
        }
    }
    pub fn from_number(n: u64) -> Option<Self> {
        match n {
            0 => Some(Self::Raw),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// What is stored for a text.
#[derive(Debug)]
pub enum Stored {
    /// The text itself, in its own buffer.
    Raw(Vec<u8>),
    /// A frame, with room for a seal's tag; and the text, whose buffer may serve again.
    Zstd { frame: Vec<u8>, text: Vec<u8> },
}

/// Data that does not shrink below this share of itself is kept raw: opening it again costs time and the gain is nil.
const WORTH: (usize, usize) = (98, 100);
/// Buffers of blocks are kept up to this size from one to the next: all would end up as large as the longest chunk.
pub const KEPT: usize = 2 << 20;
/// The test reads four samples of this size.
const SAMPLE: usize = 4096;

/// One reused context; not shared between threads.
pub struct Compressor {
    context: zstd::bulk::Compressor<'static>,
    quick: zstd::bulk::Compressor<'static>,
    probe: Vec<u8>,
    out: Vec<u8>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

/// Zstandard's levels as they may be configured.
pub const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;

impl Compressor {
    pub fn new(level: i32) -> Result<Self> {
        let make = |l| {
            zstd::bulk::Compressor::new(l).map_err(|e| Error::new(Kind::Retry, "make a compression context").because(e))
        };
        Ok(Self { context: make(level)?, quick: make(-1)?, probe: Vec::new(), out: Vec::new() })
    }

    /// What should be stored for `text`.
    pub fn compress(&mut self, text: Vec<u8>) -> Result<Stored> {
        if self.looks_random(&text) {
            return Ok(Stored::Raw(text));
        }
        self.out.clear();
        self.out.reserve(zstd_safe::compress_bound(text.len()));
        let size = self
            .context
            .compress_to_buffer(&text[..], &mut self.out)
            .map_err(|e| Error::new(Kind::Retry, "compress a block").because(e))?;
        if size * WORTH.1 >= text.len() * WORTH.0 {
            return Ok(Stored::Raw(text));
        }
        let mut frame = Vec::with_capacity(size + super::TAG);
        frame.extend_from_slice(&self.out);
        self.out.clear();
        self.out.shrink_to(KEPT);
        Ok(Stored::Zstd { frame, text })
    }

    /// Four samples spread over the text, squeezed quickly: media, archives and ciphertext do not shrink there.
    fn looks_random(&mut self, text: &[u8]) -> bool {
        if text.len() < 8 * SAMPLE {
            return false;
        }
        let mut sample = [0; 4 * SAMPLE];
        let stride = (text.len() - SAMPLE) / 3;
        for (i, part) in sample.chunks_exact_mut(SAMPLE).enumerate() {
            part.copy_from_slice(&text[i * stride..][..SAMPLE]);
        }
        self.probe.clear();
        self.probe.reserve(zstd_safe::compress_bound(sample.len()));
        self.quick
            .compress_to_buffer(&sample, &mut self.probe)
            .is_ok_and(|size| size * WORTH.1 >= sample.len() * WORTH.0)
    }

    /// One frame of the whole, for the log.
    pub fn frame(&mut self, text: &[u8]) -> Result<Vec<u8>> {
        self.context.compress(text).map_err(|e| Error::new(Kind::Retry, "compress a segment").because(e))
    }
}

/// One reused context; not shared between threads.
pub struct Decompressor(zstd::bulk::Decompressor<'static>);

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decompressor")
    }
}

impl Decompressor {
    pub fn new() -> Result<Self> {
        let context = zstd::bulk::Decompressor::new()
            .map_err(|e| Error::new(Kind::Retry, "make a decompression context").because(e))?;
        Ok(Self(context))
    }

    /// Exactly `size` bytes into `out` (emptied first); Damaged when the frame holds anything else.
    pub fn decompress(&mut self, stored: &[u8], codec: Codec, size: usize, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        match codec {
            Codec::Raw => out.extend_from_slice(stored),
            Codec::Zstd => {
                out.reserve(size);
                self.0
                    .decompress_to_buffer(stored, out)
                    .map_err(|e| Error::damaged("decompress a block").because(e))?;
            }
        }
        if out.len() == size {
            Ok(())
        } else {
            Err(Error::damaged(format!("decompress a block: {} bytes, the table says {size}", out.len())))
        }
    }

    /// A frame that says its size itself, refused above `limit` before anything is allocated.
    pub fn frame(&mut self, stored: &[u8], limit: usize) -> Result<Vec<u8>> {
        let size = zstd_safe::get_frame_content_size(stored).ok().flatten().and_then(|n| usize::try_from(n).ok());
        let size = size
            .filter(|n| *n <= limit)
            .ok_or_else(|| Error::damaged("decompress a segment: its size is missing or out of bounds"))?;
        let mut out = Vec::new();
        self.decompress(stored, Codec::Zstd, size, &mut out)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entropy, SystemEntropy};
    use super::*;
    use proptest::prelude::*;

    fn round(text: &[u8]) -> Codec {
        let (codec, stored) = match Compressor::new(3).unwrap().compress(text.to_vec()).unwrap() {
            Stored::Raw(text) => (Codec::Raw, text),
            Stored::Zstd { frame, .. } => (Codec::Zstd, frame),
        };
        let mut back = Vec::new();
        Decompressor::new().unwrap().decompress(&stored, codec, text.len(), &mut back).unwrap();
        assert!(back == text);
        codec
    }

    #[test]
    fn random_data_is_kept_raw_and_text_is_not() {
        let mut noise = vec![0; 1 << 20];
        SystemEntropy.fill(&mut noise);
        assert_eq!(round(&noise), Codec::Raw);
        assert_eq!(round(&b"some text that repeats ".repeat(4000)), Codec::Zstd);
    }

    proptest! {
        #[test]
        fn whatever_goes_in_comes_out(text in proptest::collection::vec(any::<u8>(), 0..5000), times in 1usize..40) {
            round(&text.repeat(times));
        }
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_unread() {
        let frame = Compressor::new(3).unwrap().frame(&vec![0; 1 << 20]).unwrap();
        assert!(Decompressor::new().unwrap().frame(&frame, (1 << 20) - 1).is_err());
        let mut out = Vec::new();
        assert!(Decompressor::new().unwrap().decompress(&frame, Codec::Zstd, 1000, &mut out).is_err());
    }
}
