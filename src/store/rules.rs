//! What a bucket's lifecycle rules would do to a vault in it. Pure judgement: reading them is `s3`'s business.
//!
//! A rule that expires our objects deletes the vault behind our back, and one that moves the log makes every look at it a
//! thaw, or dear. Both are said before the first upload. Where a rule's reach is not plain (by size), it is
//! taken to reach us; one that selects by tag never does, since our objects carry none.

use super::{MAX_OBJECT, TIERING, is_archive};
use crate::error::Error;

/// One rule of a bucket, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub id: String,
    pub enabled: bool,
    /// Keys it is for begin so; empty: all.
    pub prefix: String,
    pub tagged: bool,
    /// Only objects larger than this, bytes.
    pub larger_than: Option<u64>,
    pub effects: Vec<Effect>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Deletes current objects, after days or on a date.
    Expires,
    /// Moves current objects to a class.
    Moves(String),
    /// Deletes versions that were overwritten or deleted, after so many days.
    ExpiresOld(u32),
    /// Moves such versions.
    MovesOld(String),
    /// Ends uploads that were never completed.
    EndsUploads,
    /// Removes delete markers with nothing behind them.
    DropsMarkers,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Fine,
    /// Harmless, but not what its author meant, or good to know.
    Note(String),
    /// Would destroy the vault, or its use.
    Ruins {
        does: String,
        remedy: String,
    },
}

/// Fewer days than this between a deletion and its being final leave no time to notice it.
const TIME_TO_NOTICE: u32 = 30;

/// Names of a trial's own objects begin so; none of them belongs to the format.
pub(super) const PROBE: &str = "meta_probe_";

/// What it means for an object that shall be read at any time to be moved to a class.
fn in_class(class: &str) -> &'static str {
    match class {
        TIERING => ", which may archive it by the bucket's own configuration",
        "GLACIER_IR" => ", where every read is paid for and each object for 90 days and 128 KB at least",
        "STANDARD_IA" | "ONEZONE_IA" => {
            ", where every read is paid for and each object for 30 days and 128 KB at least"
        }
        _ => "",
    }
}

/// `prefix` is the vault's: empty, or ending with `/`.
pub fn judge(rule: &Rule, prefix: &str) -> Judgement {
    if !rule.enabled || rule.prefix.starts_with(&format!("{prefix}{PROBE}")) {
        return Judgement::Fine;
    }
    let reaches = |kind: &str| {
        let ours = format!("{prefix}{kind}");
        !rule.tagged
            && rule.larger_than.is_none_or(|size| size < MAX_OBJECT)
            && (ours.starts_with(&rule.prefix) || rule.prefix.starts_with(&ours))
    };
    let reached: Vec<&str> = ["data_", "hot_", "meta_"].into_iter().filter(|kind| reaches(kind)).collect();
    let id = &rule.id;
    if reached.is_empty() {
        return Judgement::Note(format!(
            "the rule '{id}' (prefix '{}') is for no object of this vault; its packs begin with '{prefix}data_'",
            rule.prefix
        ));
    }
    let all = reached.join("*, ");
    let mut notes = vec![];
    for effect in &rule.effects {
        match effect {
            Effect::Expires => {
                return Judgement::Ruins {
                    does: format!("the bucket's lifecycle rule '{id}' deletes {all}* of this vault"),
                    remedy: format!("take the expiration out of the rule '{id}', or the vault will be deleted by it"),
                };
            }
            Effect::Moves(class) => {
                let may_freeze = is_archive(class) || class == TIERING;
                let hot: Vec<&str> = reached
                    .iter()
                    .copied()
                    .filter(|kind| *kind == "meta_" || (*kind == "hot_" && may_freeze))
                    .collect();
                if !hot.is_empty() {
                    return Judgement::Ruins {
                        does: format!(
                            "the bucket's lifecycle rule '{id}' moves {}* of this vault to {class}{}",
                            hot.join("*, "),
                            in_class(class)
                        ),
                        remedy: format!(
                            "give the rule '{id}' the prefix '{prefix}data_': the log must stay where it is"
                        ),
                    };
                }
                if reached.contains(&"hot_") {
                    notes.push(format!("the rule '{id}' moves hot_* of this vault to {class}{}", in_class(class)));
                }
                if reached.contains(&"data_") && class == TIERING {
                    notes.push(format!(
                        "the rule '{id}' moves packs to {class}: no listing tells which of them it archived, so a \
                         restore finds out what it has to thaw when it reads"
                    ));
                }
            }
            Effect::ExpiresOld(days) => notes.push(ends_for_good(id, *days, &all)),
            Effect::MovesOld(_) | Effect::EndsUploads | Effect::DropsMarkers => {}
        }
    }
    if notes.is_empty() { Judgement::Fine } else { Judgement::Note(notes.join("; ")) }
}

/// Whoever may set delete markers destroys what they hide, once its days are over.
fn ends_for_good(id: &str, days: u32, reached: &str) -> String {
    let haste =
        if days < TIME_TO_NOTICE { format!(" ({TIME_TO_NOTICE} or more leave time to notice)") } else { String::new() };
    format!(
        "the rule '{id}' makes every deletion of {reached}* final after {days} days{haste}: whoever sets delete markers \
         destroys the vault by waiting. The daily inventory alarms within a day; take the markers away before \
         (docs/setup.md), or this part out of the rule"
    )
}

/// Operator, naming the first rule that would ruin the vault.
pub fn allow(rules: &[Rule], prefix: &str) -> crate::error::Result<()> {
    for rule in rules {
        if let Judgement::Ruins { does, remedy } = judge(rule, prefix) {
            return Err(Error::operator(format!("write to the vault: {does}")).remedy(remedy));
        }
    }
    Ok(())
}

