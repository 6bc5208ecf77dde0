//! `key kit`: the recovery sheet, as a page to print or as text. It holds the words: a file of it is its owner's alone,
//! has its name only when it is whole, and never takes the place of another.

use super::super::args::Line;
use super::super::{Answer, Exit, Failure, time};
use super::args::{Account, Kit};
use super::sheet::Sheet;
use super::{Door, Place, absent, default_file, pdf, text, unlocked, write_new};
use crate::clock::SystemClock;
use crate::config::{Settings, VaultSettings};
use crate::daemon::home::Home;
use crate::error::{Error, Result};
use crate::seal::keys::Secret;
use crate::worker::Faults;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a sheet is written as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Page,
    Text,
}

pub fn kit(line: &Line, kit: &Kit) -> Answer {
    if let Some(out) = &kit.out {
        absent(out, "the sheet")?;
    }
    let form = if kit.text { Form::Text } else { Form::Page };
    legible(&kit.account, form)?;
    let (door, secret) = unlocked(line, &kit.which)?;
    let sheet = sheet(&door, &secret, &kit.account)?;
    let to: Option<PathBuf> = match (&kit.out, form) {
        (Some(out), _) => Some(out.clone()),
        (None, Form::Text) => None,
        (None, Form::Page) => Some(default_file(&door.place)),
    };
    let Some(to) = to else {
        print!("{}", *text::text(&sheet)?);
        std::io::stdout().flush().map_err(|e| Error::retry("write to standard output").because(e))?;
        return Ok(Exit::Done);
    };
    absent(&to, "the sheet")?;
    keep(&sheet, form, &to, &Faults::default())?;
    Ok(Exit::Done)
}

/// The sheet of a vault that was just started, where its owner wants one.
pub fn after_start(settings: &Settings, vault: &VaultSettings, words: &str, to: &Path, faults: &Faults) -> Result<()> {
    let door = Door::open(Place::of(settings, vault, &Home::new(&settings.state_dir)))?;
    let secret = door.secret(words)?;
    faults.at("sheet.write")?;
    keep(&sheet(&door, &secret, &Account::default())?, Form::Page, to, faults)
}

fn sheet(door: &Door, secret: &Secret, account: &Account) -> Result<Sheet> {
    let now = time::local(SystemClock::shared().wall());
    Sheet::of(door, secret, account, now.get(..10).unwrap_or(&now))
}

fn keep(sheet: &Sheet, form: Form, to: &Path, faults: &Faults) -> Result<()> {
    let bytes = Zeroizing::new(match form {
        Form::Page => pdf::pdf(sheet)?,
        Form::Text => text::text(sheet)?.as_bytes().to_vec(),
    });
    write_new(to, "the sheet", &bytes, faults)?;
    println!(
        "Wrote the recovery sheet of {} to {}.\nPrint it, delete the file, and prove the paper with 'panicroom key check': \
         the file holds the words.",
        sheet.address,
        to.display()
    );
    if std::io::stdout().is_terminal() {
        println!("The lines left empty on it are for your pen: account, sign-in name, the restorer's access key.");
    }
    Ok(())
}

/// A sheet with a question mark in a name would be found out the day after.
fn legible(account: &Account, form: Form) -> std::result::Result<(), Failure> {
    if form == Form::Text {
        return Ok(());
    }
    for (name, value) in [("--account", &account.account), ("--sign-in", &account.sign_in)] {
        if let Some(letter) = value.as_ref().and_then(|v| pdf::unprintable(v)) {
            return Err(Failure::Usage(
                Error::operator(format!("print '{name}': the page's font has no '{letter}'"))
                    .remedy("leave it away and write it by hand, or take '--text'"),
            ));
        }
    }
    Ok(())
}
