//! Objects that are there and whose names do not answer with them: behind a delete marker, or beneath other bytes.
//! Found by one listing of the versions of the exact name; from then on reads, looks and thaws name the version.
//!
//! Which version was found for which name is remembered for a bounded number of names and nowhere kept: a miss is
//! looked up again. Creating an object never comes here: what a new object is proved against is what its name answers.

use super::versions::{Layer, NOT_ALLOWED, NOT_OFFERED, Page};
use super::{S3Store, trouble};
use crate::error::{Error, Kind, Result};
use crate::format::Name;
use crate::model::Sha256;
use crate::store::ObjectName;
use crate::store::abilities::Ability;
use crate::worker::Stop;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{BucketVersioningStatus, ObjectVersion};
use std::collections::{HashMap, VecDeque};

/// Names whose version is remembered.
const FOUND_MAX: usize = 1024;
/// Versions of one name that are tried, the oldest first.
const TRIED_MAX: usize = 16;

/// An answer, or that there is no such object.
pub(super) type Found<T> = std::result::Result<T, Absent>;

#[derive(Debug)]
pub(super) struct Absent {
    pub(super) error: Error,
    /// The server says that a delete marker lies there.
    is_marker: bool,
}

impl Absent {
    /// The error where the refusal says anything else.
    pub(super) fn or_error<E>(doing: String, refusal: &SdkError<E, HttpResponse>) -> Result<Self>
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let said = trouble::Answer::of(refusal);
        let error = trouble::error(doing, refusal);
        if said.is_absent() { Ok(Self { error, is_marker: said.is_marker }) } else { Err(error) }
    }
}

/// Versions by name, the oldest finding goes first.
#[derive(Debug, Default)]
pub(super) struct Behind {
    found: HashMap<ObjectName, String>,
    order: VecDeque<ObjectName>,
    /// This key was refused to list versions; until an inventory may.
    refused: bool,
    /// Whether the bucket keeps versions was asked, and not told.
    asked: bool,
}

/// What lies behind a name that is missing.
enum Hidden {
    Version(String),
    Nothing,
    NotSeen(&'static str),
}

impl S3Store {
    fn behind(&self) -> std::sync::MutexGuard<'_, Behind> {
        self.behind.lock().expect("versions lock")
    }
    fn version_of(&self, name: &ObjectName) -> Option<String> {
        self.behind().found.get(name).cloned()
    }
    pub(super) fn found(&self, name: &ObjectName, version: &str) {
        let mut behind = self.behind();
        if behind.found.insert(name.clone(), version.to_owned()).is_some() {
            return;
        }
        behind.order.push_back(name.clone());
        if behind.order.len() > FOUND_MAX
            && let Some(first) = behind.order.pop_front()
        {
            behind.found.remove(&first);
        }
    }
    pub(super) fn forget(&self, name: &ObjectName) {
        let mut behind = self.behind();
        if behind.found.remove(name).is_some() {
            behind.order.retain(|other| other != name);
        }
    }
    /// Whether this key may list versions, as the server just said.
    pub(super) fn was_refused(&self, refused: bool) {
        self.behind().refused = refused;
    }
    /// An answer that names a version: the bucket keeps them.
    pub(super) fn met_version(&self, id: Option<&str>) {
        if id.is_some_and(|id| id != "null") && self.abilities().keeps_versions != Ability::Yes {
            self.learn(|a| a.keeps_versions = Ability::Yes);
        }
    }

    /// Asks for what the name answers with, or of the version that is known to be ours; where that is missing, looks
    /// once what lies behind.
    pub(super) fn at_version<T>(
        &self,
        name: &ObjectName,
        stop: &Stop,
        mut call: impl FnMut(Option<&str>) -> Result<Found<T>>,
    ) -> Result<Found<T>> {
        let known = self.version_of(name);
        let mut absent = match call(known.as_deref())? {
            Err(absent) => absent,
            there => return Ok(there),
        };
        if known.is_some() {
            self.forget(name);
            absent = match call(None)? {
                Err(absent) => absent,
                there => return Ok(there),
            };
        }
        match self.look_behind(name, &absent, stop)? {
            Hidden::Version(id) => {
                self.found(name, &id);
                call(Some(&id))
            }
            Hidden::Nothing => Ok(Err(absent)),
            Hidden::NotSeen(why) => {
                let error = absent.error.remedy(format!("it may lie behind a delete marker, which nobody saw: {why}"));
                Ok(Err(Absent { error, ..absent }))
            }
        }
    }

