//! The one document every face shows, and what an operator may ask. Names and meanings stand: others
//! rely on them. `status --json` and `/api/v1/status` are this, byte for byte.
//!
//! Unknown is null, never 0. `safe` is counted from rows each time (promise 3).

use crate::clock::Wall;
use crate::error::Result;
use crate::model::{Rate, TreePath};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the daemon as a whole is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    Starting,
    /// Roots are being walked: nothing is called safe yet.
    Checking,
    Working,
    Idle,
    Paused,
    /// Something needs a person; it says what.
    Attention,
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub state: Overall,
    /// One plain sentence: what is safe and what is not.
    pub headline: String,
    /// `good`, `warning` (amber) or `alarm` (red): the colour of the headline.
    pub mood: Mood,
    /// What to do about it, where there is something.
    pub advice: Option<String>,
    pub version: String,
    pub uptime_s: u64,
    pub limit_bytes_per_s: Option<u64>,
    pub roots: Vec<RootStatus>,
    pub vaults: Vec<VaultStatus>,
    pub failed: Vec<FailedPath>,
    /// Versions of files that cannot be brought back from the vault that lost them; the first hundred.
    #[serde(default)]
    pub lost: Vec<LostVersion>,
    pub events: Vec<Event>,
    /// What may go over the line now, and when; null from a daemon that does not say.
    #[serde(default)]
    pub uplink: Option<UplinkStatus>,
}

/// What may go over the line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkStatus {
    /// One sentence: what may go now, why, and until when.
    pub now: String,
    /// Limits of all vaults together; null: none. While nothing may go, as they will be.
    pub up_bytes_per_s: Option<u64>,
    pub down_bytes_per_s: Option<u64>,
    /// configured | window | ordered: where the limit comes from.
    pub why: String,
    /// Why nothing goes, or nothing but the log; null: all may go.
    pub hold: Option<HoldStatus>,
    /// RFC 3339: when this may change by itself; null: it does not.
    pub until: Option<String>,
    /// RFC 3339: when the calendar allows something else; null: never.
    pub calendar_until: Option<String>,
    /// Of the hours of the calendar, as `Europe/Berlin`.
    pub zone: String,
    pub ordered: Option<OrderStatus>,
    pub paused: Option<OrderStatus>,
    pub caps: Vec<CapStatus>,
    /// Why the counts of the caps do not begin where they should; null: they do.
    pub caps_lost: Option<String>,
    /// A sentence for each vault whose own limit is lower than what the line allows.
    #[serde(default)]
    pub own_limits: Vec<String>,
    /// Seven days, Monday first, each whole from 00:00 to 24:00; empty without a calendar.
    pub week: Vec<Vec<PartStatus>>,
}

/// Why nothing goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldStatus {
    /// paused | link | window | cap
    pub kind: String,
    pub text: String,
    /// The log still goes, so that what is stored becomes safe.
    pub log_goes: bool,
    /// Folders wait too: else only buckets.
    pub folders_too: bool,
}

/// An order that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStatus {
    /// RFC 3339.
    pub since: String,
    /// RFC 3339; null: for good.
    pub until: Option<String>,
}

/// A cap and what is left of it, bytes both ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapStatus {
    /// month | day
    pub span: String,
    pub bytes: u64,
    pub used: u64,
    /// Without the reserve.
    pub left: u64,
    pub reserve: u64,
    /// RFC 3339: the period's begin and end.
    pub since: String,
    pub resets: String,
    /// RFC 3339: bytes are counted only since then, later than the period began; null: all of it was counted.
    pub counted_since: Option<String>,
}

/// A part of a weekday by the calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartStatus {
    /// `08:00`; the end may be `24:00`.
    pub from: String,
    pub to: String,
    /// `off`, `unlimited`, or the limit.
    pub allowed: String,
    /// null: off, or unlimited.
    pub bytes_per_s: Option<u64>,
    /// The entry that decides, as written; null: none does.
    pub entry: Option<String>,
}

