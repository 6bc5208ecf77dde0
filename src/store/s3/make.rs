//! Making a bucket, or adopting one: what it is set to, asked part by part, and each change as one call. The only place
//! that writes a bucket's settings; who decides what to write is `setup aws`, and nothing else of panicroom comes here.
//!
//! Every call is named in [`Maker::calls`], writing ones apart. Rules of the bucket that are not ours are written back as
//! they were, down to the defaults beside them, and only where everything in them is known; they are read again right
//! before. Dying between two calls leaves a bucket that the next run finds half set, and goes on with.

mod rules;

use super::{S3Store, trouble};
use crate::error::Error;
use crate::store::bucket::{Asked, Call, Change, Contents, Is, LOOKED_AT, Lock, Part, Refusal, Retention, Standing};
use crate::worker::Stop;
use aws_sdk_s3::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, DefaultRetention,
    ObjectLockConfiguration, ObjectLockEnabled, ObjectLockRetentionMode, ObjectLockRule,
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, VersioningConfiguration,
};
use std::cell::RefCell;

const HEAD: Call = Call("HeadBucket", "s3:ListBucket");
const MINE: Call = Call("ListBuckets", "s3:ListAllMyBuckets");
const LIST: Call = Call("ListObjectsV2", "s3:ListBucket");
/// Where a bucket really is, in whatever is answered about it.
const REGION: &str = "x-amz-bucket-region";

/// One bucket on its way to be a vault's. Its keys are the owner's, and go when it is dropped.
#[derive(Debug)]
pub struct Maker<'a> {
    store: &'a S3Store,
    region: &'a str,
    stop: Stop,
    asked: RefCell<Vec<(&'static str, Manner)>>,
}

/// Whether a call only looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Reads,
    Writes,
}

impl<'a> Maker<'a> {
    /// `region`: where the bucket is to be, and where the store asks.
    pub fn new(store: &'a S3Store, region: &'a str) -> Self {
        Self { store, region, stop: Stop::new(), asked: RefCell::default() }
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<(&'static str, Manner)> {
        self.asked.borrow().clone()
    }

    fn name(&self) -> &str {
        &self.store.bucket.name
    }

    /// Runs one call. What its refusals mean is the table of [`trouble`]; want of rights is told apart.
    fn ask<T, E>(
        &self,
        call: Call,
        manner: Manner,
        request: impl Future<Output = Result<T, SdkError<E, aws_sdk_s3::config::http::HttpResponse>>>,
    ) -> Result<T, Box<No>>
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.asked.borrow_mut().push((call.0, manner));
        self.store.count(|r| if manner == Manner::Reads { r.get += 1 } else { r.put += 1 });
        let doing = format!("{} of the bucket {}", call.0, self.name());
        let answer = self.store.run(&self.stop, &doing, async {
            Ok(request.await.map_err(|e| {
                let answer = trouble::Answer::of(&e);
                let region = e.raw_response().and_then(|r| r.headers().get(REGION)).map(str::to_owned);
                Box::new(No { call, answer, region, error: trouble::error(doing.clone(), &e) })
            }))
        });
        answer
            .unwrap_or_else(|error| Err(Box::new(No { call, answer: trouble::Answer::default(), region: None, error })))
    }

    /// What the bucket's name stands for. Two calls at most.
    pub fn standing(&self) -> Asked<Standing> {
        let head = self.ask(HEAD, Manner::Reads, self.store.client.head_bucket().bucket(self.name()).send());
        match head {
            Ok(found) => match found.bucket_region() {
                Some(region) if region != self.region => Ok(Standing::Elsewhere(region.to_owned())),
                _ => Ok(Standing::There { ours: self.ours()? }),
            },
            Err(no) => match no.region.as_deref() {
                Some(region) if no.answer.status != 404 && region != self.region => {
                    Ok(Standing::Elsewhere(region.to_owned()))
                }
                _ if no.answer.status == 404 => Ok(Standing::Free),
                _ if no.answer.status == 403 => Ok(Standing::Shut { ours: self.ours()? }),
                _ => Err(Refusal::Failed(no.error)),
            },
        }
    }

    /// Whether it is among the account's own buckets; None where those may not be listed.
    fn ours(&self) -> Asked<Option<bool>> {
        let request = self.store.client.list_buckets().prefix(self.name()).max_buckets(LOOKED_AT.into());
        match self.ask(MINE, Manner::Reads, request.send()) {
            Ok(found) => Ok(Some(found.buckets().iter().any(|b| b.name() == Some(self.name())))),
            Err(no) => match no.into() {
                Refusal::Denied(_) => Ok(None),
                failed @ Refusal::Failed(_) => Err(failed),
            },
        }
    }

