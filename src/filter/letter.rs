//! Letters as duplicity sees them: a name is read as UTF-8, and every byte that is not UTF-8 counts as one
//! letter of its own. So `?` takes a whole `é`, and a name in an old encoding can still be matched.
//!
//! Case is Python's: `ignorecase:` folds the pattern as `str.casefold` does, and two letters are then the
//! same where `re.IGNORECASE` says so.

/// A Unicode scalar, or `STRAY + byte` for a byte that is not part of any (Python's surrogate escape).
pub(super) type Letter = u32;

const STRAY: Letter = 0xDC00;

/// Whether a letter is told apart by its case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Kept,
    Ignored,
}

/// The letter that begins at `at`, and its length in bytes. `at` must lie within `bytes`.
#[inline]
pub(super) fn letter_at(bytes: &[u8], at: usize) -> (Letter, usize) {
    let first = bytes[at];
    if first.is_ascii() { (first.into(), 1) } else { wide_letter_at(bytes, at) }
}

fn wide_letter_at(bytes: &[u8], at: usize) -> (Letter, usize) {
    let window = &bytes[at..bytes.len().min(at + 4)];
    match window.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()) {
        Some(c) => (c.into(), c.len_utf8()),
        None => (STRAY + Letter::from(bytes[at]), 1),
    }
}

pub(super) fn letters(bytes: &[u8]) -> Vec<Letter> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let (letter, len) = letter_at(bytes, at);
        out.push(letter);
        at += len;
    }
    out
}

pub(super) fn push_letter(letter: Letter, out: &mut Vec<u8>) {
    match char::from_u32(letter) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.push(letter.to_le_bytes()[0]),
    }
}

/// Python's `str.casefold`, written with what the standard library knows of Unicode: up, then down.
pub(super) fn casefold(text: &[Letter]) -> Vec<Letter> {
    let mut out = Vec::with_capacity(text.len());
    for letter in text {
        match char::from_u32(*letter) {
            // The dotless ı folds to itself, not to what its capital folds to.
            Some('ı') | None => out.push(*letter),
            // The capital ẞ folds as the small one, whose own capital is SS.
            Some('ẞ') => out.extend(['s'; 2].map(Letter::from)),
            // Cherokee folds to its capitals, which came first.
            Some(c @ '\u{13a0}'..='\u{13f5}') => out.push(c.into()),
            Some(c @ ('\u{13f8}'..='\u{13fd}' | '\u{ab70}'..='\u{abbf}')) => {
                out.extend(c.to_uppercase().map(Letter::from));
            }
            Some(c) => out.extend(c.to_uppercase().flat_map(char::to_lowercase).map(Letter::from)),
        }
    }
    out
}

/// One name for all letters that `re.IGNORECASE` takes for the same: same small letter, or small letters of
/// the same capital.
pub(super) fn same_case(letter: Letter) -> Letter {
    let Some(c) = char::from_u32(letter) else { return letter };
    if c.is_ascii() {
        return c.to_ascii_lowercase().into();
    }
    let small = lower(c);
    let mut capitals = small.to_uppercase();
    let same = match (capitals.next(), capitals.next()) {
        (Some(one), None) => lower(one),
        _ => match small {
            // Pairs whose capital is more than one letter.
            '\u{1fd3}' => '\u{390}',
            '\u{1fe3}' => '\u{3b0}',
            '\u{fb06}' => '\u{fb05}',
            other => other,
        },
    };
    same.into()
}

/// The one small letter; the full mapping of `İ` has two, Python takes the first.
fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_not_text_is_a_letter_and_comes_back_as_it_was() {
        let name = b"a\xc3\xa9\xe2\x82\xff\xed\xa0\x80z";
        let read = letters(name);
        assert_eq!(read, [0x61, 0xe9, 0xdce2, 0xdc82, 0xdcff, 0xdced, 0xdca0, 0xdc80, 0x7a]);
        let mut back = Vec::new();
        for letter in read {
            push_letter(letter, &mut back);
        }
        assert_eq!(back, name);
    }

    #[test]
    fn case_goes_as_in_python() {
        let fold = |s: &str| {
            let mut out = Vec::new();
            for letter in casefold(&letters(s.as_bytes())) {
                push_letter(letter, &mut out);
            }
            String::from_utf8(out).unwrap()
        };
        assert_eq!(fold("StraßE ẞ ÉΣς ﬀ ı"), "strasse ss éσσ ff ı");
        for (a, b) in [('k', '\u{212a}'), ('s', 'ſ'), ('i', 'ı'), ('θ', 'ϑ'), ('É', 'é'), ('µ', 'μ'), ('ß', 'ẞ')]
        {
            assert_eq!(same_case(a.into()), same_case(b.into()), "{a} {b}");
        }
        assert_ne!(same_case('e'.into()), same_case('é'.into()));
    }
}