/// How long an order holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// Until another one.
    Always,
    For(Duration),
    Until(Wall),
    /// Until the next local midnight.
    Tomorrow,
    /// Until the calendar allows something else; without such a change like [`Always`](Self::Always).
    Change,
}

/// What an operator may set in the place of the configured limit and the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    At(Rate),
    Unlimited,
    /// As configured: the calendar holds again.
    Configured,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mood {
    Good,
    /// Nothing to alarm about yet: work is under way.
    Busy,
    Warning,
    Alarm,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RootStatus {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// checking | working | safe | failed | missing
    pub state: String,
    pub files: u64,
    pub bytes: u64,
    pub safe_files: u64,
    pub safe_bytes: u64,
    /// At least 1 until the root was walked after a start.
    pub dirty: u64,
    pub failed: u64,
    pub changed_while_read: u64,
    pub lag_s: Option<u64>,
    /// Seconds until all of it is likely to be safe, and the range; null: not known, or never as things are.
    pub eta_s: Option<u64>,
    #[serde(default)]
    pub eta_earliest_s: Option<u64>,
    #[serde(default)]
    pub eta_latest_s: Option<u64>,
    /// RFC 3339: the likely time; null where `eta_s` is, and where all is safe.
    #[serde(default)]
    pub eta_at: Option<String>,
    /// Per mille of its bytes that are safe; null until it was walked.
    #[serde(default)]
    pub progress: Option<u64>,
    pub error: Option<String>,
    /// Every vault of this root lies on the root's own disk.
    pub same_disk: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VaultStatus {
    pub name: String,
    pub url: String,
    /// starting | working | idle | paused | waiting | attention
    pub state: String,
    pub roots: Vec<String>,
    pub stored_bytes: u64,
    pub stored_objects: u64,
    pub queued_bytes: u64,
    pub queued_files: u64,
    pub spool_bytes: u64,
    pub rate_bytes_per_s: Option<u64>,
    /// Its own limits, which hold beside the line's, whatever is ordered; null: none.
    #[serde(default)]
    pub limit_bytes_per_s: Option<u64>,
    #[serde(default)]
    pub download_bytes_per_s: Option<u64>,
    /// How it gives way to others; null: a folder, which has nobody to give way to.
    #[serde(default)]
    pub manners: Option<MannersStatus>,
    pub sent_bytes_total: u64,
    /// Everything that went over the wire since the start; null from a daemon that does not say.
    #[serde(default)]
    pub wire: Option<WireStatus>,
    pub requests: RequestCounts,
    /// Age of the oldest change of any of its roots that is not safe in it; null: not known.
    #[serde(default)]
    pub lag_s: Option<u64>,
    pub eta_s: Option<u64>,
    #[serde(default)]
    pub eta_earliest_s: Option<u64>,
    #[serde(default)]
    pub eta_latest_s: Option<u64>,
    /// RFC 3339.
    pub last_segment: Option<String>,
    pub last_error: Option<String>,
    /// RFC 3339: when the words of the recovery sheet were last proved right on this machine; null: never, or unknown.
    pub sheet_checked: Option<String>,
    /// It was never checked, or not for a year; null while the vault is not open.
    pub sheet_due: Option<bool>,
    /// The newest drill; null: none yet, or unknown.
    #[serde(default)]
    pub drill: Option<DrillStatus>,
    /// The last one that succeeded is older than `[drill] warn_after` (or the vault is, where none did), or the newest did
    /// not succeed; null while the vault is not open.
    #[serde(default)]
    pub drill_due: Option<bool>,
    /// What looking through the vault told; null while it is not open.
    #[serde(default)]
    pub verify: Option<VerifyStatus>,
}

/// How the uploads of a vault give way to everybody else on the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MannersStatus {
    /// `off` (not asked for), `no_tcp_info` (the system does not tell of its connections) or `on`.
    pub state: String,
    /// How long everybody's packets wait before the line; null: nothing is sent that could see it, or off.
    pub delay_ms: Option<u64>,
    /// What it lets go now; null: off.
    pub rate_bytes_per_s: Option<u64>,
    /// That is less than the limits allow: it is what bounds the uploads.
    pub bounds: bool,
    /// All that in a sentence.
    pub text: String,
}

/// Bytes of packets, heads and TLS included, what was sent again too; of a folder the bytes of its objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireStatus {
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

/// What a drill came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillStatus {
    /// RFC 3339.
    pub last_at: String,
    /// contents | sealed
    pub kind: String,
    /// Everything it tried came back as it should.
    pub ok: bool,
    pub packs: u64,
    /// Restored and compared; 0 of a drill of sealed bytes.
    pub files: u64,
    /// Files, or packs of a drill of sealed bytes, that did not come back as they should.
    pub failed: u64,
    /// RFC 3339: when a drill last succeeded; null: never.
    pub proved_at: Option<String>,
}

