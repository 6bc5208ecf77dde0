//! The house keeps its shape: a module names only strictly lower layers, and each outside crate is named where
//! the table says and nowhere else. A plain scan of the text of `src/`; the two tables below are the rule.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Top-level modules by layer. A new one needs a row.
const LAYERS: &[(u8, &[&str])] = &[
    (0, &["model", "error", "clock", "worker"]),
    (1, &["config", "filter", "chunk", "seal", "uplink", "price"]),
    (2, &["format", "kernel"]),
    (3, &["catalog", "source", "spool", "place", "store", "alert", "link"]),
    (4, &["backup", "restore", "upkeep"]),
    (5, &["daemon"]),
    (6, &["web"]),
    (7, &["cli"]),
];

/// The words all others are made of may name each other.
const FREE_AMONG_WORDS: &[&str] = &["model", "error", "clock"];

/// The binary and the crate's root only tie things together.
const ROOTS: &[&str] = &["lib.rs", "main.rs"];

const ANYWHERE: &[&str] = &[""];

/// Outside crates, and the operating system, by the modules that may name them; a module stands for all
/// beneath it. Every dependency of Cargo.toml needs a row.
const CRATES: &[(&str, &[&str])] = &[
    ("askama", &["web"]),
    ("aws_config", &["store/s3"]),
    ("aws_runtime", &["store/s3"]),
    ("aws_sdk_s3", &["store/s3"]),
    ("aws_smithy_runtime_api", &["store/s3/wire"]),
    ("axum", &["web"]),
    ("base64", &["store/s3", "daemon", "web", "cli"]),
    ("bip39", &["seal"]),
    ("blake3", &["chunk", "seal"]),
    ("bytes", &["store/s3"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("crossbeam_channel", &["source", "backup", "restore", "upkeep", "daemon"]),
    ("fastcdc", &["chunk"]),
    ("globset", &["filter"]),
    ("http", &["store/s3/wire"]),
    ("http_body", &["store/s3", "web/events"]),
    ("hyper_rustls", &["store/s3/wire", "alert/ping"]),
    ("hyper_util", &["store/s3/wire", "alert/ping"]),
    ("indicatif", &["cli"]),
    ("jiff", &["uplink", "daemon", "web", "cli"]),
    ("libc", &["main", "kernel"]),
    ("md5", &["store"]),
    ("minicbor", &["format"]),
    ("notify", &["source/watch"]),
    ("pdf_writer", &["cli/key/pdf"]),
    ("qrcode", &["web", "cli"]),
    ("rusqlite", &["catalog"]),
    ("rusqlite_migration", &["catalog"]),
    ("rustix", &["catalog", "source", "spool", "place", "store", "alert", "link", "daemon", "web/control", "cli"]),
    ("sd_notify", &["cli/serve"]),
    ("serde", &["price", "restore/plan", "store/abilities", "daemon", "web", "cli"]),
    ("serde_json", &["restore/plan", "restore/drill", "store/abilities", "alert", "daemon", "web", "cli"]),
    ("sha2", &["seal", "spool", "store"]),
    ("sodiumoxide", &["seal"]),
    (
        "std::os",
        &[
            "model/path",
            "filter/in_place",
            "kernel",
            "catalog",
            "source",
            "spool",
            "place",
            "store",
            "alert",
            "link",
            "daemon",
            "web/control",
            "cli",
        ],
    ),
    ("thiserror", ANYWHERE),
    ("tokio", &["store/s3", "alert", "daemon", "web", "cli"]),
    ("tokio_cron_scheduler", &["cli/serve"]),
    ("toml", &["config", "price"]),
    ("tower_http", &["web"]),
    ("tower_service", &["store/s3/wire"]),
    ("tracing", ANYWHERE),
    ("tracing_journald", &["cli"]),
    ("tracing_subscriber", &["cli"]),
    ("zeroize", &["chunk", "seal", "format/key_file", "daemon", "cli"]),
    ("zstd", &["seal"]),
    ("zxcvbn", &["seal"]),
];

/// Where packages and their code differ in name by more than a hyphen.
const OTHER_NAMES: &[(&str, &str)] = &[("md-5", "md5")];

#[test]
fn a_module_names_only_lower_layers_and_its_own_outside_crates() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut broken = String::new();
    for file in rust_files(&src) {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        for breach in breaches(&name, &std::fs::read_to_string(&file).unwrap()) {
            writeln!(broken, "src/{name}:{}: {}", breach.line, breach.rule).unwrap();
        }
    }
    assert!(broken.is_empty(), "the layers of tests/layering.rs do not hold:\n{broken}");
}

/// Promise 6: asking a server to delete is for the trial of a bucket, and the trial for `doctor`. Writing a bucket's
/// settings is for its making, and the making for `setup aws`.
#[test]
fn only_the_trial_of_a_bucket_names_a_deletion_and_only_its_making_writes_its_settings() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&src) {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let code = code_only(&std::fs::read_to_string(&file).unwrap());
        for (word, home) in [
            ("delete_object", "store/s3/probe.rs"),
            ("put_bucket_", "store/s3/make.rs"),
            ("create_bucket", "store/s3/make.rs"),
            ("put_public_access_block", "store/s3/make.rs"),
            ("put_object_lock", "store/s3/make.rs"),
            ("copy_object", ""),
            ("create_multipart", ""),
            ("delete_bucket", ""),
        ] {
            let beneath = home.strip_suffix(".rs").is_some_and(|h| name.starts_with(&format!("{h}/")));
            assert!(!code.contains(word) || name == home || beneath, "{name}: {word}");
        }
        let words = words(&code);
        let names = |module: &str| {
            (0..words.len())
                .any(|i| words[i].text == module && (next(&words, i) == "::" || before(&words, i, 1) == "::"))
        };
        let may = ["store/s3.rs", "store/folder.rs", "cli/doctor.rs"].contains(&name.as_str());
        assert!(!names("probe") || may || name.ends_with("/probe.rs"), "{name} names the trial");
        let may = name.starts_with("store/s3/make") || name.starts_with("cli/setup/aws");
        assert!(!names("Maker") || may, "{name} makes buckets");
    }
}

