//! What is done to a vault besides backing up to it and restoring from it: opening it with what is on paper, making a
//! catalog from its log, keeping that log short, looking whether all is there (and whether what is here still is what was captured), and mending what is not.

pub mod heal;
pub mod merge;
pub mod program;
pub mod rebuild;
pub mod reread;
pub mod unlock;
pub mod verify;
