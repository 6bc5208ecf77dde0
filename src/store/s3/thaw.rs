//! Frozen objects: what a listing and a look tell of them, and the one request that asks for a copy. What no local
//! server answers is played in `tests/wire.rs`.

use super::behind::{Absent, Found};
use super::{S3Store, trouble, wall};
use crate::error::Result;
use crate::store::abilities::Ability;
use crate::store::{Access, ObjectName, Speed, TIERING, Thaw, is_archive};
use crate::worker::Stop;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{GlacierJobParameters, RestoreRequest, RestoreStatus, Tier};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// What a listing tells. A server that never listed a status may be one that does not: then nothing is told of a frozen
/// class.
pub(super) fn listed(class: Option<&str>, status: Option<&RestoreStatus>, ability: Ability) -> Option<Access> {
    let class = class.unwrap_or("STANDARD");
    if let Some(status) = status {
        if status.is_restore_in_progress() == Some(true) {
            return Some(Access::Thawing);
        }
        if let Some(until) = status.restore_expiry_date() {
            return Some(Access::Thawed { until: wall(until) });
        }
        return Some(if is_archive(class) { Access::Frozen } else { Access::Warm });
    }
    match ability {
        Ability::Yes if is_archive(class) => Some(Access::Frozen),
        _ if is_archive(class) || class == TIERING => None,
        _ => Some(Access::Warm),
    }
}

/// What a look tells.
pub(super) fn looked_at(answer: &HeadObjectOutput) -> Access {
    let is_frozen =
        answer.archive_status().is_some() || answer.storage_class().is_some_and(|class| is_archive(class.as_str()));
    match answer.restore() {
        Some(restore) if restore.contains("ongoing-request=\"true\"") => Access::Thawing,
        Some(restore) => Access::Thawed { until: expiry(restore) },
        None if is_frozen => Access::Frozen,
        None => Access::Warm,
    }
}

/// Of `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`.
fn expiry(restore: &str) -> Option<crate::clock::Wall> {
    let date = restore.split("expiry-date=\"").nth(1)?.split('"').next()?;
    wall(&DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?)
}

/// The status of an answer that was no error; the SDK keeps it to itself.
#[derive(Clone, Debug, Default)]
struct Status(Arc<AtomicU16>);

impl Intercept for Status {
    fn name(&self) -> &'static str {
        "Status"
    }
    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        self.0.store(context.response().status().as_u16(), Ordering::Relaxed);
        Ok(())
    }
}

impl S3Store {
    pub(super) fn ask_for(
        &self,
        name: &ObjectName,
        version: Option<&str>,
        speed: Speed,
        days: u32,
    ) -> Result<Found<Thaw>> {
        let doing = format!("thaw {}", self.key(name));
        let tier = match speed {
            Speed::Bulk => Tier::Bulk,
            Speed::Standard => Tier::Standard,
            Speed::Expedited => Tier::Expedited,
        };
        let job = GlacierJobParameters::builder().tier(tier).build().expect("the tier is set");
        let ask = |days: Option<i32>| {
            let wish = RestoreRequest::builder().set_days(days).glacier_job_parameters(job.clone()).build();
            let status = Status::default();
            let request = self.client.restore_object().bucket(&self.bucket.name).key(self.key(name));
            let request = request.restore_request(wish).set_version_id(version.map(str::to_owned));
            let request = request.customize().interceptor(status.clone());
            self.count(|r| r.thaw += 1);
            self.run(&Stop::new(), &doing, async {
                let refusal = match request.send().await {
                    Ok(_) if status.0.load(Ordering::Relaxed) == 200 => return Ok(Asked::Answered(Ok(Thaw::Ready))),
                    Ok(_) => return Ok(Asked::Answered(Ok(Thaw::Asked))),
                    Err(e) => e,
                };
                let said = trouble::Answer::of(&refusal);
                let answer = match refused(&said, speed) {
                    Some(thaw) => Ok(Ok(thaw)),
                    None => Absent::or_error(doing.clone(), &refusal).map(Err),
                };
                if is_about_the_wish(&said) { Ok(Asked::Refused(answer)) } else { answer.map(Asked::Answered) }
            })
        };
        match ask(Some(i32::try_from(days.max(1)).unwrap_or(i32::MAX)))? {
            Asked::Answered(found) => Ok(found),
            Asked::Refused(_) if self.is_tiered_away(name, version) => match ask(None)? {
                Asked::Answered(found) => Ok(found),
                Asked::Refused(answer) => answer,
            },
            Asked::Refused(answer) => answer,
        }
    }

    /// Whether it lies in an archive of the tiering class. What cannot be seen is not known to be.
    fn is_tiered_away(&self, name: &ObjectName, version: Option<&str>) -> bool {
        let looked = self.look_at(name, version);
        matches!(looked, Ok(Ok(info)) if info.class.as_deref() == Some(TIERING) && info.access == Some(Access::Frozen))
    }
}

/// What a request to thaw came to.
enum Asked {
    Answered(Found<Thaw>),
    /// Not granted in this form; what that means, unless another form is.
    Refused(Result<Found<Thaw>>),
}

/// A refusal that may be about the days: an archive of the tiering class gives no copy that goes, and takes none. Which of
/// these AWS says of it is not written anywhere.
fn is_about_the_wish(said: &trouble::Answer) -> bool {
    matches!(said.code.as_str(), "InvalidArgument" | "InvalidRequest" | "MalformedXML" | "InvalidObjectState")
}

/// Refusals that are answers.
fn refused(said: &trouble::Answer, speed: Speed) -> Option<Thaw> {
    let words = said.message.to_ascii_lowercase();
    match said.code.as_str() {
        "RestoreAlreadyInProgress" => Some(Thaw::Underway),
        // The last one says of a thaw that the class needs none.
        "ObjectAlreadyInActiveTierError" | "ObjectAlreadyInActiveTier" | "InvalidObjectState" => Some(Thaw::Ready),
        "GlacierExpeditedRetrievalNotAvailable" => Some(Thaw::NotAtThisSpeed),
        "InvalidArgument" | "InvalidRequest" | "NotImplemented" | "InvalidTier" | "MalformedXML"
            if speed == Speed::Expedited || words.contains("tier") || words.contains("retrieval option") =>
        {
            Some(Thaw::NotAtThisSpeed)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;

    #[test]
    fn the_date_a_copy_expires_is_read_and_a_strange_one_is_unknown() {
        let told = "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"";
        assert_eq!(expiry(told), Some(Wall(1_356_048_000_000)));
        assert_eq!((expiry("ongoing-request=\"false\""), expiry("expiry-date=\"soon\"")), (None, None));
    }

    #[test]
    fn a_refusal_is_an_answer_only_where_it_says_what_to_do_next() {
        let said = |code: &str, message: &str| trouble::Answer {
            status: 400,
            code: code.to_owned(),
            message: message.to_owned(),
            ..trouble::Answer::default()
        };
        let refused = |code, message, speed| refused(&said(code, message), speed);
        assert_eq!(refused("RestoreAlreadyInProgress", "", Speed::Bulk), Some(Thaw::Underway));
        assert_eq!(refused("InvalidArgument", "no", Speed::Expedited), Some(Thaw::NotAtThisSpeed));
        assert_eq!(refused("InvalidArgument", "the tier is not valid", Speed::Bulk), Some(Thaw::NotAtThisSpeed));
        assert_eq!(refused("InvalidArgument", "days", Speed::Bulk), None);
        assert_eq!(refused("AccessDenied", "", Speed::Expedited), None);
    }
}