#[test]
fn only_the_kernel_and_the_allocator_need_unsafe() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&src) {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let code = code_only(&std::fs::read_to_string(&file).unwrap());
        let names = words(&code).iter().any(|word| word.text == "unsafe");
        assert!(!names || ["kernel.rs", "main.rs"].contains(&name.as_str()), "{name} names unsafe");
    }
}

#[test]
fn every_dependency_has_its_place() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in dependencies.lines().filter(|l| l.contains('=') && !l.starts_with([' ', '#', ']'])) {
        let package = line.split(['=', '.']).next().unwrap().trim();
        let other = OTHER_NAMES.iter().find(|(p, _)| *p == package).map(|(_, code)| (*code).to_owned());
        let code = other.unwrap_or_else(|| package.replace('-', "_"));
        assert!(CRATES.iter().any(|(c, _)| *c == code), "give {package} a row in CRATES of tests/layering.rs");
    }
}

#[test]
fn the_check_finds_each_kind_of_breach() {
    for (file, text, line, said) in [
        ("format.rs", "//! Head.\nuse crate::store::ObjectStore;", 2, "format (layer 2) names store (layer 3)"),
        ("store/s3.rs", "use crate::spool::Spool;", 1, "store (layer 3) names spool (layer 3)"),
        ("seal.rs", "use crate::{\n    error::Result,\n    chunk::{Cut, Gear},\n};", 3, "seal (layer 1) names chunk"),
        ("chunk.rs", "fn f() { crate::catalog::open(); }", 1, "names catalog"),
        ("worker.rs", "use crate::worker::X;\nuse crate::config::Y;", 2, "worker (layer 0) names config"),
        ("format/pack.rs", "use super::super::backup;", 1, "format (layer 2) names backup"),
        ("helpers.rs", "fn f() {}", 1, "helpers has no layer"),
        ("backup/upload.rs", "use rusqlite::Connection;", 1, "rusqlite is named outside catalog"),
        ("filter.rs", "let a = 1;\nlet x: sodiumoxide::X = y;", 2, "sodiumoxide is named outside seal"),
        ("source/walk.rs", "use notify;", 1, "notify is named outside source/watch"),
        ("source/watch2.rs", "use notify::Watcher;", 1, "notify is named outside source/watch"),
        ("filter.rs", "use std::os::unix::fs::MetadataExt;", 1, "std::os is named outside"),
        ("web.rs", "pub use clap as c;", 1, "clap is named outside cli"),
    ] {
        let found = breaches(file, text);
        assert!(found.iter().any(|b| b.line == line && b.rule.contains(said)), "{file}: {text}: {found:?}");
    }
}

