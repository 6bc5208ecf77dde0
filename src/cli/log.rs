//! Where the log goes: journald under systemd, else standard error. `RUST_LOG` decides over everything.

use super::args::{Command, Line};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub fn start(line: &Line) {
    let daemon = matches!(line.command, Command::Run | Command::Quickstart(_));
    let level = match (line.verbose, daemon) {
        (0, true) => "panicroom=info,warn",
        (0, false) => "panicroom=warn,error",
        (1, _) => "panicroom=debug,warn",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let journal = std::env::var_os("JOURNAL_STREAM").is_some().then(tracing_journald::layer).and_then(Result::ok);
    let registry = tracing_subscriber::registry().with(filter);
    // A second start in one process (a test) keeps the first.
    let _ = if let Some(journal) = journal {
        registry.with(journal).try_init()
    } else {
        // No colours into a file.
        let plain = tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal());
        registry.with(plain.with_writer(std::io::stderr).with_target(false)).try_init()
    };
}
