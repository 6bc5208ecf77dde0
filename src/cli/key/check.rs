//! `key check`: the sheet is proved right before it is needed. Its words, or the text of its QR code, are tried against
//! the vault's own check value; when that was is kept in the state folder, and nothing else.

use super::super::args::Line;
use super::super::out_args::From;
use super::super::{Answer, Exit, Failure, source, time};
use super::args::Which;
use super::{Door, Place, meant, places};
use crate::clock::SystemClock;
use crate::error::{Error, Result};
use crate::seal::keys::SealKeys;
use crate::seal::words;
use std::io::IsTerminal;

/// How often a person may mistype before they are left alone.
const TRIES: u32 = 10;

pub fn check(line: &Line, which: &Which) -> Answer {
    let places = places(line, which)?;
    let is_asked = which.from.key_file.is_none() && std::io::stdin().is_terminal();
    let mut tries = 1;
    let (door, text) = loop {
        let text = source::secret_text(&which.from)?;
        match prove(&places, &text) {
            Err(Failure::Work(e)) if is_asked && tries < TRIES && !text.trim().is_empty() => {
                eprintln!("panicroom: {e}\nOnce more (Ctrl-C ends it):");
                tries += 1;
            }
            proved => break (proved?, text),
        }
    };
    let what = if words::look_like_words(&text) { "the sheet's words" } else { "the passphrase" };
    println!("Right: {what} open the vault {} at {}.", door.file.id, door.store.url());
    if !words::look_like_words(&text) {
        println!("The recovery sheet itself was not checked: that takes its 24 words.");
        return Ok(Exit::Done);
    }
    match &door.place.home {
        Some(home) if home.has_keys() => {
            let now = SystemClock::shared().wall();
            home.keep_sheet_checked(door.file.id, now)?;
            println!("Kept that it was checked, {}. Put it back where it was.", time::local(now));
        }
        _ => println!("This machine does not back up to it, so that it was checked is kept nowhere."),
    }
    Ok(Exit::Done)
}

fn prove(places: &[Place], text: &str) -> std::result::Result<Door, Failure> {
    let door = Door::open(meant(places.to_vec(), text)?)?;
    is_this_machines(&door)?;
    door.secret(text)?;
    Ok(door)
}

/// The vault at the address is the one this machine backs up to.
fn is_this_machines(door: &Door) -> Result<()> {
    let Some(home) = door.place.home.as_ref().filter(|h| h.has_keys()) else { return Ok(()) };
    let mine = home.keys()?.vault;
    if mine == door.file.id {
        return Ok(());
    }
    Err(Error::operator(format!(
        "check the sheet of {}: the vault there is {}, and this machine's is {mine}",
        door.place.called(),
        door.file.id
    ))
    .remedy("see that the right disk is mounted, or the right bucket named"))
}

/// How words that were just shown came back from paper.
pub enum Typed {
    Right,
    /// An empty line: another time.
    Later,
    Wrong(Error),
}

/// Asks for the words of a vault that is being started.
pub fn typed_back(keys: &SealKeys) -> Typed {
    let asked = From { vault: None, key_file: None };
    match source::secret_text(&asked) {
        Ok(text) if text.trim().is_empty() => Typed::Later,
        Ok(text) => words::parse(&text, keys.vault, &keys.check).map_or_else(Typed::Wrong, |_| Typed::Right),
        // No terminal, or it is gone.
        Err(_) => Typed::Later,
    }
}
