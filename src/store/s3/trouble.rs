//! What an answer of an S3 server means for us: a table from status and code to what happens next, and the way
//! there from the SDK's errors. Nothing here is ever about a source path (promise 13).

use crate::error::{Error, Kind};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// What a server said no with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// HTTP status; 0 when there was no answer at all.
    pub(super) status: u16,
    /// Empty where the answer had none (every answer to HEAD).
    pub(super) code: String,
    pub(super) message: String,
    /// The header an answer names as not implemented.
    pub(super) body: String,
    /// The name answers with a delete marker.
    pub(super) is_marker: bool,
}

impl Answer {
    pub(super) fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Self {
        let mut answer = Self::default();
        if let Some(raw) = error.raw_response() {
            answer.status = raw.status().as_u16();
            let body = raw.body().bytes().unwrap_or_default();
            answer.body = String::from_utf8_lossy(&body[..body.len().min(2000)]).into_owned();
            answer.is_marker = raw.headers().get("x-amz-delete-marker") == Some("true");
        }
        if let Some(service) = error.as_service_error() {
            service.code().unwrap_or_default().clone_into(&mut answer.code);
            service.message().unwrap_or_default().clone_into(&mut answer.message);
        }
        answer
    }

    pub(super) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// The name exists already.
    pub(super) fn exists(&self) -> bool {
        self.status == 412 || self.is("PreconditionFailed")
    }

    /// There is no such object: not on top, or not of the version asked for.
    pub(super) fn is_absent(&self) -> bool {
        self.status == 404 && !self.is("NoSuchBucket")
    }

    /// The server does not know this kind of request. Some take a listing of versions for a plain one.
    pub(super) fn knows_not_the_request(&self) -> bool {
        matches!(self.status, 405 | 501)
            || matches!(self.code.as_str(), "NotImplemented" | "MethodNotAllowed" | "UnsupportedOperation")
            || (self.status == 200 && self.body.contains("<ListBucketResult"))
    }

    /// The server stumbled over a header it does not know, or over its form.
    pub(super) fn knows_not_a_header(&self) -> bool {
        matches!(self.code.as_str(), "NotImplemented" | "InvalidArgument" | "InvalidRequest" | "UnsupportedHeader")
            || self.status == 501
    }
}

/// The error for what the SDK came back with. `doing` says to which object or bucket.
pub(super) fn error<E>(doing: String, error: &SdkError<E, HttpResponse>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let answer = Answer::of(error);
    let (kind, remedy) = match error {
        SdkError::ServiceError(_) | SdkError::ResponseError(_) => judge(&answer),
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => judge_no_answer(&chain(error)),
        _ => (Kind::Retry, None),
    };
    let said = match (answer.status, answer.code.is_empty()) {
        (0, _) => chain(error),
        (status, true) => format!("the server answered {status}"),
        (status, false) => format!("the server answered {status} {}: {}", answer.code, answer.message),
    };
    let error = Error::new(kind, doing).because(said);
    match remedy {
        Some(remedy) => error.remedy(remedy),
        None => error,
    }
}

/// Every cause on one line; the SDK's own text is only "dispatch failure".
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    causes.join(": ")
}

