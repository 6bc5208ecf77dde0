//! The filter chooses what duplicity chooses: random lists over real trees, both asked, both sets compared.
//!
//! Needs a Python with duplicity installed, named by `PANICROOM_PYTHON`; skipped, and said so, without it.
//! `PANICROOM_FILTER_SEED` and `PANICROOM_FILTER_CASES` try other lists.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Stdio};

use panicroom::filter::{DefaultExcludes, FileOrDir, Filter, Verdict};
use panicroom::model::TreePath;

const TREES: usize = 16;
const CASES: u64 = 1500;

const NAMES: &[&[u8]] = &[
    b"a",
    b"b",
    b"A",
    b"ab",
    b"a b",
    b" lead",
    b"trail ",
    b"[x]",
    b"x",
    b"a.txt",
    b"b.TXT",
    b"c.tmp",
    b".hid",
    b"..x",
    b"Cache",
    b"cache",
    b"CACHE",
    b"new\nline",
    b"end\n",
    b"a\n",
    b"back\\slash",
    b"-",
    b"!",
    b"#recycle",
    b"'q'",
    b"a*b",
    b"a?b",
    b"{x,y}",
    b"+ a",
    b"\xff\xfe",
    b"a\xffb",
    b"a-z",
    b"]",
    b"^",
    b"(a)",
    b"a+",
    b"$",
    b"a|b",
    "é".as_bytes(),
    "É".as_bytes(),
    "straße".as_bytes(),
    "STRASSE".as_bytes(),
    "ſ".as_bytes(),
    "K".as_bytes(),
    b"k",
    "日本語".as_bytes(),
    "İ".as_bytes(),
    "ı".as_bytes(),
    b"i",
    b"I",
    "ς".as_bytes(),
    "Σ".as_bytes(),
    "😀".as_bytes(),
];

/// A small generator, so that a seed names a run for ever.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).unwrap()
    }
    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }
    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}

struct Case {
    tree: usize,
    list: Vec<u8>,
}

#[test]
fn chooses_what_duplicity_chooses() {
    let Some(python) = std::env::var_os("PANICROOM_PYTHON") else {
        eprintln!("SKIPPED: set PANICROOM_PYTHON to a Python that has duplicity, to compare the filter with it");
        return;
    };
    let number = |name: &str, or: u64| std::env::var(name).map_or(or, |text| text.parse().unwrap());
    let mut dice = Dice(number("PANICROOM_FILTER_SEED", 2));
    let dir = tempfile::Builder::new().prefix("filter-").tempdir().unwrap();
    let trees: Vec<TreePath> = (0..TREES).map(|i| grow(&mut dice, dir.path(), i)).collect();
    let everything: Vec<Vec<TreePath>> = trees.iter().map(|root| walk(root, None)).collect();
    let cases: Vec<Case> = (0..number("PANICROOM_FILTER_CASES", CASES))
        .map(|_| {
            let tree = dice.roll(TREES);
            Case { tree, list: list(&mut dice, &trees[tree], &everything[tree]) }
        })
        .collect();

    let answers = ask_duplicity(&python, &cases, &trees);
    assert_eq!(answers.len(), cases.len());
    let (mut compared, mut differing) = (0, 0);
    for (case, answer) in cases.iter().zip(&answers) {
        match compare(&trees[case.tree], &case.list, answer) {
            Ok(seen) => compared += u64::from(seen),
            Err(difference) => {
                differing += 1;
                eprintln!("--- list:\n{}\n{difference}", case.list.escape_ascii().to_string().replace("\\n", "\n"));
            }
        }
    }
    assert_eq!(differing, 0, "lists on which the two differ");
    assert!(compared * 3 > cases.len() as u64 * 2, "too many lists were refused to call this a comparison: {compared}");
}

