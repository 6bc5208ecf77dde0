//! Events of the kernel (inotify) as hints: something may have changed here. Hints hasten, walks decide: whatever
//! is lost (a full queue, an unmount, an error) is told as [`Lost`], and the root is walked.
//!
//! Each folder is watched by itself, never a tree, so that excluded trees cost no watch. A new or moved-in folder
//! comes as a hint of its whole tree: whoever walks it calls [`Watcher::add`] on each folder first and lists it
//! afterwards, and nothing made in between is missed.
//!
//! What is pending is bounded: too many paths become their folders, and those at last their root. It lives in
//! memory alone: after a restart every root is walked anyway. Take, write down, and only then look.
//!
//! `notify` is held to folders by `NonRecursive`, links are not followed, and of the accesses only "closed after
//! writing" is asked for: our own reading makes no events. Its handler never waits, since adding a watch waits
//! for the handler's thread.

mod pending;

use crate::error::{Error, Kind, Result};
use crate::model::TreePath;
use crate::worker::Nudge;
use notify::event::{CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{
    Config, ErrorKind, EventKind, EventKindMask, INotifyWatcher, RecursiveMode, WatchPathConfig, Watcher as _,
};
use pending::Pending;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// How far a hint reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The path itself; should it be a folder, not what it holds.
    Only,
    /// The path and all beneath it, folders to be watched anew.
    Tree,
}

/// Something may have changed at this path, or it may have come or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    pub path: TreePath,
    pub depth: Depth,
}

/// Events of this root were lost: it is owed a walk, and its folders are to be added anew on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub root: TreePath,
    pub why: String,
}

/// Everything that was pending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub lost: Vec<Lost>,
    /// In path order; none is covered by another, none lies in a lost root.
    pub hints: Vec<Hint>,
}

/// Watches the folders it was given and keeps what it hears until it is taken.
#[derive(Debug)]
pub struct Watcher {
    pending: Arc<Mutex<Pending>>,
    bell: Nudge,
    kernel: Mutex<Option<INotifyWatcher>>,
}

/// Paths pending at once; beyond that they become their folders.
const MOST_HINTS: usize = 8192;

impl Watcher {
    /// Watches nothing yet. `bell` rings when there is something to take.
    pub fn new(roots: Vec<TreePath>, bell: Nudge) -> Result<Self> {
        let pending = Arc::new(Mutex::new(Pending::new(roots, MOST_HINTS)));
        let kernel = connect(&pending, &bell)?;
        Ok(Self { pending, bell, kernel: Mutex::new(Some(kernel)) })
    }

    /// Watches one folder; a second time is nothing. The folder is named by its path, so one deeper than
    /// `PATH_MAX` cannot be watched: walks find its changes. A full watch table is an error of kind Operator, one
    /// folder that is gone or cannot be watched one of kind Path.
    pub fn add(&self, folder: &TreePath) -> Result<()> {
        let how = WatchPathConfig::new(RecursiveMode::NonRecursive).with_dereference_symlinks(false);
        match self.kernel().as_mut() {
            None => Err(Error::operator(format!("watch {folder}"))
                .because("the kernel gave no watch handle")
                .remedy(INSTANCES)),
            Some(kernel) => kernel.watch_with(folder.as_path(), how).map_err(|e| self.add_error(folder, e)),
        }
    }

    /// Watches a folder no more. Folders that went away need no call.
    pub fn remove(&self, folder: &TreePath) {
        if let Some(kernel) = self.kernel().as_mut() {
            // It may never have been watched.
            let _ = kernel.unwatch(folder.as_path());
        }
    }

    /// Hands over everything pending and forgets it. Where events were lost for all roots at once, watching has
    /// begun anew with no folder: the walks add them.
    pub fn take(&self) -> Taken {
        let (taken, must_reconnect) = self.pending.lock().expect("pending lock").take();
        if must_reconnect {
            let mut kernel = self.kernel();
            *kernel = None;
            *kernel = connect(&self.pending, &self.bell).ok();
        }
        taken
    }

    fn kernel(&self) -> MutexGuard<'_, Option<INotifyWatcher>> {
        self.kernel.lock().expect("watch lock")
    }

    fn add_error(&self, folder: &TreePath, error: notify::Error) -> Error {
        let doing = format!("watch {folder}");
        match error.kind {
            ErrorKind::MaxFilesWatch => Error::operator(doing).because("the kernel's watch table is full").remedy(
                "raise fs.inotify.max_user_watches (sysctl), or exclude folders; until then walks find the changes",
            ),
            ErrorKind::PathNotFound => Error::path(doing).because(std::io::Error::from(std::io::ErrorKind::NotFound)),
            ErrorKind::Io(e) => Error::path(doing).because(e),
            // Its thread is gone: begin anew.
            other => {
                self.pending.lock().expect("pending lock").lose_all("watching stopped");
                self.bell.ring();
                Error::new(Kind::Retry, doing).because(format!("{other:?}"))
            }
        }
    }
}

