//! A vault read from the foreground: passing trouble (an answer of 5xx, a time-out, a reset, a body cut short) is waited
//! out for as long as it takes, and whoever sits before it is told in one plain line that it waits, and why. Ctrl-C
//! ends the waiting. What is not passing ends the command as ever.

use crate::clock::{Clock, Steady, SystemClock};
use crate::restore::Progress;
use crate::seal::{SystemEntropy, random};
use crate::store::ObjectStore;
use crate::store::retry::{Backoff, Patience, Patient, Told};
use crate::worker::Stop;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// First wait and longest wait, before jitter: somebody sits before it, and a network that is back is noticed within
/// a minute.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));
/// One failure is nothing worth saying; a call that failed so often in a row is.
const WORTH_SAYING: u32 = 2;
/// A vault that is rude now and then is not told of more often than this.
const SILENCE: Duration = Duration::from_secs(60);

/// The store, read with patience. `progress` shows the waiting too, where there is one.
pub fn patient(store: Arc<dyn ObjectStore>, stop: &Stop, progress: Option<Arc<Progress>>) -> Arc<dyn ObjectStore> {
    let voice =
        Voice { url: store.url(), progress, clock: SystemClock::shared(), said: Mutex::new((Saying::Nothing, None)) };
    let backoff = Backoff::between(WAITS.0, WAITS.1, u64::from_le_bytes(random(&SystemEntropy)));
    let tell = move |told: Told<'_>| voice.hear(&told);
    Arc::new(Patient::new(store, Patience::AsLongAsItTakes, backoff, stop.clone(), tell))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Saying {
    Nothing,
    /// The line was said and nothing took it back yet.
    Waits,
}

struct Voice {
    url: String,
    progress: Option<Arc<Progress>>,
    clock: Arc<dyn Clock>,
    /// What was said last, and when.
    said: Mutex<(Saying, Option<Steady>)>,
}

impl Voice {
    fn hear(&self, told: &Told<'_>) {
        let mut said = self.said.lock().expect("voice lock");
        match told {
            Told::Waits { by, failures, why } => {
                let waits = format!("waiting for the vault {}: {why}", self.url);
                let now = self.clock.steady();
                let is_news = said.0 == Saying::Nothing && said.1.is_none_or(|at| now.since(at) >= SILENCE);
                if *failures >= WORTH_SAYING && is_news {
                    *said = (Saying::Waits, Some(now));
                    line(&format!("{waits}; it is tried again for as long as it takes (Ctrl-C ends it)"));
                }
                if let Some(progress) = &self.progress {
                    progress.wait_for(Some(&format!("{waits}; next try within {} s", by.as_secs() + 1)));
                }
            }
            Told::Answers => {
                if said.0 == Saying::Waits {
                    said.0 = Saying::Nothing;
                    line(&format!("the vault {} answers again", self.url));
                }
                if let Some(progress) = &self.progress {
                    progress.wait_for(None);
                }
            }
        }
    }
}

/// On a line of its own, whatever live line a terminal shows.
fn line(text: &str) {
    let mut out = std::io::stderr();
    let clear = if out.is_terminal() { "\r\x1b[K" } else { "" };
    let _ = writeln!(out, "{clear}{text}");
}