    /// What lies there: three or four small listings.
    pub fn contents(&self) -> Asked<Contents> {
        let prefix = self.store.bucket.prefix.as_str();
        let page = |prefix: &str, after: Option<String>, most: u16| {
            let request = self.store.client.list_objects_v2().bucket(self.name()).prefix(prefix);
            let request = request.set_start_after(after).max_keys(most.into());
            let page = self.ask(LIST, Manner::Reads, request.send())?;
            let keys = page.contents().iter().filter_map(|o| o.key().map(str::to_owned));
            Ok::<_, Box<No>>(keys.collect::<Vec<_>>())
        };
        let meta = format!("{prefix}{}", crate::format::VAULT_NAME);
        let vault = page(&meta, None, 1)?.contains(&meta);
        let foreign: Vec<String> = page(prefix, None, LOOKED_AT)?
            .into_iter()
            .filter(|key| {
                let name = &key[prefix.len()..];
                !["data_", "hot_", "meta_"].iter().any(|kind| name.starts_with(kind)) || name.contains('/')
            })
            .collect();
        let beside = !prefix.is_empty() && {
            let outside = |keys: Vec<String>| keys.iter().any(|key| !key.starts_with(prefix));
            outside(page("", None, 1)?) || outside(page("", Some(format!("{prefix}\u{10FFFF}")), 1)?)
        };
        Ok(Contents { vault, foreign: foreign.len() as u64, one_foreign: foreign.into_iter().next(), beside })
    }

    /// What one part is set to.
    pub fn look(&self, part: Part) -> Asked<Is> {
        let (client, name, call) = (&self.store.client, self.name(), part.read_call());
        let unset = |no: Box<No>, codes: &[&str], is: Is| {
            if codes.contains(&no.answer.code.as_str()) { Ok(is) } else { Err(Refusal::from(no)) }
        };
        match part {
            Part::Public => match self.ask(call, Manner::Reads, client.get_public_access_block().bucket(name).send()) {
                Ok(found) => {
                    let all = found.public_access_block_configuration().is_some_and(|c| {
                        [
                            c.block_public_acls(),
                            c.ignore_public_acls(),
                            c.block_public_policy(),
                            c.restrict_public_buckets(),
                        ]
                        .iter()
                        .all(|set| *set == Some(true))
                    });
                    Ok(Is::Public { blocked: all })
                }
                Err(no) => unset(no, &["NoSuchPublicAccessBlockConfiguration"], Is::Public { blocked: false }),
            },
            Part::Encryption => match self.ask(call, Manner::Reads, client.get_bucket_encryption().bucket(name).send())
            {
                Ok(found) => {
                    let rules = found
                        .server_side_encryption_configuration()
                        .map(ServerSideEncryptionConfiguration::rules)
                        .unwrap_or_default();
                    let mut by = rules.iter().filter_map(|r| r.apply_server_side_encryption_by_default());
                    Ok(Is::Encryption(by.next().map(|d| d.sse_algorithm().as_str().to_owned())))
                }
                Err(no) => unset(no, &["ServerSideEncryptionConfigurationNotFoundError"], Is::Encryption(None)),
            },
            Part::Versions => {
                let found = self.ask(call, Manner::Reads, client.get_bucket_versioning().bucket(name).send())?;
                Ok(Is::Versions { kept: found.status() == Some(&BucketVersioningStatus::Enabled) })
            }
            Part::Lock => {
                match self.ask(call, Manner::Reads, client.get_object_lock_configuration().bucket(name).send()) {
                    Ok(found) => Ok(Is::Lock(found.object_lock_configuration().and_then(lock))),
                    Err(no) if is_unlocked(&no.answer) => Ok(Is::Lock(None)),
                    Err(no) => Err(no.into()),
                }
            }
            Part::Rules => self.told_rules().map(Is::Rules),
            Part::Policy => match self.ask(call, Manner::Reads, client.get_bucket_policy().bucket(name).send()) {
                Ok(found) => Ok(Is::Policy(found.policy().map(str::to_owned))),
                Err(no) => unset(no, &["NoSuchBucketPolicy"], Is::Policy(None)),
            },
        }
    }

