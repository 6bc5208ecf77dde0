//! The bucket's rules, read again while the daemon runs: somebody may add one at any time, and what was fine at the start
//! deletes the vault months later.
//!
//! Once a day, one call, judged as at the start ([`super::gate`]). A rule that would ruin the vault is red, and nothing is
//! sent until it is mended: then it is asked for every minute, as at a start. A rule worth knowing is told once. What
//! cannot be read changes nothing. Nothing durable: a start asks by itself.

use super::gate::Gate;
use super::run::{Step, Vault};
use crate::backup::Engine;
use crate::catalog::Level;
use crate::clock::Steady;
use crate::error::{Error, Kind, Result};
use crate::store::ObjectStore;
use crate::store::rules::{Rule, allow, notes};
use std::sync::atomic::Ordering;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// After a read that failed in passing.
const SOON: Duration = Duration::from_secs(3600);
/// Between two looks whether it is due.
const LOOK: Duration = Duration::from_secs(10);

/// What one vault's worker knows of the rules.
pub struct Vigil {
    due: Steady,
    /// What would ruin the vault.
    red: Option<String>,
    /// What was worth knowing at the last look; None: not asked yet.
    notes: Option<Vec<String>>,
}

/// What a look at the rules comes to.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Nothing,
    /// Rules worth knowing that were not there before.
    Notes(Vec<String>),
    /// Red, now or still.
    Ruins(String),
    Mended,
}

impl Vigil {
    /// At a start, which has just asked.
    pub fn of(vault: &Vault, gate: &Gate, now: Steady) -> Self {
        Self::begun(now, vault.s3().and_then(|s3| gate.notes(&s3.url())))
    }

    fn begun(now: Steady, notes: Option<Vec<String>>) -> Self {
        Self { due: now.plus(DAY), red: None, notes }
    }

    fn is_due(&self, now: Steady) -> bool {
        now >= self.due || self.red.is_some()
    }

    fn look(&mut self, now: Steady, prefix: &str, rules: Result<Vec<Rule>>) -> Result<News> {
        let rules = match rules {
            Ok(rules) => rules,
            Err(e) if e.kind() == Kind::Stopping => return Err(e),
            Err(e) => {
                tracing::debug!("the bucket's rules could not be read again: {e}");
                self.due = now.plus(SOON);
                return Ok(self.red.clone().map_or(News::Nothing, News::Ruins));
            }
        };
        self.due = now.plus(DAY);
        let notes = notes(&rules, prefix);
        let before = self.notes.replace(notes.clone());
        if let Err(e) = allow(&rules, prefix) {
            let text = e.to_string();
            self.red = Some(text.clone());
            return Ok(News::Ruins(text));
        }
        if self.red.take().is_some() {
            return Ok(News::Mended);
        }
        let new: Vec<String> = match before {
            Some(before) => notes.into_iter().filter(|note| !before.contains(note)).collect(),
            None => vec![],
        };
        Ok(if new.is_empty() { News::Nothing } else { News::Notes(new) })
    }
}

/// One step of the worker. Operator: a rule would ruin the vault, and nothing is sent.
pub fn step(vault: &Vault, engine: &Engine, vigil: &mut Vigil) -> Result<Step> {
    let red = |text: String| Err(Error::operator(text));
    let Some(s3) = vault.s3() else { return Ok(Step::Wait(LOOK)) };
    let now = engine.clock.steady();
    if vault.is_quiet() || !vigil.is_due(now) {
        return vigil.red.clone().map_or(Ok(Step::Wait(LOOK)), red);
    }
    match vigil.look(now, s3.prefix(), s3.rules())? {
        News::Nothing => {}
        News::Notes(new) => new.iter().for_each(|note| engine.tell(Level::Warning, note)),
        News::Ruins(text) => {
            vault.forbidden.store(true, Ordering::SeqCst);
            return red(text);
        }
        News::Mended => {
            vault.forbidden.store(false, Ordering::SeqCst);
            engine.tell(Level::Good, "no rule of the bucket harms the vault any more: sending goes on");
            engine.bells.ring_all();
        }
    }
    Ok(Step::Wait(LOOK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rules::Effect;

    fn rules(id: &str, effect: Effect) -> Vec<Rule> {
        let (id, effects) = (id.to_owned(), vec![effect]);
        vec![Rule { id, enabled: true, prefix: String::new(), tagged: false, larger_than: None, effects }]
    }
    fn at(days: u64) -> Steady {
        Steady::default().plus(DAY * u32::try_from(days).unwrap())
    }

    #[test]
    fn rules_are_asked_for_once_a_day_and_what_cannot_be_read_changes_nothing() {
        let mut vigil = Vigil::begun(at(0), Some(vec![]));
        assert!(!vigil.is_due(at(0).plus(DAY / 2)) && vigil.is_due(at(1)));
        let failed = || Err(Error::retry("503"));
        assert_eq!(vigil.look(at(1), "", failed()).unwrap(), News::Nothing);
        assert!(!vigil.is_due(at(1)) && vigil.is_due(at(1).plus(SOON)), "soon, not at once");
        let ruin = || Ok(rules("tidy-up", Effect::Expires));
        assert!(matches!(vigil.look(at(2), "", ruin()).unwrap(), News::Ruins(said) if said.contains("tidy-up")));
        assert!(vigil.is_due(at(2)), "until it is mended");
        for gone in [failed(), Err(Error::operator("403"))] {
            assert!(matches!(vigil.look(at(3), "", gone).unwrap(), News::Ruins(said) if said.contains("tidy-up")));
        }
        assert_eq!(vigil.look(at(4), "", Ok(vec![])).unwrap(), News::Mended);
        assert_eq!(vigil.look(at(5), "", Ok(vec![])).unwrap(), News::Nothing);
    }

    #[test]
    fn a_rule_worth_knowing_is_told_once_and_one_the_start_saw_is_no_news() {
        let ends = |id| rules(id, Effect::ExpiresOld(90));
        let mut vigil = Vigil::begun(at(0), Some(notes(&ends("old"), "")));
        assert_eq!(vigil.look(at(1), "", Ok(ends("old"))).unwrap(), News::Nothing);
        let both = || [ends("old"), ends("new"), ends("panicroom-other")].concat();
        let News::Notes(told) = vigil.look(at(2), "", Ok(both())).unwrap() else { panic!("no news") };
        assert!(told.len() == 1 && told[0].contains("'new'"), "{told:?}");
        assert_eq!(vigil.look(at(3), "", Ok(both())).unwrap(), News::Nothing);
    }
}
