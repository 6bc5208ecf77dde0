//! What a bucket's lifecycle rules would do to a vault in it. Pure judgement: reading them is `s3`'s business.
//!
//! A rule that expires our objects deletes the vault behind our back, and one that moves the log into an archive makes
//! every look at it a thaw. Both are said before the first upload. Where a rule's reach is not plain (by size), it is
//! taken to reach us; one that selects by tag never does, since our objects carry none.

use super::{MAX_OBJECT, is_archive};
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

/// `prefix` is the vault's: empty, or ending with `/`.
pub fn judge(rule: &Rule, prefix: &str) -> Judgement {
    if !rule.enabled {
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
    let mut judged = Judgement::Fine;
    for effect in &rule.effects {
        match effect {
            Effect::Expires => {
                return Judgement::Ruins {
                    does: format!("the bucket's lifecycle rule '{id}' deletes {}* of this vault", reached.join("*, ")),
                    remedy: format!("take the expiration out of the rule '{id}', or the vault will be deleted by it"),
                };
            }
            Effect::Moves(class) if is_archive(class) && reached.iter().any(|kind| *kind != "data_") => {
                let hot: Vec<&str> = reached.iter().copied().filter(|kind| *kind != "data_").collect();
                return Judgement::Ruins {
                    does: format!(
                        "the bucket's lifecycle rule '{id}' moves {}* of this vault to {class}",
                        hot.join("*, ")
                    ),
                    remedy: format!("give the rule '{id}' the prefix '{prefix}data_': the log must stay readable"),
                };
            }
            Effect::ExpiresOld(days) if *days < TIME_TO_NOTICE => {
                judged = Judgement::Note(format!(
                    "the rule '{id}' makes a deletion final after {days} days: {TIME_TO_NOTICE} or more leave time to notice"
                ));
            }
            Effect::Moves(_)
            | Effect::ExpiresOld(_)
            | Effect::MovesOld(_)
            | Effect::EndsUploads
            | Effect::DropsMarkers => {}
        }
    }
    judged
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
        assert_eq!(judge(&rule("", &[Effect::Moves("STANDARD_IA".into())]), "nas/"), Judgement::Fine);
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
        let tidy =
            [Effect::EndsUploads, Effect::DropsMarkers, Effect::ExpiresOld(90), Effect::MovesOld("GLACIER".into())];
        assert_eq!(judge(&rule("", &tidy), ""), Judgement::Fine);
        let judged = judge(&rule("", &[Effect::ExpiresOld(1)]), "");
        assert!(matches!(&judged, Judgement::Note(n) if n.contains("1 days")), "{judged:?}");
    }
}