    /// Makes one change. That it took is for another look to say.
    pub fn make(&self, change: &Change) -> Asked<()> {
        let (client, name, call) = (&self.store.client, self.name(), change.call());
        let done = match change {
            Change::Create { locked } => {
                // Only the oldest region is none.
                let place = (self.region != "us-east-1").then(|| {
                    let region = BucketLocationConstraint::from(self.region);
                    CreateBucketConfiguration::builder().location_constraint(region).build()
                });
                let request = client.create_bucket().bucket(name).set_create_bucket_configuration(place);
                let request = request.set_object_lock_enabled_for_bucket(locked.then_some(true));
                self.ask(call, Manner::Writes, request.send()).map(drop).map_err(|no| self.taken(no))
            }
            Change::BlockPublic => {
                let all = PublicAccessBlockConfiguration::builder().block_public_acls(true).ignore_public_acls(true);
                let all = all.block_public_policy(true).restrict_public_buckets(true).build();
                let request = client.put_public_access_block().bucket(name).public_access_block_configuration(all);
                self.ask(call, Manner::Writes, request.send()).map(drop)
            }
            Change::Encrypt => {
                let by = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256);
                let rule = ServerSideEncryptionRule::builder();
                let rule = rule.apply_server_side_encryption_by_default(by.build().map_err(unbuilt)?).build();
                let all = ServerSideEncryptionConfiguration::builder().rules(rule).build().map_err(unbuilt)?;
                let request = client.put_bucket_encryption().bucket(name).server_side_encryption_configuration(all);
                self.ask(call, Manner::Writes, request.send()).map(drop)
            }
            Change::KeepVersions => {
                let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
                let request = client.put_bucket_versioning().bucket(name).versioning_configuration(on);
                self.ask(call, Manner::Writes, request.send()).map(drop)
            }
            Change::Retain(retention) => {
                let request = client.put_object_lock_configuration().bucket(name);
                let request = request.object_lock_configuration(locked(retention));
                self.ask(call, Manner::Writes, request.send()).map(drop)
            }
            Change::AddRules(ours) => return self.add_rules(call, ours),
            Change::Policy(text) => {
                let request = client.put_bucket_policy().bucket(name).policy(text);
                self.ask(call, Manner::Writes, request.send()).map(drop)
            }
        };
        done.map_err(Refusal::from)
    }

    /// Names are one list for the whole world.
    fn taken(&self, no: Box<No>) -> Box<No> {
        if !no.answer.is("BucketAlreadyExists") {
            return no;
        }
        let error = Error::operator(format!("create the bucket {}: somebody else has one of that name", self.name()));
        Box::new(No { error: error.remedy("choose another name: '--bucket NAME'"), ..*no })
    }
}

/// A call that was refused or came to nothing.
struct No {
    call: Call,
    answer: trouble::Answer,
    region: Option<String>,
    error: Error,
}

impl From<Box<No>> for Refusal {
    fn from(no: Box<No>) -> Self {
        let denied = no.answer.status == 403 && ["AccessDenied", "Forbidden", ""].contains(&no.answer.code.as_str());
        if denied { Self::Denied(no.call) } else { Self::Failed(no.error) }
    }
}

fn unbuilt(e: BuildError) -> Refusal {
    Refusal::Failed(Error::operator("put a request together").because(e))
}

/// The bucket was made without Object Lock.
pub(super) fn is_unlocked(answer: &trouble::Answer) -> bool {
    answer.is("ObjectLockConfigurationNotFoundError")
}

pub(super) fn lock(found: &ObjectLockConfiguration) -> Option<Lock> {
    if found.object_lock_enabled() != Some(&ObjectLockEnabled::Enabled) {
        return None;
    }
    let retention = found.rule().and_then(|r| r.default_retention()).and_then(|r| {
        let days = r.days().or_else(|| r.years().map(|y| y.saturating_mul(365)))?;
        Some(Retention { mode: r.mode()?.as_str().to_owned(), days: u32::try_from(days).ok()? })
    });
    Some(Lock { retention })
}

fn locked(retention: &Retention) -> ObjectLockConfiguration {
    let days = i32::try_from(retention.days).unwrap_or(i32::MAX);
    let mode = ObjectLockRetentionMode::from(retention.mode.as_str());
    let retention = DefaultRetention::builder().mode(mode).days(days).build();
    let rule = ObjectLockRule::builder().default_retention(retention).build();
    ObjectLockConfiguration::builder().object_lock_enabled(ObjectLockEnabled::Enabled).rule(rule).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_of_a_lock_are_days() {
        let years = DefaultRetention::builder().mode(ObjectLockRetentionMode::Compliance).years(2).build();
        let rule = ObjectLockRule::builder().default_retention(years).build();
        let found =
            ObjectLockConfiguration::builder().object_lock_enabled(ObjectLockEnabled::Enabled).rule(rule).build();
        let retention = Retention { mode: "COMPLIANCE".into(), days: 730 };
        assert_eq!(lock(&found), Some(Lock { retention: Some(retention) }));
    }
}
