//! What lies under each name of a bucket that keeps versions: the listing of all of them, put together name by name.
//!
//! One page is one request of up to 1,000 entries, as a plain listing's is, and nothing is held but a page and the name
//! in hand, whose versions may go on over the page's end. Where the server does not know the call, or this key may not
//! make it, the plain listing takes its place and says so ([`Depth::Surface`]). That a server does not know it is kept;
//! that a key may not is forgotten, so that rights given later are used.

use super::{S3Store, names_packs, plain_etag, thaw, trouble, wall};
use crate::error::{Error, Result};
use crate::store::abilities::Ability;
use crate::store::{Cover, Depth, Held, Inventory, ObjectInfo, ObjectName};
use crate::worker::Stop;
use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::{DeleteMarkerEntry, ObjectVersion, ObjectVersionStorageClass, OptionalObjectAttributes};

pub(super) const NOT_OFFERED: &str = "this server does not list versions";
pub(super) const NOT_ALLOWED: &str = "this key may not list versions (s3:ListBucketVersions)";

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Border {
    key: String,
    version: Option<String>,
}

/// A page of versions, or why there is none.
pub(super) enum Page {
    /// With the number of folders beneath the prefix.
    Told(Vec<Layer>, u64, Option<Border>),
    NotTold(&'static str),
}

/// One version of a key: bytes, or a delete marker.
#[derive(Debug)]
pub(super) enum Layer {
    Bytes(ObjectVersion),
    Marker(DeleteMarkerEntry),
}

impl Layer {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Bytes(version) => version.key(),
            Self::Marker(marker) => marker.key(),
        }
        .unwrap_or_default()
    }
}

/// The versions of one key, as far as they matter: they come newest first.
#[derive(Debug, Default)]
struct Pile {
    key: String,
    top: Option<ObjectVersion>,
    oldest: Option<ObjectVersion>,
    is_hidden: bool,
}

impl Pile {
    fn lay(&mut self, layer: Layer) {
        match layer {
            Layer::Marker(marker) => self.is_hidden |= marker.is_latest() == Some(true),
            Layer::Bytes(version) => {
                if version.is_latest() == Some(true) {
                    self.top = Some(version.clone());
                }
                self.oldest = Some(version);
            }
        }
    }

    /// None: delete markers alone, there is nothing.
    fn seen(self) -> Option<(ObjectVersion, Cover)> {
        let oldest = self.oldest?;
        if self.is_hidden {
            return Some((oldest, Cover::DeleteMarker));
        }
        match self.top {
            Some(top) if is_same(&top, &oldest) => Some((top, Cover::Bare)),
            Some(_) => Some((oldest, Cover::OtherBytes)),
            None => Some((oldest, Cover::Bare)),
        }
    }
}

/// As far as a listing tells.
fn is_same(a: &ObjectVersion, b: &ObjectVersion) -> bool {
    let etags = (a.e_tag().map(plain_etag), b.e_tag().map(plain_etag));
    a.size() == b.size() && !matches!(etags, (Some(a), Some(b)) if a != b)
}

/// Versions and delete markers of a page, which come as two lists in the order of their keys, as one.
fn layers(versions: Vec<ObjectVersion>, markers: Vec<DeleteMarkerEntry>) -> Vec<Layer> {
    let mut all: Vec<Layer> =
        versions.into_iter().map(Layer::Bytes).chain(markers.into_iter().map(Layer::Marker)).collect();
    // Stable: versions of a key stay newest first.
    all.sort_by(|a, b| a.key().cmp(b.key()));
    all
}

impl S3Store {
    /// One page of all versions. Of packs it asks which are thawed, unless the server is known not to tell.
    pub(super) async fn page_of_versions(&self, prefix: &str, from: Option<&Border>) -> Result<Page> {
        let doing = || format!("list the versions of s3://{}/{prefix}*", self.bucket.name);
        let of_packs = prefix.strip_prefix(&self.bucket.prefix).is_some_and(names_packs);
        let mut asks = of_packs && self.abilities().thaw_in_list != Ability::No;
        let mut stumbled = false;
        let page = loop {
            self.count(|r| r.list += 1);
            let request = self.client.list_object_versions().bucket(&self.bucket.name).prefix(prefix).delimiter("/");
            let request = request.set_key_marker(from.map(|border| border.key.clone()));
            let request = request.set_version_id_marker(from.and_then(|border| border.version.clone()));
            let request =
                request.set_optional_object_attributes(asks.then(|| vec![OptionalObjectAttributes::RestoreStatus]));
            let refusal = match request.send().await {
                Ok(page) => break page,
                Err(e) => e,
            };
            let said = trouble::Answer::of(&refusal);
            if asks && said.knows_not_a_header() {
                (asks, stumbled) = (false, true);
            } else if from.is_none() && said.knows_not_the_request() {
                self.learn(|a| a.list_versions = Ability::No);
                return Ok(Page::NotTold(NOT_OFFERED));
            } else if from.is_none() && said.status == 403 {
                self.was_refused(true);
                return Ok(Page::NotTold(NOT_ALLOWED));
            } else {
                return Err(trouble::error(doing(), &refusal));
            }
        };
        let next = border(&page, from).ok_or_else(|| Error::retry(doing()).because("the server broke it off"))?;
        let folders = page.common_prefixes().len() as u64;
        let layers = layers(page.versions.unwrap_or_default(), page.delete_markers.unwrap_or_default());
        self.learn_from(&layers, stumbled);
        self.was_refused(false);
        Ok(Page::Told(layers, folders, next))
    }

