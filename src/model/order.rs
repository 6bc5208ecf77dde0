//! Who goes first when there is more to send than the uplink takes: what the owner said of a path, and how large it is.

use std::fmt;

/// What the owner said: of a whole root, or of some paths by rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    First,
    #[default]
    Normal,
    Last,
}

impl Priority {
    pub const ALL: [Self; 3] = [Self::First, Self::Normal, Self::Last];

    /// As the config writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Normal => "normal",
            Self::Last => "last",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.word() == word)
    }

    /// 0 to 2, as the catalog keeps it; what is no such number is the middle.
    pub fn from_number(n: i64) -> Self {
        match n {
            0 => Self::First,
            2 => Self::Last,
            _ => Self::Normal,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One line of `order`: what the glob names, and all beneath it, goes so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRule {
    pub priority: Priority,
    pub glob: String,
}

/// How large something is, as far as its turn cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// Up to 1 MiB: letters, notes, most of what people write; and everything that is no file.
    #[default]
    Small,
    /// Up to 64 MiB: what is done with in a few packs.
    Medium,
    Large,
}

impl Band {
    pub const SMALL: u64 = 1 << 20;
    pub const MEDIUM: u64 = 64 << 20;

    pub fn of(size: u64) -> Self {
        if size <= Self::SMALL {
            Self::Small
        } else if size <= Self::MEDIUM {
            Self::Medium
        } else {
            Self::Large
        }
    }
}

/// The place of a path, and of the pack it lies in, in the order: what was said of it comes before its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    pub priority: Priority,
    pub band: Band,
}

impl Rank {
    pub const COUNT: usize = 9;

    pub fn of(priority: Priority, size: u64) -> Self {
        Self { priority, band: Band::of(size) }
    }

    /// All, the foremost first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..9).map(Self::from_number)
    }

    /// 0, the foremost, to 8.
    pub fn number(self) -> usize {
        self.priority as usize * 3 + self.band as usize
    }

    /// The other way; what is no such number is the last.
    pub fn from_number(n: i64) -> Self {
        let band = match n.rem_euclid(3) {
            0 => Band::Small,
            1 => Band::Medium,
            _ => Band::Large,
        };
        let priority = match n {
            0..=2 => Priority::First,
            3..=5 => Priority::Normal,
            _ => Priority::Last,
        };
        Self { priority, band }
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let band = match self.band {
            Band::Small => "small",
            Band::Medium => "medium",
            Band::Large => "large",
        };
        write!(f, "{}, {band}", self.priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_comes_before_size_and_numbers_keep_the_order() {
        let all: Vec<Rank> = Rank::all().collect();
        assert_eq!(all.len(), Rank::COUNT);
        assert!(all.is_sorted() && all.iter().enumerate().all(|(n, rank)| rank.number() == n));
        assert!(Rank::of(Priority::First, u64::MAX) < Rank::of(Priority::Normal, 0));
        assert_eq!(Band::of(1 << 20), Band::Small);
        assert_eq!((Band::of((1 << 20) + 1), Band::of(64 << 20)), (Band::Medium, Band::Medium));
        assert_eq!(Band::of(u64::MAX), Band::Large);
    }
}
