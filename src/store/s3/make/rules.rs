//! The lifecycle rules of a bucket that is being made fit for a vault: ours are added, and every other goes back as it was.
//! The call that writes takes all of them at once, so they are read right before, and compared after.

use super::super::lifecycle::{is_unset, plain};
use super::{Maker, Manner, No, unbuilt};
use crate::error::Error;
use crate::store::bucket::{Asked, Call, Does, Part, Refusal, Rules, Tidy};
use aws_sdk_s3::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, BuildError};
use aws_sdk_s3::operation::get_bucket_lifecycle_configuration::GetBucketLifecycleConfigurationOutput;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
    NoncurrentVersionExpiration,
};
use std::sync::{Arc, Mutex};

/// Every element of lifecycle rules that is read and written back. What is not here would be lost by writing.
const KNOWN: [&str; 24] = [
    "LifecycleConfiguration",
    "Rule",
    "ID",
    "Prefix",
    "Status",
    "Filter",
    "And",
    "Tag",
    "Key",
    "Value",
    "ObjectSizeGreaterThan",
    "ObjectSizeLessThan",
    "Expiration",
    "Days",
    "Date",
    "ExpiredObjectDeleteMarker",
    "Transition",
    "StorageClass",
    "NoncurrentVersionTransition",
    "NoncurrentVersionExpiration",
    "NoncurrentDays",
    "NewerNoncurrentVersions",
    "AbortIncompleteMultipartUpload",
    "DaysAfterInitiation",
];

impl Maker<'_> {
    /// As [`Maker::look`] tells them.
    pub(super) fn told_rules(&self) -> Asked<Rules> {
        let (found, unknown) = self.rules()?;
        Ok(Rules {
            all: found.rules().iter().map(plain).collect(),
            tidy: found.rules().iter().filter_map(tidy).collect(),
            unknown,
        })
    }

    /// The rules as they came, and the first element of them that this release does not know.
    fn rules(&self) -> Result<(GetBucketLifecycleConfigurationOutput, Option<String>), Box<No>> {
        let seen = Body::default();
        let request = self.store.client.get_bucket_lifecycle_configuration().bucket(self.name());
        let found =
            self.ask(Part::Rules.read_call(), Manner::Reads, request.customize().interceptor(seen.clone()).send());
        match found {
            Ok(found) => {
                let text = seen.0.lock().expect("body lock").clone();
                Ok((found, elements(&text).find(|e| !KNOWN.contains(e)).map(str::to_owned)))
            }
            Err(no) if is_unset(&no.answer) => Ok((GetBucketLifecycleConfigurationOutput::builder().build(), None)),
            Err(no) => Err(no),
        }
    }

    /// The call takes all rules at once: those that are there go back with ours, and are compared after.
    pub(super) fn add_rules(&self, call: Call, ours: &[Tidy]) -> Asked<()> {
        let (before, unknown) = self.rules()?;
        if let Some(unknown) = unknown {
            let doing =
                format!("add rules to the bucket {}: its rules have a part '{unknown}' not known here", self.name());
            return Err(Refusal::Failed(Error::operator(doing).remedy("add ours by hand: 'panicroom setup print'")));
        }
        // One set of rules names its prefixes in one way: the old, or the new.
        #[expect(deprecated, reason = "old rules carry their prefix there")]
        let old = before.rules().iter().any(|rule| rule.prefix().is_some());
        let ours = ours.iter().map(|ours| rule(ours, old)).collect::<Result<Vec<_>, _>>().map_err(unbuilt)?;
        let all: Vec<LifecycleRule> = before.rules().iter().cloned().chain(ours).collect();
        let all = BucketLifecycleConfiguration::builder().set_rules(Some(all)).build().map_err(unbuilt)?;
        let request = self.store.client.put_bucket_lifecycle_configuration().bucket(self.name());
        let request = request
            .lifecycle_configuration(all)
            .set_transition_default_minimum_object_size(before.transition_default_minimum_object_size().cloned());
        self.ask(call, Manner::Writes, request.send())?;
        let (after, _) = self.rules()?;
        match before.rules().iter().find(|rule| !after.rules().contains(rule)) {
            None => Ok(()),
            Some(changed) => Err(Refusal::Failed(
                Error::operator(format!(
                    "add rules to the bucket {}: its rule '{}' came back differently",
                    self.name(),
                    changed.id().unwrap_or("(without an id)")
                ))
                .remedy("look at the bucket's lifecycle rules now"),
            )),
        }
    }
}

