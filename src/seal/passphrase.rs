//! Passphrases that open a vault beside its 24 words: drawn by lot, or an owner's own that is hard enough to guess.
//!
//! Whoever has a copy of a vault can guess for as long as they like; each guess costs the Argon2id of
//! [`WrapCost::DEFAULT`](super::keys::WrapCost): about a second and 256 MiB on one core.

use super::words::list;
use super::{Entropy, random};
use crate::error::{Error, Result};
use zeroize::Zeroizing;

/// Words of a passphrase drawn by lot.
pub const WORDS: usize = 6;
/// What guessing such a passphrase takes: each word is one of 2048.
pub const BITS: u32 = 11 * 6;
/// Guesses an own passphrase must withstand, as a power of ten. At ten thousand guesses a second, which is a rich
/// attacker at 256 MiB each, this is three centuries.
const GUESSES: f64 = 14.0;
/// Of a passphrase, in characters: the estimate's time grows faster than its length.
const LONGEST: usize = 200;

/// Six words of the BIP-39 list, one space apart.
pub fn generate(entropy: &dyn Entropy) -> Zeroizing<String> {
    let lots = Zeroizing::new(random::<{ 2 * WORDS }>(entropy));
    let mut text = Zeroizing::new(String::with_capacity(WORDS * 9));
    for lot in lots.chunks_exact(2) {
        if !text.is_empty() {
            text.push(' ');
        }
        // 2048 divides 65536: every word is as likely as any other.
        text.push_str(list()[usize::from(u16::from_le_bytes([lot[0], lot[1]])) % list().len()]);
    }
    text
}

/// How a passphrase of six words of the list was written when it was made, however it was typed; None for any other.
pub fn as_generated(typed: &str) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(typed.len()));
    let mut count = 0;
    for word in typed.split(|c: char| c.is_whitespace() || c == '-').filter(|w| !w.is_empty()) {
        let word = Zeroizing::new(word.to_lowercase());
        if list().binary_search(&word.as_str()).is_err() {
            return None;
        }
        if count > 0 {
            text.push(' ');
        }
        text.push_str(&word);
        count += 1;
    }
    (count == WORDS).then_some(text)
}

/// Operator, with what would be better, when it is too easy to guess. The estimate is zxcvbn's: common passwords and
/// words, names, dates, keyboard rows, repetitions. It knows English best and nothing about the owner.
pub fn strong_enough(passphrase: &str) -> Result<()> {
    let weak = |why: String| {
        Err(Error::operator(format!("use the passphrase: {why}"))
            .remedy("take a longer one, or let 'panicroom key passphrase' draw six words"))
    };
    let length = passphrase.chars().count();
    if length > LONGEST {
        return weak(format!("it is longer than {LONGEST} characters"));
    }
    let found = zxcvbn::zxcvbn(passphrase, &["panicroom", "backup"]);
    if found.guesses_log10() >= GUESSES {
        return Ok(());
    }
    let said = found.feedback().and_then(zxcvbn::feedback::Feedback::warning).map(|w| w.to_string());
    let said = said.map_or(String::new(), |w| format!(" ({})", w.trim_end_matches('.')));
    weak(format!("about 10^{:.0} guesses find it, and 10^{GUESSES:.0} is the least{said}", found.guesses_log10()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::SystemEntropy;

    #[test]
    fn six_words_are_drawn_by_lot_and_known_again_however_they_are_typed() {
        let (one, other) = (generate(&SystemEntropy), generate(&SystemEntropy));
        assert_ne!(one, other);
        for text in [&one, &other] {
            assert_eq!(text.split(' ').count(), WORDS);
            assert_eq!(as_generated(&text.to_uppercase().replace(' ', "\n  ")).as_ref(), Some(text));
            assert_eq!(as_generated(&text.replace(' ', "-")).as_ref(), Some(text));
            strong_enough(text).unwrap();
        }
        assert_eq!(as_generated("my own passphrase, of six words"), None);
        assert_eq!(as_generated("abandon ability able about above"), None);
        assert_eq!(list().len(), 1 << (BITS / 6));
    }

    #[test]
    fn what_is_easily_guessed_is_refused_without_being_repeated() {
        for weak in [
            "",
            "sunshine",
            "Tr0ub4dor&3",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "panicroom backup",
            "qwertyuiopasdfghjkl",
        ] {
            let e = strong_enough(weak).unwrap_err().to_string();
            assert!(e.contains("guesses") && (weak.is_empty() || !e.contains(weak)), "{e}");
        }
        for strong in ["correct horse battery staple", "Im Garten blüht der Rhabarber 71 mal", "v9#kQ2!xLp0z7-Rm"] {
            strong_enough(strong).unwrap();
        }
        assert!(strong_enough(&"long ".repeat(50)).unwrap_err().to_string().contains("longer"));
    }
}
