//! Watched roots as the steps see them: whose a path is, whether it is chosen, and whether its disk is there.

use super::Engine;
use crate::catalog::{Level, RootId};
use crate::config::{FilterList, RootSettings};
use crate::error::{Error, Result};
use crate::filter::{
    CACHEDIR_TAG, CacheFolders, DefaultExcludes, FileOrDir, Filter, InPlace, Markers, Order, Verdict, is_cachedir_tag,
};
use crate::model::{Priority, Tier, TreePath};
use crate::source::{Crossing, Folder, Found, Root, Step};
use std::time::Duration;

/// One root, ready to be asked.
#[derive(Debug)]
pub struct Watched {
    pub path: TreePath,
    pub id: RootId,
    pub tier: Tier,
    pub quiet: Duration,
    pub quiet_max: Duration,
    pub walk_every: Duration,
    pub filter: Filter,
    pub markers: Markers,
    pub crossing: Crossing,
    pub in_place: InPlace,
    /// Of what no rule names.
    pub priority: Priority,
    pub order: Order,
}

impl Watched {
    pub fn new(settings: &RootSettings, id: RootId) -> Result<Self> {
        let defaults = if settings.default_excludes { DefaultExcludes::On } else { DefaultExcludes::Off };
        let filter = match &settings.filter {
            FilterList::Lines(lines) => Filter::of_lines(
                &format!("filter of {}", settings.path),
                lines.iter().map(String::as_bytes),
                &settings.path,
                defaults,
            )?,
            FilterList::File { path, contents } => {
                Filter::parse(&path.display().to_string(), contents, &settings.path, defaults)?
            }
        };
        let caches = if settings.cachedir_tag { CacheFolders::LeaveOut } else { CacheFolders::Keep };
        Ok(Self {
            path: settings.path.clone(),
            id,
            tier: settings.tier,
            quiet: settings.quiet,
            quiet_max: settings.quiet_max,
            walk_every: settings.walk_every,
            filter,
            markers: Markers::new(caches, settings.marker.as_deref())?,
            crossing: Crossing::listing(settings.filesystems.iter().cloned()),
            in_place: InPlace::new(&settings.fixed_chunks)?,
            priority: settings.priority,
            order: Order::new(&format!("order of {}", settings.path), &settings.order, settings.priority)?,
        })
    }

    /// Whether a name in a folder may say that the folder is to be left out.
    pub fn is_marker(&self, name: &[u8]) -> bool {
        self.markers.marker().is_some_and(|marker| marker.as_bytes() == name)
            || (self.markers.cache_folders != CacheFolders::Keep && name == CACHEDIR_TAG.as_bytes())
    }

    /// Whether a folder asks to be left out by what lies in it.
    pub fn left_out(&self, folder: &Folder) -> Result<bool> {
        if let Some(marker) = self.markers.marker()
            && folder.look(marker.as_bytes())?.is_some()
        {
            return Ok(true);
        }
        if self.markers.cache_folders == CacheFolders::Keep || folder.look(CACHEDIR_TAG.as_bytes())?.is_none() {
            return Ok(false);
        }
        let Found::Here(subject) = folder.subject(CACHEDIR_TAG.as_bytes())? else { return Ok(false) };
        let (Some(mut file), mut first) = (subject.file, [0; 43]) else { return Ok(false) };
        Ok(matches!(file.step(&mut first)?, Step::Data(n) if is_cachedir_tag(&first[..n])))
    }

    /// Whether a folder and all folders above it up to the root are chosen to be walked.
    pub fn folder_is_walked(&self, root: &Root, folder: &TreePath) -> Result<bool> {
        if self.filter.explain(folder, FileOrDir::Dir).verdict == Verdict::Exclude {
            return Ok(false);
        }
        let mut at = Some(folder.clone());
        while let Some(path) = at.filter(|p| p.is_within(&self.path)) {
            if self.left_out(&root.folder(&path)?)? {
                return Ok(false);
            }
            at = path.parent();
        }
        Ok(true)
    }
}

impl Engine {
    /// The root a path belongs to: the longest that holds it. None outside all roots and in our own folders.
    pub fn root_of(&self, path: &TreePath) -> Option<&Watched> {
        if self.is_ours(path) { None } else { self.roots.iter().find(|r| path.is_within(&r.path)) }
    }

    pub fn is_ours(&self, path: &TreePath) -> bool {
        self.ours.iter().any(|own| path.is_within(own))
    }

    /// Tells the catalog what is said of the roots; a word that changed ranks anew what waits. After every opening.
    pub fn settle_order(&self) -> Result<()> {
        let roots: Vec<_> = self.roots.iter().map(|r| (r.id, r.priority)).collect();
        let mut told: Vec<String> = self.roots.iter().map(|r| format!("{} {}", r.path, r.order)).collect();
        told.sort_unstable();
        self.faults.at("order.settle")?;
        // What kind of thing waits is not known here: as a folder, every rule that may name it does.
        let of = |path: &TreePath| self.root_of(path).map(|r| r.order.of(path, FileOrDir::Dir));
        self.catalog.settle_order(&roots, &told.join("\n"), &of)
    }

    pub fn root_by_id(&self, id: RootId) -> Option<&Watched> {
        self.roots.iter().find(|r| r.id == id)
    }

    /// Opens a root. Operator: it is missing, or the disk that was mounted on it is not: never taken for a deletion.
    pub fn open_root(&self, watched: &Watched) -> Result<Root> {
        let opened = Root::open(&watched.path).and_then(|root| {
            let was_mount = match self.catalog.find(&watched.path)? {
                Some(node) => self.catalog.node(node)?.is_some_and(|n| n.mount),
                None => false,
            };
            if was_mount && root.top().look_at_itself().mount_root == Some(false) {
                return Err(Error::operator(format!("open the watched folder {}", watched.path))
                    .because("the disk that was mounted here is not mounted")
                    .remedy("mount it; nothing is taken for deleted meanwhile"));
            }
            Ok(root)
        });
        self.note_root(watched, opened.as_ref().err().map(ToString::to_string));
        opened
    }

    /// Said once when a root's trouble begins, changes or is over.
    fn note_root(&self, watched: &Watched, now: Option<String>) {
        let before = {
            let mut trouble = self.figures.root_trouble.lock().expect("figures lock");
            match &now {
                Some(text) => trouble.insert(watched.path.clone(), text.clone()),
                None => trouble.remove(&watched.path),
            }
        };
        match (before, now) {
            (Some(before), Some(now)) if before == now => {}
            (_, Some(now)) => self.tell(Level::Alarm, &now),
            (Some(_), None) => self.tell(Level::Good, &format!("{} can be read again", watched.path)),
            (None, None) => {}
        }
    }
}