#[test]
fn what_is_allowed_said_in_a_comment_or_in_a_string_is_no_breach() {
    for (file, text) in [
        (
            "format.rs",
            "//! Read by [`crate::store`].\n/* crate::cli */ use crate::{error::Result, seal::{keys, Seal}};",
        ),
        ("format.rs", r##"const A: &str = "crate::store // rusqlite::x"; const B: &str = r#"a " crate::cli"#;"##),
        ("format.rs", "fn f<'a>(c: char) -> bool { c == '\"' } // crate::store\n"),
        ("store/folder.rs", "use crate::store::Body;\nuse super::Body;\nuse crate::model::Size;"),
        ("model/entry.rs", "use super::Size;\nuse crate::clock::Wall;"),
        ("worker.rs", "use crate::clock::Steady;\nuse crate::error::Result;"),
        ("catalog/rows.rs", "use rusqlite::params;\nuse crate::format::pack;"),
        ("source/watch/mask.rs", "use notify::Event;"),
        ("backup.rs", "fn f() { self.notify::<X>(); my::zstd::x(); tracing::info!(\"x\"); }"),
        ("lib.rs", "pub mod cli;\nuse crate::cli::main;"),
    ] {
        let found = breaches(file, text);
        assert!(found.is_empty(), "{file}: {text}: {found:?}");
    }
}

#[derive(Debug)]
struct Breach {
    line: usize,
    rule: String,
}

/// `file` is relative to `src/`.
fn breaches(file: &str, text: &str) -> Vec<Breach> {
    let place = file.strip_suffix(".rs").unwrap_or(file);
    let own = place.split('/').next().unwrap_or(place);
    let words = words(&code_only(text));
    let mut found = foreign(place, &words);
    if ROOTS.contains(&file) {
        return found;
    }
    let Some(layer) = layer_of(own) else {
        return vec![Breach { line: 1, rule: format!("module {own} has no layer: add it to LAYERS") }];
    };
    for (line, named) in inner(&words, place.split('/').count()) {
        let Some(other) = layer_of(&named) else { continue };
        let among_words = layer == 0 && other == 0 && FREE_AMONG_WORDS.contains(&named.as_str());
        if named != own && other >= layer && !among_words {
            let rule = format!("{own} (layer {layer}) names {named} (layer {other}): only lower layers may be named");
            found.push(Breach { line, rule });
        }
    }
    found
}

fn layer_of(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(_, modules)| modules.contains(&module)).map(|(layer, _)| *layer)
}

