//! The trial of a bucket for `panicroom doctor`: what it can do is seen done on tiny objects of its own, and what this
//! key must not do is asked for and must be refused.
//!
//! The only place that asks a server to delete or to overwrite (promise 6), and it asks for nothing but the trial's own
//! objects: were it allowed, nothing of the vault would change. Configuration is read and never written. The objects
//! stay where deleting is refused, as it should be; the trial names them. Dying half way leaves some of them.

use super::make::{self, lock};
use super::{S3Store, feed, put, trouble};
use crate::clock::{Clock, Wall};
use crate::error::{Error, Kind};
use crate::model::Sha256;
use crate::store::abilities::Ability;
use crate::store::bucket::Lock;
use crate::store::finding::{Finding, Trial};
use crate::store::proof::Sum;
use crate::store::rules::{Judgement, PROBE, judge};
use crate::store::{Body, Created, NewObject, ObjectName, ObjectStore, is_archive};
use crate::worker::Stop;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat, SdkBody};
use aws_sdk_s3::types::{BucketVersioningStatus, ChecksumAlgorithm};
use base64::Engine;
use bytes::Bytes;
use std::sync::{Arc, Mutex};

/// Servers refuse a request when the clocks are 15 minutes apart; we say so before.
const SKEW_BAD: u64 = 5 * 60 * 1000;
/// Bytes of the upload that is cut, announced and sent.
const CUT: (u64, usize) = (4096, 1000);
const LEAST_RIGHTS: &str =
    "give this machine a key of least rights (docs/setup.md): who takes the machine must not take the backup";

struct Probe<'a> {
    store: &'a S3Store,
    id: &'a str,
    stop: Stop,
    trial: Trial,
    /// Days for which the bucket locks every new object, those of the trial too.
    locked: Option<u32>,
}

/// Tries everything. `id` makes the names of this trial its own: letters and digits.
pub fn prove(store: &S3Store, id: &str, clock: &dyn Clock) -> Trial {
    let mut probe = Probe { store, id, stop: Stop::new(), trial: Trial::default(), locked: None };
    if probe.reach(clock) && probe.log() && probe.create() {
        probe.refuses_a_wrong_sum();
        probe.refuses_a_taken_name();
        probe.refuses_half();
        probe.class();
        probe.versions();
        probe.rules();
        probe.forbidden();
    }
    probe.trial
}

