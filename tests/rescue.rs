//! Promise 9: a vault and the words are enough, without this program. The independent reader restores the golden
//! vault, whole and damaged. It needs Python with pynacl, zstandard, cbor2 and blake3: name the interpreter in
//! `PANICROOM_PYTHON`. Without it these tests say so and check nothing.

#[path = "support/expected.rs"]
mod expected;

use expected::{Expected, States, Tree, hex};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn golden() -> PathBuf {
    root().join("tests/golden/v1")
}

fn states() -> States {
    serde_json::from_slice(&std::fs::read(golden().join("expected.json")).unwrap()).unwrap()
}

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PANICROOM_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("SKIPPED, nothing was checked: set PANICROOM_PYTHON to a Python with pynacl zstandard cbor2 blake3");
    }
    python
}

/// A copy of the golden vault to break, and a place to restore into.
struct Bed {
    python: PathBuf,
    dir: tempfile::TempDir,
}

struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Bed {
    fn new(python: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("vault")).unwrap();
        for entry in std::fs::read_dir(golden().join("vault")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join("vault").join(entry.file_name())).unwrap();
        }
        Self { python: python.to_owned(), dir }
    }

    fn object(&self, name: &str) -> PathBuf {
        self.dir.path().join("vault").join(name)
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn run(&self, command: &str, key_file: &Path, more: &[&OsStr]) -> Outcome {
        let mut call = Command::new(&self.python);
        call.arg(root().join("docs/rescue/panicroom-rescue.py")).arg(command).arg(self.dir.path().join("vault"));
        call.arg("--key-file").arg(key_file).args(more);
        let output = call.output().expect("PANICROOM_PYTHON runs");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn restore(&self, more: &[&OsStr]) -> Outcome {
        let target = self.target();
        let mut args = vec![OsStr::new("--to"), target.as_os_str()];
        args.extend(more);
        self.run("restore", &golden().join("words.txt"), &args)
    }

    fn key_text(&self, command: &str, text: impl AsRef<[u8]>) -> Outcome {
        let file = self.dir.path().join("key");
        std::fs::write(&file, text).unwrap();
        self.run(command, &file, &[])
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What lies beneath `top`, in the words of the expectation; folders that only lead to something are left out.
fn found(top: &Path, expected: &Tree) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![top.to_owned()];
    let mut names: HashMap<(u64, u64), Vec<String>> = HashMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let key = hex(&path.as_os_str().as_bytes()[top.as_os_str().len()..]);
            if meta.is_dir() {
                folders.push(path.clone());
                if !expected.contains_key(&key) {
                    continue;
                }
            }
            if meta.nlink() > 1 && meta.is_file() {
                names.entry((meta.dev(), meta.ino())).or_default().push(key.clone());
            }
            tree.insert(key.clone(), describe(&path, &meta));
        }
    }
    for group in names.values().filter(|g| g.len() > 1) {
        // Names of one file carry one text; which one, the expectation says.
        let link = expected.get(&group[0]).map_or_else(|| "linked".to_owned(), |e| e.link.clone());
        for name in group {
            tree.get_mut(name).unwrap().link.clone_from(&link);
        }
    }
    tree
}

fn describe(path: &Path, meta: &std::fs::Metadata) -> Expected {
    let kind = meta.file_type();
    let shape = match () {
        () if kind.is_dir() => "folder",
        () if kind.is_symlink() => "symlink",
        () if kind.is_fifo() => "fifo",
        () => "file",
    };
    let contents = if shape == "file" { std::fs::read(path).unwrap() } else { vec![] };
    Expected {
        name: String::new(),
        shape: shape.into(),
        mode: format!("{:o}", meta.mode() & 0o7777),
        uid: meta.uid(),
        gid: meta.gid(),
        mtime: (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap()),
        size: if shape == "file" { meta.size() } else { 0 },
        sha256: if shape == "file" { panicroom::seal::sha256(&contents).to_string() } else { String::new() },
        target: if shape == "symlink" {
            hex(std::fs::read_link(path).unwrap().as_os_str().as_bytes())
        } else {
            String::new()
        },
        link: String::new(),
        torn: false,
        xattrs: vec![],
    }
}

