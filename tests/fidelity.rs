//! What is read from one tree and placed in another is the same tree: names, shapes, owners, modes, times,
//! attributes, links and holes. Run as root for owners and devices; what an ordinary user cannot have is counted
//! instead.

use panicroom::error::Kind;
use panicroom::model::{Device, Entry, HardLink, Shape, Size, TreePath};
use panicroom::place::{Clobber, Partial, Placed, Shortfall, Skip, Target};
use panicroom::source::walk::{Child, Children, Sight};
use panicroom::source::{Crossing, Finish, Folder, Form, Found, Ground, Reading, Root, Step};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;

fn tree(path: &Path) -> TreePath {
    TreePath::from_typed(path).unwrap()
}

fn p(path: &str) -> TreePath {
    TreePath::from_bytes(path).unwrap()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn set_mtime(dir: impl AsFd, name: &[u8], secs: i64, nanos: i64) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: secs, tv_nsec: nanos },
    };
    rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A path of the tree under its root, and what it is.
type Tree = BTreeMap<TreePath, (Entry, Option<Vec<Piece>>)>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Data(Vec<u8>),
    Hole(u64),
}

struct Walked {
    tree: Tree,
    sockets: usize,
}

fn contents(mut file: Reading) -> Vec<Piece> {
    let (mut pieces, mut buffer): (Vec<Piece>, _) = (Vec::new(), vec![0; 100_000]);
    loop {
        match (file.step(&mut buffer).unwrap(), pieces.last_mut()) {
            (Step::End, _) => break,
            (Step::Hole(len), _) => pieces.push(Piece::Hole(len)),
            (Step::Data(len), Some(Piece::Data(before))) => before.extend_from_slice(&buffer[..len]),
            (Step::Data(len), _) => pieces.push(Piece::Data(buffer[..len].to_vec())),
        }
    }
    assert!(matches!(file.finish().unwrap(), Finish::Unchanged(_)));
    pieces
}

fn walk(root: &Root) -> Walked {
    let mut walked = Walked { tree: Tree::new(), sockets: 0 };
    let itself = root.top().itself().unwrap();
    walked.tree.insert(TreePath::root(), (itself.entry, None));
    let mut pending = vec![root.folder(root.path()).unwrap()];
    while let Some(folder) = pending.pop() {
        walk_folder(root, &folder, &mut walked, &mut pending);
    }
    walked
}

fn walk_folder(root: &Root, folder: &Folder, walked: &mut Walked, pending: &mut Vec<Folder>) {
    let crossing = Crossing::default();
    let mut children = Children::of(folder, &crossing).unwrap();
    let mut batch: Vec<Child> = Vec::new();
    loop {
        let more = children.next_batch(&mut batch).unwrap();
        for Child { name, sight } in batch.drain(..) {
            let Sight::Seen { look, .. } = sight else { panic!("{sight:?}") };
            let at = folder.path_of(&name).unwrap();
            let under = [b"/", at.beneath(root.path()).unwrap()].concat();
            match folder.subject_seen(&name, &look).unwrap() {
                Found::Gone => panic!("{at} is gone"),
                Found::Socket => walked.sockets += 1,
                Found::Here(subject) => {
                    let subject = *subject;
                    walked
                        .tree
                        .insert(TreePath::from_bytes(under).unwrap(), (subject.entry, subject.file.map(contents)));
                    if look.form == Form::Dir {
                        pending.push(folder.child(&name).unwrap());
                    }
                }
            }
        }
        if !more {
            return;
        }
    }
}

fn fill(file: &Partial, pieces: &[Piece]) {
    let mut at = 0;
    for piece in pieces {
        match piece {
            Piece::Hole(len) => at += len,
            Piece::Data(bytes) => {
                file.write_at(at, bytes).unwrap();
                at += bytes.len() as u64;
            }
        }
    }
}

