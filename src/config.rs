//! What the operator wrote, as values. Pure: it is handed the text and gives [`Settings`] back; reading the
//! file is the caller's job, and so is reading a `filter_file` (it comes in through a loader).
//!
//! Promises: nothing is guessed. An unknown key, a value out of range, a path that is not absolute, a setting
//! that means nothing for its kind of vault: each is refused with file, line and remedy, as an error of kind
//! Operator. Every default is in [`defaults`], every known key in [`KEYS`]. What may hold a secret (alert
//! command, ping address) never shows in `Debug` nor in an error.

pub mod defaults;
pub mod duration;
mod host;
mod kind;
mod link;
mod nearest;
mod percent;
mod read;
pub mod render;
mod root;
mod section;
mod together;
mod uplink;
pub mod url;
mod value;
mod vault;

pub use host::HostName;
pub use read::parse;
pub use render::{Listen, Sketch};
pub use url::{Addressing, Bucket, VaultUrl};
pub use value::money;

pub use crate::model::Priority;
use crate::model::{Hours, LinkChoice, OrderRule, Rate, Size, Tier, TreePath, Window};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything the config file says, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where all this was read.
    pub file: PathBuf,
    /// At least one, in the order of the file; no path twice. Nested roots are allowed: the longest wins.
    pub roots: Vec<RootSettings>,
    /// At least one, in the order of the file; no name and no place twice.
    pub vaults: Vec<VaultSettings>,
    pub uplink: UplinkSettings,
    /// `pause_on` and `only_on`: over which links anything is sent.
    pub links: LinkChoice,
    /// Catalogs, keys, spool, socket.
    pub state_dir: TreePath,
    /// Bound of the sealed bytes waiting for one vault; at least twice its pack size.
    pub spool_size: Size,
    pub walk: WalkSettings,
    /// On how many processors to work.
    pub cpu: Cpu,
    /// How often segments are published while the queue does not drain.
    pub publish_every: Duration,
    /// None: no page.
    pub http_listen: Option<SocketAddr>,
    /// Names the page answers to besides `localhost` and its address.
    pub http_hosts: Vec<HostName>,
    pub alert: AlertSettings,
    /// A price list of the operator's own; None: the shipped one.
    pub prices_file: Option<PathBuf>,
    pub drill: DrillSettings,
    pub verify: VerifySettings,
}

impl Settings {
    /// The roots a vault keeps, in the order of the file.
    pub fn roots_of<'a>(&'a self, vault: &'a VaultSettings) -> impl Iterator<Item = &'a RootSettings> {
        self.roots.iter().filter(|root| vault.roots.contains(&root.path))
    }
}

/// One watched folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootSettings {
    pub path: TreePath,
    pub tier: Tier,
    /// Of what no rule of `order` names.
    pub priority: Priority,
    /// The first that matches decides.
    pub order: Vec<OrderRule>,
    /// A path is captured once it rested this long…
    pub quiet: Duration,
    /// …or never rested for this long. At least `quiet`.
    pub quiet_max: Duration,
    pub filter: FilterList,
    /// Whether the shipped list of excludes applies after the root's own lines.
    pub default_excludes: bool,
    /// A folder that holds a file of this name is left out; None: no such name.
    pub marker: Option<String>,
    /// Whether a folder with a valid `CACHEDIR.TAG` is left out.
    pub cachedir_tag: bool,
    /// Types of file systems to walk into beneath the root besides local disks (`nfs4`, `fuse.mergerfs`).
    pub filesystems: Vec<String>,
    /// Globs of files that change in place, cut at fixed places. One without `/` is for the file's name, one
    /// with `/` for its whole path; upper and lower case are the same.
    pub fixed_chunks: Vec<String>,
    /// How often the whole root is walked, whatever the events say.
    pub walk_every: Duration,
}

/// The `+`/`-` list of a root, not yet read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterList {
    /// `filter`, line by line; empty when nothing was said.
    Lines(Vec<String>),
    /// `filter_file` and its whole contents: paths in it need not be UTF-8.
    File { path: PathBuf, contents: Vec<u8> },
}

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultSettings {
    /// Letters, digits, `.`, `_`, `-`: names its catalog, its spool and its systemd credential.
    pub name: String,
    pub url: VaultUrl,
    /// None: the systemd credential of the vault's name if there is one, else the standard AWS chain.
    pub credentials_file: Option<TreePath>,
    /// 4 to 64 MiB.
    pub pack_size: Size,
    /// How long a change may wait for a full pack.
    pub gather: Duration,
    /// Bound of this vault alone; None: only the bound of all.
    pub limit: Option<Rate>,
    /// The same for what comes from it.
    pub download: Option<Rate>,
    /// Paths of the roots it keeps; never empty.
    pub roots: Vec<TreePath>,
    /// Of zstd: 1 to 19.
    pub level: i32,
    /// A static build of this program, of which the vault is to keep a copy.
    pub rescue_program: Option<TreePath>,
}