    fn learn_from(&self, layers: &[Layer], stumbled: bool) {
        let is_version = |id: Option<&str>| id.is_some_and(|id| id != "null");
        let thaws = |layer: &Layer| matches!(layer, Layer::Bytes(version) if version.restore_status().is_some());
        let kept = |layer: &Layer| match layer {
            Layer::Bytes(version) => is_version(version.version_id()),
            Layer::Marker(_) => true,
        };
        self.learn(|a| {
            a.list_versions = Ability::Yes;
            if stumbled {
                a.thaw_in_list = Ability::No;
            } else if layers.iter().any(thaws) {
                a.thaw_in_list = Ability::Yes;
            }
            if layers.iter().any(kept) {
                a.keeps_versions = Ability::Yes;
            }
        });
    }

    pub(super) fn deep_inventory(&self, prefix: &str, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<Inventory> {
        let full = format!("{}{prefix}", self.bucket.prefix);
        let doing = format!("list the versions of s3://{}/{full}*", self.bucket.name);
        if self.abilities().list_versions == Ability::No {
            return self.surface(prefix, NOT_OFFERED, each);
        }
        let (mut from, mut pile, mut strange) = (None::<Border>, Pile::default(), 0);
        loop {
            let page = self.run(&Stop::new(), &doing, self.page_of_versions(&full, from.as_ref()))?;
            let (layers, folders, next) = match page {
                Page::Told(layers, folders, next) => (layers, folders, next),
                Page::NotTold(why) => return self.surface(prefix, why, each),
            };
            strange += folders;
            for layer in layers {
                if layer.key() != pile.key {
                    if layer.key() < pile.key.as_str() {
                        return Err(Error::operator(doing).because("the server lists names out of order"));
                    }
                    let key = layer.key().to_owned();
                    strange += self.tell(std::mem::replace(&mut pile, Pile { key, ..Pile::default() }), each)?;
                }
                pile.lay(layer);
            }
            if next.is_none() {
                strange += self.tell(pile, each)?;
                return Ok(Inventory { depth: Depth::Versions, strange });
            }
            from = next;
        }
    }

    fn surface(&self, prefix: &str, why: &'static str, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<Inventory> {
        let strange = self.list_counting(prefix, &mut |object| each(Held { object, cover: Cover::Bare }))?;
        Ok(Inventory { depth: Depth::Surface(why), strange })
    }

    /// What is covered is remembered by its version. A key that no vault gives is passed over: 1, else 0.
    fn tell(&self, pile: Pile, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<u64> {
        let Some((version, cover)) = pile.seen() else { return Ok(0) };
        let Some(object) = self.info_of(&version) else { return Ok(1) };
        match version.version_id() {
            Some(id) if cover != Cover::Bare => self.found(&object.name, id),
            _ => self.forget(&object.name),
        }
        each(Held { object, cover })?;
        Ok(0)
    }

    fn info_of(&self, version: &ObjectVersion) -> Option<ObjectInfo> {
        let class = version.storage_class().map(ObjectVersionStorageClass::as_str);
        Some(ObjectInfo {
            name: ObjectName::new(version.key()?.strip_prefix(self.bucket.prefix.as_str())?)?,
            size: u64::try_from(version.size()?).ok()?,
            etag: version.e_tag().map(plain_etag),
            class: class.map(str::to_owned),
            sha256: None,
            modified: version.last_modified().and_then(wall),
            access: thaw::listed(class, version.restore_status(), self.abilities().thaw_in_list),
        })
    }
}

/// Where to go on; Some(None): nowhere. None: the server says that there is more and not where, or the same place again.
#[expect(clippy::option_option, reason = "the outer one is an error yet without words")]
fn border(page: &ListObjectVersionsOutput, from: Option<&Border>) -> Option<Option<Border>> {
    if page.is_truncated() != Some(true) {
        return Some(None);
    }
    let key = page.next_key_marker().filter(|key| !key.is_empty())?.to_owned();
    let version = page.next_version_id_marker().filter(|version| !version.is_empty()).map(str::to_owned);
    let next = Border { key, version };
    (from != Some(&next)).then_some(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(key: &str, etag: &str, latest: bool) -> Layer {
        Layer::Bytes(ObjectVersion::builder().key(key).size(3).e_tag(etag).is_latest(latest).build())
    }
    fn marker(latest: bool) -> Layer {
        Layer::Marker(DeleteMarkerEntry::builder().key("k").is_latest(latest).build())
    }
    fn seen(layers: Vec<Layer>) -> Option<(String, Cover)> {
        let mut pile = Pile::default();
        for layer in layers {
            pile.lay(layer);
        }
        pile.seen().map(|(version, cover)| (version.e_tag().unwrap_or_default().to_owned(), cover))
    }

    #[test]
    fn what_came_first_is_ours_and_what_lies_on_top_of_it_is_its_cover() {
        let k = |etag, latest| bytes("k", etag, latest);
        let ours = |cover| Some(("a".to_owned(), cover));
        assert_eq!(seen(vec![k("a", true)]), ours(Cover::Bare));
        assert_eq!(seen(vec![k("a", true), k("a", false)]), ours(Cover::Bare));
        assert_eq!(seen(vec![k("b", true), k("a", false)]), ours(Cover::OtherBytes));
        assert_eq!(seen(vec![k("a", true), k("b", false), k("a", false)]), ours(Cover::Bare));
        assert_eq!(seen(vec![k("b", false), k("a", false), marker(true)]), ours(Cover::DeleteMarker));
        assert_eq!(seen(vec![k("a", true), k("a", false), marker(false)]), ours(Cover::Bare));
        assert_eq!(seen(vec![marker(true), marker(false)]), None);
    }
}
