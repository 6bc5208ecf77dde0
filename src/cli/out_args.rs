//! Flags of the commands that look into a vault or bring files back.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Which vault, and what opens it.
#[derive(Debug, Clone, Args)]
pub struct From {
    /// The vault itself, without a configuration: file:///path or s3://bucket/prefix?region=…; or the name of a
    /// configured one
    #[arg(long, value_name = "URL")]
    pub vault: Option<String>,
    /// File with the 24 words or the passphrase (asked for when it is not given)
    #[arg(long, value_name = "FILE", env = "PANICROOM_KEY_FILE")]
    pub key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Ls {
    /// Absolute path; "/" when left out
    pub path: Option<PathBuf>,
    /// As of then: RFC 3339, local "YYYY-MM-DD HH:MM", or "3d" ago
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, Args)]
pub struct Versions {
    pub path: PathBuf,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, Args)]
pub struct Find {
    /// Without "/" it is for names, with one for whole paths; case does not matter
    pub glob: String,
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpeedArg {
    Bulk,
    Standard,
    Expedited,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// Absolute paths as they were on the machine; everything when left out
    pub paths: Vec<PathBuf>,
    /// Folder to restore into; "/" restores in place
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    pub to: Option<PathBuf>,
    /// As of then: RFC 3339, local "YYYY-MM-DD HH:MM", or "3d" ago
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Only say what it would take, cost and last, at every speed; spends nothing
    #[arg(long)]
    pub plan: bool,
    /// How urgently to thaw (the cheapest speed there is when left out)
    #[arg(long, value_enum)]
    pub speed: Option<SpeedArg>,
    /// Refuse what costs more than this, or what has no known price
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<f64>,
    /// Do not ask before money is spent
    #[arg(long)]
    pub yes: bool,
    /// Replace files that differ
    #[arg(long)]
    pub overwrite: bool,
    /// Drop each path's parent
    #[arg(long)]
    pub strip: bool,
    /// How often to look whether packs are thawed (15m for Deep Archive, 1m for expedited)
    #[arg(long, value_name = "DURATION")]
    pub poll: Option<String>,
    /// How fast your line brings data in, as in "20 Mbit/s", before that is measured: for the hours, and for how much is
    /// thawed at first
    #[arg(long, value_name = "RATE")]
    pub downlink: Option<String>,
    /// Go on with a restore that was cut off
    #[arg(long, value_name = "JOB")]
    pub resume: Option<String>,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, Args)]
pub struct Rebuild {
    #[command(flatten)]
    pub from: From,
}