#[test]
fn the_recipes_list_chooses_what_duplicity_chooses() {
    let Some(python) = std::env::var_os("PANICROOM_PYTHON") else {
        eprintln!("SKIPPED: set PANICROOM_PYTHON to a Python that has duplicity, to compare the filter with it");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("Users/gorootde");
    for folder in ["Downloads", "Library/Caches/x", "docs/Library", ".m2/repository/org", "Development/Git_Checkouts/a"]
    {
        fs::create_dir_all(home.join(folder)).unwrap();
        fs::write(home.join(folder).join("file"), "").unwrap();
        fs::write(home.join(folder).join(".DS_Store"), "").unwrap();
    }
    fs::create_dir_all(dir.path().join("Users/other")).unwrap();
    fs::write(dir.path().join("Users/other/file"), "").unwrap();
    // The recipe's paths are absolute: they are moved to where this test may write, and nothing else changes.
    let recipe = String::from_utf8(include_bytes!("data/recipe-exclude.txt").to_vec()).unwrap();
    let here = recipe.replace("/Users", &format!("{}/Users", dir.path().display()));
    for root in [dir.path().to_path_buf(), dir.path().join("Users"), home] {
        let root = TreePath::from_typed(&root).unwrap();
        let cases = [Case { tree: 0, list: here.clone().into() }];
        let answers = ask_duplicity(&python, &cases, std::slice::from_ref(&root));
        assert!(compare(&root, here.as_bytes(), &answers[0]).unwrap());
    }
}

/// Ok(false) where both refuse the list.
fn compare(root: &TreePath, list: &[u8], answer: &serde_json::Value) -> Result<bool, String> {
    let aside: Vec<u64> = answer["aside"].as_array().into_iter().flatten().map(|n| n.as_u64().unwrap()).collect();
    let filter = match Filter::parse("test", list, root, DefaultExcludes::Off) {
        Ok(filter) => filter,
        // A line that can match no root at all is refused here and put aside by the driver.
        Err(_) if answer.get("refused").is_some() || !aside.is_empty() => return Ok(false),
        Err(error) => return Err(format!("only we refuse it: {error}")),
    };
    if let Some(refusal) = answer.get("refused") {
        return Err(format!("only duplicity refuses it: {refusal}"));
    }
    let ours: Vec<u64> = filter.aside().iter().map(|line| line.number() as u64).collect();
    if ours != aside {
        return Err(format!("put aside: we {ours:?}, duplicity {aside:?}"));
    }
    let theirs: BTreeSet<Vec<u8>> =
        answer["chosen"].as_array().unwrap().iter().map(|hex| from_hex(hex.as_str().unwrap())).collect();
    let ours: BTreeSet<Vec<u8>> = walk(root, Some(&filter)).into_iter().map(|p| p.as_bytes().to_vec()).collect();
    let show = |set: Vec<&Vec<u8>>| set.iter().map(|p| p.escape_ascii().to_string()).collect::<Vec<_>>().join("\n  ");
    if ours != theirs {
        return Err(format!(
            "only we choose:\n  {}\nonly duplicity chooses:\n  {}",
            show(ours.difference(&theirs).collect()),
            show(theirs.difference(&ours).collect())
        ));
    }
    Ok(true)
}

fn ask_duplicity(python: &OsStr, cases: &[Case], trees: &[TreePath]) -> Vec<serde_json::Value> {
    let asked: Vec<_> = cases
        .iter()
        .map(|case| serde_json::json!({ "root": to_hex(trees[case.tree].as_bytes()), "list": to_hex(&case.list) }))
        .collect();
    let mut child = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/duplicity_select.py"))
        .env("PYTHONUTF8", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the Python named by PANICROOM_PYTHON");
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(&asked).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the Python driver failed; does PANICROOM_PYTHON have duplicity?");
    serde_json::from_slice(&output.stdout).expect("the driver answers in JSON")
}

/// Every path of a tree, or those a filter chooses, found as the daemon's walk finds them.
fn walk(root: &TreePath, filter: Option<&Filter>) -> Vec<TreePath> {
    let mut chosen = vec![root.clone()];
    walk_folder(root, filter, &mut chosen);
    chosen
}

fn walk_folder(folder: &TreePath, filter: Option<&Filter>, chosen: &mut Vec<TreePath>) {
    let mut from_here = filter.map(|filter| filter.folder(folder));
    let mut entries: Vec<_> = fs::read_dir(folder.as_path()).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_vec();
        let path = folder.join(&name).unwrap();
        let what = if entry.file_type().unwrap().is_dir() { FileOrDir::Dir } else { FileOrDir::File };
        let verdict = from_here.as_mut().map_or(Verdict::Include, |f| f.decide(&name, what).verdict);
        if let Some(filter) = filter {
            assert_eq!(filter.decide(&path, what).verdict, verdict, "{path}: folder by folder and alone");
            assert_eq!(filter.explain(&path, what).verdict, verdict, "{path}: folder by folder and explained");
        }
        if verdict == Verdict::Exclude {
            continue;
        }
        let before = chosen.len();
        chosen.push(path.clone());
        if what == FileOrDir::Dir {
            walk_folder(&path, filter, chosen);
        }
        if verdict == Verdict::Descend && chosen.len() == before + 1 {
            chosen.pop();
        }
    }
}

/// A real tree of some dozens of files, folders and symlinks with awkward names.
fn grow(dice: &mut Dice, dir: &Path, index: usize) -> TreePath {
    let top = dir.join(format!("r{index}"));
    fs::create_dir(&top).unwrap();
    let mut folders = vec![top.clone()];
    for _ in 0..20 + dice.roll(40) {
        let at = folders[dice.roll(folders.len())].join(OsStr::from_bytes(dice.pick(NAMES)));
        if at.symlink_metadata().is_ok() {
            continue;
        }
        match dice.roll(8) {
            0..4 => {
                fs::create_dir(&at).unwrap();
                folders.push(at);
            }
            4 => std::os::unix::fs::symlink(&top, &at).unwrap(),
            _ => fs::write(&at, "").unwrap(),
        }
    }
    // Some roots are a folder of the tree with an awkward name of its own.
    let root = if dice.one_in(3) { folders[dice.roll(folders.len())].clone() } else { top };
    TreePath::from_typed(&root).unwrap()
}

fn list(dice: &mut Dice, root: &TreePath, paths: &[TreePath]) -> Vec<u8> {
    let mut list = Vec::new();
    for _ in 0..=dice.roll(6) {
        let pattern = pattern(dice, root, paths);
        let end: &[u8] = dice.pick(&[b"\n" as &[u8], b"\n", b"\n", b"\r\n", b"\n\n", b" \n", b"\r"]);
        let sign: &[u8] = dice.pick(&[b"+ " as &[u8], b"+ ", b"+ ", b"- ", b"- ", b"- ", b"", b"  - ", b"# "]);
        let quote: &[u8] = if dice.one_in(8) { dice.pick(&[b"'" as &[u8], b"\""]) } else { b"" };
        let case: &[u8] = if dice.one_in(5) { dice.pick(&[b"ignorecase:" as &[u8], b"IgnoreCase:"]) } else { b"" };
        list.extend([sign, quote, case, pattern.as_slice(), quote, end].concat());
    }
    if dice.one_in(2) {
        list.extend_from_slice(b"- **\n");
    }
    list
}

/// A path of the tree made into a glob, so that it matches something more often than not.
fn pattern(dice: &mut Dice, root: &TreePath, paths: &[TreePath]) -> Vec<u8> {
    let path = paths[dice.roll(paths.len())].clone();
    let mut names: Vec<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
    let above = root.components().count();
    if dice.one_in(6) {
        names.push(dice.pick(NAMES).to_vec());
    }
    let count = names.len();
    for name in names.iter_mut().skip(if dice.one_in(10) { above.saturating_sub(1) } else { above }) {
        match dice.roll(12) {
            0 => *name = b"*".to_vec(),
            1 => *name = b"**".to_vec(),
            2 => name.extend_from_slice(b"*"),
            3 => name.insert(0, b'*'),
            4 | 5 => blur(dice, name),
            6 => swap_case(name),
            7 if dice.one_in(3) => *name = dice.pick(NAMES).to_vec(),
            _ => {}
        }
    }
    let from = if dice.one_in(3) { above + dice.roll(count.saturating_sub(above).max(1)) } else { 0 };
    let beginning: &[u8] = match (from, dice.roll(40)) {
        (_, 0) => dice.pick(&[b"/elsewhere/" as &[u8], b"//", b"", b"*", b"*/", b"**/**/"]),
        (0, _) => b"/",
        (_, 1..8) => b"**",
        _ => b"**/",
    };
    let end: &[u8] = dice.pick(&[b"" as &[u8], b"", b"", b"/", b"/", b"/**", b"/*", b"**", b"*", b"**/", b"/[!a]*"]);
    [beginning, &names[from.min(count)..].join(&b'/'), end].concat()
}

/// One letter becomes `?`, a star or a class.
fn blur(dice: &mut Dice, name: &mut Vec<u8>) {
    let Ok(text) = String::from_utf8(name.clone()) else { return };
    let mut letters: Vec<String> = text.chars().map(String::from).collect();
    let at = dice.roll(letters.len());
    let letter = letters[at].clone();
    letters[at] = match dice.roll(12) {
        0 | 1 => "?".into(),
        2 => "*".into(),
        3 => format!("[{letter}]"),
        4 => format!("[!{letter}]"),
        5 => format!("[x{letter}-]"),
        6 => "[a-z]".into(),
        7 => "[!a-z]".into(),
        8 => "[ -\u{ffff}]".into(),
        9 => format!("[^{letter}/]"),
        10 => dice.pick(&["[]a]", "[", "[]", "[!]", "[!]a]", "[z-a]", "[a\\-z]", "[A-Z]", "[A-Zß-ÿ]", "[/]"]).into(),
        _ => format!("**{letter}"),
    };
    *name = letters.concat().into_bytes();
}

fn swap_case(name: &mut Vec<u8>) {
    let Ok(text) = String::from_utf8(name.clone()) else { return };
    let small = text.to_lowercase();
    *name = if small == text { text.to_uppercase() } else { small }.into_bytes();
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, b| hex + &format!("{b:02x}"))
}

fn from_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