const INSTANCES: &str = "raise fs.inotify.max_user_instances (sysctl); until then walks find the changes";

fn connect(pending: &Arc<Mutex<Pending>>, bell: &Nudge) -> Result<INotifyWatcher> {
    let (pending, bell) = (Arc::clone(pending), bell.clone());
    let config = Config::default()
        .with_follow_symlinks(false)
        .with_event_kinds(EventKindMask::CORE | EventKindMask::ACCESS_CLOSE);
    let hear = move |event: notify::Result<notify::Event>| {
        if hear(&mut pending.lock().expect("pending lock"), event) {
            bell.ring();
        }
    };
    INotifyWatcher::new(hear, config).map_err(|e| Error::operator("watch for changes").because(e).remedy(INSTANCES))
}

/// Notes what an event says; true when something is pending that was not before.
fn hear(pending: &mut Pending, event: notify::Result<notify::Event>) -> bool {
    let event = match event {
        Ok(event) => event,
        Err(e) if e.paths.is_empty() => return pending.lose_all(&format!("watching failed: {e}")),
        Err(e) => {
            let why = format!("watching failed: {e}");
            return tree_paths(&e.paths).fold(false, |new, path| pending.lose(&path, &why) | new);
        }
    };
    if event.need_rescan() {
        return pending.lose_all("more changes at once than the kernel keeps");
    }
    let unmounted = event.info() == Some("unmount");
    let mut new = false;
    for path in tree_paths(&event.paths) {
        new |= match event.kind {
            EventKind::Remove(RemoveKind::Other) if unmounted => pending.lose(&path, "a file system was unmounted"),
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) if pending.is_root(&path) => {
                pending.lose(&path, "the watched folder itself was moved or removed")
            }
            // The two halves were told already.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => false,
            EventKind::Create(CreateKind::Folder) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                pending.note(path, Depth::Tree)
            }
            _ => pending.note(path, Depth::Only),
        };
    }
    new
}

