//! The recovery secret as 24 BIP-39 words, and help for whoever copied one of them wrongly.

use super::keys::Secret;
use crate::error::{Error, Result};
use crate::model::VaultId;
use bip39::{Language, Mnemonic};
use std::fmt::Display;
use zeroize::{Zeroize, Zeroizing};

/// How many words a secret has.
pub const COUNT: usize = 24;

impl Secret {
    /// 24 English words.
    pub fn words(&self) -> Vec<&'static str> {
        let mnemonic = Mnemonic::from_entropy(&self.0.0).expect("32 bytes are a valid length");
        mnemonic.words().collect()
    }
}

pub(super) fn list() -> &'static [&'static str; 2048] {
    Language::English.word_list()
}

fn decode(words: &[&str]) -> Option<Secret> {
    let mnemonic = Mnemonic::parse_in_normalized(Language::English, &words.join(" ")).ok()?;
    let mut entropy = mnemonic.to_entropy();
    let secret = entropy.as_slice().try_into().ok().map(Secret::from_bytes);
    entropy.zeroize();
    secret
}

/// Whether a text looks like words rather than a passphrase: 24 of them (numbering like "1." left aside), most in the list.
pub fn look_like_words(text: &str) -> bool {
    let words = split(text);
    words.len() == COUNT && words.iter().filter(|w| list().binary_search(&w.as_str()).is_ok()).count() >= COUNT / 2
}

/// Whether a text looks like a sheet's words of which some were left out or typed twice.
pub fn look_like_some_words(text: &str) -> bool {
    let words = split(text);
    let known = words.iter().filter(|w| list().binary_search(&w.as_str()).is_ok()).count();
    words.len() != COUNT && words.len() >= COUNT / 2 && known > words.len() / 2
}

/// How the line in a recovery sheet's QR code begins.
const SCANNED: &str = "panicroom kit 1;";

/// The line in a recovery sheet's QR code: the words, and the vault they are for. It stands wherever words do.
pub fn scannable(secret: &Secret, vault: VaultId, address: &dyn Display) -> Zeroizing<String> {
    Zeroizing::new(format!("{SCANNED} {vault}; {address}; {}", secret.words().join(" ")))
}

/// Vault id and words of a text that is such a line.
fn scanned(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let rest =
        text.get(..SCANNED.len()).filter(|head| head.eq_ignore_ascii_case(SCANNED)).map(|_| &text[SCANNED.len()..])?;
    // The address in the middle may hold anything but a line's end.
    let (vault, rest) = rest.split_once(';')?;
    Some((vault.trim(), rest.rsplit_once(';')?.1))
}

/// Lower-cased words; numbers, dots and other marks that sheets have are left out.
fn split(text: &str) -> Vec<String> {
    let text = scanned(text).map_or(text, |(_, words)| words);
    text.split(|c: char| !c.is_alphabetic()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect()
}

/// The secret of the words, proved against the vault's check value. Where it does not match, every single wrong
/// word and every exchange of neighbours is tried and the mistake is named (Operator).
pub fn parse(text: &str, vault: VaultId, check: &[u8; 32]) -> Result<Secret> {
    let owned = split(text);
    let mut words: Vec<&str> = owned.iter().map(String::as_str).collect();
    if words.len() != COUNT {
        return Err(Error::operator(format!("read the recovery words: {} words, not {COUNT}", words.len()))
            .remedy("write all 24 words of the sheet in order, separated by spaces"));
    }
    if let Some((id, _)) = scanned(text)
        && VaultId::from_hex(id) != Some(vault)
    {
        return Err(Error::operator(format!(
            "read the sheet's QR code: it is the sheet of vault {id}, not of {vault}"
        ))
        .remedy("take the sheet that shows this vault's id, or give the address that stands on this one"));
    }
    let right = |s: &Secret| s.check(vault) == *check;
    if let Some(secret) = decode(&words).filter(right) {
        return Ok(secret);
    }
    let unknown: Vec<usize> = (0..COUNT).filter(|i| list().binary_search(&words[*i]).is_err()).collect();
    match unknown[..] {
        [] => {}
        [at] => {
            let wrong = words[at];
            return Err(match substitution(&mut words, at, &right) {
                Some(better) => named(at, wrong, better),
                None => Error::operator(format!(
                    "read the recovery words: word {} \"{wrong}\" is not in the word list",
                    at + 1
                ))
                .remedy("compare it with the sheet; another word may be wrong too"),
            });
        }
        _ => {
            let places: Vec<String> = unknown.iter().map(|i| format!("{} \"{}\"", i + 1, words[*i])).collect();
            return Err(Error::operator(format!(
                "read the recovery words: these are not in the word list: {}",
                places.join(", ")
            ))
            .remedy("compare them with the sheet"));
        }
    }
    for at in 0..COUNT {
        let wrong = words[at];
        if let Some(better) = substitution(&mut words, at, &right) {
            return Err(named(at, wrong, better));
        }
        words[at] = wrong;
    }
    for at in 0..COUNT - 1 {
        words.swap(at, at + 1);
        if decode(&words).as_ref().is_some_and(right) {
            return Err(Error::operator(format!(
                "read the recovery words: words {} and {} are exchanged",
                at + 1,
                at + 2
            ))
            .remedy("exchange them and try again"));
        }
        words.swap(at, at + 1);
    }
    Err(if decode(&words).is_some() {
        Error::operator("read the recovery words: they are well-formed but not the words of this vault")
            .remedy("check that the sheet and the vault belong together (vault id)")
    } else {
        Error::operator("read the recovery words: more than one word is wrong").remedy("compare them with the sheet")
    })
}

/// The word that makes the whole right in place `at`; `words[at]` is left changed.
fn substitution(words: &mut [&str], at: usize, right: &dyn Fn(&Secret) -> bool) -> Option<&'static str> {
    list().iter().copied().find(|candidate| {
        words[at] = candidate;
        decode(words).as_ref().is_some_and(right)
    })
}

