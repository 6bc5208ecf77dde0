//! panicroom: the place for data that survives fire, lightning, theft and ransomware.
//!
//! A daemon that watches folders, queues what changed, and trickles encrypted, deduplicated packs to
//! cold cloud storage or any other place that holds bytes; and brings everything back from a vault and
//! a sheet of paper.
//!
//! # Words
//! **root** a watched folder · **hint** something may have changed · **dirty** a path owed a look ·
//! **stamp** size, mtime, ctime and inode: how a file is called unchanged · **version** one captured state
//! of a path · **seq** a counter of the vault that only grows · **chunk** a piece of content named by keyed
//! hash · **block** chunks compressed and sealed together · **pack** a sealed bag of blocks, one object ·
//! **segment** a numbered sealed object of the vault's log · **spool** sealed objects not yet in the vault ·
//! **vault** a destination · **tier** hot or cold · **stored** the vault confirmed it · **safe** stored
//! segments name it and all it needs · **lag** age of the oldest change not yet safe · **gather** how long a
//! change may wait for a full pack · **thaw** asking cold storage for a pack · **speed** bulk, standard or
//! expedited · **drill** a proven sample restore · **kit** the printed recovery sheet.
//!
//! # Layers
//! A module names only strictly lower layers; `tests/layering.rs` checks it.
//!
//! | layer | modules |
//! |---|---|
//! | L0 words | `model`, `error`, `clock`, `worker` |
//! | L1 pure | `config`, `filter`, `chunk`, `seal`, `uplink`, `price` |
//! | L2 bytes | `format`, `kernel` |
//! | L3 edges | `catalog`, `source`, `spool`, `place`, `store`, `alert`, `link` |
//! | L4 flows | `backup`, `restore`, `upkeep` |
//! | L5 shell | `daemon` |
//! | L6 faces | `web` |
//! | L7 hands | `cli` |
// Only `kernel` lifts it, where the standard library has no word: docs/decisions/0021-kernel.md.
#![deny(unsafe_code)]

pub mod alert;
pub mod backup;
pub mod catalog;
pub mod chunk;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod error;
pub mod filter;
pub mod format;
pub mod kernel;
pub mod link;
pub mod model;
pub mod place;
pub mod price;
pub mod restore;
pub mod seal;
pub mod source;
pub mod spool;
pub mod store;
pub mod upkeep;
pub mod uplink;
pub mod web;
pub mod worker;