/// Rules of ours begin so, those of another vault beside this one too: they are no news.
const OURS: &str = "panicroom-";

/// What is worth knowing of the rules, and ruins nothing.
pub fn notes(rules: &[Rule], prefix: &str) -> Vec<String> {
    let of = |rule: &Rule| match judge(rule, prefix) {
        Judgement::Note(said) if !rule.id.starts_with(OURS) => Some(said),
        _ => None,
    };
    rules.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(prefix: &str, effects: &[Effect]) -> Rule {
        Rule {
            id: "r".into(),
            enabled: true,
            prefix: prefix.into(),
            tagged: false,
            larger_than: None,
            effects: effects.to_vec(),
        }
    }
    fn ruins(rule: &Rule) -> bool {
        matches!(judge(rule, "nas/"), Judgement::Ruins { .. })
    }
    fn archive() -> Effect {
        Effect::Moves("DEEP_ARCHIVE".into())
    }

    #[test]
    fn a_rule_that_expires_any_object_of_ours_ruins_the_vault() {
        for prefix in ["", "n", "nas/", "nas/data_", "nas/meta_log_", "nas/hot_"] {
            assert!(ruins(&rule(prefix, &[Effect::EndsUploads, Effect::Expires])), "{prefix}");
        }
        let error = allow(&[rule("", &[Effect::Expires])], "nas/").unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Operator);
        assert!(error.to_string().contains("'r'"), "{error}");
    }

    #[test]
    fn packs_may_move_to_an_archive_and_the_log_may_not() {
        assert_eq!(judge(&rule("nas/data_", &[archive()]), "nas/"), Judgement::Fine);
        for prefix in ["", "nas/", "nas/meta_", "nas/hot_", "nas/m"] {
            assert!(ruins(&rule(prefix, &[archive()])), "{prefix}");
        }
        for class in ["INTELLIGENT_TIERING", "GLACIER_IR", "STANDARD_IA", "ONEZONE_IA"] {
            for prefix in ["", "nas/", "nas/meta_"] {
                let judged = judge(&rule(prefix, &[Effect::Moves(class.into())]), "nas/");
                assert!(
                    matches!(&judged, Judgement::Ruins { does, .. } if does.contains(&format!("to {class}, w"))),
                    "{judged:?}"
                );
            }
        }
        assert_eq!(judge(&rule("nas/data_", &[Effect::Moves("STANDARD_IA".into())]), "nas/"), Judgement::Fine);
    }

    #[test]
    fn what_costs_or_hides_something_without_ruining_the_vault_is_said_with_what() {
        let said = |prefix: &str, class: &str| match judge(&rule(prefix, &[Effect::Moves(class.into())]), "nas/") {
            Judgement::Note(said) => said,
            other => panic!("{other:?}"),
        };
        assert!(said("nas/hot_", "GLACIER_IR").contains("90 days"));
        assert!(said("nas/hot_", "STANDARD_IA").contains("30 days"));
        assert!(said("nas/data_", "INTELLIGENT_TIERING").contains("no listing tells"));
        assert!(ruins(&rule("nas/hot_", &[Effect::Moves("INTELLIGENT_TIERING".into())])));
    }

    #[test]
    fn what_does_not_reach_us_is_no_harm_and_is_named() {
        for prefix in ["_data", "other/", "nas/_data"] {
            let judged = judge(&rule(prefix, &[Effect::Expires]), "nas/");
            assert!(matches!(&judged, Judgement::Note(n) if n.contains(prefix)), "{judged:?}");
        }
        assert!(!ruins(&Rule { tagged: true, ..rule("", &[Effect::Expires]) }));
        assert!(!ruins(&Rule { larger_than: Some(MAX_OBJECT), ..rule("", &[Effect::Expires]) }));
        assert!(ruins(&Rule { larger_than: Some(128 << 10), ..rule("", &[Effect::Expires]) }));
        assert_eq!(judge(&Rule { enabled: false, ..rule("", &[Effect::Expires]) }, "nas/"), Judgement::Fine);
    }

    #[test]
    fn tidying_rules_are_fine_and_a_hasty_one_is_named() {
        let tidy = [Effect::EndsUploads, Effect::DropsMarkers, Effect::MovesOld("GLACIER".into())];
        assert_eq!(judge(&rule("", &tidy), ""), Judgement::Fine);
        let judged = judge(&rule("", &[Effect::ExpiresOld(1)]), "");
        assert!(matches!(&judged, Judgement::Note(n) if n.contains("1 days (30 or more")), "{judged:?}");
    }

    /// An old version of a pack is what a delete marker hides; those of a trial's probes are nobody's loss.
    #[test]
    fn a_rule_that_ends_old_versions_is_named_with_its_days_however_many_and_the_one_for_probes_is_fine() {
        for prefix in ["", "nas/", "nas/data_", "nas/meta_log_"] {
            let judged = judge(&rule(prefix, &[Effect::ExpiresOld(90)]), "nas/");
            let told = |said: &str| said.contains("final after 90 days:") && said.contains("inventory alarms");
            assert!(matches!(&judged, Judgement::Note(said) if told(said)), "{judged:?}");
            assert!(allow(&[rule(prefix, &[Effect::ExpiresOld(90)])], "nas/").is_ok());
        }
        assert_eq!(judge(&rule("nas/meta_probe_", &[Effect::ExpiresOld(30)]), "nas/"), Judgement::Fine);
    }
}