impl Probe<'_> {
    fn name(&self, what: &str) -> ObjectName {
        ObjectName::new(format!("{PROBE}{}{what}", self.id)).expect("letters and digits")
    }
    fn bytes(&self) -> Vec<u8> {
        format!("a trial of 'panicroom doctor', number {}; it may be deleted\n", self.id).into_bytes()
    }
    fn say(&mut self, finding: Finding) {
        self.trial.findings.push(finding);
    }
    fn fails(&mut self, check: &'static str, e: &Error) {
        let remedy = match (e.remedy_text(), e.kind()) {
            (None, Kind::Retry) => Some("passing trouble: run 'panicroom doctor' again".to_owned()),
            _ => None,
        };
        self.say(Finding { remedy, ..Finding::failed(check, e.to_string()) });
    }
    fn left(&mut self, name: &ObjectName) {
        let key = self.store.key(name);
        if !self.trial.left.contains(&key) {
            self.trial.left.push(key);
        }
    }

    /// Reach, keys and clock, by one listing.
    fn reach(&mut self, clock: &dyn Clock) -> bool {
        let store = self.store;
        let dated = Dated::default();
        let request = store.client.list_objects_v2().bucket(&store.bucket.name).prefix(store.key(&self.name("")));
        let request = request.max_keys(1).customize().interceptor(dated.clone());
        let doing = format!("list s3://{}", store.bucket.name);
        store.count(|r| r.list += 1);
        let answer = store
            .run(&self.stop, &doing, async { request.send().await.map_err(|e| trouble::error(doing.clone(), &e)) });
        let skew = dated.skew(clock.wall());
        match skew {
            Some(ms) if ms > SKEW_BAD => self.say(
                Finding::failed("clock", format!("this machine's clock is {} s away from the server's", ms / 1000))
                    .remedy("set the clock (chrony, systemd-timesyncd): at 15 minutes every request is refused"),
            ),
            Some(ms) => self.say(Finding::passed("clock", format!("within {} s of the server's", ms / 1000 + 1))),
            None => {}
        }
        match answer {
            Ok(_) => {
                self.say(Finding::passed("reach", "the bucket answers, and these keys may list it"));
                true
            }
            Err(e) => {
                self.fails("reach", &e);
                false
            }
        }
    }

    /// The log can be listed, and none of it lies in an archive.
    fn log(&mut self) -> bool {
        match self.store.archived_meta() {
            Ok(None) => self.say(Finding::passed("log", "all of meta_ is listed, none of it in an archive class")),
            Ok(Some((count, first))) => self.say(
                Finding::failed("log", format!("{count} objects of meta_ are in an archive class, {first} first"))
                    .remedy("take meta_ out of the bucket's lifecycle rule, thaw them and copy them back to STANDARD"),
            ),
            Err(e) => {
                self.fails("log", &e);
                return false;
            }
        }
        true
    }

    fn create(&mut self) -> bool {
        let (name, bytes) = (self.name(""), self.bytes());
        let object = new_object(&name, &bytes);
        match self.store.create(&object, &self.stop) {
            Ok(created) => {
                self.left(&name);
                let how = if created == Created::Now { "confirmed" } else { "there before" };
                self.say(Finding::passed("create", format!("a tiny object was created and {how}")));
            }
            Err(e) => {
                self.fails("create", &e);
                return false;
            }
        }
        match self.store.read(&name, None, &self.stop) {
            Ok(back) if back == bytes => self.say(Finding::passed("read", "the same bytes came back")),
            Ok(_) => self.say(Finding::failed("read", "other bytes came back").remedy("do not trust this server")),
            Err(e) => self.fails("read", &e),
        }
        match self.store.head(&name) {
            Ok(Some(info)) if info.sha256 == Some(object.sha256) => {
                self.say(Finding::passed("checksum", "the server keeps the SHA-256 and tells it without a read"));
            }
            Ok(Some(info)) if info.sha256.is_some() => {
                self.say(Finding::failed("checksum", "the server tells another SHA-256").remedy("do not trust it"));
            }
            Ok(Some(_)) => self.say(Finding::not_offered(
                "checksum",
                "the server tells no SHA-256 of what it keeps; the ETag or reading back proves instead",
            )),
            Ok(None) => self.say(Finding::failed("checksum", "what was just created is not found")),
            Err(e) => self.fails("checksum", &e),
        }
        true
    }

    fn refuses_a_wrong_sum(&mut self) {
        const CHECK: &str = "wrong checksum";
        if self.store.abilities().checksum_header == Ability::No {
            return self
                .say(Finding::not_offered(CHECK, "the server takes no SHA-256 with an upload; MD5 proves instead"));
        }
        let name = self.name("_sum");
        let wrong = Some(Sum::of(b"other bytes"));
        match self.put(&name, self.bytes(), wrong, Condition::New) {
            Ok(Put::Refused(_)) => {
                self.say(Finding::passed(CHECK, "an upload that does not match its SHA-256 is refused"));
            }
            Ok(Put::Kept) => {
                self.left(&name);
                self.store.learn(|a| (a.checksum_header, a.checksum_echo) = (Ability::No, Ability::No));
                self.say(
                    Finding::failed(CHECK, "the server kept an upload that does not match its SHA-256").remedy(
                        "its checksums prove nothing and are not relied on from now: the ETag or reading back is",
                    ),
                );
            }
            Err(e) => self.fails(CHECK, &e),
        }
    }

    fn refuses_a_taken_name(&mut self) {
        const CHECK: &str = "create only";
        let name = self.name("");
        match self.put(&name, b"other bytes".to_vec(), None, Condition::New) {
            Ok(Put::Refused(answer)) if answer.exists() => {
                self.store.learn(|a| a.conditional_create = Ability::Yes);
                self.say(Finding::passed(CHECK, "a name that exists is refused, with other bytes too"));
            }
            Ok(Put::Refused(answer)) if answer.knows_not_a_header() => {
                self.store.learn(|a| a.conditional_create = Ability::No);
                self.say(Finding::not_offered(
                    CHECK,
                    "the server knows no If-None-Match: each upload costs a listing more",
                ));
            }
            Ok(Put::Refused(answer)) => {
                let said = format!("the second try was refused for another reason: {} {}", answer.status, answer.code);
                self.say(Finding::note(CHECK, said));
            }
            Ok(Put::Kept) => {
                self.store.learn(|a| a.conditional_create = Ability::No);
                self.say(Finding::not_offered(
                    CHECK,
                    "the server ignores If-None-Match: each upload costs a listing more, and of two machines that write \
                     one vault at once the second may overwrite the first",
                ));
            }
            Err(e) => self.fails(CHECK, &e),
        }
    }

    /// An upload that ends early must leave nothing.
    fn refuses_half(&mut self) {
        const CHECK: &str = "cut upload";
        let (store, name) = (self.store, self.name("_cut"));
        let (to, slices) = feed::channel(CUT.0);
        let request = store.client.put_object().bucket(&store.bucket.name).key(store.key(&name));
        let request = request.content_length(i64::try_from(CUT.0).expect("small"));
        let request = request.body(ByteStream::new(SdkBody::from_body_1_x(slices)));
        let request = request.customize().interceptor(put::SignedPayload(Sum::of(b"").to_string()));
        store.count(|r| r.put += 1);
        let doing = format!("create {}", store.key(&name));
        let sent = store.run(&self.stop, &doing, async {
            let feed = async move {
                let _ = to.send(Bytes::from(vec![b'x'; CUT.1])).await;
            };
            let (answer, ()) = tokio::join!(request.send(), feed);
            Ok(answer.is_ok())
        });
        match (sent, store.look(&name, &self.stop)) {
            (Ok(false) | Err(_), Ok(None)) => self.say(Finding::passed(CHECK, "an upload that was cut leaves nothing")),
            (_, Ok(_)) => {
                self.left(&name);
                self.say(
                    Finding::failed(CHECK, "an upload that was cut was kept all the same")
                        .remedy("a broken line would leave damaged objects: choose another server"),
                );
            }
            (_, Err(e)) => self.fails(CHECK, &e),
        }
    }

    /// A pack gets the vault's class; what a listing tells of thaws.
    fn class(&mut self) {
        const CHECK: &str = "class";
        let Some(class) = self.store.bucket.class.clone().filter(|c| c != "STANDARD") else { return };
        let name = ObjectName::new(format!("data_probe_{}", self.id)).expect("letters and digits");
        let bytes = self.bytes();
        if let Err(e) = self.store.create(&new_object(&name, &bytes), &self.stop) {
            return self.fails(CHECK, &e);
        }
        self.left(&name);
        let mut found = None;
        let listed = self.store.list(name.as_str(), &mut |info| {
            found = info.class;
            Ok(())
        });
        match listed {
            Err(e) => return self.fails(CHECK, &e),
            Ok(()) if found.as_deref() == Some(&class) => {
                self.say(Finding::passed(CHECK, format!("packs are kept as {class}")));
            }
            Ok(()) => {
                let found = found.unwrap_or_else(|| "no class at all".to_owned());
                self.say(
                    Finding::failed(CHECK, format!("packs are asked to be {class} and kept as {found}"))
                        .remedy("correct the vault's class: prices and thaws follow from it"),
                );
            }
        }
        if is_archive(&class) {
            self.say(match self.store.abilities().thaw_in_list {
                Ability::Yes => Finding::passed("thaw status", "listings tell which packs are thawed"),
                Ability::No => Finding::not_offered("thaw status", "packs are looked at one by one while they thaw"),
                Ability::Unknown => Finding::note(
                    "thaw status",
                    "the listing takes the question; whether it answers is seen at the first thaw. No thaw was asked for",
                ),
            });
        }
    }

    /// Whether anything is left of what somebody deletes: old versions, and a lock on them.
    fn versions(&mut self) {
        const CHECK: &str = "versions";
        let store = self.store;
        let doing = format!("read the versioning of {}", store.bucket.name);
        let request = store.client.get_bucket_versioning().bucket(&store.bucket.name);
        store.count(|r| r.get += 1);
        let answer = store
            .run(&self.stop, &doing, async { request.send().await.map_err(|e| trouble::error(doing.clone(), &e)) });
        if let Ok(told) = &answer {
            store.learn_versioning(told.status());
        }
        self.say(match answer {
            Ok(a) if a.status() == Some(&BucketVersioningStatus::Enabled) => {
                Finding::passed(CHECK, "the bucket keeps what is deleted or overwritten")
            }
            Ok(_) => Finding::note(
                CHECK,
                "the bucket keeps no versions: what anybody deletes is gone, so a thief with a key that may delete ends the vault",
            )
            .remedy("turn versioning on: 'panicroom setup aws --adopt', or docs/setup.md"),
            Err(e) => Finding::note(CHECK, format!("not known: {e}"))
                .remedy("allow s3:GetBucketVersioning, or look at the bucket yourself"),
        });
        self.lock();
    }

    fn lock(&mut self) {
        const CHECK: &str = "object lock";
        let store = self.store;
        let doing = format!("read the Object Lock of {}", store.bucket.name);
        let request = store.client.get_object_lock_configuration().bucket(&store.bucket.name);
        store.count(|r| r.get += 1);
        let answer = store.run(&self.stop, &doing, async {
            match request.send().await {
                Ok(answer) => Ok(answer.object_lock_configuration().and_then(lock)),
                Err(e) if make::is_unlocked(&trouble::Answer::of(&e)) => Ok(None),
                Err(e) => Err(trouble::error(doing.clone(), &e)),
            }
        });
        if let Ok(Some(Lock { retention: Some(r) })) = &answer {
            self.locked = Some(r.days);
        }
        self.say(match answer {
            Ok(Some(Lock { retention: Some(r) })) => {
                let but = if r.mode == "COMPLIANCE" { "not even by its owner" } else { "except by the right to bypass it" };
                Finding::passed(
                    CHECK,
                    format!("new objects cannot be deleted for good for {} days, {but} ({})", r.days, r.mode),
                )
            }
            Ok(Some(Lock { retention: None })) => Finding::note(
                CHECK,
                "the bucket can lock, and locks nothing by itself: who may delete versions deletes the vault for good",
            )
            .remedy("give it a default retention: 'panicroom setup aws --adopt --object-lock DAYS'"),
            Ok(None) => Finding::note(
                CHECK,
                "none: who may delete versions (an administrator's key, or whoever stole it) deletes the vault for good",
            )
            .remedy("a bucket gets it when it is made: 'panicroom setup aws --object-lock DAYS'"),
            Err(e) => Finding::note(CHECK, format!("not known: {e}"))
                .remedy("allow s3:GetBucketObjectLockConfiguration, or look at the bucket yourself"),
        });
    }

    fn rules(&mut self) {
        const CHECK: &str = "bucket rules";
        let rules = match self.store.rules() {
            Ok(rules) => rules,
            Err(e) => {
                let note = Finding::note(CHECK, format!("not known: {e}"));
                return self.say(note.remedy("allow s3:GetLifecycleConfiguration, or look at the rules yourself"));
            }
        };
        let mut bad = false;
        for judged in rules.iter().map(|rule| judge(rule, self.store.prefix())) {
            match judged {
                Judgement::Fine => {}
                Judgement::Note(said) => self.say(Finding::note(CHECK, said)),
                Judgement::Ruins { does, remedy } => {
                    bad = true;
                    self.say(Finding::failed(CHECK, does).remedy(remedy));
                }
            }
        }
        if !bad {
            self.say(Finding::passed(CHECK, "no lifecycle rule deletes the vault or freezes its log"));
        }
    }

    /// What must be denied, asked of the trial's own object alone.
    fn forbidden(&mut self) {
        let (store, name) = (self.store, self.name(""));
        let overwritten = self.put(&name, self.bytes(), None, Condition::Any);
        self.denied("no overwrite", overwritten.map(Put::refusal), "this key may overwrite");
        let version = self.version(&name);
        let delete = |version: Option<String>| {
            let doing = format!("delete {}", store.key(&name));
            let request = store.client.delete_object().bucket(&store.bucket.name).key(store.key(&name));
            let request = request.set_version_id(version);
            store.count(|r| r.put += 1);
            store.run(&self.stop, &doing, async {
                match request.send().await {
                    Ok(_) => Ok(None),
                    Err(e) => answered(&doing, &e).map(Some),
                }
            })
        };
        let plain = delete(None);
        let old = version.map(|version| delete(Some(version)));
        if matches!(plain, Ok(None)) && old.is_none() && matches!(store.look(&name, &self.stop), Ok(None)) {
            let key = store.key(&name);
            self.trial.left.retain(|left| *left != key);
        }
        self.denied("no delete", plain, "this key may delete");
        match old {
            Some(Ok(Some(answer))) if self.is_by_lock(&answer) => self.say(
                Finding::note(
                    "no delete of versions",
                    "refused by the bucket's lock, whatever this key may: that proves nothing about its rights",
                )
                .remedy("look that its policy allows neither s3:DeleteObjectVersion nor s3:BypassGovernanceRetention"),
            ),
            Some(old) => self.denied("no delete of versions", old, "this key may delete versions for good"),
            None => {}
        }
        self.say(Finding::note(
            "no rule changes",
            "not tried: no trial of writing the bucket's rules is harmless. Look that the key's policy does not allow it",
        ));
    }

    /// Whether a refusal is the lock's, or may be: the answer is the same as for want of rights, but for its words on AWS.
    fn is_by_lock(&self, answer: &trouble::Answer) -> bool {
        answer.status == 403 && (self.locked.is_some() || answer.message.to_ascii_lowercase().contains("object lock"))
    }

    fn version(&self, name: &ObjectName) -> Option<String> {
        let store = self.store;
        let request = store.client.head_object().bucket(&store.bucket.name).key(store.key(name));
        store.count(|r| r.head += 1);
        let doing = format!("look at {}", store.key(name));
        let look = async { request.send().await.map_err(|e| trouble::error(doing.clone(), &e)) };
        let answer = store.run(&self.stop, &doing, look).ok()?;
        answer.version_id().filter(|v| *v != "null").map(str::to_owned)
    }

    fn denied(&mut self, check: &'static str, came: crate::error::Result<Option<trouble::Answer>>, may: &str) {
        match came {
            Ok(Some(answer)) if matches!(answer.status, 401 | 403) => {
                self.say(Finding::passed(check, "denied, as it should be"));
            }
            Ok(Some(answer)) => {
                let said = format!("refused, but not for want of rights: {} {}", answer.status, answer.code);
                self.say(Finding::note(check, said));
            }
            Ok(None) => self.say(
                Finding::failed(check, format!("{may}: it was tried on the trial's own object")).remedy(LEAST_RIGHTS),
            ),
            Err(e) => self.fails(check, &e),
        }
    }

    /// One small PUT past all care: for names of the trial alone.
    fn put(
        &self,
        name: &ObjectName,
        bytes: Vec<u8>,
        sum: Option<Sha256>,
        condition: Condition,
    ) -> crate::error::Result<Put> {
        let store = self.store;
        let doing = format!("create {}", store.key(name));
        let mut request = store.client.put_object().bucket(&store.bucket.name).key(store.key(name));
        if let Some(sum) = sum {
            let sum = base64::engine::general_purpose::STANDARD.encode(sum.0);
            request = request.checksum_algorithm(ChecksumAlgorithm::Sha256).checksum_sha256(sum);
        }
        if condition == Condition::New {
            request = request.if_none_match("*");
        }
        store.count(|r| r.put += 1);
        store.run(&self.stop, &doing, async {
            match request.body(ByteStream::from(bytes)).send().await {
                Ok(_) => Ok(Put::Kept),
                Err(e) => answered(&doing, &e).map(Put::Refused),
            }
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// Only where the name is free.
    New,
    Any,
}

enum Put {
    Kept,
    Refused(trouble::Answer),
}

impl Put {
    fn refusal(self) -> Option<trouble::Answer> {
        match self {
            Self::Kept => None,
            Self::Refused(answer) => Some(answer),
        }
    }
}

/// A server's clear no; no answer, or one that passes, is an error.
fn answered<E>(
    doing: &str,
    e: &aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> crate::error::Result<trouble::Answer>
where
    E: std::error::Error + aws_sdk_s3::error::ProvideErrorMetadata + Send + Sync + 'static,
{
    let answer = trouble::Answer::of(e);
    if (400..500).contains(&answer.status) || answer.status == 501 {
        return Ok(answer);
    }
    Err(trouble::error(doing.to_owned(), e))
}

fn new_object(name: &ObjectName, bytes: &[u8]) -> NewObject {
    NewObject {
        name: name.clone(),
        body: Body::Bytes(bytes.to_vec()),
        size: bytes.len() as u64,
        sha256: Sum::of(bytes),
    }
}

/// The server's clock, from whatever it answers.
#[derive(Clone, Debug, Default)]
struct Dated(Arc<Mutex<Option<String>>>);

impl Dated {
    /// Milliseconds apart.
    fn skew(&self, now: Wall) -> Option<u64> {
        let date = self.0.lock().expect("date lock").clone()?;
        let theirs = super::wall(&DateTime::from_str(&date, DateTimeFormat::HttpDate).ok()?)?;
        Some(now.0.abs_diff(theirs.0))
    }
}

impl Intercept for Dated {
    fn name(&self) -> &'static str {
        "Dated"
    }
    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().expect("date lock") = date;
        Ok(())
    }
}