/// Whether the vault holds what it should, as far as that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyStatus {
    /// The last of each that came to its end; null: never.
    pub inventory: Option<CheckStatus>,
    pub checksum: Option<CheckStatus>,
    pub read: Option<CheckStatus>,
    /// The roots read again, not the vault; its figures count files.
    #[serde(default)]
    pub reread: Option<CheckStatus>,
    /// Files of the roots that are not what was captured of them though their stamp is, and the newest of them by name.
    #[serde(default)]
    pub rotten: u64,
    #[serde(default)]
    pub rot: Vec<RottenFile>,
    /// Objects that are not as they should be, by all checks.
    pub defects: u64,
    /// Packs missing or damaged that wait for the owner's word, and their bytes.
    pub waiting_packs: u64,
    pub waiting_bytes: u64,
    /// Lost packs whose files are being read again.
    pub healing_packs: u64,
    /// Versions of files that cannot be brought back.
    pub lost_versions: u64,
    /// Of those, the ones nobody has acknowledged.
    pub unacknowledged: u64,
    /// What is wrong, in a sentence, and what to do; null: sound as far as looked.
    pub unsound: Option<String>,
}

/// How one check ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// RFC 3339: when it ended.
    pub at: String,
    /// Objects.
    pub looked: u64,
    pub bytes: u64,
    pub wrong: u64,
    /// Frozen, or nothing to compare with.
    pub not_looked: u64,
    pub foreign: u64,
    /// Packs like ours that no log names.
    pub unnamed: u64,
    /// What could not be looked at, and why.
    pub note: Option<String>,
    /// Packs this check was never made of, and when the one whose turn is next was last looked at; null for an inventory.
    pub never: Option<u64>,
    pub oldest: Option<String>,
    /// RFC 3339: when it is made next; null: not by itself.
    pub next: Option<String>,
    pub proves: String,
    pub does_not_prove: Option<String>,
}

/// A file of a root that is not what was captured of it, though its stamp is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RottenFile {
    /// Escaped for people.
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// rot | cannot be read
    pub wrong: String,
    pub said: String,
    /// RFC 3339: the version the vault has; as of then a restore brings it back.
    pub captured: String,
    /// RFC 3339: since when it is known.
    pub since: String,
}

/// A version whose bytes lay only in packs that are lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostVersion {
    pub vault: String,
    /// Escaped for people.
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// RFC 3339.
    pub captured: String,
    /// It is the newest version of a file that is still there, or was last seen so.
    pub latest: bool,
    pub pack: String,
    pub why: String,
}

/// What an operator asks to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyAsk {
    /// None: every vault.
    pub vault: Option<String>,
    /// inventory | checksum | read | reread
    pub level: String,
    /// Packs (files, of a re-read) to look at; None: all.
    pub sample: Option<u64>,
    /// Whether more than a few lost packs may be sent again.
    pub heal: bool,
    /// Whether what cannot be healed was seen by the owner.
    pub acknowledge: bool,
}

