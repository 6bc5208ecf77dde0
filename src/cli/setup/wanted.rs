//! What a bucket for a vault shall be, held against what it is: what is as it should be, what is left alone and why, and
//! what is changed. Pure: asks nobody.
//!
//! Nothing that is there is taken away or weakened: a longer lock, another encryption, a rule or a line of a policy that
//! is not ours stays. Whatever the answer, the same question asked after the change is made has no change left.

use super::policy::Place;
use crate::store::bucket::{Change, Is, Lock, Part, Retention, Rules};
use crate::store::rules::{Judgement, judge};
use serde_json::{Value, json};

/// The bucket as it shall be.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub place: Place,
    /// Days every new object is locked for.
    pub lock: Option<u32>,
}

/// One part of the bucket, judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// What it is now.
    pub is: String,
    pub change: Option<Change>,
    /// What the change brings.
    pub becomes: String,
    /// Good to know; nothing is done about it.
    pub notes: Vec<String>,
    /// What would ruin the vault, or stays short of what was asked, each with its remedy; it is not touched.
    pub red: Vec<(String, String)>,
}

impl Judged {
    fn fine(is: impl Into<String>) -> Self {
        Self { is: is.into(), ..Self::default() }
    }
    fn change(is: impl Into<String>, change: Change, becomes: impl Into<String>) -> Self {
        Self { is: is.into(), change: Some(change), becomes: becomes.into(), ..Self::default() }
    }
    fn note(mut self, said: impl Into<String>) -> Self {
        self.notes.push(said.into());
        self
    }
}

impl Wanted {
    pub fn judge(&self, is: &Is) -> Judged {
        match is {
            Is::Public { blocked: true } => Judged::fine("no public access"),
            Is::Public { blocked: false } => {
                Judged::change("public access is possible", Change::BlockPublic, "nothing in it is ever public")
            }
            Is::Encryption(None) => {
                let becomes = "default encryption SSE-S3 (contents are sealed before, by us)";
                Judged::change("no default encryption", Change::Encrypt, becomes)
            }
            Is::Encryption(Some(by)) if by == "AES256" => Judged::fine("default encryption SSE-S3"),
            Is::Encryption(Some(by)) => Judged::fine(format!("default encryption {by}")).note(format!(
                "left as it is: with {by} every key needs rights on the encryption key too, each call may cost more, and \
                 who deletes that key deletes the vault"
            )),
            Is::Versions { kept: true } => Judged::fine("versions are kept"),
            Is::Versions { kept: false } => {
                let becomes = "what is deleted or overwritten is kept as an old version";
                Judged::change("no versions: what anybody deletes is gone", Change::KeepVersions, becomes)
            }
            Is::Lock(_) => self.lock(is),
            Is::Rules(rules) => self.rules(rules),
            Is::Policy(text) => self.policy(text.as_deref()),
        }
    }

    /// Of a bucket that is not there yet, as if nothing were set in it.
    pub fn judge_new(&self, part: Part) -> Judged {
        let is = match part {
            Part::Public => Is::Public { blocked: false },
            Part::Encryption => Is::Encryption(None),
            Part::Versions => Is::Versions { kept: self.lock.is_some() },
            Part::Lock => Is::Lock(self.lock.map(|_| Lock { retention: None })),
            Part::Rules => Is::Rules(Rules::default()),
            Part::Policy => Is::Policy(None),
        };
        let judged = self.judge(&is);
        if judged.change.is_none() { judged } else { Judged { is: String::new(), ..judged } }
    }

