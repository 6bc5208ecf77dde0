//! `%XX` escapes of addresses.

use std::fmt;

/// Bytes of a text with `%XX` escapes; None for a broken escape.
pub(super) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(out)
}

/// A text that [`unescape`] reads back to these bytes: what an address gives a meaning, what does not show and
/// what is not UTF-8 goes in as `%XX`.
pub(super) fn escape(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for part in bytes.utf8_chunks() {
        for c in part.valid().chars() {
            if c.is_control() || c.is_whitespace() || matches!(c, '%' | '?' | '#' | '&' | '=' | '\\' | '"') {
                c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|b| write!(f, "%{b:02X}"))?;
            } else {
                write!(f, "{c}")?;
            }
        }
        part.invalid().iter().try_for_each(|b| write!(f, "%{b:02X}"))?;
    }
    Ok(())
}
