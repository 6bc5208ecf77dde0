//! What `setup aws` says: before it asks, and after. No key is ever in it.

use super::super::{BUDGET, Plan};
use super::{Bucket, Contents, Manner, Outcome, Step, writing};
use crate::cli::begin::shell;
use crate::store::bucket::Part;
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(super) struct Show<'a> {
    pub(super) plan: &'a Plan,
    pub(super) bucket: &'a Bucket,
    pub(super) contents: &'a Contents,
    pub(super) is_new: bool,
    pub(super) is_dry: bool,
}

type Calls<'a> = &'a [(&'static str, Manner)];

impl Step {
    fn name(&self) -> &'static str {
        match self.part {
            None => "bucket",
            Some(Part::Public) => "public access",
            Some(Part::Encryption) => "encryption",
            Some(Part::Versions) => "versions",
            Some(Part::Lock) => "object lock",
            Some(Part::Rules) => "lifecycle",
            Some(Part::Policy) => "policy",
        }
    }
    fn call(&self) -> Option<&'static str> {
        self.judged.change.as_ref().map(|change| change.call().0)
    }
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Planned => "to do",
            Self::Changed => "changed",
            Self::Denied(_) => "denied",
            Self::Failed(_) => "failed",
        }
    }
}

impl Show<'_> {
    fn head(&self) -> String {
        let mut text = format!("{} in {}: ", self.plan.place.bucket, self.plan.region);
        text.push_str(if self.is_new { "there is no such bucket yet\n" } else { "the bucket is there\n" });
        if self.contents.vault {
            text.push_str("  a vault lies there already: without '--adopt' nothing is changed\n");
        }
        if let Some(one) = &self.contents.one_foreign {
            let _ = writeln!(
                text,
                "  {} objects that no vault makes lie where the vault is to be, {one} for one: without '--adopt' nothing is changed",
                self.contents.foreign
            );
        }
        if self.contents.beside {
            text.push_str("  others use this bucket too: public access, encryption, versions and the ban on plain HTTP hold for them as well\n");
        }
        text
    }

    fn rows(steps: &[Step]) -> String {
        let mut text = String::new();
        for step in steps {
            let said = match (&step.outcome, step.call()) {
                (Outcome::Denied(call), _) => format!("{} needs the right {}", call.0, call.1),
                (Outcome::Failed(e), _) => e.to_string(),
                (Outcome::Fine, Some(_)) => "was so by itself".to_owned(),
                (_, None) => step.judged.is.clone(),
                (_, Some(call)) if step.judged.is.is_empty() => format!("{call}: {}", step.judged.becomes),
                (_, Some(call)) => format!("{} -> {call}: {}", step.judged.is, step.judged.becomes),
            };
            let _ = writeln!(text, "  {:<8} {:<14} {said}", step.outcome.word(), step.name());
            for (what, remedy) in &step.judged.red {
                let _ = writeln!(text, "  {:<8} {:<14} {what}\n  {:<8} {:<14} -> {remedy}", "RED", "", "", "");
            }
            for note in &step.judged.notes {
                let _ = writeln!(text, "  {:<8} {:<14} {note}", "note", "");
            }
        }
        text
    }

    pub(super) fn before(&self, steps: &[Step]) -> String {
        self.head() + &Self::rows(steps)
    }

    pub(super) fn after(&self, steps: &[Step], calls: Calls) -> String {
        if self.is_dry {
            let asked: Vec<&str> = calls.iter().map(|(name, _)| *name).collect();
            let would: Vec<&str> =
                steps.iter().filter(|s| matches!(s.outcome, Outcome::Planned)).filter_map(Step::call).collect();
            let would = if would.is_empty() { "nothing".to_owned() } else { would.join(", ") };
            let head = self.before(steps);
            let asked = asked.join(", ");
            return format!("{head}asked:  {asked}\nwould write, in this order: {would}\nNothing was written.\n");
        }
        let wrote = writing(calls).count();
        let mut text = if wrote == 0 { self.before(steps) } else { format!("\n{}", Self::rows(steps)) };
        let open =
            steps.iter().any(|s| !matches!(s.outcome, Outcome::Fine | Outcome::Changed) || !s.judged.red.is_empty());
        text.push_str(match (wrote, open) {
            (0, false) => "Nothing to change: the bucket is as it shall be. Nothing was written.\n",
            (0, true) => "Nothing was changed.\n",
            (_, false) => "The bucket is as it shall be.\n",
            (_, true) => "Not all of it is as it shall be. The same command goes on with what is left.\n",
        });
        text.push_str(&self.plan.keys());
        let url = shell(&self.bucket.to_string());
        let _ = writeln!(
            text,
            "\n# Then: put the writer's key on the machine that backs up, and start the vault and prove it:\n\
             panicroom init --root DIR --vault {url}\npanicroom doctor"
        );
        text
    }

    pub(super) fn document(&self, steps: &[Step], calls: Calls) -> String {
        let steps: Vec<Value> = steps
            .iter()
            .map(|step| {
                let (right, error) = match &step.outcome {
                    Outcome::Denied(call) => (Some(call.1), None),
                    Outcome::Failed(e) => (None, Some(e.to_string())),
                    _ => (None, None),
                };
                let red: Vec<Value> = step.judged.red.iter().map(|(w, r)| json!({ "what": w, "remedy": r })).collect();
                json!({
                    "step": step.name(), "outcome": step.outcome.word(), "is": step.judged.is, "call": step.call(),
                    "becomes": step.judged.becomes, "notes": step.judged.notes, "red": red, "right": right, "error": error,
                })
            })
            .collect();
        let calls: Vec<Value> =
            calls.iter().map(|(name, manner)| json!({ "call": name, "writes": *manner == Manner::Writes })).collect();
        let document = json!({
            "bucket": self.plan.place.bucket, "prefix": self.plan.place.prefix, "region": self.plan.region,
            "url": self.bucket.to_string(), "dry_run": self.is_dry, "new": self.is_new, "vault": self.contents.vault,
            "foreign": self.contents.foreign, "others": self.contents.beside, "steps": steps, "calls": calls,
            "identities": self.plan.identities(), "budget": BUDGET,
        });
        format!("{document:#}\n")
    }
}
