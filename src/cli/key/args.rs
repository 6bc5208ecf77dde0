//! Flags of `key kit`, `key check` and `key passphrase`.

use super::super::out_args::From;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Key {
    /// Write the recovery sheet: one page with the words and all that is needed to use them
    Kit(Kit),
    /// Prove the recovery sheet: its words typed back, or the text of its QR code
    Check(Which),
    /// Let a passphrase open the vault too, beside the words
    Passphrase(Passphrase),
}

/// Which vault, and what opens it.
#[derive(Debug, Clone, Args)]
pub struct Which {
    #[command(flatten)]
    pub from: From,
    /// The vault of that name in the configuration; with several, the words tell which
    #[arg(long, value_name = "NAME", conflicts_with = "vault")]
    pub vault_name: Option<String>,
}

#[derive(Debug, Args)]
pub struct Kit {
    #[command(flatten)]
    pub which: Which,
    /// New file for the sheet (default: recovery-sheet-NAME.pdf here)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Plain text instead of a PDF; shown unless '--out' names a file
    #[arg(long)]
    pub text: bool,
    #[command(flatten)]
    pub account: Account,
}

/// What only the owner knows of the account the bucket lies in; a line to write it on where it is not given.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::struct_field_names, reason = "the names are those of the flags")]
pub struct Account {
    /// The provider's number or name of the account
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    /// What one signs in with: an e-mail address or a name
    #[arg(long, value_name = "NAME")]
    pub sign_in: Option<String>,
    /// Credentials file with the access key of a user that may only read and thaw, to be printed on the sheet
    #[arg(long, value_name = "FILE")]
    pub restorer_credentials: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "the names are those of the flags")]
pub struct Passphrase {
    #[command(flatten)]
    pub which: Which,
    /// File with a passphrase of your own; without it and '--own' six words are drawn by lot
    #[arg(long, value_name = "FILE", conflicts_with = "own")]
    pub passphrase_file: Option<PathBuf>,
    /// Ask for a passphrase of your own
    #[arg(long)]
    pub own: bool,
    /// New file for the words that were drawn, instead of showing them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["own", "passphrase_file"])]
    pub out: Option<PathBuf>,
}
