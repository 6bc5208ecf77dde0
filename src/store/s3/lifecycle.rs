//! The bucket's lifecycle rules, read and never written. What they would do to a vault is judged in
//! [`rules`](crate::store::rules).

use super::{S3Store, trouble};
use crate::error::Result;
use crate::store::rules::{Effect, PROBE, Rule};
use crate::store::{ObjectStore, is_archive};
use crate::worker::Stop;
use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule, LifecycleRuleAndOperator, LifecycleRuleFilter};

impl S3Store {
    /// The rules of the bucket; none where it has none. Operator where this key may not read them.
    pub fn rules(&self) -> Result<Vec<Rule>> {
        let doing = format!("read the lifecycle rules of {}", self.bucket.name);
        let request = self.client.get_bucket_lifecycle_configuration().bucket(&self.bucket.name);
        self.count(|r| r.get += 1);
        self.run(&Stop::new(), &doing, async {
            match request.send().await {
                Ok(answer) => Ok(answer.rules().iter().map(plain).collect()),
                Err(e) if is_unset(&trouble::Answer::of(&e)) => Ok(vec![]),
                Err(e) => Err(trouble::error(doing.clone(), &e)),
            }
        })
    }

    /// The vault's prefix in its bucket: empty, or ending with `/`.
    pub fn prefix(&self) -> &str {
        &self.bucket.prefix
    }

    /// Objects of the log and beside it that lie in an archive class: how many, and the first. One listing of `meta_`.
    pub fn archived_meta(&self) -> Result<Option<(u64, String)>> {
        let mut found: Option<(u64, String)> = None;
        self.list("meta_", &mut |info| {
            let archived = info.class.as_deref().is_some_and(is_archive);
            if archived && !info.name.as_str().starts_with(PROBE) {
                found.get_or_insert_with(|| (0, info.name.to_string())).0 += 1;
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The bucket has no rules at all.
pub(super) fn is_unset(answer: &trouble::Answer) -> bool {
    answer.is("NoSuchLifecycleConfiguration")
}

/// A rule as we judge it. What it says of days and dates makes no difference: it will come to that.
pub(super) fn plain(rule: &LifecycleRule) -> Rule {
    let filter = rule.filter();
    let and = filter.and_then(|f| f.and());
    #[expect(deprecated, reason = "old rules carry their prefix there")]
    let old = rule.prefix();
    let prefix = filter.and_then(|f| f.prefix()).or_else(|| and.and_then(|a| a.prefix())).or(old).unwrap_or_default();
    let tagged = filter.is_some_and(|f| f.tag().is_some()) || and.is_some_and(|a| !a.tags().is_empty());
    let larger = filter
        .and_then(LifecycleRuleFilter::object_size_greater_than)
        .or_else(|| and.and_then(LifecycleRuleAndOperator::object_size_greater_than))
        .and_then(|n| u64::try_from(n).ok());
    Rule {
        id: rule.id().unwrap_or("(without an id)").to_owned(),
        enabled: rule.status() == &ExpirationStatus::Enabled,
        prefix: prefix.to_owned(),
        tagged,
        larger_than: larger,
        effects: effects(rule),
    }
}

fn effects(rule: &LifecycleRule) -> Vec<Effect> {
    let mut effects = vec![];
    if let Some(expiry) = rule.expiration() {
        let deletes = expiry.days().is_some() || expiry.date().is_some();
        effects.push(if deletes { Effect::Expires } else { Effect::DropsMarkers });
    }
    let class = |class: Option<&aws_sdk_s3::types::TransitionStorageClass>| {
        class.map(|c| c.as_str().to_owned()).unwrap_or_default()
    };
    effects.extend(rule.transitions().iter().map(|t| Effect::Moves(class(t.storage_class()))));
    if let Some(old) = rule.noncurrent_version_expiration() {
        effects.push(Effect::ExpiresOld(old.noncurrent_days().and_then(|n| u32::try_from(n).ok()).unwrap_or(0)));
    }
    let old = rule.noncurrent_version_transitions().iter();
    effects.extend(old.map(|t| Effect::MovesOld(class(t.storage_class()))));
    if rule.abort_incomplete_multipart_upload().is_some() {
        effects.push(Effect::EndsUploads);
    }
    effects
}
