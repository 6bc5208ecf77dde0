//! A mistake in the program itself: a panic, on whatever thread. It ends the program at once. A daemon of which one thread
//! is gone would go on with all others and look well, and what that thread should have noticed nobody would miss: a
//! silent gap. Ending costs nothing, every durable step is made to be died at; the service manager starts it again.
//!
//! What it died of goes to standard error and, of a daemon or a pass, into `<state>/mistake`; the next start says it as an
//! alarm and removes that file. Dying between the two says it twice.

use super::home::{Home, write_synced};
use crate::backup::Engine;
use crate::catalog::Level;
use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Where it is left for the next start; empty where nothing runs that would start again.
static LEFT_IN: OnceLock<PathBuf> = OnceLock::new();
/// What is kept of it, characters.
const MOST: usize = 2000;

/// From now on a panic ends the program, by SIGABRT. One about standard output is none of ours and ends it with code 1:
/// quietly where nobody reads any more (`| head`), with the reason where what was printed could not be kept.
pub fn ends_the_program() {
    std::panic::set_hook(Box::new(|info| {
        let text: String = spelled(info).chars().take(MOST).collect();
        // What follows is not printed by a macro: they panic where nobody reads.
        if text.starts_with("failed printing to std") {
            if !text.contains("Broken pipe") {
                let _ = writeln!(std::io::stderr(), "panicroom: {text}");
            }
            std::process::exit(1);
        }
        let trace = std::backtrace::Backtrace::capture();
        let _ = writeln!(
            std::io::stderr(),
            "panicroom: a mistake in the program: {text}; what was stored stays; start it again, and please report this\n{trace}"
        );
        if let Some(path) = LEFT_IN.get() {
            let _ = write_synced(path, text.as_bytes());
        }
        std::process::abort();
    }));
}

/// A daemon or a pass begins: what ends it is left here. Only the first of a process counts.
pub fn is_left_in(home: &Home) {
    let _ = LEFT_IN.set(home.mistake());
}

/// Says what the run before died of, once.
pub(super) fn tell(home: &Home, engine: &Engine) {
    let Ok(text) = std::fs::read(home.mistake()) else { return };
    let text = String::from_utf8_lossy(&text).chars().take(MOST).collect::<String>();
    engine.tell(
        Level::Alarm,
        &format!("the program ended by a mistake of its own and was started again: {text}; please report this"),
    );
    let _ = std::fs::remove_file(home.mistake());
}

fn spelled(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let said = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("it says nothing");
    match info.location() {
        Some(place) => format!("{said} ({}:{})", place.file(), place.line()),
        None => said.to_owned(),
    }
}
