//! Which alarms are up, and which news follow from that. Pure: no time but what is handed in.

use crate::clock::Steady;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// While an alarm lasts it is told again this often.
const AGAIN: Duration = Duration::from_secs(24 * 3600);
/// Alarms kept apart; further ones of the same moment are left out until there is room.
const UP_AT_MOST: usize = 200;

/// One condition that holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What makes it the same alarm next time: `lag /volume1`, `vault refused cloud`.
    pub kind: String,
    /// A sentence for a person; it may change while the alarm lasts.
    pub text: String,
}

/// Why somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// New.
    Alarm,
    /// Lasts a further day.
    Reminder,
    /// Over, while others last.
    Cleared,
    /// The last one is over: all is well again.
    Recovered,
    /// Nothing is wrong, but something is to be done by a person.
    Due,
    /// Asked for by the operator.
    Test,
}

impl Occasion {
    /// As the command sees it in `PANICROOM_EVENT`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Reminder => "reminder",
            Self::Cleared => "cleared",
            Self::Recovered => "recovered",
            Self::Due => "due",
            Self::Test => "test",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub occasion: Occasion,
    pub text: String,
}

struct Up {
    text: String,
    told: Steady,
    seen: Steady,
}

/// The alarms that are up.
pub struct Book {
    settle: Duration,
    up: BTreeMap<String, Up>,
}

impl Book {
    /// An alarm that was gone for less than `settle` was never gone.
    pub fn new(settle: Duration) -> Self {
        Self { settle, up: BTreeMap::new() }
    }

    /// `alarms` are all that hold at `now`. One message per occasion, so that ten roots on one dead disk are one call.
    pub fn update(&mut self, now: Steady, alarms: Vec<Alarm>) -> Vec<Message> {
        let mut new = Vec::new();
        for Alarm { kind, text } in alarms {
            if let Some(up) = self.up.get_mut(&kind) {
                up.text = text;
                up.seen = now;
            } else if self.up.len() < UP_AT_MOST {
                new.push(text.clone());
                self.up.insert(kind, Up { text, told: now, seen: now });
            }
        }
        let mut over = Vec::new();
        let settle = self.settle;
        self.up.retain(|_, up| {
            let stays = up.seen == now || now.since(up.seen) < settle;
            if !stays {
                over.push(std::mem::take(&mut up.text));
            }
            stays
        });
        let mut again = Vec::new();
        for up in self.up.values_mut().filter(|up| up.seen == now && now.since(up.told) >= AGAIN) {
            up.told = now;
            again.push(up.text.clone());
        }
        let mut news = Vec::new();
        if !over.is_empty() && self.up.is_empty() {
            let text = format!("All is well again. It is over: {}", lines(&over));
            news.push(Message { occasion: Occasion::Recovered, text });
        } else if !over.is_empty() {
            news.push(Message { occasion: Occasion::Cleared, text: format!("It is over: {}", lines(&over)) });
        }
        if !again.is_empty() {
            news.push(Message { occasion: Occasion::Reminder, text: format!("It still lasts: {}", lines(&again)) });
        }
        if !new.is_empty() {
            news.push(Message { occasion: Occasion::Alarm, text: lines(&new) });
        }
        news
    }
}

/// One text as it is, several as a list.
fn lines(texts: &[String]) -> String {
    if let [one] = texts {
        return one.clone();
    }
    let mut out = format!("{} things", texts.len());
    for text in texts {
        let _ = write!(out, "\n- {text}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock, Wall};

    fn alarm(kind: &str) -> Alarm {
        Alarm { kind: kind.into(), text: format!("{kind} is wrong") }
    }

    fn told(news: &[Message]) -> Vec<&'static str> {
        news.iter().map(|m| m.occasion.word()).collect()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_alarm_is_told_once_then_daily_then_that_it_is_over() {
        let clock = ManualClock::at(Wall(0));
        let mut book = Book::new(MINUTE);
        let mut all = Vec::new();
        for minute in 0..60 * 49 {
            let holds = if minute < 60 * 48 { vec![alarm("lag")] } else { vec![] };
            for message in book.update(clock.steady(), holds) {
                all.push((minute, message.occasion.word()));
            }
            clock.advance(MINUTE);
        }
        assert_eq!(all, [(0, "alarm"), (60 * 24, "reminder"), (60 * 48, "recovered")]);
    }

    #[test]
    fn what_comes_back_within_the_settling_time_was_never_gone() {
        let clock = ManualClock::at(Wall(0));
        let mut book = Book::new(5 * MINUTE);
        assert_eq!(told(&book.update(clock.steady(), vec![alarm("vault")])), ["alarm"]);
        for _ in 0..100 {
            clock.advance(MINUTE);
            assert_eq!(book.update(clock.steady(), vec![]), []);
            clock.advance(MINUTE);
            assert_eq!(book.update(clock.steady(), vec![alarm("vault")]), []);
        }
        clock.advance(5 * MINUTE);
        assert_eq!(told(&book.update(clock.steady(), vec![])), ["recovered"]);
        assert_eq!(book.update(clock.steady(), vec![]), []);
    }

    #[test]
    fn all_is_well_only_when_the_last_alarm_is_over() {
        let clock = ManualClock::at(Wall(0));
        let mut book = Book::new(Duration::ZERO);
        let news = book.update(clock.steady(), vec![alarm("a"), alarm("b")]);
        assert_eq!(told(&news), ["alarm"]);
        assert!(news[0].text.contains("a is wrong") && news[0].text.contains("b is wrong"));
        clock.advance(MINUTE);
        let news = book.update(clock.steady(), vec![alarm("b"), alarm("c")]);
        assert_eq!(told(&news), ["cleared", "alarm"]);
        clock.advance(MINUTE);
        assert_eq!(told(&book.update(clock.steady(), vec![])), ["recovered"]);
    }

    #[test]
    fn a_changed_text_is_no_new_alarm_but_the_reminder_has_it() {
        let clock = ManualClock::at(Wall(0));
        let mut book = Book::new(MINUTE);
        book.update(clock.steady(), vec![alarm("lag")]);
        clock.advance(AGAIN);
        let later = Alarm { kind: "lag".into(), text: "three days behind".into() };
        let news = book.update(clock.steady(), vec![later]);
        assert_eq!(news, [Message { occasion: Occasion::Reminder, text: "It still lasts: three days behind".into() }]);
    }

    #[test]
    fn the_book_is_bounded() {
        let mut book = Book::new(MINUTE);
        let many = || (0..UP_AT_MOST * 2).map(|n| alarm(&format!("root {n:04}"))).collect();
        assert_eq!(told(&book.update(Steady::default(), many())), ["alarm"]);
        assert_eq!(book.up.len(), UP_AT_MOST);
        assert_eq!(book.update(Steady::default(), many()), []);
    }
}