/// For errors outside of any operation (credentials, configuration).
pub(super) fn plain(error: &(dyn std::error::Error + 'static)) -> String {
    format!("{}", DisplayErrorContext(error)).lines().next().unwrap_or_default().to_owned()
}

const RIGHTS: &str = "check the key's rights ('panicroom setup print' shows them): a machine that backs up needs \
    s3:ListBucket, s3:PutObject, and s3:GetObject on meta_; who restores needs s3:ListBucket, s3:GetObject and s3:RestoreObject, \
    best by a key of its own with '--vault URL'; where the bucket keeps versions, s3:GetObjectVersion and \
    s3:ListBucketVersions too";
const KEYS: &str = "check the access key and secret key of this vault";
const CLOCK: &str = "set this machine's clock: it is more than 15 minutes off";
const BUCKET: &str = "create the bucket, or correct the vault's url";
const REGION: &str = "give the bucket's region in the vault's url: ?region=…";

fn judge(answer: &Answer) -> (Kind, Option<&'static str>) {
    match answer.code.as_str() {
        "RequestTimeTooSkewed" => (Kind::Operator, Some(CLOCK)),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "MethodNotAllowed" => (Kind::Operator, Some(RIGHTS)),
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "ExpiredToken"
        | "TokenRefreshRequired"
        | "InvalidSecurity"
        | "NotSignedUp" => (Kind::Operator, Some(KEYS)),
        "NoSuchBucket" | "InvalidBucketName" => (Kind::Operator, Some(BUCKET)),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            (Kind::Operator, Some(REGION))
        }
        "InvalidObjectState" => (Kind::Operator, Some("it is frozen: ask for a thaw first, as panicroom restore does")),
        "InvalidStorageClass" => {
            (Kind::Operator, Some("this server does not know the vault's class: correct ?class=…"))
        }
        "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" => {
            (Kind::Operator, Some("make room there, or raise the quota; nothing is lost meanwhile"))
        }
        "NoSuchKey" | "InvalidRange" => (Kind::Damaged, None),
        "BadDigest"
        | "XAmzContentSHA256Mismatch"
        | "IncompleteBody"
        | "RequestTimeout"
        | "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "ConditionalRequestConflict"
        | "OperationAborted"
        | "InternalError"
        | "ServiceUnavailable"
        | "GlacierExpeditedRetrievalNotAvailable" => (Kind::Retry, None),
        _ => match answer.status {
            301 | 307 => (Kind::Operator, Some(REGION)),
            401 | 403 => (Kind::Operator, Some(RIGHTS)),
            404 | 416 => (Kind::Damaged, None),
            408 | 409 | 425 | 429 => (Kind::Retry, None),
            400..=499 | 501 => (Kind::Operator, Some("the server does not accept this request: see its words")),
            507 => (Kind::Operator, Some("make room there; nothing is lost meanwhile")),
            _ => (Kind::Retry, None),
        },
    }
}

fn judge_no_answer(words: &str) -> (Kind, Option<&'static str>) {
    let words = words.to_ascii_lowercase();
    if words.contains("credential") {
        return (
            Kind::Operator,
            Some("give this vault a credentials_file, a systemd credential, or the AWS environment"),
        );
    }
    if words.contains("certificate") {
        return (Kind::Operator, Some("check this machine's clock and its list of certificate authorities"));
    }
    if words.contains("construct") || words.contains("invalid endpoint") {
        return (Kind::Operator, Some("check the vault's url"));
    }
    (Kind::Retry, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, code: &str) -> (Kind, Option<&'static str>) {
        judge(&Answer { status, code: code.to_owned(), ..Answer::default() })
    }

    #[test]
    fn passing_trouble_is_tried_again() {
        for (status, code) in [
            (500, "InternalError"),
            (503, "SlowDown"),
            (502, ""),
            (504, ""),
            (400, "RequestTimeout"),
            (400, "BadDigest"),
            (409, "ConditionalRequestConflict"),
            (429, ""),
        ] {
            assert_eq!(kind(status, code), (Kind::Retry, None), "{status} {code}");
        }
        assert_eq!(judge_no_answer("dispatch failure: io error: connection refused").0, Kind::Retry);
    }

    #[test]
    fn what_only_a_person_can_mend_says_how() {
        for (status, code, remedy) in [
            (403, "AccessDenied", "s3:PutObject"),
            (403, "", "rights"),
            (403, "InvalidAccessKeyId", "access key"),
            (403, "SignatureDoesNotMatch", "secret key"),
            (403, "RequestTimeTooSkewed", "clock"),
            (404, "NoSuchBucket", "create the bucket"),
            (301, "PermanentRedirect", "region"),
            (403, "InvalidObjectState", "thaw"),
            (400, "InvalidStorageClass", "class"),
        ] {
            let (kind, text) = kind(status, code);
            assert_eq!(kind, Kind::Operator, "{status} {code}");
            assert!(text.unwrap().contains(remedy), "{status} {code}: {text:?}");
        }
        assert_eq!(judge_no_answer("no credentials in the chain").0, Kind::Operator);
    }

    #[test]
    fn a_missing_object_is_damage_and_not_a_wait() {
        assert_eq!(kind(404, "NoSuchKey").0, Kind::Damaged);
        assert_eq!(kind(404, "").0, Kind::Damaged);
    }
}