/// One of ours, as the call takes it.
fn rule(ours: &Tidy, old: bool) -> Result<LifecycleRule, BuildError> {
    let whole = |days: u32| i32::try_from(days).unwrap_or(i32::MAX);
    let rule = LifecycleRule::builder().id(&ours.id).status(ExpirationStatus::Enabled);
    #[expect(deprecated, reason = "beside old rules there is no other way")]
    let rule = if old {
        rule.prefix(&ours.prefix)
    } else {
        rule.filter(LifecycleRuleFilter::builder().prefix(&ours.prefix).build())
    };
    match ours.does {
        Does::EndUploads(days) => {
            let end = AbortIncompleteMultipartUpload::builder().days_after_initiation(whole(days)).build();
            rule.abort_incomplete_multipart_upload(end)
        }
        Does::DropOld(days) => {
            let old = NoncurrentVersionExpiration::builder().noncurrent_days(whole(days)).build();
            rule.noncurrent_version_expiration(old)
        }
    }
    .build()
}

/// A rule that does exactly what one of ours does, under whatever id.
fn tidy(found: &LifecycleRule) -> Option<Tidy> {
    let known = plain(found);
    let days = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok());
    let ends = found.abort_incomplete_multipart_upload().and_then(|a| days(a.days_after_initiation()));
    let drops = found.noncurrent_version_expiration().and_then(|n| days(n.noncurrent_days()));
    let does = ends.map(Does::EndUploads).or(drops.map(Does::DropOld))?;
    let exact = [false, true].into_iter().any(|old| {
        rule(&Tidy { id: found.id().unwrap_or_default().to_owned(), prefix: known.prefix.clone(), does }, old)
            .is_ok_and(|ours| ours == *found)
    });
    exact.then_some(Tidy { id: known.id, prefix: known.prefix, does })
}

/// The names of a document's elements.
fn elements(xml: &str) -> impl Iterator<Item = &str> {
    xml.split('<').skip(1).filter_map(|rest| {
        let name = rest.split(|c: char| c.is_whitespace() || c == '>' || c == '/').next()?;
        let begins = name.chars().next().is_some_and(char::is_alphabetic);
        begins.then(|| name.rsplit(':').next().unwrap_or(name))
    })
}

/// The text of an answer, as it came.
#[derive(Clone, Debug, Default)]
struct Body(Arc<Mutex<String>>);

impl Intercept for Body {
    fn name(&self) -> &'static str {
        "Body"
    }
    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let text = context.response().body().bytes().map(|b| String::from_utf8_lossy(b).into_owned());
        *self.0.lock().expect("body lock") = text.unwrap_or_default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_wherever_they_stand() {
        let xml = "<?xml version=\"1.0\"?><a:Rule x=\"<\"><ID>1</ID><New/><Filter ></Filter></a:Rule>";
        let found: Vec<_> = elements(xml).collect();
        assert_eq!(found, ["Rule", "ID", "New", "Filter"]);
    }

    #[test]
    fn a_rule_of_ours_is_known_again_in_either_form_and_another_is_not() {
        let ours = Tidy { id: "x".into(), prefix: "nas/".into(), does: Does::EndUploads(7) };
        for old in [false, true] {
            assert_eq!(tidy(&rule(&ours, old).unwrap()), Some(ours.clone()));
        }
        let mut more = rule(&ours, false).unwrap();
        more.noncurrent_version_expiration = Some(NoncurrentVersionExpiration::builder().noncurrent_days(1).build());
        assert_eq!(tidy(&more), None);
    }
}
