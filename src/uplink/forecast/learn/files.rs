//! How many sealed bytes come of a byte of a root's files, and how much of them is new in a day.

use super::{DAY, HALF_LIFE, SURE, Spread};
use crate::uplink::forecast::{real, whole};

/// Source bytes after which a ratio has half forgotten what came before.
const RATIO_MEMORY: f64 = 64e9;
/// And after this time: of a first backup that took weeks, what the last one said.
const RATIO_HALF_LIFE: f64 = 2.0 * HALF_LIFE;
/// Source bytes that make one sample of a ratio; on a slow line, or of a quiet root, what a day brought, if it is not next to
/// nothing.
const SAMPLE: f64 = 128e6;
const LEAST_SAMPLE: f64 = 1e6;
/// What is expected of files nothing was seen of, by their mean size: large ones are films and pictures, which hardly shrink;
/// small ones are text and pages, which do. It weighs as much as this many source bytes of the root's own.
const UNSEEN_WEIGHT: f64 = 16e6;
const LARGE: u64 = 2_000_000;
const SMALL: u64 = 50_000;

/// What is known of the files of one root in one vault.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    /// Source bytes captured and sealed bytes made of them, in samples: sums, and weighted squares of their ratios.
    source: f64,
    sealed: f64,
    samples: f64,
    squares: f64,
    /// The sample that is being gathered, and seconds since the last one was whole.
    open: [f64; 2],
    age: f64,
    /// Bytes of files that became new or other, and the seconds they were watched for. Fading.
    new: f64,
    watched: f64,
}

impl Files {
    /// `source` bytes of files became `sealed` bytes to be sent.
    pub fn sealed(&mut self, source: u64, sealed: u64) {
        self.open[0] += real(source);
        self.open[1] += real(sealed);
        // More sealed than read is a long file on its way: nobody knows what it comes to.
        let a_day_of_it = self.age >= DAY && self.open[0] >= LEAST_SAMPLE && self.open[1] <= self.open[0] * 1.1;
        if self.open[0] < SAMPLE && !a_day_of_it {
            return;
        }
        let [source, sealed] = std::mem::take(&mut self.open);
        // However long nothing came, what comes then makes nobody forget more than half.
        let keep = (-source / RATIO_MEMORY - (self.age / RATIO_HALF_LIFE).min(1.0)).exp2();
        self.age = 0.0;
        self.source = self.source * keep + source;
        self.sealed = self.sealed * keep + sealed;
        let weight = (source / SAMPLE).min(1.0);
        self.samples = self.samples * keep + weight;
        let off = sealed / source - self.sealed / self.source;
        self.squares = self.squares * keep + weight * off * off;
    }

    /// `bytes` became new or other within `seconds`, the first walk aside.
    pub fn changed(&mut self, bytes: u64, seconds: f64) {
        let keep = (-seconds / HALF_LIFE).exp2();
        self.new = self.new * keep + real(bytes);
        self.watched = self.watched * keep + seconds;
        self.age += seconds;
    }

    /// Bytes of files a day that become new or other. Before a day was seen, what was seen is taken for a day's worth.
    pub fn new_per_day(&self) -> u64 {
        if self.watched > 0.0 { whole((self.new / self.watched.max(DAY) * DAY).round()) } else { 0 }
    }

    /// Sealed bytes to a byte of files; None: too few were seen.
    pub fn ratio(&self) -> Option<Spread> {
        // Of an open sample nobody knows how much of it belongs to a long file that is not whole yet.
        let known = self.source > 0.0;
        let (source, sealed) =
            if known { (self.source, self.sealed) } else { (self.open[0], self.open[1].min(self.open[0])) };
        if source < 1e6 {
            return None;
        }
        let likely = (sealed / source).clamp(0.0, 1.1);
        // What is left may be of another kind than what went: the spread of samples, and less of it as they add up.
        let spread = ((self.squares + 0.04) / (self.samples + 1.0)).sqrt();
        let off = (spread * (0.25 + 0.75 / (self.samples + 1.0).sqrt())).max(likely * SURE);
        Some(Spread { low: (likely - off).max(0.0), likely, high: (likely + off).min(1.1) })
    }

    /// The ratio, as far as the root's own files tell, and beyond that as files of about this size (bytes) have it.
    pub fn ratio_or(&self, mean_file: u64) -> Spread {
        let expected = match mean_file {
            LARGE.. => Spread { low: 0.85, likely: 0.98, high: 1.02 },
            SMALL..LARGE => Spread { low: 0.45, likely: 0.8, high: 1.02 },
            _ => Spread { low: 0.25, likely: 0.55, high: 1.02 },
        };
        self.ratio_beside(expected)
    }

    /// The ratio, as far as these files tell, and beyond that what is expected of them.
    pub fn ratio_beside(&self, expected: Spread) -> Spread {
        let Some(seen) = self.ratio() else { return expected };
        let source = if self.source > 0.0 { self.source } else { self.open[0] };
        let own = source / (source + UNSEEN_WEIGHT);
        let mix = |seen: f64, expected: f64| seen * own + expected * (1.0 - own);
        Spread {
            low: mix(seen.low, expected.low),
            likely: mix(seen.likely, expected.likely),
            high: mix(seen.high, expected.high),
        }
    }

    /// Bytes of files that are not whole yet and yet lie in packs already: a film of 50 GB is on its way for days.
    pub fn under_way(&self, ratio: f64) -> u64 {
        whole(((self.open[1] - self.open[0] * ratio).max(0.0) / ratio.max(0.05)).round())
    }

    pub fn figures(&self) -> Vec<f64> {
        let [a, b] = self.open;
        vec![self.source, self.sealed, self.samples, self.squares, a, b, self.age, self.new, self.watched]
    }

    pub fn of_figures(figures: &[f64]) -> Option<Self> {
        let [source, sealed, samples, squares, a, b, age, new, watched] = *figures else { return None };
        figures.iter().all(|f| f.is_finite() && *f >= 0.0).then_some(Self {
            source,
            sealed,
            samples,
            squares,
            open: [a, b],
            age,
            new,
            watched,
        })
    }
}