/// The expectation less what a restored tree cannot show, or not to someone who is not root.
fn visible(tree: &Tree) -> Tree {
    let groups = tree.values().fold(BTreeMap::new(), |mut groups: BTreeMap<String, u32>, e| {
        *groups.entry(e.link.clone()).or_default() += 1;
        groups
    });
    let mut tree = tree.clone();
    for e in tree.values_mut() {
        (e.name, e.torn, e.xattrs) = (String::new(), false, vec![]);
        if groups[&e.link] < 2 {
            e.link.clear();
        }
        if !is_root() {
            (e.uid, e.gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
            e.mode = format!("{:o}", u32::from_str_radix(&e.mode, 8).unwrap() & 0o1777);
        }
        if e.shape == "symlink" {
            e.mode = "777".into();
        }
    }
    tree
}

fn assert_same(found: &Tree, expected: &Tree) {
    let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    for key in keys {
        assert_eq!(found.get(key), expected.get(key), "{key}");
    }
}

/// Everything expected is there but `lost`, and nothing else.
fn assert_rest(bed: &Bed, lost: &BTreeSet<String>) {
    let now = states().now;
    let rest: Tree = visible(&now).into_iter().filter(|(key, _)| !lost.contains(key)).collect();
    let mut found = found(&bed.target(), &now);
    for (key, entry) in &mut found {
        if rest.get(key).is_some_and(|e| e.link != entry.link) {
            entry.link.clone_from(&rest[key].link); // its twin is lost
        }
    }
    assert_same(&found, &rest);
}

/// The paths that standard error calls failed, in hex.
fn failed(outcome: &Outcome) -> BTreeSet<String> {
    let by_name: HashMap<_, _> = states().now.into_iter().map(|(key, e)| (e.name, key)).collect();
    let lines = outcome.err.lines().filter_map(|l| l.strip_prefix("failed: "));
    lines.map(|l| by_name[l.split(": ").next().unwrap()].clone()).collect()
}

fn names(prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(golden().join("vault")).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|n| n.starts_with(prefix));
    names.sort();
    names
}

