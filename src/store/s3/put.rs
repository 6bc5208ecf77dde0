//! Creating one object: a single PUT that refuses to overwrite, and the proof that these bytes were kept.
//!
//! The proofs, best first: the checksum the server repeats; an ETag that is the MD5 of what was sent; the checksum a
//! HEAD tells; the bytes read back. A lost answer is settled by the next `create` of the same name: 412, then a
//! listing of the exact name. Where an earlier attempt ended unclear, or the server was not yet seen to refuse an
//! existing name, the listing comes first and saves the uplink a body.
//!
//! The hash of the payload is part of the signature (`x-amz-content-sha256`), so a body changed on the way is refused
//! also where the checksum header means nothing to the server.

use super::feed::{self, Fed};
use super::wire::Pulse;
use super::{Looked, S3Store, trouble};
use crate::error::{Error, Kind, Result};
use crate::model::Sha256;
use crate::store::abilities::Ability;
use crate::store::body::BodyReader;
use crate::store::proof::{Hashing, Sum};
use crate::store::throttle::Freight;
use crate::store::{Created, NewObject, ObjectName, ObjectStore as _};
use crate::worker::Stop;
use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, SdkError};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{ChecksumAlgorithm, StorageClass};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Objects up to this size are put twice, once per vault, to see whether the server refuses a name that exists.
const PROBE_MAX: u64 = 1 << 20;

/// What one PUT came to.
enum Put {
    Kept {
        answer: Box<PutObjectOutput>,
        md5: String,
    },
    Exists,
    /// The server stumbled over a header; one was dropped, try without it.
    WithoutHeader,
}

impl S3Store {
    pub(super) fn create_object(&self, object: &NewObject, stop: &Stop) -> Result<Created> {
        let name = &object.name;
        loop {
            stop.check()?;
            if (self.abilities().conditional_create != Ability::Yes || self.is_unclear(name))
                && let Some(there) = self.look(name, stop)?
            {
                return self.settle(object, &there, stop);
            }
            match self.put(object, stop)? {
                Put::Kept { answer, md5 } => {
                    self.met_version(answer.version_id());
                    self.forget(name);
                    self.confirm(object, &answer, &md5, stop)?;
                    self.now_clear(name);
                    self.probe(object, stop);
                    return Ok(Created::Now);
                }
                Put::Exists => {
                    self.learn(|a| a.conditional_create = Ability::Yes);
                    let there = self.look(name, stop)?.ok_or_else(|| {
                        Error::retry(format!("create {}: the name exists, but no listing shows it yet", self.key(name)))
                    })?;
                    return self.settle(object, &there, stop);
                }
                Put::WithoutHeader => {}
            }
        }
    }

    /// One PUT with its body, at the pace of the throttle.
    fn put(&self, object: &NewObject, stop: &Stop) -> Result<Put> {
        let reader = BodyReader::open(object)?;
        let (to, slices) = feed::channel(object.size);
        let request = self.request(object).body(ByteStream::new(SdkBody::from_body_1_x(slices)));
        let request = request.customize().interceptor(SignedPayload(object.sha256.to_string()));
        self.count(|r| r.put += 1);
        let (stopped, doing) = (stop.clone(), format!("create {}", self.key(&object.name)));
        let (pulse, underway, size) = (Pulse::new(Freight::Body), self.throttle.begin(), object.size);
        let call = self.handle.spawn(async move {
            tokio::select! {
                answer = pulse.of(request.send()) => Ok(answer),
                ended = super::watch(&stopped, &pulse, super::STANDSTILL, Some((&underway, size))) => Err(ended),
            }
        });
        let fed = feed::feed(reader, &to, &self.throttle, stop);
        drop(to);
        let md5 = match fed {
            Ok(Fed::All { md5 }) => {
                // From here on the server may have all of it, whatever we hear.
                self.now_unclear(&object.name);
                Some(md5)
            }
            Ok(Fed::Refused) => None,
            Err(e) => {
                call.abort();
                return Err(e);
            }
        };
        let answer = match self.handle.block_on(call) {
            Ok(answer) => answer.map_err(|e| e.during(&doing))?,
            Err(e) => return Err(Error::retry(doing).because(e)),
        };
        match answer {
            Ok(answer) => {
                let md5 = md5.ok_or_else(|| Error::retry(format!("{doing}: confirmed before all was sent")))?;
                Ok(Put::Kept { answer: Box::new(answer), md5 })
            }
            Err(refused) => self.refused(&object.name, doing, &refused),
        }
    }

    /// Everything of the PUT but its body.
    fn request(&self, object: &NewObject) -> PutObjectFluentBuilder {
        let abilities = self.abilities();
        let mut request = self
            .client
            .put_object()
            .bucket(&self.bucket.name)
            .key(self.key(&object.name))
            .content_type("application/octet-stream")
            .content_length(i64::try_from(object.size).expect("bounded by MAX_OBJECT"));
        if abilities.conditional_create != Ability::No {
            request = request.if_none_match("*");
        }
        if abilities.checksum_header != Ability::No {
            request =
                request.checksum_algorithm(ChecksumAlgorithm::Sha256).checksum_sha256(BASE64.encode(object.sha256.0));
        }
        if let Some(class) = self.class_of(&object.name) {
            request = request.storage_class(StorageClass::from(class));
        }
        request
    }

    /// What a PUT that was not confirmed means.
    fn refused(&self, name: &ObjectName, doing: String, refused: &SdkError<PutObjectError>) -> Result<Put> {
        let said = trouble::Answer::of(refused);
        if said.exists() {
            return Ok(Put::Exists);
        }
        if said.status != 0 && said.status < 500 {
            self.now_clear(name);
        }
        if said.knows_not_a_header() {
            let mut dropped = false;
            self.learn(|a| dropped = a.refused(&format!("{} {} {}", said.code, said.message, said.body)));
            if dropped {
                return Ok(Put::WithoutHeader);
            }
        }
        Err(trouble::error(doing, refused))
    }

