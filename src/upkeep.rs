//! What is done to a vault besides backing up to it and restoring from it: opening it with what is on paper, and
//! making a catalog from its log.

pub mod merge;
pub mod program;
pub mod rebuild;
pub mod unlock;
