//! Every command and flag. All of them parse from the first release on.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Parser)]
#[command(
    name = "panicroom",
    version,
    about = "Turns the cheapest cloud storage into a panic room for your data",
    max_term_width = 100
)]
pub struct Line {
    /// The configuration
    #[arg(long, global = true, env = "PANICROOM_CONFIG", value_name = "FILE", default_value = crate::config::defaults::CONFIG_FILE)]
    pub config: PathBuf,
    /// Print JSON where a command reports
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more (twice: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Protect one folder at once: keys, config and a vault are made, and the daemon runs here
    Quickstart(Quickstart),
    /// Start the vaults of a configuration that have no keys on this machine yet
    Init(Init),
    /// Run the daemon
    Run,
    /// One pass without quiet periods, then exit; asks a running daemon where there is one
    Backup,
    /// Show what is safe and what is not (exit 0 healthy, 1 not)
    Status {
        /// When is each root safe, and what that rests on
        #[arg(long)]
        forecast: bool,
        /// When would it be, if: a calendar entry, as in "daily 23:00-06:00 5 Mbit/s", or "limit 5 Mbit/s"
        #[arg(long, value_name = "ENTRY")]
        what_if: Vec<String>,
    },
    /// Stop sending: until resumed, for some time, or until a time
    Pause {
        #[command(flatten)]
        term: Term,
    },
    /// Go on sending
    Resume,
    /// Bound the uplink from now on, for some time, or until a time; without RATE: what holds now, and why
    Limit {
        /// As in "2 Mbit/s"; "none" for no bound; "configured" gives the configured limit and calendar back
        rate: Option<String>,
        #[command(flatten)]
        term: Term,
    },
    /// Compare every file with what is stored, now
    Rescan,
    /// Say which rule decided about a path, and where it is on its way
    Explain { path: PathBuf },
    /// List a folder of the backup
    Ls(super::out_args::Ls),
    /// Every version of a path
    Versions(super::out_args::Versions),
    /// Find paths in the backup by a glob
    Find(super::out_args::Find),
    /// Bring files back
    Restore(super::out_args::Restore),
    /// Make this machine's catalog anew from its vault, and take the vault over
    Rebuild(super::out_args::Rebuild),
    /// Check that the vault holds what the catalog says, without a thaw (exit 0 sound, 1 not, 4 it needs you)
    Verify(super::verify::Verify),
    /// Restore a sample and compare it: proof that the way out works
    Drill(super::drill::Drill),
    /// What keeping, restoring and leaving costs; asks no server
    Cost(super::cost::Cost),
    /// The recovery sheet, a check of its words, a passphrase for the vault
    #[command(subcommand)]
    Key(super::key::args::Key),
    /// Make a bucket on AWS, or print how to make it and its keys, for AWS and others
    #[command(subcommand)]
    Setup(Setup),
    /// Prove each vault by trial: what works, what fails, what this key may do and must not
    Doctor(super::doctor::Doctor),
    /// Print the completions of a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    Man,
}

/// How long an order holds; neither: until another one.
#[derive(Debug, Default, Args)]
pub struct Term {
    /// So long, as in "2h"
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "until")]
    pub length: Option<String>,
    /// Until then: "18:00", "tomorrow", "2026-11-24 06:00", RFC 3339, or "change" (when the calendar allows something else)
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Setup {
    /// Make a bucket on AWS for a vault, or make one that is there fit for it
    Aws(super::setup::aws::Aws),
    /// Print what to make by hand, for AWS and others
    Print(super::setup::Print),
}

#[derive(Debug, Args)]
pub struct Quickstart {
    /// The folder to protect
    pub dir: PathBuf,
    /// Where config, state and the default vault go (default: panicroom in the XDG data folder)
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Keep the backup here instead of in a local folder: file:///path or s3://bucket/prefix
    #[arg(long, value_name = "URL")]
    pub vault: Option<String>,
    /// Write the recovery words to this new file instead of showing them
    #[arg(long, value_name = "FILE")]
    pub words_file: Option<PathBuf>,
    /// Address of the page, or "off"
    #[arg(long, value_name = "ADDR|off")]
    pub http: Option<String>,
    /// Bound of the uplink, as in "2 Mbit/s"
    #[arg(long, value_name = "RATE")]
    pub limit: Option<String>,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Folder to protect; writes a configuration where there is none
    #[arg(long, value_name = "DIR")]
    pub root: Vec<PathBuf>,
    /// Vault of a configuration written here
    #[arg(long, value_name = "URL")]
    pub vault: Option<String>,
    /// New file for the recovery words
    #[arg(long, value_name = "FILE")]
    pub words_file: Option<PathBuf>,
    /// File with a passphrase that opens the vault too
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// New file for the recovery sheet, a page to print (PDF)
    #[arg(long, value_name = "FILE")]
    pub kit: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_flag_of_the_design_parses() {
        for line in [
            "quickstart DIR --home H --vault URL --words-file F --http off --limit RATE",
            "init --root A --root B --vault URL --words-file W --passphrase-file F --kit K",
            "run",
            "backup --json",
            "status --json",
            "status --forecast --what-if RATE --what-if RATE --json",
            "pause",
            "pause --for 1h",
            "pause --until tomorrow",
            "resume",
            "limit none",
            "limit RATE --for 2h",
            "limit RATE --until TIME",
            "limit",
            "limit --json",
            "rescan",
            "explain PATH --json",
            "ls",
            "ls PATH --at 3d --vault URL --key-file F --json",
            "versions PATH --vault URL --key-file F",
            "find GLOB --vault URL --key-file F",
            "restore --to DIR",
            "restore A B --to DIR --at 3d --plan --speed bulk --max-cost 1.50 --yes --overwrite --strip --poll 1h --downlink RATE",
            "restore --to DIR --speed standard --vault URL --key-file F --json",
            "restore --to DIR --speed expedited",
            "restore --resume abc123",
            "verify --json",
            "verify --vault URL --key-file F",
            "verify --level checksum --sample 5 --vault-name N",
            "verify --level read --all --key-file F",
            "verify --heal --acknowledge",
            "drill",
            "drill --vault URL --key-file F",
            "drill --budget 0.10 --bytes SIZE --sealed --speed bulk --vault-name N --scratch DIR --plan --yes --poll 1h --json",
            "drill --resume abc123",
            "cost --json",
            "cost --vault URL --key-file F",
            "cost --compare --prices F --downlink RATE --json",
            "rebuild",
            "rebuild --key-file F",
            "key kit",
            "key kit --vault URL --key-file F",
            "key kit --text --out F --vault-name N --account A --sign-in S --restorer-credentials C",
            "key check",
            "key check --vault URL --key-file F",
            "key passphrase",
            "key passphrase --own --vault-name N",
            "key passphrase --passphrase-file F --vault URL --key-file F",
            "key passphrase --out F",
            "setup aws",
            "setup aws --bucket B --prefix P --region R --object-lock 30 --credentials-file F --dry-run --json",
            "setup aws --bucket B --region R --endpoint URL --adopt --yes",
            "setup print",
            "setup print --provider b2 --bucket B --prefix P --region R --object-lock 30 --json",
            "doctor",
            "doctor --vault-name N --json",
            "completions bash",
            "man",
            "-v -v --config C --json status",
        ] {
            let words = ["panicroom"].into_iter().chain(line.split(' '));
            if let Err(e) = Line::try_parse_from(words) {
                panic!("{line}: {e}");
            }
        }
    }
}