    fn lock(&self, is: &Is) -> Judged {
        let Is::Lock(found) = is else { return Judged::default() };
        let Some(found) = found else {
            let mut judged = Judged::fine("no Object Lock");
            if self.lock.is_some() {
                let remedy = "take a new bucket; or read AWS's page on Object Lock for existing buckets and turn it on \
                              there yourself: it can never be turned off again";
                judged.red.push(("the bucket was made without Object Lock".to_owned(), remedy.to_owned()));
            }
            return judged;
        };
        let now = found.retention.as_ref().map_or_else(
            || "Object Lock, nothing locked by itself".to_owned(),
            |r| format!("Object Lock, new objects locked for {} days ({})", r.days, r.mode),
        );
        match (self.lock, &found.retention) {
            (None, _) => Judged::fine(now),
            (Some(days), Some(r)) if r.days == days => Judged::fine(now),
            (Some(days), Some(r)) if r.days > days => {
                Judged::fine(now).note(format!("left as it is: it is longer than the {days} days asked for"))
            }
            (Some(days), other) => {
                let mode = other.as_ref().map_or_else(|| "GOVERNANCE".to_owned(), |r| r.mode.clone());
                let becomes = format!("new objects are locked for {days} days ({mode})");
                Judged::change(now, Change::Retain(Retention { mode, days }), becomes)
            }
        }
    }

    fn rules(&self, found: &Rules) -> Judged {
        let mut judged = Judged::fine(match found.all.len() {
            0 => "no lifecycle rule".to_owned(),
            1 => "1 lifecycle rule".to_owned(),
            n => format!("{n} lifecycle rules"),
        });
        for rule in &found.all {
            match judge(rule, &self.place.prefix) {
                Judgement::Ruins { does, remedy } => judged.red.push((does, remedy)),
                // Those of another vault beside this one are no news.
                Judgement::Note(said) if !rule.id.starts_with("panicroom-") => judged.notes.push(said),
                Judgement::Note(_) | Judgement::Fine => {}
            }
        }
        let mut missing = vec![];
        for ours in self.place.tidy(true) {
            // By what it does: who wrote it by hand may have called it otherwise.
            if found.tidy.iter().any(|t| (&t.prefix, t.does) == (&ours.prefix, ours.does)) {
                continue;
            }
            if found.all.iter().any(|rule| rule.id == ours.id) {
                judged.notes.push(format!("the rule '{}' was changed by somebody: left as it is", ours.id));
                continue;
            }
            missing.push(ours);
        }
        if missing.is_empty() {
            return judged;
        }
        if let Some(unknown) = &found.unknown {
            let what = format!("its lifecycle rules have a part '{unknown}' that this release does not know");
            let remedy = "ours are not added, to lose nothing of them: add them by hand ('panicroom setup print')";
            judged.red.push((what, remedy.to_owned()));
            return judged;
        }
        let names: Vec<&str> = missing.iter().map(|t| t.id.as_str()).collect();
        judged.becomes = format!("{} added; those that are there stay as they are", names.join(", "));
        judged.change = Some(Change::AddRules(missing));
        judged
    }

    /// What is there stays, word by word; ours is added behind it.
    fn policy(&self, found: Option<&str>) -> Judged {
        let ours = self.place.bucket_policy();
        let becomes =
            "nobody overwrites beneath the prefix, seals with a key of their own there, or speaks in the clear";
        let Some(found) = found else {
            return Judged::change("no bucket policy", Change::Policy(ours.to_string()), becomes);
        };
        let Ok(mut all) = serde_json::from_str::<Value>(found) else {
            let mut judged = Judged::fine("a bucket policy that is no JSON");
            judged
                .red
                .push(("its policy cannot be read".into(), "look at it; ours is in 'panicroom setup print'".into()));
            return judged;
        };
        let mut statements = match all["Statement"].take() {
            Value::Array(statements) => statements,
            Value::Null => vec![],
            one => vec![one],
        };
        let before = statements.len();
        for statement in ours["Statement"].as_array().into_iter().flatten() {
            if !statements.iter().any(|there| same(there, statement)) {
                let mut statement = statement.clone();
                statement["Sid"] = free(statement["Sid"].as_str().unwrap_or_default(), &statements).into();
                statements.push(statement);
            }
        }
        let is = format!("a bucket policy of {before} statements");
        if statements.len() == before {
            return Judged::fine(is);
        }
        let added = statements.len() - before;
        all["Statement"] = json!(statements);
        Judged::change(is, Change::Policy(all.to_string()), format!("{added} more: {becomes}"))
    }
}

/// A name of a statement that is not taken; each has its own in one policy.
fn free(name: &str, taken: &[Value]) -> String {
    let is_taken = |name: &str| taken.iter().any(|s| s["Sid"] == name);
    let more = (2..=taken.len() + 2).map(|n| format!("{name}{n}"));
    std::iter::once(name.to_owned()).chain(more).find(|name| !is_taken(name)).expect("there are more than are taken")
}