fn segments() -> Vec<String> {
    names("meta_log_").into_iter().filter(|n| !n.contains('-')).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Harm {
    Missing,
    Cut,
    Flipped,
}

const HARMS: [Harm; 3] = [Harm::Missing, Harm::Cut, Harm::Flipped];

impl Harm {
    fn inflict(self, object: &Path) {
        let mut bytes = std::fs::read(object).unwrap();
        let middle = bytes.len() / 2;
        match self {
            Self::Missing => return std::fs::remove_file(object).unwrap(),
            Self::Cut => bytes.truncate(middle),
            Self::Flipped => bytes[middle] ^= 1,
        }
        std::fs::write(object, bytes).unwrap();
    }
}

#[test]
fn the_whole_vault_comes_back_with_the_words() {
    let Some(python) = python() else { return };
    let bed = Bed::new(&python);
    let outcome = bed.restore(&[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let now = states().now;
    assert_same(&found(&bed.target(), &now), &visible(&now));
    let hole = std::fs::metadata(bed.target().join("home/anna/only-a-hole")).unwrap();
    assert!(hole.blocks() * 512 < hole.size(), "a hole stays a hole");
}

#[test]
fn the_passphrase_does_as_well_and_a_second_run_leaves_what_is_there() {
    let Some(python) = python() else { return };
    let bed = Bed::new(&python);
    let (target, key) = (bed.target(), golden().join("passphrase.txt"));
    let args = [OsStr::new("--to"), target.as_os_str()];
    assert_eq!(bed.run("restore", &key, &args).code, Some(0));
    let photo = target.join("home/anna/photo.raw");
    std::fs::write(&photo, "mine").unwrap();
    std::fs::remove_file(target.join("srv/base.img")).unwrap();
    let again = bed.run("restore", &key, &args);
    assert_eq!(again.code, Some(3), "{}", again.err);
    assert_eq!(failed(&again), BTreeSet::from([hex(b"/home/anna/photo.raw")]));
    assert_eq!(std::fs::read(&photo).unwrap(), b"mine");
    assert_rest_but(&bed, b"/home/anna/photo.raw");
}

fn assert_rest_but(bed: &Bed, path: &[u8]) {
    std::fs::remove_file(bed.target().join(OsStr::from_bytes(&path[1..]))).unwrap();
    // The folder's own time is not at stake here: the removal just changed it.
    let (now, parent) = (states().now, hex(path).rsplit_once("2f").unwrap().0.to_owned());
    let mut found = found(&bed.target(), &now);
    let mut rest = visible(&now);
    rest.remove(&hex(path));
    found.get_mut(&parent).unwrap().mtime = rest[&parent].mtime;
    assert_same(&found, &rest);
}

#[test]
fn an_earlier_moment_comes_back_as_it_was() {
    let Some(python) = python() else { return };
    let bed = Bed::new(&python);
    let before = states().before.1;
    let outcome = bed.run("list", &golden().join("words.txt"), &["--at".as_ref(), "2023-11-14T22:21:40Z".as_ref()]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(outcome.out.lines().count(), before.len());
    let outcome = bed.restore(&[
        "--at".as_ref(),
        "2023-11-14T23:21:40.0+01:00".as_ref(),
        "/home/anna/letter.txt".as_ref(),
        "/home/anna/removed".as_ref(),
    ]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let wanted = ["/home/anna", "/home/anna/letter.txt", "/home/anna/removed", "/home/anna/removed/child"];
    let wanted: Tree =
        visible(&before).into_iter().filter(|(key, _)| wanted.iter().any(|w| hex(w.as_bytes()) == *key)).collect();
    assert_same(&found(&bed.target(), &before), &wanted);
}

#[test]
fn a_list_names_every_path_on_one_line() {
    let Some(python) = python() else { return };
    let bed = Bed::new(&python);
    let outcome = bed.run("list", &golden().join("words.txt"), &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let now = states().now;
    assert_eq!(outcome.out.lines().count(), now.len());
    for entry in now.values() {
        assert!(outcome.out.contains(&format!("Z {}", entry.name)), "{}", entry.name);
    }
    let none = bed.run("list", &golden().join("words.txt"), &["/no/such/path".as_ref()]);
    assert_eq!(none.code, Some(3));
    assert!(none.err.contains("/no/such/path"), "{}", none.err);
}

#[test]
fn a_harmed_pack_is_named_with_the_files_it_costs_and_the_rest_comes_back() {
    let Some(python) = python() else { return };
    for pack in names("data_").into_iter().chain(names("hot_")) {
        for harm in HARMS {
            let bed = Bed::new(&python);
            harm.inflict(&bed.object(&pack));
            let outcome = bed.restore(&[]);
            assert_eq!(outcome.code, Some(3), "{pack} {harm:?}: {}", outcome.err);
            assert!(outcome.err.contains(&pack), "{pack} {harm:?}: {}", outcome.err);
            let lost = failed(&outcome);
            assert!(!lost.is_empty() && lost.len() < states().now.len());
            assert_rest(&bed, &lost);
        }
    }
}

#[test]
fn a_harmed_segment_is_named_and_a_merge_fills_its_place() {
    let Some(python) = python() else { return };
    for segment in &segments()[..4] {
        for harm in HARMS {
            let bed = Bed::new(&python);
            harm.inflict(&bed.object(segment));
            let outcome = bed.restore(&[]);
            assert_eq!(outcome.code, Some(0), "{segment} {harm:?}: {}", outcome.err);
            assert!(harm == Harm::Missing || outcome.err.contains(segment), "{}", outcome.err);
            assert_rest(&bed, &BTreeSet::new());
        }
    }
}

#[test]
fn a_harmed_segment_without_a_merge_is_named_and_what_others_know_comes_back() {
    let Some(python) = python() else { return };
    let merge = names("meta_log_").into_iter().find(|n| n.contains('-')).unwrap();
    for (number, segment) in segments().iter().enumerate() {
        for harm in HARMS {
            let bed = Bed::new(&python);
            std::fs::remove_file(bed.object(&merge)).unwrap();
            harm.inflict(&bed.object(segment));
            let outcome = bed.restore(&[]);
            if harm == Harm::Missing && number == 6 {
                assert_eq!(outcome.code, Some(0), "the newest segment leaves no gap: {}", outcome.err);
                continue;
            }
            assert_eq!(outcome.code, Some(3), "{segment} {harm:?}: {}", outcome.err);
            assert!(outcome.err.contains(segment), "{segment} {harm:?}: {}", outcome.err);
            if number == 0 {
                // Only packs were recorded there: they tell their own tables. The lost one cannot.
                assert_eq!(failed(&outcome), BTreeSet::from([hex(b"/home/anna/rescued")]), "{}", outcome.err);
                assert_rest(&bed, &failed(&outcome));
            }
        }
    }
}

#[test]
fn without_meta_vault_the_log_proves_the_words() {
    let Some(python) = python() else { return };
    for harm in HARMS {
        let bed = Bed::new(&python);
        harm.inflict(&bed.object("meta_vault"));
        let outcome = bed.restore(&[]);
        assert_eq!(outcome.code, Some(0), "{harm:?}: {}", outcome.err);
        assert!(outcome.err.contains("meta_vault"), "{harm:?}: {}", outcome.err);
        assert_rest(&bed, &BTreeSet::new());
        let wrong = bed.key_text("list", "abandon ".repeat(23) + "art");
        assert_eq!(wrong.code, Some(1), "{}", wrong.err);
    }
}

#[test]
fn a_harmed_key_object_is_named_and_the_words_still_open() {
    let Some(python) = python() else { return };
    for harm in HARMS {
        let bed = Bed::new(&python);
        let key = names("meta_key_").remove(0);
        harm.inflict(&bed.object(&key));
        let outcome = bed.key_text("list", std::fs::read(golden().join("passphrase.txt")).unwrap());
        assert_eq!(outcome.code, Some(1), "{}", outcome.err);
        assert!(harm == Harm::Missing || outcome.err.contains(&key), "{}", outcome.err);
        assert_eq!(bed.run("list", &golden().join("words.txt"), &[]).code, Some(0));
    }
}

#[test]
fn words_may_stand_on_any_lines_and_a_wrong_one_is_named() {
    let Some(python) = python() else { return };
    let bed = Bed::new(&python);
    let text = std::fs::read_to_string(golden().join("words.txt")).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let numbered = (1..).zip(&words).map(|(i, w)| format!("{i:>2}. {}", w.to_uppercase()));
    let sheet = numbered.collect::<Vec<_>>().join("\r\n");
    assert_eq!(bed.key_text("list", sheet).code, Some(0));
    let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(bed.key_text("list", utf16).code, Some(0));

    let with = |place: usize, word: &str| {
        let mut words = words.clone();
        words[place] = word;
        let outcome = bed.key_text("list", words.join(" "));
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""), "{}", outcome.err);
        outcome.err
    };
    let said = with(4, "panicroom");
    assert!(said.contains("word 5") && said.contains("panicroom") && said.contains(words[4]), "{said}");
    let said = with(22, if words[22] == "zoo" { "zone" } else { "zoo" });
    assert!(said.contains("word 23") && said.contains(words[22]), "{said}");

    let mut two = words.clone();
    (two[0], two[1]) = ("xyzzy", "plugh");
    let said = bed.key_text("list", two.join(" ")).err;
    assert!(said.contains("word 1, \"xyzzy\"") && said.contains("word 2, \"plugh\""), "{said}");
    let said = bed.key_text("list", words[1..].join(" ")).err;
    assert!(said.contains("23 words"), "{said}");
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let Some(python) = python() else { return };
    let bed = Bed::new(&python);
    let outcome = bed.key_text("list", "three green parrots\n");
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""));
    assert!(outcome.err.contains("passphrase"), "{}", outcome.err);
}

#[test]
fn a_symlink_in_the_target_is_never_followed() {
    let Some(python) = python() else { return };
    let bed = Bed::new(&python);
    let outside = bed.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::create_dir_all(bed.target().join("home")).unwrap();
    std::os::unix::fs::symlink(&outside, bed.target().join("home/anna")).unwrap();
    let outcome = bed.restore(&[]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.err);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert!(bed.target().join("srv/base.img").exists());
}

#[test]
fn the_reader_is_one_page_a_stranger_can_read() {
    let text = std::fs::read_to_string(root().join("docs/rescue/panicroom-rescue.py")).unwrap();
    let (code, list) = text.split_once("WORDS = \"\"\"").unwrap();
    let (_, end) = list.split_once("\"\"\".split()\n").unwrap();
    assert!(code.lines().count() + end.lines().count() <= 400, "at most 400 lines without the list");
    assert!(text.lines().all(|l| l.chars().count() <= 120));
}
