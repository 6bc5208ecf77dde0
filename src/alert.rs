//! Telling somebody: the operator's own command for each alarm and its end, and a ping while all is well, so that
//! whoever watches the ping notices when this machine can tell nobody any more.
//!
//! The daemon says now and then which alarms hold ([`Alerter::update`]); [`book`] decides what is news, [`deliver`]
//! carries it out on a thread of its own. Nothing here ever waits for a command or a network. Each alarm is told
//! once, again every day while it lasts, and once more when it is over. Command and address may hold secrets and are
//! never logged (promise 15).
//!
//! Dying here forgets what was told: after a start, what still holds is told again.

pub mod book;
mod deliver;
mod ping;

pub use book::{Alarm, Book, Message, Occasion};

use crate::clock::{Clock, Steady};
use crate::config::Secret;
use crate::error::Result;
use deliver::Delivery;
use ping::Address;
use std::sync::Arc;
use std::time::Duration;

/// Between two pings of the same news. Watchers usually allow minutes to days.
const PING_EVERY: Duration = Duration::from_secs(300);

/// What the operator configured, and the pauses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A line for `/bin/sh -c`.
    pub command: Option<Secret>,
    /// `http://` or `https://`; asked for while all is well, and with `/fail` behind its path while it is not.
    pub ping_url: Option<Secret>,
    /// How long an alarm must be gone before it counts as over; what comes back sooner was never gone.
    pub settle: Duration,
    /// The first pause before a failed command is tried again; it doubles up to an hour.
    pub retry: Duration,
}

impl Settings {
    pub fn new(command: Option<Secret>, ping_url: Option<Secret>) -> Self {
        Self { command, ping_url, settle: Duration::from_secs(60), retry: Duration::from_secs(60) }
    }
}

/// How the machine is, for the watcher of the ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pulse {
    Well,
    Ill,
}

/// Held by the daemon; told every minute or so.
pub struct Alerter {
    clock: Arc<dyn Clock>,
    book: Book,
    delivery: Delivery,
    last_ping: Option<(Pulse, Steady)>,
}

impl Alerter {
    /// Operator: a ping address that is none; Retry: no thread or no runtime to be had.
    pub fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let address = settings.ping_url.as_ref().map(Address::of).transpose()?;
        let delivery = Delivery::start(settings.command, address, settings.retry)?;
        Ok(Self { book: Book::new(settings.settle), clock, delivery, last_ping: None })
    }

    /// All alarms that hold now; what is not among them is over. Returns at once. While the queue of messages is full
    /// (the command hangs or fails) the news wait here: the next call tells them.
    pub fn update(&mut self, alarms: Vec<Alarm>) {
        let now = self.clock.steady();
        let pulse = if alarms.is_empty() { Pulse::Well } else { Pulse::Ill };
        if self.delivery.has_room() {
            self.delivery.hand_over(self.book.update(now, alarms));
        }
        let due = self.last_ping.is_none_or(|(told, at)| told != pulse || now.since(at) >= PING_EVERY);
        if due {
            self.last_ping = Some((pulse, now));
            self.delivery.ping(pulse);
        }
    }

    /// Something is to be done by a person, now and then, while nothing is wrong: told once, and no matter of health.
    pub fn due(&self, text: String) {
        self.delivery.hand_over(vec![Message { occasion: Occasion::Due, text }]);
    }

    /// Runs the command once with a test message, so that an operator can see it arrive.
    pub fn test(&mut self) {
        let text = "This is a test: panicroom can reach you.".into();
        self.delivery.hand_over(vec![Message { occasion: Occasion::Test, text }]);
    }
}
