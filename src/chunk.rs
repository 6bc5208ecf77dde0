//! Content to chunks: where to cut, and what a chunk is called.
//!
//! Ordinary files are cut where their content says so (FastCDC over a gear table of this vault alone: the sizes of
//! the pieces must not tell which known file they come from). Files that change in place (disk images, databases,
//! mail stores) are cut every 64 KiB, so that a few changed pages cost kilobytes of uplink.

use crate::model::ChunkId;
use fastcdc::v2020::{Normalization, cut_gear, select_masks};

/// docs/format.md section 8.
pub const MIN: usize = 256 << 10;
pub const AVERAGE: usize = 1 << 20;
pub const MAX: usize = 4 << 20;
/// Piece of a file that changes in place.
pub const FIXED: usize = 64 << 10;

/// How a file is cut, for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    ByContent,
    Fixed,
}

/// Cuts and names; one for each vault, shared by all threads.
pub struct Chunker {
    gear: Box<[u64; 256]>,
    gear_ls: Box<[u64; 256]>,
    masks: (u64, u64),
    id_key: [u8; 32],
}

impl std::fmt::Debug for Chunker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chunker")
    }
}

impl Drop for Chunker {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.id_key);
        zeroize::Zeroize::zeroize(self.gear.as_mut_slice());
        zeroize::Zeroize::zeroize(self.gear_ls.as_mut_slice());
    }
}

impl Chunker {
    pub fn new(cut_key: &[u8; 32], id_key: &[u8; 32]) -> Self {
        let mut bytes = [0; 2048];
        blake3::Hasher::new_keyed(cut_key).update(b"gear").finalize_xof().fill(&mut bytes);
        let mut gear = Box::new([0; 256]);
        for (value, eight) in gear.iter_mut().zip(bytes.chunks_exact(8)) {
            *value = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
        }
        let gear_ls = Box::new(gear.map(|v| v << 1));
        Self { gear, gear_ls, masks: select_masks(AVERAGE, Normalization::Level1), id_key: *id_key }
    }

    pub fn id(&self, chunk: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(&self.id_key, chunk).as_bytes())
    }

    /// Length of the first chunk of `window`; None when more bytes must be seen first. The window is the rest of
    /// the file when `rest` says so, else at least [`MAX`] bytes decide.
    pub fn cut(&self, window: &[u8], how: Cut, rest: Rest) -> Option<usize> {
        let enough = match how {
            Cut::ByContent => MAX,
            Cut::Fixed => FIXED,
        };
        if window.is_empty() || (window.len() < enough && rest == Rest::More) {
            return None;
        }
        Some(match how {
            Cut::Fixed => window.len().min(FIXED),
            Cut::ByContent => {
                let (s, l) = self.masks;
                cut_gear(window, MIN, AVERAGE, MAX, s, l, s << 1, l << 1, &self.gear[..], &self.gear_ls[..]).1
            }
        })
    }
}

/// Whether anything follows a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    More,
    End,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunker() -> Chunker {
        Chunker::new(&[1; 32], &[2; 32])
    }

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut out = vec![0; len];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    fn cuts(c: &Chunker, data: &[u8], how: Cut) -> Vec<usize> {
        let (mut at, mut out) = (0, vec![]);
        while let Some(n) = c.cut(&data[at..], how, Rest::End) {
            out.push(n);
            at += n;
        }
        out
    }

    /// Golden: what is known must stay known, so cut points and ids may never change (docs/format.md section 8).
    #[test]
    fn cut_points_and_ids_never_change() {
        let c = chunker();
        let data = noise(9 << 20, 1);
        assert_eq!(cuts(&c, &data, Cut::ByContent), GOLDEN_CUTS);
        assert_eq!(c.id(b"panicroom").to_string(), GOLDEN_ID);
    }
    const GOLDEN_CUTS: &[usize] = &[1234154, 298590, 312110, 770433, 1021357, 486504, 3045172, 2187867, 80997];
    const GOLDEN_ID: &str = "8a85af10074c36108d5990a580b6fb0f1f93bc546b8c8215f07ad33cd9675983";

    #[test]
    fn another_key_cuts_elsewhere_and_names_otherwise() {
        let other = Chunker::new(&[3; 32], &[4; 32]);
        let data = noise(9 << 20, 1);
        assert_ne!(cuts(&other, &data, Cut::ByContent), cuts(&chunker(), &data, Cut::ByContent));
        assert_ne!(other.id(b"x"), chunker().id(b"x"));
    }

    #[test]
    fn an_insertion_moves_few_cuts() {
        let c = chunker();
        let data = noise(24 << 20, 2);
        let mut edited = data.clone();
        edited.splice(100..100, noise(1000, 3));
        let ids = |d: &[u8]| {
            let (mut at, mut out) = (0, std::collections::HashSet::new());
            for n in cuts(&c, d, Cut::ByContent) {
                out.insert(c.id(&d[at..at + n]));
                at += n;
            }
            out
        };
        let (before, after) = (ids(&data), ids(&edited));
        assert!(after.difference(&before).count() <= 2, "{} new chunks", after.difference(&before).count());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn chunks_laid_end_to_end_are_the_content_within_bounds(len in 0usize..(10 << 20), seed: u64, fixed: bool) {
            let how = if fixed { Cut::Fixed } else { Cut::ByContent };
            let data = noise(len, seed);
            let sizes = cuts(&chunker(), &data, how);
            prop_assert_eq!(sizes.iter().sum::<usize>(), len);
            let (min, max) = if fixed { (FIXED, FIXED) } else { (MIN, MAX) };
            for (i, n) in sizes.iter().enumerate() {
                prop_assert!(*n <= max && (*n >= min || i + 1 == sizes.len()));
            }
        }

        #[test]
        fn cuts_do_not_depend_on_how_much_is_read_at_once(seed: u64, step in (MAX..2 * MAX)) {
            let data = noise(11 << 20, seed);
            let c = chunker();
            let (mut at, mut streamed) = (0, vec![]);
            while at < data.len() {
                let end = (at + step).min(data.len());
                let rest = if end == data.len() { Rest::End } else { Rest::More };
                let n = c.cut(&data[at..end], Cut::ByContent, rest).unwrap();
                streamed.push(n);
                at += n;
            }
            prop_assert_eq!(streamed, cuts(&c, &data, Cut::ByContent));
        }
    }
}
