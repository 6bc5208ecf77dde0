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

use super::class::BackwardRange;
use super::letter::{Case, Letter, same_case};
use super::step::{Step, read_steps, run};

#[derive(Debug)]
pub(super) struct Glob {
    steps: Box<[Step]>,
    shape: Shape,
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
    /// `**/` and more without another `**`: names the last so many names of a path.
    Tail {
        slashes: usize,
    },
    Other,
}

impl Glob {
    pub(super) fn compile(pattern: &[Letter], case: Case) -> Result<Self, BackwardRange> {
        let steps = read_steps(pattern, case)?;
        let shape = match steps.as_slice() {
            [Step::Text(_)] => Shape::Exact,
            [Step::Text(_), Step::Deep] => Shape::Begins,
            [Step::Deep, Step::Text(_)] => Shape::Ends,
            [Step::Deep, Step::Text(_), Step::Deep] => Shape::Holds,
            [Step::Deep, tail @ ..] if begins_with_slash(tail) => match slashes(tail) {
                Some(slashes) => Shape::Tail { slashes },
                None => Shape::Other,
            },
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
            _ if !self.may_end(path) => false,
            (Shape::Tail { slashes }, [_, tail @ ..]) => last_names(path, slashes).is_some_and(|path| is(tail, path)),
            (_, steps) => is(steps, path),
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
            _ if !self.may_lie_in(folder) => false,
            (_, steps) => run(steps, folder, |reached| match steps.last() {
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
        slashes(&self.steps).is_some() && !matches!(self.steps.last(), Some(Step::Star))
    }

    /// Whether a pattern, such as any that ends in `/**`, names only paths whose folder it covers.
    pub(super) fn names_only_what_it_covers(&self) -> bool {
        matches!(&*self.steps, [.., Step::Text(text), Step::Deep] if text.ends_with(b"/"))
    }

    /// False where the last step shows at a glance that the pattern cannot end where the path does.
    fn may_end(&self, path: &[u8]) -> bool {
        match self.steps.last() {
            Some(Step::Text(text)) => ends(path, |path| path.ends_with(text)),
            Some(Step::AnyCase(same)) => {
                path.last().is_none_or(|last| !last.is_ascii() || *last == b'\n' || same_case((*last).into()) == *same)
            }
            _ => true,
        }
    }

    /// False where a text of the pattern does not occur at all.
    fn may_lie_in(&self, folder: &[u8]) -> bool {
        self.steps.iter().all(|step| match step {
            Step::Text(text) if **text != *b"/" => find(folder, text, 0).is_some(),
            _ => true,
        })
    }
}

fn is(steps: &[Step], path: &[u8]) -> bool {
    run(steps, path, |reached| {
        let end = path.len();
        reached[end] || path.last() == Some(&b'\n') && reached[end - 1]
    })
}

/// How many `/` every match holds; None where that varies.
fn slashes(steps: &[Step]) -> Option<usize> {
    steps.iter().try_fold(0, |sum, step| match step {
        Step::Deep => None,
        Step::Class(class) if class.has('/'.into()) => None,
        Step::Text(text) => Some(sum + text.split(|b| *b == b'/').count() - 1),
        _ => Some(sum),
    })
}

fn begins_with_slash(steps: &[Step]) -> bool {
    matches!(steps.first(), Some(Step::Text(text)) if text.starts_with(b"/"))
}

/// The end of a path that begins with its `count`-th slash from behind.
fn last_names(path: &[u8], count: usize) -> Option<&[u8]> {
    let mut from = path.len();
    for _ in 0..count {
        from = path[..from].iter().rposition(|b| *b == b'/')?;
    }
    Some(&path[from..])
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
        for path in yes {
            assert!(glob.is(path.as_bytes()), "{pattern} should be {path}");
        }
        for path in no {
            assert!(!glob.is(path.as_bytes()), "{pattern} should not be {path}");
        }
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
