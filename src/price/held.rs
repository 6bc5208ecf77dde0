//! What lies in one class, as far as it changes the bill: how many objects of which size, and how old. Bounded, however
//! many objects it counts.

/// Ages beyond this are one: no provider bills a longer minimum.
const OLDEST: usize = 400;
/// Sizes go by powers of two.
const SIZES: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    objects: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, objects: u64, bytes: u64) {
        self.objects += objects;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Objects of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    all: Count,
    /// By the power of two their size begins with.
    sizes: Box<[Count; SIZES]>,
    /// By their age in days.
    ages: Vec<Count>,
}

impl Default for Held {
    fn default() -> Self {
        Self { all: Count::default(), sizes: Box::new([Count::default(); SIZES]), ages: Vec::new() }
    }
}

impl Held {
    /// One object of `size` bytes, stored so many whole days ago.
    pub fn add(&mut self, size: u64, days: u64) {
        self.add_alike(1, size, days);
    }

    /// `objects` of one size and age.
    pub fn add_alike(&mut self, objects: u64, size: u64, days: u64) {
        let bytes = size.saturating_mul(objects);
        self.all.add(objects, bytes);
        self.sizes[exponent(size)].add(objects, bytes);
        let day = usize::try_from(days).unwrap_or(OLDEST).min(OLDEST);
        if self.ages.len() <= day {
            self.ages.resize(day + 1, Count::default());
        }
        self.ages[day].add(objects, bytes);
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.all.add(other.all.objects, other.all.bytes);
        for (mine, theirs) in self.sizes.iter_mut().zip(other.sizes.iter()) {
            mine.add(theirs.objects, theirs.bytes);
        }
        if self.ages.len() < other.ages.len() {
            self.ages.resize(other.ages.len(), Count::default());
        }
        for (mine, theirs) in self.ages.iter_mut().zip(&other.ages) {
            mine.add(theirs.objects, theirs.bytes);
        }
        self
    }

    pub fn objects(&self) -> u64 {
        self.all.objects
    }
    pub fn bytes(&self) -> u64 {
        self.all.bytes
    }
    pub fn is_empty(&self) -> bool {
        self.all.objects == 0
    }

    /// Bytes that are billed where a smaller object counts as one of `least` bytes. Exact for powers of two, which all
    /// known minimums are; for others a little low.
    pub(super) fn billed(&self, least: u64) -> u128 {
        let edge = exponent(least);
        let each = |(power, count): (usize, &Count)| {
            let least = u128::from(least) * u128::from(count.objects);
            let real = u128::from(count.bytes);
            match power.cmp(&edge) {
                std::cmp::Ordering::Less => least,
                std::cmp::Ordering::Equal => least.max(real),
                std::cmp::Ordering::Greater => real,
            }
        };
        if least == 0 { u128::from(self.all.bytes) } else { self.sizes.iter().enumerate().map(each).sum() }
    }

    /// Age in days, objects, bytes: of all that are younger than `days`.
    pub(super) fn younger(&self, days: u32) -> impl Iterator<Item = (u32, u64, u64)> {
        (0..days).zip(&self.ages).map(|(day, count)| (day, count.objects, count.bytes))
    }
}

fn exponent(size: u64) -> usize {
    size.checked_ilog2().map_or(0, |e| e as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_least_size_that_is_a_power_of_two_is_billed_exactly(
            sizes in prop::collection::vec(0..10_000_000_u64, 0..50), power in 0..24_u32,
        ) {
            let mut held = Held::default();
            for size in &sizes {
                held.add(*size, 0);
            }
            let least = 1_u64 << power;
            let exact: u64 = sizes.iter().map(|s| (*s).max(least)).sum();
            prop_assert_eq!(held.billed(least), u128::from(exact));
            prop_assert_eq!(held.billed(0), u128::from(sizes.iter().sum::<u64>()));
        }

        #[test]
        fn two_put_together_are_all_counted_one_by_one(
            a in prop::collection::vec((0..1_000_000_u64, 0..1000_u64), 0..20),
            b in prop::collection::vec((0..1_000_000_u64, 0..1000_u64), 0..20),
        ) {
            let of = |list: &[(u64, u64)]| {
                let mut held = Held::default();
                for (size, days) in list {
                    held.add(*size, *days);
                }
                held
            };
            prop_assert_eq!(of(&a).and(&of(&b)), of(&[a, b].concat()));
        }
    }
}
