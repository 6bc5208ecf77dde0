//! Whether a bucket may be written to: its lifecycle rules are read before the first object of a start, and of a vault.
//!
//! A bucket whose rules would delete the vault or freeze its log is not written to. What this key may not read is no
//! hindrance. A read that failed in passing is no answer: nothing is written before there is one. Once answered, it is not
//! asked again at the door: what changes later is for [`super::vigil`]. Reads only, so dying here does nothing.

use crate::error::{Error, Kind, Result};
use crate::store::ObjectStore;
use crate::store::rules::{self, Rule};
use crate::store::s3::S3Store;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What the buckets of this process answered, by address.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<BTreeMap<String, Answered>>>);

#[derive(Clone, Debug)]
struct Answered {
    /// What is wrong with a log in part frozen already.
    alarm: Option<String>,
    /// What of the rules is worth knowing; None: they are not told.
    notes: Option<Vec<String>>,
}

impl Gate {
    /// Operator: a rule would ruin the vault, which it is asked about anew each time. Retry: it could not be asked. Else what
    /// is wrong with the log, the same for as long as the process lives.
    pub fn pass(&self, s3: &S3Store) -> Result<Option<String>> {
        self.ask(&s3.url(), s3.prefix(), || s3.rules(), || s3.archived_meta())
    }

    fn ask(
        &self,
        url: &str,
        prefix: &str,
        rules: impl FnOnce() -> Result<Vec<Rule>>,
        frozen: impl FnOnce() -> Result<Option<(u64, String)>>,
    ) -> Result<Option<String>> {
        if let Some(answered) = self.0.lock().expect("gate lock").get(url) {
            return Ok(answered.alarm.clone());
        }
        let unanswered = |e: Error| e.during("see that no rule of the bucket harms the vault");
        let notes = match rules() {
            Ok(found) => {
                rules::allow(&found, prefix)?;
                Some(rules::notes(&found, prefix))
            }
            Err(e) if e.kind() == Kind::Operator || e.kind() == Kind::Damaged => {
                tracing::debug!(vault = %url, "the bucket's rules are not known: {e}");
                None
            }
            Err(e) => return Err(unanswered(e)),
        };
        let alarm = match frozen() {
            Ok(found) => found.map(|(count, first)| alarm(count, &first)),
            Err(e) if e.kind() == Kind::Operator => None,
            Err(e) => return Err(unanswered(e)),
        };
        let answered = Answered { alarm: alarm.clone(), notes };
        self.0.lock().expect("gate lock").insert(url.to_owned(), answered);
        Ok(alarm)
    }

    /// What was worth knowing of a bucket's rules when they were asked for; None: they were not told.
    pub fn notes(&self, url: &str) -> Option<Vec<String>> {
        self.0.lock().expect("gate lock").get(url)?.notes.clone()
    }
}

fn alarm(count: u64, first: &str) -> String {
    format!(
        "{count} objects of the log are in an archive class ({first} first): some lifecycle rule moves them. Take meta_ out \
         of it, thaw them and copy them back to STANDARD"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rules::Effect;
    use std::cell::Cell;

    fn ruin() -> Vec<Rule> {
        let id = "tidy-up".to_owned();
        let effects = vec![Effect::Expires];
        vec![Rule { id, enabled: true, prefix: String::new(), tagged: false, larger_than: None, effects }]
    }
    #[expect(clippy::unnecessary_wraps, reason = "as a listing answers")]
    fn nothing_frozen() -> Result<Option<(u64, String)>> {
        Ok(None)
    }

    #[test]
    fn an_answer_is_asked_for_once_and_no_answer_until_there_is_one() {
        let (gate, asked) = (Gate::default(), Cell::new(0));
        let count = |answer: Result<Vec<Rule>>| {
            asked.set(asked.get() + 1);
            answer
        };
        for _ in 0..2 {
            let failed = gate.ask("s3://a", "", || count(Err(Error::retry("503"))), nothing_frozen).unwrap_err();
            assert_eq!(failed.kind(), Kind::Retry);
        }
        for _ in 0..3 {
            assert_eq!(gate.ask("s3://a", "", || count(Ok(vec![])), nothing_frozen).unwrap(), None);
        }
        assert_eq!(asked.get(), 3);
        // Another vault is another question; a copy of the gate is the same one.
        gate.clone().ask("s3://b", "", || count(Ok(vec![])), nothing_frozen).unwrap();
        gate.ask("s3://b", "", || count(Ok(vec![])), nothing_frozen).unwrap();
        assert_eq!(asked.get(), 4);
    }

    #[test]
    fn a_rule_that_ruins_the_vault_is_asked_about_until_it_is_mended() {
        let gate = Gate::default();
        for _ in 0..2 {
            let red = gate.ask("s3://a", "", || Ok(ruin()), nothing_frozen).unwrap_err();
            assert!(red.kind() == Kind::Operator && red.to_string().contains("tidy-up"), "{red}");
        }
        assert!(gate.ask("s3://a", "", || Ok(vec![]), nothing_frozen).is_ok());
    }

    #[test]
    fn a_right_that_is_missing_is_an_answer_and_a_listing_that_failed_is_none() {
        let gate = Gate::default();
        let denied = || Err(Error::operator("403"));
        let failed = gate.ask("s3://a", "", denied, || Err(Error::retry("cut"))).unwrap_err();
        assert_eq!(failed.kind(), Kind::Retry);
        let frozen = || Ok(Some((3, "meta_log_1".to_owned())));
        let alarm = gate.ask("s3://a", "", denied, frozen).unwrap().unwrap();
        assert!(alarm.contains("3 objects") && alarm.contains("meta_log_1"));
        assert_eq!(gate.ask("s3://a", "", || panic!("asked again"), nothing_frozen).unwrap(), Some(alarm));
    }
}
