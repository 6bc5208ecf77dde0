//! One glob, as duplicity's `globmatch` reads it, matched over bytes.
//!
//! duplicity turns a glob into a regular expression. This is the same language with a small matcher of its
//! own instead of `globset`: what a pattern chooses must be what duplicity chose, to the letter, and names
//! need not be UTF-8. It walks the set of places a pattern may have reached, so the worst pattern on the worst
//! name costs pattern length times name length, never more.
//!
//! What may surprise, kept on purpose:
//! - `[!a]` and ranges may match a `/`; `*` and `?` never do.
//! - `*` may match nothing, so `*/x` also means `/x` and a lone `*` matches every path.
//! - There is no escape: a backslash is a backslash, and a `[` without its `]` is itself.
//! - A name that ends in a line feed also matches as if it did not (Python's `$`).

use super::letter::{Case, Letter, letter_at, push_letter, same_case};

/// Paths up to this many bytes are matched without allocating.
const ON_STACK: usize = 512;

#[derive(Debug)]
pub(super) struct Glob {
    steps: Box<[Step]>,
    shape: Shape,
}

#[derive(Debug)]
enum Step {
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

#[derive(Debug)]
struct Class {
    negated: bool,
    case: Case,
    ranges: Box<[(Letter, Letter)]>,
}

/// The shapes nearly every line has, for which comparing bytes is enough.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// `text`
    Exact,
    /// `text**`
    Begins,
    /// `**text`
    Ends,
    /// `**text**`
    Holds,
    Other,
}

/// A range whose first letter comes after its last, as in `[z-a]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BackwardRange;

impl Glob {
    pub(super) fn compile(pattern: &[Letter], case: Case) -> Result<Self, BackwardRange> {
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
        let shape = match steps.as_slice() {
            [Step::Text(_)] => Shape::Exact,
            [Step::Text(_), Step::Deep] => Shape::Begins,
            [Step::Deep, Step::Text(_)] => Shape::Ends,
            [Step::Deep, Step::Text(_), Step::Deep] => Shape::Holds,
            _ => Shape::Other,
        };
        Ok(Self { steps: steps.into(), shape })
    }

    /// Whether the whole of `path` is what the pattern says.
    pub(super) fn is(&self, path: &[u8]) -> bool {
        match (self.shape, &*self.steps) {
            (Shape::Exact, [Step::Text(text)]) => ends(path, |path| path == &**text),
            (Shape::Begins, [Step::Text(text), ..]) => path.starts_with(text),
            (Shape::Ends, [_, Step::Text(text)]) => ends(path, |path| path.ends_with(text)),
            (Shape::Holds, [_, Step::Text(text), _]) => find(path, text, 0).is_some(),
            _ => self.run(path, |reached| {
                let end = path.len();
                reached[end] || path.last() == Some(&b'\n') && reached[end - 1]
            }),
        }
    }

    /// Whether everything beneath a folder is within something the pattern names. `folder` ends in `/`.
    pub(super) fn covers(&self, folder: &[u8]) -> bool {
        let slash = |at: usize| folder.get(at) == Some(&b'/');
        match (self.shape, &*self.steps) {
            (Shape::Exact, [Step::Text(text)]) => folder.starts_with(text) && slash(text.len()),
            (Shape::Begins, [Step::Text(text), ..]) => folder.starts_with(text),
            (Shape::Ends, [_, Step::Text(text)]) => {
                let mut from = 0;
                while let Some(at) = find(folder, text, from) {
                    if slash(at + text.len()) {
                        return true;
                    }
                    from = at + 1;
                }
                false
            }
            (Shape::Holds, [_, Step::Text(text), _]) => find(folder, text, 0).is_some(),
            _ => self.run(folder, |reached| match self.steps.last() {
                // A last star goes on to the end of any name.
                Some(Step::Star | Step::Deep) if reached[folder.len()] => true,
                _ => (0..folder.len()).any(|at| reached[at] && slash(at)),
            }),
        }
    }

    /// Whether no path beneath `folder` (which ends in `/`) can match, judged by the text the pattern begins with.
    pub(super) fn is_elsewhere(&self, folder: &[u8]) -> bool {
        match self.steps.first() {
            Some(Step::Text(text)) => !text.iter().zip(folder).all(|(a, b)| a == b),
            _ => false,
        }
    }

    /// Whether any absolute path at all can match.
    pub(super) fn can_begin_a_path(&self) -> bool {
        match self.steps.iter().find(|step| !matches!(step, Step::Star)) {
            None | Some(Step::Deep) => true,
            Some(Step::Text(text)) => text.starts_with(b"/"),
            Some(Step::Class(class)) => class.has('/'.into()),
            Some(_) => false,
        }
    }

    /// Whether a pattern that covers a folder never names, to its end, a path beneath that folder: all its
    /// matches lie equally deep, and it does not end in a star, which covers by naming each.
    pub(super) fn names_nothing_it_covers(&self) -> bool {
        let one_depth = |step: &Step| match step {
            Step::Deep => false,
            Step::Class(class) => !class.has('/'.into()),
            _ => true,
        };
        self.steps.iter().all(one_depth) && !matches!(self.steps.last(), Some(Step::Star))
    }

