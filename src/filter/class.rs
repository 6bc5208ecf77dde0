//! A class of letters: what stands between `[` and `]`.

use super::letter::{Case, Letter, same_case};

#[derive(Debug)]
pub(super) struct Class {
    negated: bool,
    case: Case,
    ranges: Box<[(Letter, Letter)]>,
}

/// A range whose first letter comes after its last, as in `[z-a]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BackwardRange;

/// Where the `]` of a class is whose inside begins at `from`; None where the `[` stands for itself.
pub(super) fn class_end(pattern: &[Letter], from: usize) -> Option<usize> {
    let is = |at: usize, c: char| pattern.get(at) == Some(&c.into());
    let mut at = from;
    if is(at, '!') || is(at, '^') {
        at += 1;
    }
    if is(at, ']') {
        at += 1;
    }
    (at..pattern.len()).find(|at| is(*at, ']'))
}

impl Class {
    pub(super) fn compile(inside: &[Letter], case: Case) -> Result<Self, BackwardRange> {
        let dash = Letter::from('-');
        let negated = matches!(inside.first().copied().and_then(char::from_u32), Some('!' | '^'));
        let mut rest = if negated { &inside[1..] } else { inside };
        let mut ranges = Vec::new();
        while let [first, tail @ ..] = rest {
            rest = match tail {
                [sign, last, tail @ ..] if *sign == dash => {
                    if last < first {
                        return Err(BackwardRange);
                    }
                    ranges.push((*first, *last));
                    tail
                }
                _ => {
                    ranges.push((*first, *first));
                    tail
                }
            };
        }
        if case == Case::Ignored {
            let each = merged(ranges).into_iter().flat_map(|(first, last)| first..=last).map(same_case);
            ranges = each.map(|letter| (letter, letter)).collect();
        }
        Ok(Self { negated, case, ranges: merged(ranges).into() })
    }

    pub(super) fn has(&self, letter: Letter) -> bool {
        let letter = if self.case == Case::Ignored { same_case(letter) } else { letter };
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&letter)) != self.negated
    }
}

fn merged(mut ranges: Vec<(Letter, Letter)>) -> Vec<(Letter, Letter)> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let joins = next.0 <= kept.1 + 1;
        if joins {
            kept.1 = kept.1.max(next.1);
        }
        joins
    });
    ranges
}
