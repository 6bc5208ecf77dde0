//! A bucket of an S3 server as a vault: AWS, or anything that speaks its language. The only place that names the
//! AWS SDK.
//!
//! One PUT per object, never a multipart upload, so an object is there whole or not at all; dying inside `create`
//! leaves nothing to clean up, and whether the object arrived is settled by the next `create` ([`put`]). What a server
//! cannot do is learnt and replaced by the next best proof ([`Abilities`]). Nothing is retried here. What lies behind a
//! delete marker is found ([`behind`]).
//!
//! Calls block the calling thread and run on the runtime whose handle was given in: one with its own threads, and
//! never called from within it.

mod behind;
mod connect;
mod feed;
mod lifecycle;
pub mod make;
pub mod probe;
mod put;
mod read;
mod thaw;
mod trouble;
mod versions;
mod wire;

pub use connect::Credentials;

use super::abilities::{Abilities, Ability};
use super::throttle::{Freight, Throttle, Underway, Way};
use super::{Created, Held, Inventory, NewObject, ObjectInfo, ObjectName, ObjectStore, Requests, Speed, Thaw};
use crate::clock::Wall;
use crate::config::url::Bucket;
use crate::error::{Error, Result};
use crate::worker::Stop;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{Object, ObjectStorageClass, OptionalObjectAttributes};
use behind::Behind;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;
use tokio::runtime::Handle;
use wire::Pulse;

/// A request that moves no byte for so long is given up.
const STANDSTILL: Duration = Duration::from_secs(300);
/// The same for a request without a body worth the name, whose caller may have no way to stop it.
const STANDSTILL_SHORT: Duration = Duration::from_secs(60);
/// A door that stays shut for so long counts as shut.
const DOOR: Duration = Duration::from_secs(4);
/// How often a running request looks whether it should end.
const LOOK: Duration = Duration::from_millis(200);
/// What knocking at a door costs either way, bytes: the packets that open and close a connection.
const KNOCK: u64 = 3 * 60;
/// Names whose last PUT ended unclear, at most; an older one merely costs a body more.
const UNCLEAR_MAX: usize = 64;

/// What a store needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    pub bucket: Bucket,
    pub credentials: Credentials,
    /// As kept from earlier runs, else the default.
    pub abilities: Abilities,
}

#[derive(Debug)]
pub struct S3Store {
    client: aws_sdk_s3::Client,
    bucket: Bucket,
    handle: Handle,
    throttle: Throttle,
    requests: Mutex<Requests>,
    abilities: Mutex<Abilities>,
    unclear: Mutex<VecDeque<ObjectName>>,
    behind: Mutex<Behind>,
}

/// One page of a listing, and how to go on.
#[derive(Debug)]
struct PageOfNames {
    objects: Vec<Object>,
    /// Beneath the prefix: nothing of ours lies in one.
    folders: u64,
    next: Option<String>,
}

/// What a listing tells of one exact name.
#[derive(Debug)]
struct Looked {
    size: u64,
    etag: Option<String>,
}

impl S3Store {
    /// Reads the keys; makes no request to the bucket. Operator when keys or region are missing.
    pub fn connect(settings: Settings, handle: Handle, throttle: Throttle) -> Result<Self> {
        let client = handle.block_on(connect::client(&settings.bucket, &settings.credentials, &throttle))?;
        Ok(Self {
            client,
            bucket: settings.bucket,
            handle,
            throttle,
            requests: Mutex::default(),
            abilities: Mutex::new(settings.abilities),
            unclear: Mutex::default(),
            behind: Mutex::default(),
        })
    }

    /// Whether somebody opens the server's door: its name is known and a connection comes about. No request is made, so
    /// it costs nothing; what it would answer is not known.
    pub fn is_reachable(&self) -> bool {
        let (host, port) = self.bucket.door();
        self.throttle.charge(Way::Up, KNOCK);
        self.throttle.charge(Way::Down, KNOCK);
        let knock = tokio::net::TcpStream::connect((host, port));
        matches!(self.handle.block_on(async { tokio::time::timeout(DOOR, knock).await }), Ok(Ok(_)))
    }