fn tree_paths(paths: &[impl AsRef<Path>]) -> impl Iterator<Item = TreePath> {
    paths.iter().filter_map(|path| TreePath::from_bytes(path.as_ref().as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Found, Root, Step};
    use std::collections::BTreeMap;
    use std::fs;
    use std::time::Duration;

    struct Bench {
        tmp: tempfile::TempDir,
        bell: Nudge,
        watcher: Watcher,
    }

    impl Bench {
        fn new() -> Self {
            let tmp = tempfile::tempdir().unwrap();
            fs::create_dir(tmp.path().join("root")).unwrap();
            let bell = Nudge::new();
            let root = TreePath::from_typed(&tmp.path().join("root")).unwrap();
            let watcher = Watcher::new(vec![root.clone()], bell.clone()).unwrap();
            watcher.add(&root).unwrap();
            Self { tmp, bell, watcher }
        }
        fn at(&self, rel: &str) -> std::path::PathBuf {
            self.tmp.path().join("root").join(rel)
        }
        fn tree(&self, rel: &str) -> TreePath {
            TreePath::from_typed(&self.at(rel)).unwrap()
        }
        /// Everything heard until `path` is hinted or its root lost; both by last name.
        fn heard_until(&self, name: &str) -> (BTreeMap<String, Depth>, Vec<Lost>) {
            let (mut hints, mut lost) = (BTreeMap::new(), Vec::new());
            // A silence of this many tenths of a second is for ever.
            let mut silence = 0;
            while silence < 300 {
                let taken = self.watcher.take();
                for Hint { path, depth } in taken.hints {
                    let name = String::from_utf8_lossy(path.name().unwrap()).into_owned();
                    let known = hints.entry(name).or_insert(depth);
                    *known = depth.max(*known);
                }
                lost.extend(taken.lost);
                if hints.contains_key(name) || (name.is_empty() && !lost.is_empty()) {
                    return (hints, lost);
                }
                silence = if self.bell.wait(Duration::from_millis(100)) { 0 } else { silence + 1 };
            }
            panic!("never heard of {name}: {hints:?} {lost:?}");
        }
        fn lost(&self) -> Lost {
            self.heard_until("").1.remove(0)
        }
    }

    #[test]
    fn changes_additions_and_removals_are_hinted() {
        let bench = Bench::new();
        fs::write(bench.at("a"), "1").unwrap();
        assert_eq!(bench.heard_until("a").0["a"], Depth::Only);
        fs::remove_file(bench.at("a")).unwrap();
        bench.heard_until("a");
        fs::write(bench.at("b"), "1").unwrap();
        fs::rename(bench.at("b"), bench.at("c")).unwrap();
        let (heard, lost) = bench.heard_until("c");
        assert!(heard.contains_key("b") && lost.is_empty());
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        fs::set_permissions(bench.at("c"), mode).unwrap();
        bench.heard_until("c");
    }

    #[test]
    fn our_own_reading_is_not_heard() {
        let bench = Bench::new();
        fs::write(bench.at("read"), "contents").unwrap();
        fs::write(bench.at("before"), "").unwrap();
        bench.heard_until("before");
        let root = Root::open(&bench.tree("")).unwrap();
        let mut names = Vec::new();
        root.top().list().unwrap().next_batch(100, &mut names).unwrap();
        let Found::Here(subject) = root.top().subject(b"read").unwrap() else { panic!() };
        let mut file = subject.file.unwrap();
        assert_eq!(file.step(&mut [0; 100]).unwrap(), Step::Data(8));
        file.finish().unwrap();
        fs::write(bench.at("after"), "").unwrap();
        let (heard, _) = bench.heard_until("after");
        assert!(!heard.contains_key("read"), "{heard:?}");
    }

    #[test]
    fn a_new_folder_is_a_tree_and_is_watched_once_added() {
        let bench = Bench::new();
        fs::create_dir_all(bench.at("new/deep")).unwrap();
        assert_eq!(bench.heard_until("new").0["new"], Depth::Tree);
        bench.watcher.add(&bench.tree("new")).unwrap();
        bench.watcher.add(&bench.tree("new")).unwrap();
        fs::write(bench.at("new/file"), "").unwrap();
        bench.heard_until("file");
        bench.watcher.remove(&bench.tree("new"));
        bench.watcher.remove(&bench.tree("new"));
        fs::write(bench.at("new/unheard"), "").unwrap();
        fs::write(bench.at("heard"), "").unwrap();
        assert!(!bench.heard_until("heard").0.contains_key("unheard"));
        let gone = bench.watcher.add(&bench.tree("never was")).unwrap_err();
        assert_eq!((gone.kind(), gone.io_kind()), (Kind::Path, Some(std::io::ErrorKind::NotFound)));
    }

    #[test]
    fn a_moved_folder_is_heard_under_its_new_name_and_its_old_one_free_again() {
        let bench = Bench::new();
        fs::create_dir_all(bench.at("old/sub")).unwrap();
        for folder in ["old", "old/sub"] {
            bench.watcher.add(&bench.tree(folder)).unwrap();
        }
        fs::rename(bench.at("old"), bench.at("moved")).unwrap();
        assert_eq!(bench.heard_until("moved").0["moved"], Depth::Tree);
        for folder in ["moved", "moved/sub"] {
            bench.watcher.add(&bench.tree(folder)).unwrap();
        }
        fs::write(bench.at("moved/sub/f"), "").unwrap();
        let taken = loop {
            let taken = bench.watcher.take();
            if taken.hints.iter().any(|h| h.path == bench.tree("moved/sub/f")) {
                break taken;
            }
            bench.bell.wait(Duration::from_millis(100));
        };
        assert!(taken.hints.iter().all(|h| !h.path.is_within(&bench.tree("old/sub"))), "{taken:?}");
        fs::create_dir(bench.at("old")).unwrap();
        assert_eq!(bench.heard_until("old").0["old"], Depth::Tree);
        bench.watcher.add(&bench.tree("old")).unwrap();
        fs::write(bench.at("old/again"), "").unwrap();
        bench.heard_until("again");
    }

    #[test]
    fn an_overflow_of_the_kernels_queue_loses_the_root_and_watching_begins_anew() {
        let bench = Bench::new();
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        {
            // Nobody hears while this is held.
            let _deaf = bench.watcher.pending.lock().unwrap();
            for n in 0..limit / 2 + 1000 {
                fs::write(bench.at(&format!("f{}", n % 100)), "x").unwrap();
                fs::remove_file(bench.at(&format!("f{}", n % 100))).unwrap();
            }
        }
        assert_eq!(bench.lost().root, bench.tree(""));
        bench.watcher.add(&bench.tree("")).unwrap();
        bench.watcher.take();
        fs::write(bench.at("afterwards"), "").unwrap();
        bench.heard_until("afterwards");
    }

    #[test]
    fn a_root_that_goes_away_is_lost() {
        let bench = Bench::new();
        fs::rename(bench.at(""), bench.tmp.path().join("elsewhere")).unwrap();
        assert_eq!(bench.lost().root, bench.tree(""));
    }

    #[test]
    fn an_unmount_beneath_a_root_loses_it() {
        let bench = Bench::new();
        fs::create_dir(bench.at("mnt")).unwrap();
        let mount = |command: &str, args: &[&str]| {
            let done = std::process::Command::new(command).args(args).arg(bench.at("mnt")).output();
            done.is_ok_and(|out| out.status.success())
        };
        if !mount("mount", &["-t", "tmpfs", "tmpfs"]) {
            eprintln!("not tried: mounting needs root");
            return;
        }
        bench.watcher.add(&bench.tree("mnt")).unwrap();
        assert!(mount("umount", &[]));
        let lost = bench.lost();
        assert_eq!(lost.root, bench.tree(""));
        assert!(lost.why.contains("unmounted"), "{}", lost.why);
    }
}
