//! `key passphrase`: one more way into the vault, a `meta_key_…` object that wraps the secret. It is created once and
//! stays: an older passphrase goes on opening the vault and every copy of it.
//!
//! The passphrase is in its owner's hands before the object is created: dying between the two leaves a passphrase that
//! opens nothing, never an object nobody can open.

use super::super::args::Line;
use super::super::{Answer, Exit, Failure, read_text};
use super::args;
use super::{Door, absent, typed_line, unlocked, write_new};
use crate::error::{Error, Result};
use crate::format::{KEY_PREFIX, key_file};
use crate::seal::keys::{Secret, WrapCost};
use crate::seal::passphrase::{BITS, WORDS, generate, strong_enough};
use crate::seal::{SystemEntropy, sha256};
use crate::store::{Body, NewObject};
use crate::upkeep::unlock::KEY_OBJECTS;
use std::io::{IsTerminal, Write};
use zeroize::Zeroizing;

pub fn passphrase(line: &Line, a: &args::Passphrase) -> Answer {
    let is_drawn = a.passphrase_file.is_none() && !a.own;
    if let Some(out) = &a.out {
        absent(out, "the passphrase")?;
    } else if is_drawn && !std::io::stdout().is_terminal() {
        return Err(Failure::Usage(
            Error::operator("show the passphrase: this is no terminal")
                .remedy("give '--out FILE' for it, or '--passphrase-file FILE' with one of your own"),
        ));
    }
    let own = own(a)?;
    let (door, secret) = unlocked(line, &a.which)?;
    let before = count(&door)?;
    let passphrase = match own {
        Some(own) => own,
        None => drawn(a)?,
    };
    add(&door, &secret, &passphrase)?;
    println!("The vault {} opens with this passphrase too, and with its words as before.", door.file.id);
    if before > 0 {
        println!(
            "{before} older {} still open it, and every copy of it: nothing in a vault is ever deleted or overwritten.",
            if before == 1 { "passphrase does" } else { "passphrases do" }
        );
    } else {
        println!("It stays: nothing in a vault is ever deleted or overwritten. A later one does not end it.");
    }
    Ok(Exit::Done)
}

/// A passphrase of the owner's own, tried for strength.
fn own(a: &args::Passphrase) -> std::result::Result<Option<Zeroizing<String>>, Failure> {
    let text = if let Some(file) = &a.passphrase_file {
        let text = Zeroizing::new(read_text(file, "the passphrase").map_err(Failure::Usage)?);
        Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned())
    } else if a.own {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::Usage(
                Error::operator("read a passphrase: this is no terminal").remedy("give '--passphrase-file FILE'"),
            ));
        }
        eprintln!("The new passphrase, in one line (it is seen as it is typed):");
        typed_line()?
    } else {
        return Ok(None);
    };
    strong_enough(&text).map_err(Failure::Usage)?;
    Ok(Some(text))
}

/// Six words, in the owner's hands when this returns.
fn drawn(a: &args::Passphrase) -> Result<Zeroizing<String>> {
    let passphrase = generate(&SystemEntropy);
    if let Some(out) = &a.out {
        let text = Zeroizing::new(format!("{}\n", *passphrase));
        write_new(out, "the passphrase", text.as_bytes())?;
        println!("Wrote the passphrase to {}: keep it away from this machine.", out.display());
    } else {
        println!(
            "\nThe new passphrase: {WORDS} words drawn by lot, {BITS} bits. It is shown once; this machine does not keep \
             it.\n\n    {}\n",
            *passphrase
        );
    }
    let _ = std::io::stdout().flush();
    Ok(passphrase)
}

/// How many passphrases the vault knows.
fn count(door: &Door) -> Result<usize> {
    let mut count = 0;
    door.store.inventory(KEY_PREFIX, &mut |_| {
        count += 1;
        Ok(())
    })?;
    if count >= KEY_OBJECTS {
        return Err(Error::operator(format!("add a passphrase: the vault has {count} already, and no more are tried"))
            .remedy("use one of them, or the words"));
    }
    Ok(count)
}

/// Created once, and then proved by opening the vault with it.
fn add(door: &Door, secret: &Secret, passphrase: &str) -> Result<()> {
    let (name, bytes) = key_file::write(secret, door.file.id, passphrase, WrapCost::DEFAULT, &SystemEntropy)?;
    let sha256 = sha256(&bytes);
    let object = NewObject { name: name.into(), size: bytes.len() as u64, sha256, body: Body::Bytes(bytes) };
    door.store.create(&object, &door.stop)?;
    if door.secret(passphrase)? == *secret {
        return Ok(());
    }
    Err(Error::damaged(format!("add a passphrase to the vault {}: it opens another secret", door.store.url())))
}