fn named(at: usize, wrong: &str, better: &str) -> Error {
    Error::operator(format!("read the recovery words: word {} is wrong: \"{wrong}\" should be \"{better}\"", at + 1))
        .remedy("correct it and try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAULT: VaultId = VaultId([3; 16]);

    fn secret() -> Secret {
        Secret::from_bytes(std::array::from_fn(|i| u8::try_from(i * 7).unwrap()))
    }

    fn message(words: &[&str]) -> String {
        parse(&words.join(" "), VAULT, &secret().check(VAULT)).unwrap_err().to_string()
    }

    #[test]
    fn words_come_back_however_the_sheet_is_typed() {
        let words = secret().words();
        assert_eq!(words.len(), COUNT);
        let numbered: String =
            words.iter().enumerate().map(|(i, w)| format!("{}. {}\n", i + 1, w.to_uppercase())).collect();
        assert!(look_like_words(&numbered) && !look_like_words("correct horse battery staple"));
        assert_eq!(parse(&numbered, VAULT, &secret().check(VAULT)).unwrap(), secret());
    }

    #[test]
    fn the_line_of_the_qr_code_stands_for_the_words_and_names_its_vault() {
        let url = "s3://box/a;b?endpoint=http%3A%2F%2Fhost";
        let line = scannable(&secret(), VAULT, &url);
        assert!(look_like_words(&line));
        assert_eq!(parse(&format!("\n{}\n", *line), VAULT, &secret().check(VAULT)).unwrap(), secret());
        let other = VaultId([4; 16]);
        let e = parse(&line, other, &secret().check(other)).unwrap_err().to_string();
        assert!(e.contains(&VAULT.to_string()) && e.contains("not of"), "{e}");
        let word = secret().words()[0];
        let wrong = line.replacen(word, if word == "zebra" { "zero" } else { "zebra" }, 1);
        let e = parse(&wrong, VAULT, &secret().check(VAULT)).unwrap_err().to_string();
        assert!(e.contains("word 1 is wrong"), "{e}");
    }

    #[test]
    fn one_wrong_word_is_found_and_named() {
        let right = secret().words();
        let mut words = right.clone();
        words[6] = if right[6] == "zebra" { "zero" } else { "zebra" };
        assert!(message(&words).contains(&format!("word 7 is wrong: \"{}\" should be \"{}\"", words[6], right[6])));
        words[6] = "zzzz";
        assert!(message(&words).contains(&format!("\"zzzz\" should be \"{}\"", right[6])));
    }

    #[test]
    fn exchanged_neighbours_are_found() {
        let mut words = secret().words();
        words.swap(2, 3);
        assert!(message(&words).contains("words 3 and 4 are exchanged"));
    }

    #[test]
    fn words_of_another_vault_are_told_from_mistyped_ones() {
        let other = Secret::from_bytes([9; 32]).words();
        assert!(message(&other).contains("not the words of this vault"));
        assert!(message(&other[..23]).contains("23 words, not 24"));
        assert!(look_like_some_words(&other[..23].join(" ")) && !look_like_some_words(&other.join(" ")));
        assert!(!look_like_some_words("abandon ability able about above absent"));
    }
}