fn place(tree: &Tree, target: &Target, clobber: Clobber) -> Vec<(TreePath, Placed)> {
    let mut first_names: HashMap<HardLink, TreePath> = HashMap::new();
    let mut placed = Vec::new();
    for (number, (path, (entry, pieces))) in tree.iter().enumerate() {
        let part = number as u64;
        let outcome = match &entry.shape {
            Shape::Dir => {
                target.folder(path).unwrap();
                continue;
            }
            Shape::File => {
                if let Some(first) = entry.link.and_then(|link| first_names.insert(link, path.clone())) {
                    target.link(&first, path, part, clobber).unwrap()
                } else {
                    let file = target.begin(path, entry.size, part).unwrap();
                    fill(&file, pieces.as_ref().unwrap());
                    file.finish(entry, clobber).unwrap()
                }
            }
            _ => target.node(path, entry, part, clobber).unwrap(),
        };
        placed.push((path.clone(), outcome));
    }
    for (path, (entry, _)) in tree.iter().rev().filter(|(_, (entry, _))| entry.shape == Shape::Dir) {
        assert_eq!(target.dress_folder(path, entry).unwrap(), [], "{path}");
    }
    target.sync().unwrap();
    placed
}

/// Something done to a path behind the reader's back.
type Act = fn(&Path);

type Comparable = (Entry, Option<Vec<Piece>>, Option<TreePath>);

/// What must be equal in two trees: links by which paths share a file, not by its numbers; birth times are the
/// machine's own.
fn comparable(tree: &Tree) -> BTreeMap<TreePath, Comparable> {
    let mut firsts: HashMap<HardLink, TreePath> = HashMap::new();
    tree.iter()
        .map(|(path, (entry, pieces))| {
            let mut entry = entry.clone();
            entry.birth = None;
            let first = entry.link.take().map(|link| firsts.entry(link).or_insert_with(|| path.clone()).clone());
            (path.clone(), (entry, pieces.clone(), first))
        })
        .collect()
}

/// ACL entries as the kernel keeps them: version 2, then tag, rights, id.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

const ANYBODY: u32 = u32::MAX;

