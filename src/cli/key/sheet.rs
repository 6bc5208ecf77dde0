//! What the recovery sheet says, however it is shown: written for whoever holds it, who may not be who made it.

use super::super::begin::shell;
use super::args::Account;
use super::{Door, Place};
use crate::config::VaultUrl;
use crate::error::{Error, Result};
use crate::model::VaultId;
use crate::seal::keys::Secret;
use crate::seal::words;
use qrcode::{EcLevel, QrCode};
use std::path::Path;
use zeroize::Zeroizing;

pub const TITLE: &str = "Recovery sheet";
pub const INTRO: &str = "The 24 words below open a backup. Whoever has them and can reach the place it lies in reads everything \
    in it. Without them nobody can, ever: no maker of the program, no provider. Keep this sheet where deeds and passports \
    are, and a second one in another house. It is worth nothing to a thief who cannot reach the place, and as much as the \
    data itself to one who can.";
pub const WORDS_NOTE: &str = "Read down the columns. Type them when panicroom asks for the words.";
pub const SCAN_NOTE: &str = "The words, the vault's id and its address once more, for a camera. The text in it can be typed \
    or pasted where words are asked for. A photograph of it is a copy of the words.";

/// Letters of an address that fit on a line of the page beside the longest command.
const LONG: usize = 96;

/// One vault's sheet. Its words are wiped when it is dropped, as far as they are ours.
pub struct Sheet {
    pub vault: VaultId,
    /// As the configuration calls it.
    pub name: Option<String>,
    pub words: Vec<&'static str>,
    /// What the QR code says.
    pub scan: Zeroizing<String>,
    /// The vault's address, as `--vault` takes it.
    pub address: String,
    /// Where the backup is; a line to write on where the value is None.
    pub place: Vec<Row>,
    /// How to get in there; empty where nobody asks who one is.
    pub way_in: Vec<Row>,
    /// For whoever inherits it, a paragraph each.
    pub heir: Vec<&'static str>,
    /// The day after, in order.
    pub steps: Vec<Step>,
    pub date: String,
}

