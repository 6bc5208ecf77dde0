//! Chance that comes again: the same seed, the same weather.

/// Even and repeatable.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// From 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "fifty-three bits")]
    pub fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
    /// Time to the next of events that come `often` times in `span` on average.
    pub fn wait(&mut self, span: f64, often: f64) -> f64 {
        if often <= 0.0 { f64::INFINITY } else { -(1.0 - self.roll()).ln() * span / often }
    }
}
