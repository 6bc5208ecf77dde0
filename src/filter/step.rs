//! The steps a glob is made of, and how they run along a path: as the set of places that can have been reached,
//! so the worst pattern on the worst name costs pattern length times name length, never more.

use super::class::{BackwardRange, Class, class_end};
use super::letter::{Case, Letter, letter_at, push_letter, same_case};

/// Paths up to this many bytes are matched without allocating.
const ON_STACK: usize = 512;

#[derive(Debug)]
pub(super) enum Step {
    Text(Box<[u8]>),
    /// A letter of any case, by the name [`same_case`] gives it.
    AnyCase(Letter),
    /// `?`
    One,
    Class(Class),
    /// `*`
    Star,
    /// `**`
    Deep,
}

/// The steps of a pattern; text between wildcards is one step.
pub(super) fn read_steps(pattern: &[Letter], case: Case) -> Result<Vec<Step>, BackwardRange> {
    let mut steps = Vec::new();
    let mut text = Vec::new();
    let mut at = 0;
    while let Some(letter) = pattern.get(at).copied() {
        at += 1;
        let step = match (char::from_u32(letter), class_end(pattern, at)) {
            (Some('*'), _) if pattern.get(at) == Some(&u32::from('*')) => {
                at += 1;
                Step::Deep
            }
            (Some('*'), _) => Step::Star,
            (Some('?'), _) => Step::One,
            (Some('['), Some(end)) => {
                let class = Class::compile(&pattern[at..end], case)?;
                at = end + 1;
                Step::Class(class)
            }
            _ if case == Case::Ignored && may_have_case(letter) => Step::AnyCase(same_case(letter)),
            _ => {
                push_letter(letter, &mut text);
                continue;
            }
        };
        if !text.is_empty() {
            steps.push(Step::Text(std::mem::take(&mut text).into()));
        }
        steps.push(step);
    }
    if !text.is_empty() {
        steps.push(Step::Text(text.into()));
    }
    Ok(steps)
}

/// No letter beyond ASCII is the same as a digit or a sign of ASCII.
fn may_have_case(letter: Letter) -> bool {
    u8::try_from(letter).map_or(true, |byte| !byte.is_ascii() || byte.is_ascii_alphabetic())
}

/// Hands over the places (0 to the path's length) all steps together can have reached.
pub(super) fn run(steps: &[Step], path: &[u8], accept: impl FnOnce(&[bool]) -> bool) -> bool {
    if let Some(Step::Text(text)) = steps.first()
        && !path.starts_with(text)
    {
        return false;
    }
    let mut on_stack = [false; ON_STACK];
    let mut on_heap;
    let reached = if path.len() < ON_STACK {
        &mut on_stack[..=path.len()]
    } else {
        on_heap = vec![false; path.len() + 1];
        &mut on_heap[..]
    };
    reached[0] = true;
    let mut low = 0;
    for step in steps {
        step.advance(path, reached, low);
        match reached[low..].iter().position(|r| *r) {
            Some(more) => low += more,
            None => return false,
        }
    }
    accept(reached)
}

impl Step {
    /// From every place reached before this step to every place reached after it; none lies before `low`.
    fn advance(&self, path: &[u8], reached: &mut [bool], low: usize) {
        match self {
            Step::Text(text) => hop(path, reached, low, |at| path[at..].starts_with(text).then_some(text.len())),
            Step::AnyCase(same) => hop_letter(path, reached, low, |letter| same_case(letter) == *same),
            Step::One => hop_letter(path, reached, low, |letter| letter != u32::from('/')),
            Step::Class(class) => hop_letter(path, reached, low, |letter| class.has(letter)),
            Step::Star => spread(path, reached, low, |first| first != b'/'),
            Step::Deep => spread(path, reached, low, |_| true),
        }
    }
}

/// Moves every reached place on by what `length` says, or drops it. From the back, so that no place moves twice.
fn hop(path: &[u8], reached: &mut [bool], low: usize, length: impl Fn(usize) -> Option<usize>) {
    reached[path.len()] = false;
    for at in (low..path.len()).rev() {
        if std::mem::take(&mut reached[at])
            && let Some(length) = length(at)
        {
            reached[at + length] = true;
        }
    }
}

fn hop_letter(path: &[u8], reached: &mut [bool], low: usize, takes: impl Fn(Letter) -> bool) {
    hop(path, reached, low, |at| {
        let (letter, length) = letter_at(path, at);
        takes(letter).then_some(length)
    });
}

/// Adds every place that lies further on, letter by letter, for as long as `takes` allows.
fn spread(path: &[u8], reached: &mut [bool], low: usize, takes: impl Fn(u8) -> bool) {
    let mut at = low;
    while at < path.len() {
        if reached[at] && takes(path[at]) {
            let (_, length) = letter_at(path, at);
            reached[at + length] = true;
        }
        at += 1;
    }
}
