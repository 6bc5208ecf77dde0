//! Every default of the config file, and nothing else.

use super::Reserve;
use crate::model::{Size, Tier};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Where the commands look when told nothing else.
pub const CONFIG_FILE: &str = "/etc/panicroom/config.toml";

pub const TIER: Tier = Tier::Cold;
pub const QUIET: Duration = Duration::from_secs(30);
pub const QUIET_MAX: Duration = Duration::from_secs(6 * HOUR.as_secs());
pub const DEFAULT_EXCLUDES: bool = true;
pub const CACHEDIR_TAG: bool = true;
/// Events hasten, walks decide: once a day even when no event was lost.
pub const WALK_EVERY: Duration = DAY;

/// Files written in place: disk images, databases, mail stores. A few changed pages of these must not shift
/// or re-send megabytes.
pub const FIXED_CHUNKS: [&str; 38] = [
    "*.img",
    "*.raw",
    "*.qcow",
    "*.qcow2",
    "*.vmdk",
    "*.vdi",
    "*.vhd",
    "*.vhdx",
    "*.hdd",
    "*.sparseimage",
    "*.luks",
    "*.hc",
    "*.sqlite",
    "*.sqlite3",
    "*.sqlitedb",
    "*.db",
    "*.db3",
    "*.mdb",
    "*.accdb",
    "*.fdb",
    "*.gdb",
    "*.dbf",
    "*.mdf",
    "*.ndf",
    "*.ldf",
    "*.edb",
    "*.nsf",
    "*.ibd",
    "ibdata*",
    "*.myd",
    "*.myi",
    "*.pst",
    "*.ost",
    "*.mbox",
    "*.dbx",
    "*.fp7",
    "*.fmp12",
    "*.realm",
];

pub const CLASS: &str = "STANDARD";
pub const PACK_SIZE: Size = Size::mib(25);
pub const PACK_SIZE_MIN: Size = Size::mib(4);
pub const PACK_SIZE_MAX: Size = Size::mib(64);
/// Calls to a bucket are money and few big packs thaw sooner than many small ones; a folder asks for neither.
pub const GATHER_S3: Duration = HOUR;
pub const GATHER_FOLDER: Duration = Duration::ZERO;
pub const LEVEL: i32 = 3;
pub const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;

pub const STATE_DIR: &str = "/var/lib/panicroom";
pub const SPOOL_SIZE: Size = Size::mib(512);
pub const PUBLISH_EVERY: Duration = HOUR;
pub const HTTP_LISTEN: &str = "127.0.0.1:8420";
pub const ALERT_LAG: Duration = Duration::from_secs(2 * DAY.as_secs());

/// Five cents thaw some gigabytes of a deep archive: what nobody thinks about twice, twice a year.
pub const DRILL_BUDGET: u64 = 50_000;
pub const DRILL_BYTES: Size = Size::mib(1024);
pub const DRILL_WARN_AFTER: Duration = Duration::from_secs(180 * DAY.as_secs());
/// A listing is a call for every thousand objects: cents a year.
pub const VERIFY_INVENTORY: Duration = DAY;
/// A HEAD for every pack: 400,000 of them are 16 cents.
pub const VERIFY_CHECKSUM: Duration = Duration::from_secs(90 * DAY.as_secs());
/// What disks forget is noticed while the source may still have it.
pub const VERIFY_READ: Duration = Duration::from_secs(30 * DAY.as_secs());

pub const BILLING_DAY: u8 = 1;
/// A log of a hundredth of the packs it names is far more than there ever was.
pub const RESERVE: Reserve = Reserve::Percent(1);
pub const POLITE: bool = true;

/// Below this a timetable would be a busy loop.
pub const EVERY_MIN: Duration = MINUTE;