fn tricky_tree(top: &Path) {
    let dir = fs::File::open(top).unwrap();
    fs::write(top.join("plain"), "plain contents").unwrap();
    fs::write(top.join("empty"), "").unwrap();
    fs::write(top.join("before the epoch"), "old").unwrap();
    set_mtime(&dir, b"before the epoch", -86_400, 123_456_789);
    fs::write(top.join("nanoseconds"), "ns").unwrap();
    set_mtime(&dir, b"nanoseconds", 1_700_000_000, 987_654_321);
    for (name, mode) in [("read only", 0o444), ("secret", 0o600), ("nothing", 0o000), ("set id", 0o6755)] {
        fs::write(top.join(name), name).unwrap();
        fs::set_permissions(top.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir_all(top.join("folder/deep")).unwrap();
    fs::write(top.join("folder/deep/one"), "linked").unwrap();
    fs::hard_link(top.join("folder/deep/one"), top.join("folder/two")).unwrap();
    fs::hard_link(top.join("folder/two"), top.join("three")).unwrap();
    fs::create_dir(top.join("sticky")).unwrap();
    fs::set_permissions(top.join("sticky"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::create_dir(top.join("closed")).unwrap();
    fs::write(top.join("closed/inside"), "x").unwrap();
    fs::set_permissions(top.join("closed"), fs::Permissions::from_mode(0o500)).unwrap();
    symlink("plain", top.join("link")).unwrap();
    symlink("/nowhere/at all", top.join("dangling")).unwrap();
    symlink("..", top.join("folder/up")).unwrap();
    set_mtime(&dir, b"link", 1_000_000_000, 5);
    for name in [&b"\xff\xfe not UTF-8 \x80"[..], "ünïcödé 🗝".as_bytes(), b"new\nline\x1b[31m", &[b'n'; 255]] {
        fs::write(top.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    sparse(&top.join("sparse"), 3 << 20, &[(1 << 20, b"island"), ((3 << 20) - 4, b"tail")]);
    sparse(&top.join("all hole"), 5 << 20, &[]);
    sparse(&top.join("hole last"), 2 << 20, &[(0, b"head")]);
    attributes(top);
    specials(top);
    set_mtime(&dir, b"folder", 1_234_567_890, 1);
}

fn sparse(path: &Path, len: u64, islands: &[(u64, &[u8])]) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::create(path).unwrap();
    file.set_len(len).unwrap();
    for (at, bytes) in islands {
        file.write_all_at(bytes, *at).unwrap();
    }
    file.sync_all().unwrap();
}

fn attributes(top: &Path) {
    let set = |name: &str, key: &str, value: &[u8]| {
        rustix::fs::setxattr(top.join(name), key, value, XattrFlags::empty()).unwrap();
    };
    fs::write(top.join("attributes"), "a").unwrap();
    set("attributes", "user.zebra", b"\0binary\xff");
    set("attributes", "user.empty", b"");
    set("attributes", "user.long", &[7; 2000]);
    fs::write(top.join("acl"), "a").unwrap();
    let mine = [(1, 6, ANYBODY), (2, 4, 12345), (4, 4, ANYBODY), (16, 6, ANYBODY), (32, 0, ANYBODY)];
    set("acl", "system.posix_acl_access", &acl(&mine));
    fs::create_dir(top.join("acl folder")).unwrap();
    set("acl folder", "system.posix_acl_default", &acl(&mine));
    fs::write(top.join("acl folder/plain mode"), "p").unwrap();
    rustix::fs::removexattr(top.join("acl folder/plain mode"), "system.posix_acl_access").unwrap();
    set("folder", "user.folder", b"yes");
    if is_root() {
        set("attributes", "trusted.panicroom", b"t");
        fs::write(top.join("capable"), "c").unwrap();
        fs::set_permissions(top.join("capable"), fs::Permissions::from_mode(0o755)).unwrap();
        // cap_net_bind_service+ep, revision 2 (capabilities(7)).
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        std::os::unix::fs::chown(top.join("capable"), Some(1234), Some(1235)).unwrap();
        set("capable", "security.capability", &capability);
    }
}

fn specials(top: &Path) {
    rustix::fs::mknodat(CWD, top.join("fifo"), FileType::Fifo, Mode::from_bits_retain(0o640), 0).unwrap();
    drop(UnixListener::bind(top.join("socket")).unwrap());
    if is_root() {
        let dev = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(CWD, top.join("null"), FileType::CharacterDevice, Mode::from_bits_retain(0o666), dev)
            .unwrap();
        let dev = rustix::fs::makedev(7, 300);
        rustix::fs::mknodat(CWD, top.join("loop"), FileType::BlockDevice, Mode::from_bits_retain(0o600), dev).unwrap();
        for name in ["set id", "fifo", "null", "folder", "folder/deep/one"] {
            std::os::unix::fs::lchown(top.join(name), Some(4321), Some(54321)).unwrap();
        }
        std::os::unix::fs::lchown(top.join("link"), Some(77), Some(78)).unwrap();
        // Changing the owner took the set-id bits away.
        fs::set_permissions(top.join("set id"), fs::Permissions::from_mode(0o6755)).unwrap();
    }
}

#[test]
fn a_tricky_tree_comes_back_as_it_was() {
    let tmp = tempfile::tempdir().unwrap();
    let (from, to) = (tmp.path().join("from"), tmp.path().join("to"));
    fs::create_dir(&from).unwrap();
    tricky_tree(&from);
    let source = walk(&Root::open(&tree(&from)).unwrap());
    assert_eq!(source.sockets, 1, "a socket is counted and skipped");

    let target = Target::open(&to).unwrap();
    for (path, outcome) in place(&source.tree, &target, Clobber::Keep) {
        assert_eq!(outcome, Placed::Done(vec![]), "{path}");
    }
    let back = walk(&Root::open(&tree(&to)).unwrap());
    assert_eq!(comparable(&back.tree), comparable(&source.tree));

    // The same with other eyes than ours.
    for name in ["sparse", "all hole", "hole last"] {
        let (a, b) = (fs::metadata(from.join(name)).unwrap(), fs::metadata(to.join(name)).unwrap());
        assert_eq!((a.len(), a.blocks()), (b.len(), b.blocks()), "{name} keeps its holes");
        assert_eq!(fs::read(from.join(name)).unwrap(), fs::read(to.join(name)).unwrap());
    }
    for name in ["plain", "before the epoch", "set id", "link", "fifo", "sticky", "folder"] {
        let (a, b) = (fs::symlink_metadata(from.join(name)).unwrap(), fs::symlink_metadata(to.join(name)).unwrap());
        let all = |m: &fs::Metadata| (m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec(), m.rdev());
        assert_eq!(all(&a), all(&b), "{name}");
    }
    assert_eq!(fs::metadata(to.join("three")).unwrap().nlink(), 3);
    let again = target.link(&p("/folder/deep/one"), &p("/three"), 9, Clobber::Replace).unwrap();
    assert_eq!(again, Placed::Done(vec![]));
    assert_eq!(fs::metadata(to.join("three")).unwrap().nlink(), 3);
    let parts =
        fs::read_dir(&to).unwrap().filter(|e| e.as_ref().unwrap().file_name().as_bytes().starts_with(b".panic"));
    assert_eq!(parts.count(), 0, "no part stays");
}

#[test]
fn what_is_there_is_kept_or_replaced_as_asked_and_folders_never_replaced() {
    let tmp = tempfile::tempdir().unwrap();
    let from = tmp.path().join("from");
    fs::create_dir(&from).unwrap();
    tricky_tree(&from);
    let source = walk(&Root::open(&tree(&from)).unwrap()).tree;
    let target = Target::open(&tmp.path().join("to")).unwrap();
    place(&source, &target, Clobber::Keep);
    for (path, outcome) in place(&source, &target, Clobber::Keep) {
        assert_eq!(outcome, Placed::Skipped(Skip::Exists), "{path}");
    }
    for (path, outcome) in place(&source, &target, Clobber::Replace) {
        assert_eq!(outcome, Placed::Done(vec![]), "{path}");
    }
    let back = walk(&Root::open(&tree(&tmp.path().join("to"))).unwrap()).tree;
    assert_eq!(comparable(&back), comparable(&source));

    let (entry, _) = &source[&p("/plain")];
    let over_folder = target.begin(&p("/folder"), Size(0), 1).unwrap().finish(entry, Clobber::Replace).unwrap_err();
    assert_eq!(over_folder.kind(), Kind::Path, "{over_folder}");
    assert!(tmp.path().join("to/folder/two").exists());
}

#[test]
fn a_path_longer_than_the_kernel_takes_goes_both_ways() {
    let tmp = tempfile::tempdir().unwrap();
    let from = tmp.path().join("from");
    fs::create_dir(&from).unwrap();
    let mut at: OwnedFd = fs::File::open(&from).unwrap().into();
    let mut path = tree(&from);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for depth in 0..40 {
        let name = format!("{depth:0>200}");
        rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, &name, flags, Mode::empty()).unwrap();
        path = path.join(name.as_bytes()).unwrap();
    }
    let file = rustix::fs::openat(&at, "leaf", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    rustix::io::write(&file, b"far down").unwrap();
    assert!(path.as_bytes().len() > 8000);

    let root = Root::open(&tree(&from)).unwrap();
    assert!(root.folder(&path).unwrap().look(b"leaf").unwrap().is_some());
    let deep_root = Root::open(&path).unwrap();
    assert!(deep_root.top().look(b"leaf").unwrap().is_some());

    let source = walk(&root).tree;
    place(&source, &Target::open(&tmp.path().join("to")).unwrap(), Clobber::Keep);
    let back = walk(&Root::open(&tree(&tmp.path().join("to"))).unwrap()).tree;
    assert_eq!(comparable(&back), comparable(&source));
    assert_eq!(source.len(), 42);
}

#[test]
fn no_link_in_the_target_leads_out_of_it() {
    let tmp = tempfile::tempdir().unwrap();
    let (outside, to) = (tmp.path().join("outside"), tmp.path().join("to"));
    fs::create_dir_all(outside.join("sub")).unwrap();
    fs::create_dir(&to).unwrap();
    fs::write(outside.join("victim"), "untouched").unwrap();
    symlink(&outside, to.join("way")).unwrap();
    symlink(outside.join("victim"), to.join("file")).unwrap();
    fs::hard_link(outside.join("victim"), to.join("twin")).unwrap();
    fs::hard_link(outside.join("victim"), to.join(".panicroom-part-7")).unwrap();
    let target = Target::open(&to).unwrap();
    let before = fs::metadata(outside.join("victim")).unwrap();
    let entry = Entry { mode: 0o777, uid: 1, gid: 1, ..some_file(3) };
    for path in ["/way/new", "/way/sub/new", "/way/victim"] {
        let refused = target.begin(&p(path), Size(3), 1).unwrap_err();
        assert_eq!(refused.kind(), Kind::Path, "{refused}");
        assert_eq!(target.folder(&p("/way/made")).unwrap_err().kind(), Kind::Path);
        assert!(target.look(&p(path)).is_err());
    }
    assert!(target.dress_folder(&p("/way"), &entry).is_err());
    assert!(target.link(&p("/file"), &p("/linked"), 2, Clobber::Keep).is_err(), "a link is not followed to be linked");
    assert!(target.resume(&p("/twin"), Size(9), 7).unwrap().is_none(), "a part with two names is not ours");
    for name in ["/file", "/twin"] {
        let file = target.begin(&p(name), Size(3), 7).unwrap();
        file.write_at(0, b"new").unwrap();
        assert!(matches!(file.finish(&entry, Clobber::Replace).unwrap(), Placed::Done(_)));
        assert_eq!(fs::read(to.join(&name[1..])).unwrap(), b"new");
    }
    let after = fs::metadata(outside.join("victim")).unwrap();
    assert_eq!(fs::read(outside.join("victim")).unwrap(), b"untouched");
    assert_eq!((before.mode(), before.uid(), before.mtime()), (after.mode(), after.uid(), after.mtime()));
    let names: Vec<_> = fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_part_is_taken_up_again_where_it_was() {
    let tmp = tempfile::tempdir().unwrap();
    let target = Target::open(tmp.path()).unwrap();
    let path = p("/a/b/file");
    target.begin(&path, Size(10_000_000), 3).unwrap().write_at(9_000_000, b"kept").unwrap();
    assert!(target.resume(&path, Size(10_000_000), 4).unwrap().is_none());
    assert!(target.resume(&path, Size(5), 3).unwrap().is_none(), "another size is another file");
    let again = target.resume(&path, Size(10_000_000), 3).unwrap().unwrap();
    let mut bytes = [0; 4];
    assert_eq!(again.read_at(9_000_000, &mut bytes).unwrap(), 4);
    assert_eq!(&bytes, b"kept");
    again.discard().unwrap();
    assert_eq!(fs::read_dir(tmp.path().join("a/b")).unwrap().count(), 0);
    assert_eq!(target.look(&path).unwrap(), None);
    assert_eq!(target.look(&p("/nowhere/at/all")).unwrap(), None);
    assert!(!tmp.path().join("nowhere").exists(), "looking makes nothing");
}

#[test]
fn a_file_swapped_for_a_link_or_a_fifo_after_the_look_is_not_read() {
    let tmp = tempfile::tempdir().unwrap();
    fs::write(tmp.path().join("secret"), "s").unwrap();
    let watched = tmp.path().join("watched");
    fs::create_dir(&watched).unwrap();
    let root = Root::open(&tree(&watched)).unwrap();
    let swaps: [(&str, Act); 3] = [
        ("link", |at| symlink("../secret", at).unwrap()),
        ("fifo", |at| rustix::fs::mknodat(CWD, at, FileType::Fifo, Mode::RUSR, 0).unwrap()),
        ("other", |at| fs::rename(at.with_file_name("spare"), at).unwrap()),
    ];
    for (name, swap) in swaps {
        fs::write(watched.join("spare"), "another").unwrap();
        fs::write(watched.join(name), "file").unwrap();
        let look = root.top().look(name.as_bytes()).unwrap().unwrap();
        fs::remove_file(watched.join(name)).unwrap();
        swap(&watched.join(name));
        let refused = root.top().subject_seen(name.as_bytes(), &look).unwrap_err();
        assert_eq!(refused.kind(), Kind::Path, "{name}: {refused}");
    }
    fs::create_dir(watched.join("folder")).unwrap();
    fs::remove_dir(watched.join("folder")).unwrap();
    symlink("..", watched.join("folder")).unwrap();
    assert_eq!(root.top().child(b"folder").unwrap_err().kind(), Kind::Path);
    let through = tree(&watched).join(b"folder").unwrap().join(b"watched").unwrap();
    assert_eq!(root.folder(&through).unwrap_err().kind(), Kind::Path);
    assert!(matches!(root.top().subject(b"never was").unwrap(), Found::Gone));
}

#[test]
fn a_file_touched_while_it_is_read_is_called_changed() {
    let tmp = tempfile::tempdir().unwrap();
    let root = Root::open(&tree(tmp.path())).unwrap();
    let changes: [(&str, Act); 3] = [
        ("grown", |at| {
            let mut file = fs::OpenOptions::new().append(true).open(at).unwrap();
            std::io::Write::write_all(&mut file, b"+").unwrap();
        }),
        ("cut", |at| fs::OpenOptions::new().write(true).open(at).unwrap().set_len(10).unwrap()),
        ("back dated", |at| {
            fs::write(at, vec![2; 300_000]).unwrap();
            set_mtime(CWD, at.as_os_str().as_bytes(), 1_000_000_000, 0);
        }),
    ];
    for (name, change) in changes {
        let at = tmp.path().join(name);
        fs::write(&at, vec![1; 300_000]).unwrap();
        set_mtime(CWD, at.as_os_str().as_bytes(), 1_000_000_000, 0);
        let Found::Here(subject) = root.top().subject(name.as_bytes()).unwrap() else { panic!() };
        let mut file = subject.file.unwrap();
        let mut buffer = [0; 4096];
        file.step(&mut buffer).unwrap();
        change(&at);
        let mut total = 4096;
        while let Step::Data(n) = file.step(&mut buffer).unwrap() {
            total += n;
        }
        assert!(total <= 300_000, "no more than the size at opening");
        assert_eq!(file.finish().unwrap(), Finish::Changed, "{name}");
    }
}

#[test]
fn a_reading_goes_on_from_where_another_stopped() {
    let tmp = tempfile::tempdir().unwrap();
    sparse(&tmp.path().join("f"), 1 << 20, &[(0, b"head"), (512 << 10, b"island")]);
    let root = Root::open(&tree(tmp.path())).unwrap();
    let Found::Here(subject) = root.top().subject(b"f").unwrap() else { panic!() };
    let mut file = subject.file.unwrap();
    file.start_at(512 << 10);
    let mut buffer = vec![0; 1 << 20];
    let Step::Data(n) = file.step(&mut buffer).unwrap() else { panic!() };
    assert!(n < 512 << 10);
    assert_eq!(&buffer[..6], b"island");
    assert_eq!(file.step(&mut buffer).unwrap(), Step::Hole((512 << 10) - n as u64));
    assert_eq!(file.step(&mut buffer).unwrap(), Step::End);
}

#[test]
fn a_root_that_is_missing_or_no_folder_is_for_the_operator() {
    let tmp = tempfile::tempdir().unwrap();
    fs::write(tmp.path().join("file"), "").unwrap();
    for (name, word) in [("missing", "mount or create"), ("file", "not a folder")] {
        let error = Root::open(&tree(&tmp.path().join(name))).unwrap_err();
        assert_eq!(error.kind(), Kind::Operator);
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn reading_leaves_the_access_time_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let at = tmp.path().join("f");
    fs::write(&at, "x").unwrap();
    let old = Timespec { tv_sec: 1_000, tv_nsec: 0 };
    let times = Timestamps { last_access: old, last_modification: Timespec { tv_sec: 2_000, tv_nsec: 0 } };
    rustix::fs::utimensat(CWD, &at, &times, AtFlags::empty()).unwrap();
    let root = Root::open(&tree(tmp.path())).unwrap();
    let Found::Here(subject) = root.top().subject(b"f").unwrap() else { panic!() };
    contents(subject.file.unwrap());
    assert_eq!(fs::metadata(&at).unwrap().atime(), 1_000);
}

/// A small file system of its own at a path; None where we may not mount.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn tmpfs(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let done = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        if !done.is_ok_and(|out| out.status.success()) {
            eprintln!("not tried: mounting needs root");
            return None;
        }
        Some(Self(at.to_path_buf()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn some_file(size: u64) -> Entry {
    Entry {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        size: Size(size),
        ..Entry::bare(Shape::File, 0o640)
    }
}

#[test]
fn a_full_target_is_for_the_operator_and_never_the_fault_of_a_file() {
    let tmp = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::tmpfs(&tmp.path().join("small"), "size=1m") else { return };
    let target = Target::open(&disk.0).unwrap();
    assert!(target.free().unwrap() <= Size(1 << 20));
    let file = target.begin(&p("/big"), Size(8 << 20), 1).unwrap();
    let full = (0..8).find_map(|n| file.write_at(n << 20, &vec![1; 1 << 20]).err()).unwrap();
    assert_eq!(full.kind(), Kind::Operator);
    assert!(full.to_string().contains("restore target is full"), "{full}");
    file.discard().unwrap();
    assert!(target.begin(&p("/small"), Size(1), 2).unwrap().write_at(0, b"x").is_ok(), "room was given back");
}

#[test]
fn a_disk_mounted_beneath_a_root_is_a_crossing_to_be_entered() {
    let tmp = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::tmpfs(&tmp.path().join("disk"), "size=1m") else { return };
    fs::create_dir(tmp.path().join("plain")).unwrap();
    let root = Root::open(&tree(tmp.path())).unwrap();
    let look = |name: &[u8]| root.top().look(name).unwrap().unwrap();
    let ground = Crossing::default().judge(root.top(), b"disk", &look(b"disk")).unwrap();
    assert_eq!(ground, Ground::Entered { file_system: "tmpfs".into() });
    assert_eq!(Crossing::default().judge(root.top(), b"plain", &look(b"plain")).unwrap(), Ground::Same);
    assert_ne!(root.folder(&tree(&disk.0)).unwrap().dev(), root.dev());
}

/// Runs one of these tests again as an ordinary user, from a copy that user may run.
fn as_nobody(test: &str) {
    let tmp = tempfile::tempdir().unwrap();
    fs::set_permissions(tmp.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let copy = tmp.path().join("copy");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut again = std::process::Command::new(&copy);
    again.uid(65534).gid(65534).args([test, "--exact"]).env("TMPDIR", tmp.path()).current_dir("/");
    let out = again.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

#[test]
fn an_ordinary_user_gets_what_it_may_have_and_the_rest_is_counted() {
    if is_root() {
        return as_nobody("an_ordinary_user_gets_what_it_may_have_and_the_rest_is_counted");
    }
    let tmp = tempfile::tempdir().unwrap();
    let target = Target::open(tmp.path()).unwrap();
    let mine = Entry { mode: 0o6444, xattrs: vec![(b"user.kept".to_vec(), b"1".to_vec())], ..some_file(0) };
    let not_mine = Entry { uid: 0, gid: 0, mode: 0o6755, ..mine.clone() };
    let trusted = Entry { mode: 0o600, xattrs: vec![(b"trusted.no".to_vec(), b"1".to_vec())], ..mine.clone() };
    let done =
        |name: &str, entry: &Entry| target.begin(&p(name), Size(0), 1).unwrap().finish(entry, Clobber::Keep).unwrap();
    assert_eq!(done("/mine", &mine), Placed::Done(vec![]));
    assert_eq!(done("/not mine", &not_mine), Placed::Done(vec![Shortfall::Owner, Shortfall::SetId]));
    assert_eq!(done("/trusted", &trusted), Placed::Done(vec![Shortfall::Attribute(b"trusted.no".to_vec())]));
    let mode = |name: &str| fs::metadata(tmp.path().join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("mine"), mode("not mine"), mode("trusted")), (0o6444, 0o755, 0o600));
    let device = Entry { shape: Shape::CharDevice(Device { major: 1, minor: 3 }), ..some_file(0) };
    assert_eq!(target.node(&p("/null"), &device, 1, Clobber::Keep).unwrap(), Placed::Skipped(Skip::Unsupported));
    let fifo = Entry { shape: Shape::Fifo, ..some_file(0) };
    assert_eq!(target.node(&p("/fifo"), &fifo, 1, Clobber::Keep).unwrap(), Placed::Done(vec![]));
}

#[test]
fn a_file_that_may_not_be_read_is_an_error_of_its_path_with_a_remedy() {
    if is_root() {
        return as_nobody("a_file_that_may_not_be_read_is_an_error_of_its_path_with_a_remedy");
    }
    let tmp = tempfile::tempdir().unwrap();
    for closed in ["file", "folder"] {
        match closed {
            "file" => fs::write(tmp.path().join(closed), "x").unwrap(),
            _ => fs::create_dir(tmp.path().join(closed)).unwrap(),
        }
        fs::set_permissions(tmp.path().join(closed), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let root = Root::open(&tree(tmp.path())).unwrap();
    let unreadable = root.top().subject(b"file").unwrap_err();
    assert_eq!(unreadable.kind(), Kind::Path);
    assert!(unreadable.to_string().contains("CAP_DAC_READ_SEARCH"), "{unreadable}");
    let folder = root.top().child(b"folder").unwrap();
    let unlisted = folder.list().unwrap_err();
    assert_eq!(unlisted.kind(), Kind::Path);
    assert!(unlisted.to_string().contains("CAP_DAC_READ_SEARCH"), "{unlisted}");
    let Found::Here(subject) = root.top().subject(b"folder").unwrap() else { panic!() };
    assert_eq!(subject.entry.mode, 0o000, "the folder itself is still described");
}
