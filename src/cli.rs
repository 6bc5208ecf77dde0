//! The command line: what people type, turned into settings, a running daemon, or a question to one.
//!
//! Exit codes: 0 done, 1 failed or unhealthy, 2 usage or config, 3 done with some files failed, 4 needs the operator.

pub mod args;
mod ask;
pub mod begin;
mod cost;
mod doctor;
mod drill;
pub mod forecast;
mod key;
mod log;
mod log_state;
mod look;
mod out_args;
mod papers;
mod patience;
mod prices;
mod restore;
mod serve;
mod settings;
mod setup;
mod source;
mod time;
mod uplink;
mod verify;

use crate::daemon::mistake;
use crate::error::{Error, Kind, Result};
use crate::worker::Faults;
use args::{Command, Line, Setup};
use clap::Parser;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    Unhealthy,
    Usage,
    SomeFailed,
    NeedsOperator,
}

impl Exit {
    fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Unhealthy => 1,
            Self::Usage => 2,
            Self::SomeFailed => 3,
            Self::NeedsOperator => 4,
        })
    }
}

/// An error of what was typed or configured, told from one of the work.
#[derive(Debug)]
pub enum Failure {
    Usage(Error),
    Work(Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Work(e)
    }
}

pub type Answer = std::result::Result<Exit, Failure>;

pub fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { Exit::Usage.code() } else { Exit::Done.code() };
        }
    };
    mistake::ends_the_program();
    quiet_cores();
    // What this program writes is for its user alone (promise 15).
    rustix::process::umask(rustix::fs::Mode::from_bits_retain(0o077));
    log::start(&line);
    match dispatch(&line) {
        Ok(exit) => exit.code(),
        Err(Failure::Usage(e)) => {
            eprintln!("panicroom: {e}");
            Exit::Usage.code()
        }
        Err(Failure::Work(e)) => {
            eprintln!("panicroom: {e}");
            match e.kind() {
                Kind::Operator | Kind::Damaged => Exit::NeedsOperator.code(),
                _ => Exit::Unhealthy.code(),
            }
        }
    }
}

fn dispatch(line: &Line) -> Answer {
    match &line.command {
        Command::Quickstart(q) => begin::quickstart(q),
        Command::Init(i) => begin::init(line, i, &Faults::default()),
        Command::Run => serve::run(line),
        Command::Backup => serve::backup(line),
        Command::Status { forecast: false, what_if } if what_if.is_empty() => ask::status(line),
        Command::Status { what_if, .. } => forecast::forecast(line, what_if),
        Command::Pause { term } => uplink::pause(line, term),
        Command::Resume => ask::simple(line, &crate::web::ask::Ask::Resume),
        Command::Limit { rate, term } => uplink::limit(line, rate.as_deref(), term),
        Command::Rescan => ask::simple(line, &crate::web::ask::Ask::Rescan),
        Command::Explain { path } => ask::explain(line, path),
        Command::Ls(a) => look::ls(line, a),
        Command::Versions(a) => look::versions(line, a),
        Command::Find(a) => look::find(line, a),
        Command::Restore(a) => restore::restore(line, a),
        Command::Rebuild(a) => restore::rebuild(line, a),
        Command::Verify(a) => verify::verify(line, a),
        Command::Drill(a) => drill::drill(line, a),
        Command::Cost(a) => cost::cost(line, a),
        Command::Key(k) => key::key(line, k),
        Command::Setup(Setup::Aws(a)) => setup::aws::aws(line, a),
        Command::Setup(Setup::Print(a)) => setup::print(line, a),
        Command::Doctor(a) => doctor::doctor(line, a),
        Command::Completions { shell } => papers::completions(*shell, &mut std::io::stdout()),
        Command::Man => papers::manual(&mut std::io::stdout()),
    }
}

/// Threads that only wait on the network and the clock.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .map_err(|e| Error::retry("start the runtime").because(e))
}

/// Keys live in memory: no core dumps (promise 15).
fn quiet_cores() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// The machine's name, for labels.
fn host() -> Vec<u8> {
    rustix::system::uname().nodename().to_bytes().to_vec()
}

/// Reads a small text file; the error names it.
fn read_text(path: &std::path::Path, what: &str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::operator(format!("read {what} {}", path.display())).because(e))
}