/// Whatever they are called, and whether one thing stands alone or in a list.
fn same(a: &Value, b: &Value) -> bool {
    fn plain(value: &Value) -> Value {
        match value {
            Value::Array(list) if list.len() == 1 => plain(&list[0]),
            Value::Array(list) => {
                let mut list: Vec<Value> = list.iter().map(plain).collect();
                list.sort_by_key(Value::to_string);
                Value::Array(list)
            }
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
            Value::Bool(truth) => truth.to_string().into(),
            other => other.clone(),
        }
    }
    let without_name = |value: &Value| {
        let mut value = plain(value);
        if let Some(map) = value.as_object_mut() {
            map.remove("Sid");
            // Everybody, in either way of saying so.
            if map.get("Principal") == Some(&json!({ "AWS": "*" })) {
                map.insert("Principal".into(), "*".into());
            }
        }
        value
    };
    without_name(a) == without_name(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::bucket::{Does, Tidy};
    use crate::store::rules::{Effect, Rule};

    fn wanted(prefix: &str, lock: Option<u32>) -> Wanted {
        Wanted { place: Place::new("box", prefix).unwrap(), lock }
    }

    /// What the part is once the change is made.
    fn made(is: &Is, change: &Change) -> Is {
        match (is, change) {
            (_, Change::BlockPublic) => Is::Public { blocked: true },
            (_, Change::Encrypt) => Is::Encryption(Some("AES256".into())),
            (_, Change::KeepVersions) => Is::Versions { kept: true },
            (_, Change::Retain(retention)) => Is::Lock(Some(Lock { retention: Some(retention.clone()) })),
            (Is::Rules(before), Change::AddRules(ours)) => {
                let mut after = before.clone();
                after.all.extend(ours.iter().map(as_rule));
                after.tidy.extend(ours.iter().cloned());
                Is::Rules(after)
            }
            (_, Change::Policy(text)) => Is::Policy(Some(text.clone())),
            other => panic!("{other:?}"),
        }
    }
    fn as_rule(tidy: &Tidy) -> Rule {
        let effect = match tidy.does {
            Does::EndUploads(_) => Effect::EndsUploads,
            Does::DropOld(days) => Effect::ExpiresOld(days),
        };
        rule(&tidy.id, &tidy.prefix, effect)
    }
    fn rule(id: &str, prefix: &str, effect: Effect) -> Rule {
        let (id, prefix) = (id.to_owned(), prefix.to_owned());
        Rule { id, enabled: true, prefix, tagged: false, larger_than: None, effects: vec![effect] }
    }
    fn rules(all: Vec<Rule>) -> Is {
        Is::Rules(Rules { all, ..Rules::default() })
    }
    fn retention(mode: &str, days: u32) -> Is {
        Is::Lock(Some(Lock { retention: Some(Retention { mode: mode.into(), days }) }))
    }

    #[test]
    fn what_was_changed_once_is_not_changed_again() {
        for (prefix, lock) in [("", None), ("nas", None), ("a/b", Some(30))] {
            let wanted = wanted(prefix, lock);
            for is in [
                Is::Public { blocked: false },
                Is::Encryption(None),
                Is::Versions { kept: false },
                Is::Lock(Some(Lock { retention: None })),
                retention("COMPLIANCE", 3),
                rules(vec![]),
                rules(vec![rule("foreign", "other/", Effect::Expires)]),
                Is::Policy(None),
                Is::Policy(Some("{\"Statement\":{\"Sid\":\"CreateOnly\",\"Effect\":\"Allow\"}}".into())),
                Is::Policy(Some("{}".into())),
            ] {
                let first = wanted.judge(&is);
                let Some(change) = first.change else {
                    assert!(matches!(is, Is::Lock(_)) && lock.is_none(), "{is:?}");
                    continue;
                };
                let after = made(&is, &change);
                let again = wanted.judge(&after);
                assert_eq!(again.change, None, "{is:?} became {after:?}");
                assert!(again.notes.iter().all(|n| !n.contains("panicroom-")), "{:?}", again.notes);
            }
        }
    }

    #[test]
    fn a_lock_is_never_shortened_and_its_mode_stays() {
        assert_eq!(wanted("", Some(30)).judge(&retention("COMPLIANCE", 365)).change, None);
        assert_eq!(wanted("", None).judge(&retention("GOVERNANCE", 1)).change, None);
        let longer = wanted("", Some(30)).judge(&retention("COMPLIANCE", 7)).change;
        assert_eq!(longer, Some(Change::Retain(Retention { mode: "COMPLIANCE".into(), days: 30 })));
        let old = wanted("", Some(30)).judge(&Is::Lock(None));
        assert!(old.change.is_none() && old.red[0].0.contains("without Object Lock"), "{old:?}");
        assert!(wanted("", None).judge(&Is::Lock(None)).red.is_empty());
    }

    #[test]
    fn another_encryption_is_somebodys_choice() {
        let judged = wanted("", None).judge(&Is::Encryption(Some("aws:kms".into())));
        assert!(judged.change.is_none() && judged.notes[0].contains("aws:kms"));
    }

    #[test]
    fn rules_that_ruin_the_vault_are_red_and_no_rule_is_ever_taken_away() {
        let judged = wanted("nas", None).judge(&rules(vec![rule("tidy-up", "", Effect::Expires)]));
        assert!(judged.red[0].0.contains("'tidy-up' deletes"), "{judged:?}");
        let Some(Change::AddRules(added)) = judged.change else { panic!("{judged:?}") };
        assert!(added.iter().all(|t| t.id.ends_with("-nas")));
        // One of ours that somebody changed stays, and is named.
        let mut found = vec![as_rule(&added[0]), as_rule(&added[1])];
        found[0].effects = vec![Effect::EndsUploads, Effect::DropsMarkers];
        let judged =
            wanted("nas", None).judge(&Is::Rules(Rules { all: found, tidy: vec![added[1].clone()], unknown: None }));
        assert!(
            judged.change.is_none() && judged.notes.iter().any(|n| n.contains("changed by somebody")),
            "{judged:?}"
        );
    }

    #[test]
    fn rules_that_are_not_wholly_understood_are_not_written_back() {
        let unknown = Is::Rules(Rules { unknown: Some("NewThing".into()), ..Rules::default() });
        let judged = wanted("", None).judge(&unknown);
        assert!(judged.change.is_none() && judged.red[0].0.contains("NewThing"), "{judged:?}");
    }

    #[test]
    fn a_policy_keeps_every_word_it_had_and_two_vaults_share_one() {
        let theirs = json!({ "Version": "2012-10-17", "Id": "theirs", "Statement": [
            { "Sid": "CreateOnly", "Effect": "Allow", "Principal": { "AWS": ["a", "b"] }, "Action": "s3:GetObject", "Resource": "x" }
        ]});
        let merged = |wanted: &Wanted, text: &str| match wanted.judge(&Is::Policy(Some(text.into()))).change {
            Some(Change::Policy(text)) => serde_json::from_str::<Value>(&text).unwrap(),
            other => panic!("{other:?}"),
        };
        let one = merged(&wanted("nas", None), &theirs.to_string());
        assert_eq!((&one["Id"], &one["Statement"][0]), (&theirs["Id"], &theirs["Statement"][0]));
        let two = merged(&wanted("box", None), &one.to_string());
        let names: Vec<&str> =
            two["Statement"].as_array().unwrap().iter().map(|s| s["Sid"].as_str().unwrap()).collect();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{names:?}");
        // Plain HTTP is refused for the whole bucket, once.
        assert_eq!(names.len(), 1 + 3 + 2, "{names:?}");
        let said_otherwise = two.to_string().replace("\"Principal\":\"*\"", "\"Principal\":{\"AWS\":\"*\"}");
        assert_eq!(wanted("nas", None).judge(&Is::Policy(Some(said_otherwise))).change, None);
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_left_alone() {
        let judged = wanted("", None).judge(&Is::Policy(Some("not json".into())));
        assert!(judged.change.is_none() && !judged.red.is_empty());
    }
}