/// One vault, looked at because somebody asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    pub vault: String,
    pub level: String,
    /// Nothing is wrong, by this look and all before it.
    pub sound: bool,
    /// Nothing goes on without a word of the owner.
    pub needs_owner: bool,
    pub result: CheckStatus,
    pub defects: Vec<DefectShown>,
    /// Packs given up, and files that are read again because of it.
    pub healed_packs: u64,
    pub healed_files: u64,
    pub waiting_packs: u64,
    pub waiting_bytes: u64,
    pub lost_versions: u64,
    pub lost: Vec<LostVersion>,
    /// It could not be looked at: why.
    pub error: Option<String>,
}

/// An object that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefectShown {
    pub name: String,
    pub wrong: String,
    pub said: String,
    /// RFC 3339: since when it is known.
    pub since: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    pub put: u64,
    pub get: u64,
    pub head: u64,
    pub list: u64,
    pub thaw: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedPath {
    /// Escaped for people.
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    pub error: String,
    /// RFC 3339.
    pub since: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// RFC 3339.
    pub at: String,
    /// good | note | warning | alarm
    pub level: String,
    pub text: String,
}

/// Where a path is in the pipeline, and which rule put it there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub path: String,
    /// Which rule decided, in words.
    pub rule: String,
    pub chosen: bool,
    /// A line per vault: dirty, captured, stored, safe, failed and why.
    pub stages: Vec<String>,
}

/// When each root is safe, as things are or as it is supposed they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForecastStatus {
    /// RFC 3339: when this was worked out.
    pub at: String,
    /// What was supposed, as it was asked.
    pub what_if: Vec<String>,
    /// One for each root and vault.
    pub roots: Vec<RootForecast>,
    /// What it rests on, in sentences.
    pub assumptions: Vec<String>,
}

/// When one root is safe in one vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootForecast {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    pub vault: String,
    /// safe | waiting | failed (nothing waits, but some of it cannot be read) | never (not within ten years, as things are) |
    /// unknown
    pub state: String,
    /// Paths that cannot be read: whatever is foretold is without them.
    pub failed: u64,
    /// Bytes of files that wait, before dedup and compression, and what of it is likely to be sent.
    pub waiting_bytes: u64,
    pub to_send_bytes: u64,
    pub new_bytes_per_day: u64,
    /// Seconds from `at`; null: not within ten years, or not known.
    pub earliest_s: Option<u64>,
    pub likely_s: Option<u64>,
    pub latest_s: Option<u64>,
    /// RFC 3339: the same.
    pub earliest: Option<String>,
    pub likely: Option<String>,
    pub latest: Option<String>,
}

/// What an operator may ask of a running daemon.
pub trait Console: Send + Sync {
    fn status(&self) -> Status;
    /// Why `/healthz` should answer 503, if it should: alarms only, never a first backup that moves.
    fn unhealthy(&self) -> Option<String>;
    /// Operator: its end is not ahead.
    fn pause(&self, lasting: Lasting) -> Result<()>;
    fn resume(&self) -> Result<()>;
    /// Operator: its end is not ahead.
    fn limit(&self, bound: Bound, lasting: Lasting) -> Result<()>;
    fn rescan(&self) -> Result<()>;
    fn explain(&self, path: &TreePath) -> Result<Explanation>;
    /// When is each root safe; `what_if`: entries of the calendar, or `limit RATE`. Operator: one is neither.
    fn forecast(&self, what_if: &[String]) -> Result<ForecastStatus>;
    /// Asks for one pass without quiet periods; returns when everything noticed by then is safe or failed.
    fn backup_now(&self) -> Result<()>;
    /// Looks through vaults without a thaw; returns when that is done: hours, perhaps.
    fn verify(&self, asked: &VerifyAsk) -> Result<Vec<Verified>>;
}