    /// The answer to a PUT must prove that these very bytes were kept.
    fn confirm(&self, object: &NewObject, answer: &PutObjectOutput, md5: &str, stop: &Stop) -> Result<()> {
        let etag = answer.e_tag().map(super::plain_etag);
        if etag.as_deref() == Some(md5) {
            self.learn(|a| a.etag_is_md5 = Ability::Yes);
        }
        if let Some(echo) = answer.checksum_sha256() {
            self.learn(|a| (a.checksum_header, a.checksum_echo) = (Ability::Yes, Ability::Yes));
            if parse_sum(echo) == Some(object.sha256) {
                return Ok(());
            }
            return Err(self.kept_other_bytes(&object.name));
        }
        self.learn(|a| a.checksum_echo = Ability::No);
        if etag.as_deref() == Some(md5) {
            return Ok(());
        }
        let there = self
            .look(&object.name, stop)?
            .ok_or_else(|| Error::retry(format!("create {}: confirmed, but not listed", self.key(&object.name))))?;
        self.settle(object, &there, stop).map(|_| ())
    }

    /// A name that exists is believed only when its bytes are proved to be the very same.
    fn settle(&self, object: &NewObject, there: &Looked, stop: &Stop) -> Result<Created> {
        let name = &object.name;
        let same = if there.size == object.size { self.same_bytes(object, there, stop)? } else { false };
        self.now_clear(name);
        if same {
            return Ok(Created::Before);
        }
        Err(Error::damaged(format!("create {}: other bytes are there under this name", self.key(name)))
            .remedy("the vault was changed by somebody else; nothing is overwritten: look at that object"))
    }

    fn same_bytes(&self, object: &NewObject, there: &Looked, stop: &Stop) -> Result<bool> {
        let md5 = md5_of(object, stop)?;
        if there.etag.as_deref() == Some(md5.as_str()) {
            self.learn(|a| a.etag_is_md5 = Ability::Yes);
            return Ok(true);
        }
        if self.abilities().etag_is_md5 == Ability::Yes && there.etag.as_deref().is_some_and(is_md5) {
            return Ok(false);
        }
        // An ETag may be opaque (encryption with a managed key): the checksum decides, else the bytes themselves.
        // Of what the name answers with, never of what lies behind it.
        match self.look_at(&object.name, None) {
            Ok(Ok(info)) => {
                if let Some(sum) = info.sha256 {
                    return Ok(sum == object.sha256);
                }
            }
            Ok(Err(_)) => {
                return Err(Error::retry(format!("create {}: listed, but not there", self.key(&object.name))));
            }
            Err(e) if e.kind() == Kind::Operator => {}
            Err(e) => return Err(e),
        }
        let (mut bytes, range) = (Vec::new(), 0..object.size);
        if object.size > 0 {
            let read = self.read_version(&object.name, None, Some(&range), &mut bytes, stop);
            read.and_then(|there| there.map_err(|absent| absent.error)).map_err(|e| {
                let key = self.key(&object.name);
                e.during(&format!("prove {key}, for which the server gives neither checksum nor MD5"))
            })?;
        }
        Ok(Sum::of(&bytes) == object.sha256)
    }

    /// Puts what was just confirmed once more: a server that keeps its promise refuses. Once per vault.
    fn probe(&self, object: &NewObject, stop: &Stop) {
        if self.abilities().conditional_create != Ability::Unknown || object.size > PROBE_MAX {
            return;
        }
        match self.put(object, stop) {
            Ok(Put::Exists) => self.learn(|a| a.conditional_create = Ability::Yes),
            Ok(Put::Kept { .. }) => {
                tracing::warn!(vault = %self.url(), "this server ignores If-None-Match: each PUT costs a listing more");
                self.learn(|a| a.conditional_create = Ability::No);
            }
            // Not learnt this time; the object is confirmed all the same.
            Ok(Put::WithoutHeader) => {}
            Err(e) if e.kind() == Kind::Stopping => {}
            Err(e) => tracing::debug!(error = %e, "could not probe for conditional create"),
        }
        self.now_clear(&object.name);
    }

    fn kept_other_bytes(&self, name: &ObjectName) -> Error {
        Error::damaged(format!("create {}: the vault confirms other bytes than were sent", self.key(name)))
    }
}

/// Signs the hash known since sealing instead of "unsigned"; the SDK offers no setting for a body that streams.
#[derive(Debug)]
pub(super) struct SignedPayload(pub(super) String);

impl Intercept for SignedPayload {
    fn name(&self) -> &'static str {
        "SignedPayload"
    }
    fn modify_before_signing(
        &self,
        _context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        config.interceptor_state().store_put(PayloadSigningOverride::Precomputed(self.0.clone()));
        Ok(())
    }
}

/// A checksum as a server writes it; composite ones (of parts, with a dash) are none of ours.
pub(super) fn parse_sum(base64: &str) -> Option<Sha256> {
    Sha256::from_slice(&BASE64.decode(base64).ok()?)
}

fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|b| b.is_ascii_hexdigit())
}

fn md5_of(object: &NewObject, stop: &Stop) -> Result<String> {
    let mut reader = BodyReader::open(object)?;
    let mut hashing = Hashing::default();
    let mut slice = vec![0; 256 << 10];
    while reader.left() > 0 {
        stop.check()?;
        hashing.update(reader.fill(&mut slice)?);
    }
    let (sum, md5) = hashing.finish();
    reader.proved(sum)?;
    Ok(md5)
}