/// What may go over the line, for all vaults together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkSettings {
    /// Outside the windows of the calendar; None: no bound.
    pub limit: Option<Rate>,
    /// What may come, always; None: no bound.
    pub download: Option<Rate>,
    /// Windows of the week; a later one wins over an earlier one.
    pub calendar: Vec<Window>,
    /// Bytes both ways from billing day to billing day; None: no cap.
    pub month: Option<Size>,
    /// Bytes both ways from midnight to midnight; None: no cap.
    pub day: Option<Size>,
    /// 1 to 31; in a shorter month its last day.
    pub billing_day: u8,
    /// What of a cap is kept for the log.
    pub reserve: Reserve,
    /// Whether uploads to buckets give way before other users of the line notice.
    pub polite: bool,
}

/// A part of a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserve {
    /// 0 to 50.
    Percent(u8),
    Bytes(Size),
}

impl Reserve {
    /// Of a cap of `bytes`, at most half of it.
    pub fn of(self, bytes: u64) -> u64 {
        match self {
            Self::Percent(part) => bytes / 100 * u64::from(part) + bytes % 100 * u64::from(part) / 100,
            Self::Bytes(Size(n)) => n.min(bytes / 2),
        }
    }
}

/// Whom to tell, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettings {
    /// A line for `/bin/sh -c`.
    pub command: Option<Secret>,
    /// Asked for while all is well: whoever watches it notices the silence.
    pub ping_url: Option<Secret>,
    /// A change not safe for this long is an alarm.
    pub lag: Duration,
}

/// How much a drill may take, and when one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrillSettings {
    /// Millionths of the price list's currency.
    pub budget: u64,
    /// Read from packs, and restored.
    pub bytes: Size,
    /// So long after the last successful one.
    pub warn_after: Duration,
}

impl Default for DrillSettings {
    fn default() -> Self {
        Self { budget: defaults::DRILL_BUDGET, bytes: defaults::DRILL_BYTES, warn_after: defaults::DRILL_WARN_AFTER }
    }
}

/// When walks of the timetable come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkSettings {
    /// Local time; None: whenever they are due.
    pub hours: Option<Hours>,
    /// Whether they may wake sleeping disks.
    pub wake: bool,
}

/// A part of the machine's processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    All,
    Processors(u16),
    /// 1 to 100, of those there are.
    Percent(u16),
}

/// How often vaults are looked at; None: never by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifySettings {
    /// A listing against the catalog.
    pub inventory: Option<Duration>,
    /// Within this time every pack's checksum was asked for once. Buckets.
    pub checksum: Option<Duration>,
    /// Within this time every pack was read once. Folders.
    pub read: Option<Duration>,
    /// Within this time every file of the roots was read again once.
    pub reread: Option<Duration>,
}

/// Text that may hold a password or a token: it never shows unless asked for by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Every section and its keys, as the file spells them.
pub const KEYS: [(&str, &[&str]); 12] = [
    (
        "root",
        &[
            "path",
            "tier",
            "priority",
            "order",
            "quiet",
            "quiet_max",
            "filter",
            "filter_file",
            "default_excludes",
            "marker",
            "cachedir_tag",
            "filesystems",
            "fixed_chunks",
            "walk_every",
        ],
    ),
    (
        "vault",
        &[
            "name",
            "url",
            "endpoint",
            "region",
            "path_style",
            "class",
            "credentials_file",
            "pack_size",
            "gather",
            "limit",
            "download",
            "roots",
            "level",
            "rescue_program",
        ],
    ),
    (
        "uplink",
        &["limit", "download", "calendar", "month", "day", "billing_day", "reserve", "polite", "pause_on", "only_on"],
    ),
    ("state", &["dir", "spool_size"]),
    ("publish", &["every"]),
    ("walk", &["every", "hours", "wake"]),
    ("kind", &["cpu"]),
    ("http", &["listen", "hosts"]),
    ("alert", &["command", "ping_url", "lag"]),
    ("prices", &["file"]),
    ("drill", &["budget", "bytes", "warn_after"]),
    ("verify", &["inventory", "checksum", "read", "reread"]),
];
