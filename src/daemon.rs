//! The shell: which workers run, on what timetable, in what order they start and stop; and the console through which
//! every face looks and asks.

pub mod checks;
pub mod console;
pub mod desk;
pub mod drill;
pub mod forecast;
pub mod found;
pub mod gate;
pub mod home;
pub mod kind;
mod link;
pub mod mistake;
pub mod open;
pub mod orders;
pub mod reread;
mod rest;
pub mod run;
pub mod sheet;
pub mod spell;
#[cfg(test)]
mod trial;
pub mod uplink;
pub mod vigil;
mod walks;