    /// What was learnt about the server so far; worth keeping.
    pub fn abilities(&self) -> Abilities {
        *self.abilities.lock().expect("abilities lock")
    }
    fn learn(&self, lesson: impl FnOnce(&mut Abilities)) {
        lesson(&mut self.abilities.lock().expect("abilities lock"));
    }

    fn key(&self, name: &ObjectName) -> String {
        format!("{}{name}", self.bucket.prefix)
    }

    /// The vault's class is for cold packs alone: the log and hot packs must stay readable.
    fn class_of(&self, name: &ObjectName) -> Option<&str> {
        self.bucket.class.as_deref().filter(|_| name.as_str().starts_with("data_"))
    }

    fn count(&self, add: impl FnOnce(&mut Requests)) {
        add(&mut self.requests.lock().expect("requests lock"));
    }

    fn is_unclear(&self, name: &ObjectName) -> bool {
        self.unclear.lock().expect("unclear lock").contains(name)
    }
    fn now_unclear(&self, name: &ObjectName) {
        self.now_clear(name);
        let mut unclear = self.unclear.lock().expect("unclear lock");
        unclear.push_back(name.clone());
        if unclear.len() > UNCLEAR_MAX {
            unclear.pop_front();
        }
    }
    fn now_clear(&self, name: &ObjectName) {
        self.unclear.lock().expect("unclear lock").retain(|other| other != name);
    }

    /// Runs one request to its end, a stop or a standstill.
    fn run<T>(&self, stop: &Stop, doing: &str, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.run_moving(stop, doing, STANDSTILL_SHORT, request)
    }
    fn run_moving<T>(
        &self,
        stop: &Stop,
        doing: &str,
        patience: Duration,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        stop.check()?;
        let pulse = Pulse::new(Freight::Talk);
        self.handle.block_on(async {
            tokio::select! {
                answer = pulse.of(request) => answer,
                ended = watch(stop, &pulse, patience, None) => Err(ended.during(doing)),
            }
        })
    }

    /// One page of a listing. Of packs it asks which are thawed, unless the server is known not to tell.
    async fn page(&self, prefix: &str, from: Option<String>, most: Option<i32>) -> Result<PageOfNames> {
        let doing = || format!("list s3://{}/{prefix}*", self.bucket.name);
        let of_packs = prefix.strip_prefix(&self.bucket.prefix).is_some_and(names_packs);
        let page = loop {
            let asks = of_packs && most.is_none() && self.abilities().thaw_in_list != Ability::No;
            self.count(|r| r.list += 1);
            let request = self.client.list_objects_v2().bucket(&self.bucket.name).prefix(prefix).delimiter("/");
            let request = request.set_max_keys(most).set_continuation_token(from.clone());
            let request =
                request.set_optional_object_attributes(asks.then(|| vec![OptionalObjectAttributes::RestoreStatus]));
            match request.send().await {
                Err(e) if asks && trouble::Answer::of(&e).knows_not_a_header() => {
                    self.learn(|a| a.thaw_in_list = Ability::No);
                }
                answer => break answer.map_err(|e| trouble::error(doing(), &e))?,
            }
        };
        if page.contents().iter().any(|object| object.restore_status().is_some()) {
            self.learn(|a| a.thaw_in_list = Ability::Yes);
        }
        let folders = page.common_prefixes().len() as u64;
        let next = match (page.is_truncated(), page.next_continuation_token) {
            (Some(true), None) => return Err(Error::retry(doing()).because("the server broke the listing off")),
            (Some(true), next) => next,
            _ => None,
        };
        Ok(PageOfNames { objects: page.contents.unwrap_or_default(), folders, next })
    }