/// Outside crates named where they do not belong.
fn foreign(place: &str, words: &[Word]) -> Vec<Breach> {
    let mut found = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let path_goes_on = next(words, i) == "::";
        let starts_path = !matches!(before(words, i, 1), "::" | ".");
        let named =
            if word.text == "std" && path_goes_on && next(words, i + 1) == "os" { "std::os" } else { &word.text };
        let used = before(words, i, 1) == "use" || before(words, i, 1) == "crate" && before(words, i, 2) == "extern";
        if !starts_path || !(path_goes_on || used) {
            continue;
        }
        let Some((name, owners)) = CRATES.iter().find(|(name, _)| *name == named) else { continue };
        let owned = owners.iter().any(|owner| {
            owner.is_empty() || place.strip_prefix(owner).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if !owned {
            let rule = format!("{name} is named outside {}: see CRATES", owners.join(", "));
            found.push(Breach { line: word.line, rule });
        }
    }
    found
}

/// Top-level modules of this crate named in the text, with their lines: `crate::x`, `crate::{x, y::z}`, and
/// `super::…` that climbs to the top from a file `depth` modules deep.
fn inner(words: &[Word], depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut i = 0;
    while i < words.len() {
        let mut at = i;
        let mut climbed = 0;
        if words[i].text == "crate" && next(words, i) == "::" {
            climbed = depth;
            at = i + 2;
        } else {
            while at < words.len() && words[at].text == "super" && next(words, at) == "::" {
                climbed += 1;
                at += 2;
            }
        }
        if climbed >= depth && climbed > 0 {
            tops(words, at, &mut found);
        }
        i = at.max(i + 1);
    }
    found
}

/// The name at `at`, or each first name of a braced group that begins there.
fn tops(words: &[Word], at: usize, found: &mut Vec<(usize, String)>) {
    let Some(first) = words.get(at) else { return };
    if first.text != "{" {
        found.push((first.line, first.text.clone()));
        return;
    }
    let mut nested = 0;
    for i in at..words.len() {
        match words[i].text.as_str() {
            "{" => nested += 1,
            "}" => nested -= 1,
            _ if nested == 1 && matches!(before(words, i, 1), "{" | ",") => {
                found.push((words[i].line, words[i].text.clone()));
            }
            _ => {}
        }
        if nested == 0 {
            return;
        }
    }
}

/// A name, `::`, or any other single character that is not space.
#[derive(Debug)]
struct Word {
    line: usize,
    text: String,
}

fn next(words: &[Word], i: usize) -> &str {
    words.get(i + 1).map_or("", |w| w.text.as_str())
}

fn before(words: &[Word], i: usize, by: usize) -> &str {
    i.checked_sub(by).map_or("", |at| words[at].text.as_str())
}

fn words(code: &str) -> Vec<Word> {
    let mut out = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let name = |c: char| c.is_alphanumeric() || c == '_';
            let end = if name(first) {
                rest.find(|c| !name(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            out.push(Word { line: number + 1, text: rest[..end].to_owned() });
            rest = rest[end..].trim_start();
        }
    }
    out
}

/// The text with comments and the insides of strings and characters blanked, lines kept.
fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = skipped(&chars, i);
        if end == i {
            out.push(chars[i]);
            i += 1;
        } else {
            out.extend(chars[i..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    out
}

/// Where what begins at `i` ends, if it is a comment, a string or a character; else `i`.
fn skipped(chars: &[char], i: usize) -> usize {
    let at = |k: usize| chars.get(k).copied().unwrap_or('\0');
    let find = |from: usize, end: &dyn Fn(usize) -> bool| (from..chars.len()).find(|k| end(*k)).unwrap_or(chars.len());
    let in_name = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
    match (at(i), at(i + 1)) {
        ('/', '/') => find(i, &|k| at(k) == '\n'),
        ('/', '*') => (find(i + 2, &|k| at(k) == '*' && at(k + 1) == '/') + 2).min(chars.len()),
        ('"', _) => quoted(chars, i),
        ('r', '"' | '#') if !in_name || at(i - 1) == 'b' => {
            let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
            if at(i + 1 + hashes) != '"' {
                return i;
            }
            let closes = |k: usize| at(k) == '"' && (1..=hashes).all(|h| at(k + h) == '#');
            (find(i + hashes + 2, &closes) + hashes + 1).min(chars.len())
        }
        ('\'', '\\') => (find(i + 3, &|k| at(k) == '\'') + 1).min(chars.len()),
        ('\'', _) if at(i + 2) == '\'' => i + 3,
        _ => i,
    }
}

fn quoted(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    out.sort();
    out
}