    fn look_behind(&self, name: &ObjectName, absent: &Absent, stop: &Stop) -> Result<Hidden> {
        if absent.is_marker {
            self.learn(|a| a.keeps_versions = Ability::Yes);
        }
        let abilities = self.abilities();
        if abilities.keeps_versions == Ability::No {
            return Ok(Hidden::Nothing);
        }
        if abilities.list_versions == Ability::No {
            return Ok(if absent.is_marker { Hidden::NotSeen(NOT_OFFERED) } else { Hidden::Nothing });
        }
        if self.behind().refused {
            return Ok(Hidden::NotSeen(NOT_ALLOWED));
        }
        match self.versions_of(name, stop)? {
            Ok(versions) => {
                if let Some(id) = versions.first().and_then(ObjectVersion::version_id) {
                    return Ok(Hidden::Version(id.to_owned()));
                }
                self.learn_what_the_bucket_keeps(stop)?;
                Ok(Hidden::Nothing)
            }
            Err(why) => Ok(Hidden::NotSeen(why)),
        }
    }

    /// The oldest few versions of a name, the oldest first; or why they are not told.
    fn versions_of(
        &self,
        name: &ObjectName,
        stop: &Stop,
    ) -> Result<std::result::Result<Vec<ObjectVersion>, &'static str>> {
        let key = self.key(name);
        let doing = format!("look for versions of {key}");
        let (mut from, mut oldest) = (None, VecDeque::new());
        loop {
            let (layers, next) = match self.run(stop, &doing, self.page_of_versions(&key, from.as_ref()))? {
                Page::Told(layers, _, next) => (layers, next),
                Page::NotTold(why) => return Ok(Err(why)),
            };
            let beyond = layers.last().is_some_and(|last| last.key() > key.as_str());
            for layer in layers {
                if let Layer::Bytes(version) = layer
                    && version.key() == Some(&key)
                {
                    oldest.push_front(version);
                    oldest.truncate(TRIED_MAX);
                }
            }
            match next {
                Some(_) if !beyond => from = next,
                _ => return Ok(Ok(oldest.into())),
            }
        }
    }

    /// Once for each vault where it is told, so that missing objects of a bucket without versions stay cheap.
    fn learn_what_the_bucket_keeps(&self, stop: &Stop) -> Result<()> {
        if self.abilities().keeps_versions != Ability::Unknown || self.behind().asked {
            return Ok(());
        }
        let doing = format!("ask whether {} keeps versions", self.bucket.name);
        let request = self.client.get_bucket_versioning().bucket(&self.bucket.name);
        self.count(|r| r.get += 1);
        let told =
            self.run(stop, &doing, async { request.send().await.map_err(|e| trouble::error(doing.clone(), &e)) });
        match told {
            Ok(told) => {
                self.learn_versioning(told.status());
                Ok(())
            }
            Err(e) if e.kind() == Kind::Stopping => Err(e),
            // Not told: each object that is missing costs a listing more.
            Err(e) => {
                tracing::debug!(error = %e, "whether the bucket keeps versions is not known");
                self.behind().asked = true;
                Ok(())
            }
        }
    }

    /// Of a bucket as its owner set it; one that kept versions and ceased to still has them.
    pub(super) fn learn_versioning(&self, status: Option<&BucketVersioningStatus>) {
        let keeps = matches!(status, Some(BucketVersioningStatus::Enabled | BucketVersioningStatus::Suspended));
        self.learn(|a| a.keeps_versions = if keeps { Ability::Yes } else { Ability::No });
    }

    /// Chooses the version that is what the name says: by its stored checksum, else the oldest whose checksum nobody
    /// stored.
    pub(super) fn choose_version(&self, name: &ObjectName) -> Result<bool> {
        match self.choose(name) {
            Err(e) if matches!(e.kind(), Kind::Operator | Kind::Damaged) => {
                tracing::warn!("older versions of {name} are not known: {e}");
                Ok(false)
            }
            other => other,
        }
    }

    fn choose(&self, name: &ObjectName) -> Result<bool> {
        let stop = Stop::new();
        let abilities = self.abilities();
        if abilities.list_versions == Ability::No || abilities.keeps_versions == Ability::No {
            return Ok(false);
        }
        let Ok(versions) = self.versions_of(name, &stop)? else { return Ok(false) };
        if versions.len() < 2 && versions.first().is_none_or(|only| only.is_latest() == Some(true)) {
            self.learn_what_the_bucket_keeps(&stop)?;
            return Ok(false);
        }
        let mut ids = versions.iter().filter_map(ObjectVersion::version_id);
        let chosen = match Name::parse(name.as_str()).and_then(Name::sum) {
            Some(sealed) => self.proved_or_oldest(name, sealed, ids)?,
            None => ids.next(),
        };
        if let Some(id) = chosen {
            self.found(name, id);
        }
        Ok(chosen.is_some())
    }
}

impl S3Store {
    fn proved_or_oldest<'a>(
        &self,
        name: &ObjectName,
        sealed: Sha256,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<Option<&'a str>> {
        let mut unproved = None;
        for id in ids {
            let Ok(info) = self.look_at(name, Some(id))? else { continue };
            match info.sha256 {
                Some(kept) if kept == sealed => return Ok(Some(id)),
                Some(_) => {}
                None => unproved = unproved.or(Some(id)),
            }
        }
        Ok(unproved)
    }
}