    /// Every name of ours in order, page by page; how many names and folders are none.
    fn list_counting(&self, prefix: &str, each: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<u64> {
        let full = format!("{}{prefix}", self.bucket.prefix);
        let doing = format!("list s3://{}/{full}*", self.bucket.name);
        let (mut from, mut last, mut strange) = (None, None, 0);
        loop {
            let page = self.run(&Stop::new(), &doing, self.page(&full, from.take(), None))?;
            strange += page.folders;
            for object in &page.objects {
                let Some(info) = self.info(object) else {
                    strange += 1;
                    continue;
                };
                if last.as_ref().is_some_and(|last| info.name <= *last) {
                    return Err(Error::operator(doing).because("the server lists names out of order"));
                }
                last = Some(info.name.clone());
                each(info)?;
            }
            match page.next {
                Some(token) => from = Some(token),
                None => return Ok(strange),
            }
        }
    }

    /// Looks for one exact name by a listing, which every key that may write can do.
    fn look(&self, name: &ObjectName, stop: &Stop) -> Result<Option<Looked>> {
        let key = self.key(name);
        let doing = format!("look for {key}");
        self.run(stop, &doing, async {
            let page = self.page(&key, None, Some(1)).await?;
            Ok(page.objects.into_iter().find(|object| object.key() == Some(&key)).map(|object| Looked {
                size: object.size().and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                etag: object.e_tag().map(plain_etag),
            }))
        })
    }

    /// None for a key that is none of ours.
    fn info(&self, object: &Object) -> Option<ObjectInfo> {
        Some(ObjectInfo {
            name: ObjectName::new(object.key()?.strip_prefix(self.bucket.prefix.as_str())?)?,
            size: u64::try_from(object.size()?).ok()?,
            etag: object.e_tag().map(plain_etag),
            class: object.storage_class().map(|class| class.as_str().to_owned()),
            sha256: None,
            modified: object.last_modified().and_then(wall),
            access: thaw::listed(
                object.storage_class().map(ObjectStorageClass::as_str),
                object.restore_status(),
                self.abilities().thaw_in_list,
            ),
        })
    }
}

/// Whether names that begin so are packs: of those a listing may tell which are thawed.
fn names_packs(prefix: &str) -> bool {
    prefix.starts_with("data_") || prefix.starts_with("hot_")
}

impl ObjectStore for S3Store {
    fn create(&self, object: &NewObject, stop: &Stop) -> Result<Created> {
        self.create_object(object, stop)
    }

    fn read_into(&self, name: &ObjectName, range: Option<Range<u64>>, into: &mut Vec<u8>, stop: &Stop) -> Result<()> {
        if range.as_ref().is_some_and(Range::is_empty) {
            into.clear();
            return Ok(());
        }
        let read = |version: Option<&str>| self.read_version(name, version, range.as_ref(), into, stop);
        self.at_version(name, stop, read)?.map_err(|absent| absent.error)
    }

    fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        Ok(self.at_version(name, &Stop::new(), |version| self.look_at(name, version))?.ok())
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()> {
        self.list_counting(prefix, each).map(drop)
    }

    fn thaw(&self, name: &ObjectName, speed: Speed, days: u32) -> Result<Thaw> {
        let ask = |version: Option<&str>| self.ask_for(name, version, speed, days);
        self.at_version(name, &Stop::new(), ask)?.map_err(|absent| absent.error)
    }
    fn inventory(&self, prefix: &str, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<Inventory> {
        self.deep_inventory(prefix, each)
    }
    fn uncover(&self, name: &ObjectName) -> Result<bool> {
        self.choose_version(name)
    }
    fn may_freeze(&self) -> bool {
        true
    }

    fn requests(&self) -> Requests {
        *self.requests.lock().expect("requests lock")
    }
    fn sent_bytes(&self) -> u64 {
        self.throttle.sent_bytes()
    }
    fn url(&self) -> String {
        self.bucket.to_string()
    }
}

/// Ends when asked to stop, when nothing moved for too long, or when an object of so many bytes is given up because
/// sending was shut.
async fn watch(stop: &Stop, pulse: &Pulse, patience: Duration, object: Option<(&Underway, u64)>) -> Error {
    let (mut last, mut still) = (pulse.moved(), Duration::ZERO);
    loop {
        tokio::time::sleep(LOOK).await;
        if stop.asked() {
            return Error::stopping();
        }
        let given_up = object.map(|(underway, size)| underway.goes_on(size.saturating_sub(pulse.written())));
        if let Some(Err(e)) = given_up {
            return e;
        }
        let now = pulse.moved();
        still = if now == last { still + LOOK } else { Duration::ZERO };
        last = now;
        if still >= patience {
            return Error::retry(format!("nothing moved for {} s", patience.as_secs()));
        }
    }
}

fn plain_etag(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_owned()
}

fn wall(time: &DateTime) -> Option<Wall> {
    time.to_millis().ok().map(Wall)
}