    /// Hands over the places (0 to the path's length) the whole pattern can have reached.
    fn run(&self, path: &[u8], accept: impl FnOnce(&[bool]) -> bool) -> bool {
        if let Some(Step::Text(text)) = self.steps.first()
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
        for step in &self.steps {
            step.advance(path, reached, low);
            match reached[low..].iter().position(|r| *r) {
                Some(more) => low += more,
                None => return false,
            }
        }
        accept(reached)
    }
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

/// Python's `$`: at the end, or before a line feed that ends the path.
fn ends(path: &[u8], is: impl Fn(&[u8]) -> bool) -> bool {
    is(path) || path.strip_suffix(b"\n").is_some_and(is)
}

fn find(path: &[u8], text: &[u8], from: usize) -> Option<usize> {
    let first = *text.first()?;
    let last = path.len().checked_sub(text.len())?;
    let mut at = from;
    while at <= last {
        at += path[at..=last].iter().position(|b| *b == first)?;
        if path[at..].starts_with(text) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// No letter beyond ASCII is the same as a digit or a sign of ASCII.
fn may_have_case(letter: Letter) -> bool {
    u8::try_from(letter).map_or(true, |byte| !byte.is_ascii() || byte.is_ascii_alphabetic())
}

/// Where the `]` of a class is whose inside begins at `from`; None where the `[` stands for itself.
fn class_end(pattern: &[Letter], from: usize) -> Option<usize> {
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
    fn compile(inside: &[Letter], case: Case) -> Result<Self, BackwardRange> {
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

    fn has(&self, letter: Letter) -> bool {
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

#[cfg(test)]
mod tests {
    use super::super::letter::letters;
    use super::*;

    fn glob(pattern: &str) -> Glob {
        Glob::compile(&letters(pattern.as_bytes()), Case::Kept).unwrap()
    }

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let glob = glob(pattern);
        yes.iter().for_each(|path| assert!(glob.is(path.as_bytes()), "{pattern} should be {path}"));
        no.iter().for_each(|path| assert!(!glob.is(path.as_bytes()), "{pattern} should not be {path}"));
    }

    #[test]
    fn a_star_stays_within_a_name_and_two_do_not() {
        check("/a/*", &["/a/b", "/a/"], &["/a/b/c", "/a"]);
        check("/a/*c", &["/a/bc", "/a/c", "/a/cc"], &["/a/b/c", "/a/cb"]);
        check("/a/**c", &["/a/bc", "/a/b/c"], &["/a/b/d"]);
        check("**/x/*/y", &["/x/1/y", "/q/x/x/y"], &["/x/1/2/y", "/x/y"]);
        check("/a***b", &["/a/1/2b", "/ab"], &["/a"]);
    }

    #[test]
    fn a_question_mark_takes_one_letter_of_any_length_but_no_slash() {
        check("/?", &["/a", "/é", "/€", "/😀"], &["/", "//", "/ab"]);
        check("/*??", &["/ab", "/é€"], &["/€", "/a"]);
        assert!(glob("/?").is(b"/\xff") && !glob("/?").is(b"/\xff\xfe") && glob("/??").is(b"/\xe2\x82"));
    }

    #[test]
    fn classes_hold_letters_ranges_and_their_opposite() {
        check("/[abc-e]", &["/a", "/d"], &["/f", "/-", "/ab"]);
        check("/[!a-c]", &["/d", "/é", "//"], &["/a"]);
        check("/[^a]", &["/^", "/b"], &["/a"]);
        check("/[]a]", &["/]", "/a"], &["/b"]);
        check("/[!]a]", &["/b"], &["/]", "/a"]);
        check("/[a-]", &["/a", "/-"], &["/b"]);
        check("/[à-ü]", &["/é"], &["/e"]);
        check("/[\\d]", &["/\\", "/d"], &["/1"]);
        check("/[ab", &["/[ab"], &["/a"]);
        check("/[]", &["/[]"], &["/"]);
        assert_eq!(Glob::compile(&letters(b"/[z-a]"), Case::Kept).unwrap_err(), BackwardRange);
    }

    #[test]
    fn a_name_that_ends_in_a_line_feed_matches_as_if_it_did_not() {
        check("/a", &["/a", "/a\n"], &["/a\n\n"]);
        check("**/a", &["/b/a\n"], &["/a\n/b"]);
        check("/[a]", &["/a\n"], &[]);
    }

    #[test]
    fn a_folder_is_covered_where_all_beneath_it_is() {
        for (pattern, folder, covered) in [
            ("/a", "/a/", true),
            ("/a", "/ab/", false),
            ("/a", "/a/b/c/", true),
            ("/a/b", "/a/", false),
            ("**/b", "/a/b/c/", true),
            ("**/b", "/a/bb/c/", false),
            ("**b/**", "/a/b/", true),
            ("/a/*", "/a/", true),
            ("/a/*", "/", false),
            ("/a/*c", "/a/xc/", true),
            ("/a/*c", "/a/", false),
            ("*", "/", true),
            ("**", "/", true),
            ("/**", "/", true),
        ] {
            assert_eq!(glob(pattern).covers(folder.as_bytes()), covered, "{pattern} {folder}");
        }
    }

    #[test]
    fn the_worst_pattern_on_the_longest_name_still_answers() {
        let pattern = "**a*a*a*a*a*a*a*a".repeat(8) + "[!a]b";
        assert!(!glob(&pattern).is(format!("/{}", "a".repeat(4000)).as_bytes()));
    }
}