/// A name and its value; None leaves a line to write it on.
pub type Row = (&'static str, Option<Zeroizing<String>>);

pub struct Step {
    pub says: String,
    pub command: Option<Command>,
}

/// A command in two parts, so that a narrow page can break it between them.
pub struct Command {
    pub head: String,
    pub tail: String,
}

impl Command {
    pub fn whole(&self) -> String {
        format!("{} {}", self.head, self.tail)
    }
}

impl Sheet {
    /// `day` is the local date.
    pub fn of(door: &Door, secret: &Secret, account: &Account, day: &str) -> Result<Self> {
        let url = without_class(&door.place.url);
        let address = url.to_string();
        let made = door.file.label(&secret.open_keys(door.file.id).seal).ok();
        let host = made.map(|label| String::from_utf8_lossy(&label.host).into_owned());
        Ok(Self {
            vault: door.file.id,
            name: door.place.name.clone(),
            words: secret.words(),
            scan: words::scannable(secret, door.file.id, &address),
            place: place(&url, door.file.id, &door.place, host),
            way_in: way_in(&url, account)?,
            heir: heir(&url),
            steps: steps(&url, &address),
            address,
            date: day.to_owned(),
        })
    }

    /// Modules of the QR code, row by row; true is dark. And how many there are in a row.
    pub fn code(&self) -> Result<(Vec<bool>, usize)> {
        let text = self.scan.as_bytes();
        let code = QrCode::with_error_correction_level(text, EcLevel::M)
            .or_else(|_| QrCode::with_error_correction_level(text, EcLevel::L))
            .map_err(|e| {
                Error::operator("draw the QR code: the vault's address is too long")
                    .because(e)
                    .remedy("take '--text', which has the words and the address in plain")
            })?;
        Ok((code.to_colors().into_iter().map(|c| c == qrcode::Color::Dark).collect(), code.width()))
    }
}

/// What a pack's class is matters to who writes, not to who reads.
fn without_class(url: &VaultUrl) -> VaultUrl {
    let mut url = url.clone();
    if let VaultUrl::Bucket(bucket) = &mut url {
        bucket.class = None;
    }
    url
}

fn told(text: impl Into<String>) -> Zeroizing<String> {
    Zeroizing::new(text.into())
}

fn place(url: &VaultUrl, vault: VaultId, known: &Place, host: Option<String>) -> Vec<Row> {
    let mut rows: Vec<Row> = match url {
        VaultUrl::Folder(path) => vec![("Folder", Some(told(path.to_string()))), ("On the disk named", None)],
        VaultUrl::Bucket(bucket) => vec![
            ("Bucket (S3)", Some(told(&bucket.name))),
            ("Prefix in it", Some(told(if bucket.prefix.is_empty() { "(none)" } else { &bucket.prefix }))),
            ("Region", bucket.region.clone().map(told)),
            ("Server", Some(told(bucket.endpoint.as_deref().unwrap_or("Amazon Web Services (AWS)")))),
        ],
    };
    rows.push(("Vault id", Some(told(vault.to_string()))));
    if let Some(name) = &known.name {
        rows.push(("Called", Some(told(name))));
    }
    rows.extend(host.map(|host| ("Machine", Some(told(host)))));
    rows
}

fn way_in(url: &VaultUrl, account: &Account) -> Result<Vec<Row>> {
    if matches!(url, VaultUrl::Folder(_)) {
        return Ok(vec![]);
    }
    let (id, secret) = match &account.restorer_credentials {
        Some(file) => access_key(file)?,
        None => (None, None),
    };
    Ok(vec![
        ("Account id", account.account.clone().map(told)),
        ("Sign-in name", account.sign_in.clone().map(told)),
        ("Restorer's access key", id),
        ("and its secret", secret),
    ])
}

type Key = (Option<Zeroizing<String>>, Option<Zeroizing<String>>);

/// Id and secret of the first access key in a file as `~/.aws/credentials` is.
fn access_key(file: &Path) -> Result<Key> {
    let text = Zeroizing::new(super::super::read_text(file, "the credentials file")?);
    let value = |name: &str| {
        let lines = text.lines().filter_map(|l| l.split_once('='));
        lines.filter(|(n, _)| n.trim() == name).map(|(_, v)| v.trim()).find(|v| !v.is_empty()).map(told)
    };
    match (value("aws_access_key_id"), value("aws_secret_access_key")) {
        (id @ Some(_), secret @ Some(_)) => Ok((id, secret)),
        _ => Err(Error::operator(format!("read an access key from {}: it holds none", file.display()))
            .remedy("write it like ~/.aws/credentials: aws_access_key_id = … and aws_secret_access_key = …")),
    }
}

fn heir(url: &VaultUrl) -> Vec<&'static str> {
    let mut out = vec![];
    match url {
        VaultUrl::Folder(_) => out.push(
            "Find the disk named under 1 and keep it cool and dry. Plug it into a Linux computer. If its files show up under \
             another path than the one there, that path takes its place in the commands.",
        ),
        VaultUrl::Bucket(_) => out.extend([
            "Keep the bill paid. An account that is not paid is closed, and some weeks later the provider deletes what is \
             in it. Nobody can bring that back.",
            "No telephone for the second factor (MFA)? The restorer's access key needs none; it can read and thaw, and \
             nothing else. Without that key: sign in with the e-mail address, say that the MFA device is lost, and prove \
             who you are by e-mail and telephone; or ask the provider's support, with the account id and, for an heir, \
             papers.",
        ]),
    }
    out.push(
        "There is no hurry beyond that. Reading changes nothing, a mistake loses nothing, and nothing is paid for that was \
         not shown first. Anybody at home in a terminal can help you; stay with them, and keep this sheet.",
    );
    out
}

fn steps(url: &VaultUrl, address: &str) -> Vec<Step> {
    let quoted = shell(address);
    // A long address is typed once only.
    let is_long = quoted.chars().count() > LONG;
    let vault = if is_long { "\"$VAULT\"" } else { &quoted };
    let command = |head: &str| Some(Command { head: head.to_owned(), tail: format!("--vault {vault}") });
    let says = |text: &str| Step { says: text.to_owned(), command: None };
    let mut out = vec![says(
        "Take any Linux computer and the program panicroom, which is free. Without it: the objects meta_rescue_... of the \
         vault hold a reader in Python and a page that explains every byte. The program's page \"The day after\" has these \
         steps at length.",
    )];
    if matches!(url, VaultUrl::Bucket(_)) {
        out.push(Step {
            says: "Say who you are, with the restorer's access key or any that may read the bucket:".to_owned(),
            command: Some(Command {
                head: "export AWS_ACCESS_KEY_ID=...".to_owned(),
                tail: "AWS_SECRET_ACCESS_KEY=...".to_owned(),
            }),
        });
    }
    if is_long {
        out.push(Step {
            says: "Say where the vault is:".to_owned(),
            command: Some(Command { head: "export".to_owned(), tail: format!("VAULT={quoted}") }),
        });
    }
    out.extend([
        Step { says: "See what there is. It asks for the words, here and below:".to_owned(), command: command("panicroom ls") },
        Step {
            says: "See what it takes: bytes and, from cold storage, hours and money. This orders and pays nothing:".to_owned(),
            command: command("panicroom restore --plan --to restored"),
        },
        Step {
            says: "Bring it back. One folder first: put its path, as ls shows it, behind the word restore. The same command \
                   again goes on where it was cut off:"
                .to_owned(),
            command: command("panicroom restore --to restored"),
        },
    ]);
    out
}
