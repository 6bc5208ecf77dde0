//! The recovery sheet as its owner and their heirs meet it: written by the real program, drawn by another PDF reader, its
//! picture read by another QR reader, its words typed back, a passphrase beside them. Needs `PANICROOM_PYTHON` (with
//! pypdfium2 and zxing-cpp) to look at the page; without it that part says so and checks nothing.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;
#[path = "support/portable.rs"]
mod portable;
#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod tree;

use machine::{Machine, Mounted, Ran, patiently, skip};
use portable::assert_same;
use serde_json::Value;
use servers::Server;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn words_of(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    text.split_whitespace().filter(|w| !w.ends_with('.')).map(str::to_owned).collect()
}

/// Without a configuration, on a machine that knows nothing.
fn alone(machine: &Machine, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
    command.args(arguments).stdin(Stdio::null()).current_dir(machine.path(""));
    command.env("XDG_CACHE_HOME", machine.path("cache")).env_remove("PANICROOM_CONFIG").env_remove("RUST_LOG");
    command.output().unwrap().into()
}

fn url(machine: &Machine) -> String {
    format!("file://{}", machine.vault().display())
}

/// What another PDF reader finds on a sheet.
struct Seen {
    text: String,
    /// What its QR code says.
    scanned: String,
    pages: u64,
    /// In millimetres.
    size: (u64, u64),
}

const LOOK: &str = r"
import json, sys, zlib, struct
import pypdfium2, zxingcpp
pdf = pypdfium2.PdfDocument(sys.argv[1])
page = pdf[0]
size = [round(x / 72 * 25.4) for x in page.get_size()]
bitmap = page.render(scale=300 / 72, grayscale=True)
width, height, stride = bitmap.width, bitmap.height, bitmap.stride
rows = bytes(bitmap.buffer)
lines = [rows[y * stride:y * stride + width] for y in range(height)]
if len(sys.argv) > 2:
    def chunk(kind, data):
        body = kind + data
        return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))
    raw = b''.join(b'\0' + line for line in lines)
    with open(sys.argv[2], 'wb') as f:
        f.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0))
                + chunk(b'IDAT', zlib.compress(raw)) + chunk(b'IEND', b''))
image = memoryview(b''.join(lines)).cast('B', (height, width))
# Of all kinds it would now and then see a bar code in a line of words.
codes = [c.text for c in zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)]
print(json.dumps({'pages': len(pdf), 'size': size, 'codes': codes, 'text': page.get_textpage().get_text_range()}))
";

/// None where there is no such reader.
fn look(page: &Path) -> Option<Seen> {
    let Some(python) = std::env::var_os("PANICROOM_PYTHON") else {
        skip("a look at the page", "set PANICROOM_PYTHON to a python with pypdfium2 and zxing-cpp");
        return None;
    };
    let mut command = Command::new(python);
    command.args(["-c", LOOK]).arg(page);
    // For people: where pictures of the sheets go.
    if let Some(folder) = std::env::var_os("PANICROOM_PICTURES") {
        command.arg(PathBuf::from(folder).join(page.with_extension("png").file_name().unwrap()));
    }
    let ran = Ran::from(command.output().unwrap()).exits(0);
    let seen: Value = ran.json();
    let codes = seen["codes"].as_array().unwrap();
    assert_eq!(codes.len(), 1, "exactly one QR code: {seen:#}");
    Some(Seen {
        text: seen["text"].as_str().unwrap().to_owned(),
        scanned: codes[0].as_str().unwrap().to_owned(),
        pages: seen["pages"].as_u64().unwrap(),
        size: (seen["size"][0].as_u64().unwrap(), seen["size"][1].as_u64().unwrap()),
    })
}

// --- the sheet ---------------------------------------------------------------------------------------------------

#[test]
fn the_sheet_has_all_that_the_day_after_needs_and_its_picture_alone_restores() {
    let machine = Machine::new();
    machine.backup().exits(0);
    let (words, page) = (machine.words(), machine.path("sheet.pdf"));
    let (words, page) = (words.to_str().unwrap(), page.to_str().unwrap());
    machine.run(&["key", "kit", "--key-file", words, "--out", page]).exits(0).says("Print it, delete the file");
    let bytes = fs::read(page).unwrap();
    assert!(bytes.starts_with(b"%PDF-"));
    assert_eq!(fs::metadata(page).unwrap().permissions().mode() & 0o777, 0o600, "promise 15");
    let Some(seen) = look(Path::new(page)) else { return };
    assert_eq!((seen.pages, seen.size), (1, (210, 297)), "one page of A4");
    let flat = seen.text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (i, word) in words_of(&machine.words()).iter().enumerate() {
        assert!(flat.contains(&format!("{} {word}", i + 1)), "word {} is missing: {flat}", i + 1);
    }
    let id = machine.run(&["key", "check", "--key-file", words]).exits(0).out;
    let id = id.split_whitespace().find(|w| w.len() == 32).unwrap().to_owned();
    let vault = machine.vault().display().to_string();
    for text in [&id, &vault, "panicroom ls --vault", "restore --plan", "Nothing", "meta_rescue_"] {
        assert!(flat.replace("nothing", "Nothing").contains(text), "'{text}' is missing: {flat}");
    }
    // What the camera saw is all that is typed.
    assert!(seen.scanned.contains(&id) && seen.scanned.contains(&url(&machine)), "{}", seen.scanned);
    let scan = machine.path("scan");
    fs::write(&scan, &seen.scanned).unwrap();
    let scan = scan.to_str().unwrap();
    machine.run(&["key", "check", "--key-file", scan]).exits(0).says("Right: the sheet's words");
    alone(&machine, &["restore", "--vault", &url(&machine), "--key-file", scan, "--to", "out"]).exits(0);
    assert_same(&machine.path("out").join(machine.data().strip_prefix("/").unwrap()), &machine.data());
}

#[test]
fn a_sheet_is_written_for_the_right_words_only_and_never_over_a_file() {
    let machine = Machine::new();
    let words = words_of(&machine.words());
    let page = machine.path("sheet.pdf");
    let (page, wrong) = (page.to_str().unwrap(), machine.path("wrong"));
    let other = if words[4] == "zebra" { "zero" } else { "zebra" };
    let mut typed = words.clone();
    typed[4] = other.to_owned();
    fs::write(&wrong, typed.join(" ")).unwrap();
    let should = format!("word 5 is wrong: \"{other}\" should be \"{}\"", words[4]);
    for command in [&["key", "kit", "--out", page][..], &["key", "check"]] {
        let ran = machine.run(&[command, &["--key-file", wrong.to_str().unwrap()]].concat());
        ran.exits(4).says(&should);
    }
    assert!(!Path::new(page).exists());
    fs::write(page, "my shopping list").unwrap();
    let words = machine.words();
    let kit = ["key", "kit", "--key-file", words.to_str().unwrap()];
    machine.run(&[&kit[..], &["--out", page]].concat()).exits(2).says("a file is there already");
    assert_eq!(fs::read_to_string(page).unwrap(), "my shopping list");
    // Without a name it gets one, here.
    machine.run(&kit).exits(0).says("recovery-sheet-main.pdf");
    machine.run(&kit).exits(2).says("a file is there already");
    assert!(fs::read(machine.path("recovery-sheet-main.pdf")).unwrap().starts_with(b"%PDF-"));
    let left: Vec<_> = fs::read_dir(machine.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|n| n.to_string_lossy().starts_with(".tmp")), "{left:?}");
}

#[test]
fn an_address_that_does_not_fit_on_a_page_is_told_and_fits_in_text() {
    let machine = Machine::bare();
    let words = machine.words();
    let words = words.to_str().unwrap();
    let config = fs::read_to_string(machine.config()).unwrap();
    let long = (0..4).map(|n| format!("/{n}{}", "x".repeat(240))).collect::<String>();
    for (length, code) in [(250, 0), (long.len(), 4)] {
        let at = format!("{}{}", machine.vault().display(), &long[..length]);
        fs::write(machine.config(), config.replace(machine.vault().to_str().unwrap(), &at)).unwrap();
        fs::create_dir_all(&at).unwrap();
        let _ = fs::remove_dir_all(machine.state());
        let _ = fs::remove_file(words);
        machine.run(&["init", "--words-file", words]).exits(0);
        let kit = ["key", "kit", "--key-file", words];
        let page = format!("{length}.pdf");
        let ran = machine.run(&[&kit[..], &["--out", &page]].concat()).exits(code);
        if code == 0 {
            let Some(seen) = look(&machine.path(&page)) else { continue };
            assert!(seen.scanned.contains(&at), "{}", seen.scanned);
        } else {
            ran.says("does not fit on one page").says("--text");
            assert!(!machine.path(&page).exists());
        }
        machine.run(&[&kit[..], &["--text"]].concat()).exits(0).says(&at);
    }
}

#[test]
fn the_sheet_as_text_says_the_same_and_the_same_sheet_gives_the_same_page() {
    let machine = Machine::new();
    let words = machine.words();
    let kit = ["key", "kit", "--key-file", words.to_str().unwrap()];
    let text = machine.run(&[&kit[..], &["--text"]].concat()).exits(0).out;
    for (i, word) in words_of(&words).iter().enumerate() {
        assert!(text.contains(&format!("{:2}. {word}", i + 1)), "{text}");
    }
    assert!(text.contains(&url(&machine)) && text.contains("restore --plan --to restored --vault"), "{text}");
    assert!(text.lines().all(|l| l.chars().count() <= 100 || l.contains("file://")), "fits a terminal: {text}");
    let scan = machine.path("scan");
    fs::write(&scan, text.lines().last().unwrap()).unwrap();
    machine.run(&["key", "check", "--key-file", scan.to_str().unwrap()]).exits(0);
    let file = machine.path("sheet.txt");
    machine.run(&[&kit[..], &["--text", "--out", file.to_str().unwrap()]].concat()).exits(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let pages = ["a.pdf", "b.pdf"].map(|name| {
        machine.run(&[&kit[..], &["--out", name]].concat()).exits(0);
        fs::read(machine.path(name)).unwrap()
    });
    assert_eq!(pages[0], pages[1]);
}

#[test]
fn a_buckets_sheet_has_the_address_the_account_and_on_request_the_restorers_key() {
    let Some(server) = Server::seaweedfs() else { return };
    server.make_bucket("reverse.domain.nas");
    let machine = Machine::bare();
    let address = format!("s3://reverse.domain.nas/nas/one?{}", server.query());
    let folder = format!("url = \"file://{}\"", machine.vault().display());
    let cloud =
        format!("url = \"{address}\"\nclass = \"STANDARD\"\ncredentials_file = \"{}\"", server.credentials().display());
    let config = fs::read_to_string(machine.config()).unwrap();
    fs::write(machine.config(), config.replace(&folder, &cloud)).unwrap();
    let words = machine.words();
    let words = words.to_str().unwrap();
    machine.run(&["init", "--words-file", words, "--kit", "at-init.pdf"]).exits(0).says("at-init.pdf");
    let restorer = machine.path("restorer");
    fs::write(&restorer, "[default]\naws_access_key_id = AKIARESTORER\naws_secret_access_key = s3cr3t/of+restorer\n")
        .unwrap();
    let more = ["--account", "1234-5678-9012", "--sign-in", "jörg@example.org"];
    let key = ["--restorer-credentials", restorer.to_str().unwrap(), "--out", "full.pdf"];
    let kit = ["key", "kit", "--key-file", words];
    machine.run(&[&kit[..], &more, &key].concat()).exits(0).says_not("s3cr3t");
    machine.run(&[&kit[..], &["--sign-in", "Łukasz", "--out", "x.pdf"]].concat()).exits(2).says("has no 'Ł'");
    fs::write(&restorer, "nothing").unwrap();
    machine.run(&[&kit[..], &key[..2], &["--out", "x.pdf"]].concat()).exits(4).says("it holds none");
    for (name, has, has_not) in [
        ("at-init.pdf", vec!["Account id", "Restorer's access key"], vec!["AKIARESTORER"]),
        ("full.pdf", vec!["AKIARESTORER", "s3cr3t/of+restorer", "1234-5678-9012", "jörg@example.org"], vec![]),
    ] {
        let Some(seen) = look(&machine.path(name)) else { return };
        let text = &seen.text;
        let common = ["reverse.domain.nas", "nas/one/", "us-east-1", "127.0.0.1", "Keep the bill paid", "MFA"];
        for part in common.into_iter().chain(has) {
            assert!(text.contains(part), "{name}: '{part}' is missing: {text}");
        }
        for part in has_not {
            assert!(!text.contains(part), "{name}: {part}");
        }
        // One command, whole on its lines, runs as it stands there.
        assert!(seen.scanned.contains("s3://reverse.domain.nas/nas/one?region=us-east-1"), "{}", seen.scanned);
        assert!(!seen.scanned.contains("class="), "{}", seen.scanned);
        let scan = machine.path("scan");
        fs::write(&scan, &seen.scanned).unwrap();
        machine.run(&["key", "check", "--key-file", scan.to_str().unwrap()]).exits(0);
    }
}

#[test]
fn of_several_vaults_the_words_tell_which_and_each_has_a_sheet_of_its_own() {
    let machine = Machine::new();
    let second = machine.path("second");
    let more = machine.path("more-words");
    machine
        .run(&[
            "init",
            "--vault",
            &format!("file://{}", second.display()),
            "--words-file",
            more.to_str().unwrap(),
            "--kit",
            "second.pdf",
        ])
        .exits(0);
    let (first, more) = (machine.words(), more.to_str().unwrap().to_owned());
    let first = first.to_str().unwrap();
    machine.run(&["key", "check", "--key-file", first]).exits(0).says(&machine.vault().display().to_string());
    machine.run(&["key", "check", "--key-file", &more]).exits(0).says(&second.display().to_string());
    machine.run(&["key", "kit", "--key-file", &more]).exits(0).says("recovery-sheet-vault2.pdf");
    let wrong = machine.run(&["key", "kit", "--vault-name", "main", "--key-file", &more]).exits(4);
    wrong.says("not the words of this vault");
    machine.run(&["key", "check", "--vault-name", "nowhere", "--key-file", &more]).exits(2).says("main, vault2");
    let nonsense = machine.path("nonsense");
    fs::write(&nonsense, "a passphrase").unwrap();
    machine.run(&["key", "check", "--key-file", nonsense.to_str().unwrap()]).exits(2).says("--vault-name");
    // A scanned sheet of the one is refused for the other by its id.
    if let Some(seen) = look(&machine.path("second.pdf")) {
        let scan = machine.path("scan");
        fs::write(&scan, seen.scanned).unwrap();
        let ran = machine.run(&["key", "check", "--vault-name", "main", "--key-file", scan.to_str().unwrap()]);
        ran.exits(4).says("it is the sheet of vault");
    }
}

// --- the check ---------------------------------------------------------------------------------------------------

/// A machine whose vault lies on a disk of its own, so that nothing else is amber.
fn on_its_own_disk(machine: &Machine) -> Option<Mounted> {
    let mounted = Mounted::tmpfs(&machine.vault(), "size=32m,mode=700");
    if mounted.is_none() {
        skip("a vault on another disk", "mounting is not allowed here");
    }
    mounted
}

#[test]
fn status_is_amber_until_the_sheet_was_checked_and_again_after_a_year() {
    let machine = Machine::bare();
    let Some(_disk) = on_its_own_disk(&machine) else { return };
    let told = machine.path("told");
    machine
        .configure(&format!("[alert]\ncommand = 'echo \"$PANICROOM_EVENT: $PANICROOM_TEXT\" >> {}'\n", told.display()));
    machine.init();
    let words = machine.words();
    let check = ["key", "check", "--key-file", words.to_str().unwrap()];
    let mut daemon = machine.daemon();
    let status = daemon.until_safe(10);
    assert_eq!((&status["mood"], &status["vaults"][0]["sheet_due"]), (&"warning".into(), &true.into()), "{status:#}");
    assert_eq!(status["vaults"][0]["sheet_checked"], Value::Null);
    let ran = machine.run(&["status"]).exits(0).says("Everything is safe: 10 files");
    let ran = ran.says("but the recovery sheet was never checked").says("key check");
    // As it is printed, beside the running daemon.
    let command = ran.out.split('\'').find(|part| part.starts_with("panicroom ")).unwrap().to_owned();
    assert!(command.ends_with("key check"), "{command}");
    machine.run(&check).exits(0).says("Kept that it was checked");
    let status = daemon.until("the check to be known", |s| s["mood"] == "good");
    assert_eq!(status["vaults"][0]["sheet_due"], false);
    assert!(status["headline"].as_str().unwrap().starts_with("Everything is safe: 10 files"));
    daemon.stop().exits(0);

    // A year passes.
    let note = machine.state().join("main/sheet");
    let text = fs::read_to_string(&note).unwrap();
    assert!(!words_of(&words).iter().any(|w| w.len() > 5 && text.contains(w.as_str())), "no secret: {text}");
    let at: i64 = text.split("checked_ms = ").nth(1).unwrap().trim().parse().unwrap();
    let long_ago = at - 370 * 24 * 3_600_000;
    fs::write(&note, text.replace(&at.to_string(), &long_ago.to_string())).unwrap();
    let mut daemon = machine.daemon();
    let status = daemon.until_safe(10);
    assert_eq!(status["mood"], "warning", "{status:#}");
    assert!(status["headline"].as_str().unwrap().contains("was last checked on 20"), "{status:#}");
    let said =
        patiently(|| fs::read_to_string(&told).ok().filter(|t| t.contains("due: ")), || "nobody was told".to_owned());
    assert!(said.contains("checked more than a year ago") && !said.contains("alarm:"), "{said}");
    daemon.until("the event", |s| s["events"].to_string().contains("checked more than a year ago"));
    machine.run(&["status"]).exits(0);
    daemon.stop().exits(0);
    // Told once, however often it starts.
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    daemon.stop().exits(0);
    assert_eq!(fs::read_to_string(&told).unwrap().matches("due: ").count(), 1);
    machine.run(&check).exits(0);
    machine.backup().exits(0).says("Everything is safe: 10 files").says_not("recovery sheet");
}

#[test]
fn a_check_elsewhere_or_by_passphrase_proves_but_does_not_count() {
    let machine = Machine::new();
    let words = machine.words();
    let words = words.to_str().unwrap();
    let ran = alone(&machine, &["key", "check", "--vault", &url(&machine), "--key-file", words]).exits(0);
    ran.says("kept nowhere");
    assert!(!machine.state().join("main/sheet").exists());
    machine.run(&["key", "check"]).exits(2).says("--key-file");
    machine.run(&["key", "check", "--key-file", "nowhere"]).exits(2);
}

/// A terminal with the program in it; what is written to `stdin` is typed.
struct Typing {
    child: Child,
    log: PathBuf,
}

impl Typing {
    fn start(machine: &Machine, arguments: &[&str]) -> Option<Self> {
        let log = machine.path("typescript");
        let inner = format!(
            "{} --config {} {}",
            env!("CARGO_BIN_EXE_panicroom"),
            machine.config().display(),
            arguments.join(" ")
        );
        let mut command = Command::new("script");
        command.args(["-qefc", &inner]).arg(&log).current_dir(machine.path(""));
        command.env_remove("PANICROOM_KEY_FILE").env("SHELL", "/bin/sh");
        let Ok(child) = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn() else {
            skip("a terminal", "script (util-linux) is missing");
            return None;
        };
        Some(Self { child, log })
    }
    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
    #[track_caller]
    fn until(&self, text: &str, times: usize) -> String {
        patiently(
            || Some(self.said()).filter(|s| s.matches(text).count() >= times),
            || format!("waited in vain for '{text}': {}", self.said()),
        )
    }
    fn types(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }
    #[track_caller]
    fn ends(&mut self) -> i32 {
        let log = self.log.clone();
        let said = || String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
        let ended = patiently(|| self.child.try_wait().unwrap(), || format!("it does not end: {}", said()));
        ended.code().unwrap_or(-1)
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The words as the screen shows them.
fn shown(said: &str) -> Vec<String> {
    (1..=24)
        .map(|n| {
            let rest = said.split(&format!("{n:2}. ")).nth(1).unwrap_or_else(|| panic!("no word {n}: {said}"));
            rest.split_whitespace().next().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn on_a_terminal_init_asks_the_words_back_before_anything_is_sealed_and_offers_the_sheet() {
    let machine = Machine::bare();
    let Some(mut typing) = Typing::start(&machine, &["init"]) else { return };
    let words = shown(&typing.until("press Enter", 1));
    assert!(!machine.vault().join("meta_vault").exists(), "no vault before the words are on paper");
    typing.types("\n");
    typing.until("end with an empty line", 1);
    // One is wrong: it is named, and the words are shown again.
    let mut wrong = words.clone();
    wrong[11] = if words[11] == "zebra" { "zero".into() } else { "zebra".into() };
    typing.types(&format!("{}\n\n", wrong.join(" ")));
    let said = typing.until("press Enter", 2);
    assert!(said.contains("word 12 is wrong"), "{said}");
    typing.types("\n");
    typing.until("end with an empty line", 2);
    typing.types(&format!("{}\n\n", words.join("\n")));
    typing.until("A new file for it", 1);
    typing.types("sheet.pdf\n");
    assert_eq!(typing.ends(), 0, "{}", typing.said());
    assert!(typing.said().contains("\x1b[2J\x1b[3J"), "the words do not stay on the screen");
    assert!(machine.state().join("main/sheet").exists(), "the check is kept");
    assert!(fs::read(machine.path("sheet.pdf")).unwrap().starts_with(b"%PDF-"));
    fs::write(machine.words(), words.join(" ")).unwrap();
    machine.backup().exits(0);
    machine.run(&["restore", "--key-file", machine.words().to_str().unwrap(), "--to", "out"]).exits(0);
}

#[test]
fn on_a_terminal_the_check_can_be_left_for_later_and_later_a_mistake_is_mended_at_once() {
    let machine = Machine::bare();
    let Some(mut typing) = Typing::start(&machine, &["init"]) else { return };
    let words = shown(&typing.until("press Enter", 1));
    typing.types("\n");
    typing.until("end with an empty line", 1);
    typing.types("\n");
    typing.until("A new file for it", 1);
    typing.types("\n");
    assert_eq!(typing.ends(), 0, "{}", typing.said());
    assert!(typing.said().contains("Left for later") && !machine.state().join("main/sheet").exists());
    let mut typing = Typing::start(&machine, &["key", "check"]).unwrap();
    typing.until("end with an empty line", 1);
    typing.types(&format!("{}\n\n", words[..23].join(" ")));
    typing.until("23 words", 1);
    typing.until("end with an empty line", 2);
    typing.types(&format!("{}\n\n", words.join(" ")));
    assert_eq!(typing.ends(), 0, "{}", typing.said());
    assert!(machine.state().join("main/sheet").exists());
}

// --- the passphrase ----------------------------------------------------------------------------------------------

#[test]
fn six_drawn_words_open_the_vault_beside_a_running_daemon_and_nothing_is_overwritten() {
    let machine = Machine::new();
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    let before = machine.objects();
    let (words, out) = (machine.words(), machine.path("phrase"));
    let (words, out) = (words.to_str().unwrap(), out.to_str().unwrap());
    machine.run(&["key", "passphrase", "--key-file", words]).exits(2).says("this is no terminal");
    let ran = machine.run(&["key", "passphrase", "--key-file", words, "--out", out]).exits(0);
    let phrase = fs::read_to_string(out).unwrap();
    assert_eq!((phrase.split_whitespace().count(), phrase.lines().count()), (6, 1));
    assert!(!ran.out.contains(phrase.trim()) && !ran.err.contains(phrase.trim()), "promise 15");
    assert_eq!(fs::metadata(out).unwrap().permissions().mode() & 0o777, 0o600);
    let after = machine.objects();
    let new: Vec<_> = after.iter().filter(|o| !before.contains(o)).collect();
    assert!(new.len() == 1 && new[0].0.starts_with("meta_key_"), "{new:?}");
    assert!(before.iter().all(|o| after.contains(o)), "promise 6");
    // However it is typed.
    let typed = machine.path("typed");
    fs::write(&typed, phrase.to_uppercase().replace(' ', "\n")).unwrap();
    let vault = url(&machine);
    let from = ["--vault", &vault, "--key-file", typed.to_str().unwrap()];
    alone(&machine, &[&["ls", machine.data().to_str().unwrap()][..], &from].concat()).exits(0).says("file0");
    alone(&machine, &[&["restore", "--to", "out"][..], &from].concat()).exits(0);
    assert_same(&machine.path("out").join(machine.data().strip_prefix("/").unwrap()), &machine.data());
    machine.run(&["key", "check", "--key-file", out]).exits(0).says("The recovery sheet itself was not checked");
    assert!(!machine.state().join("main/sheet").exists());
    // A second one: the first still opens, and that is said. A passphrase may add one, too.
    let own = machine.path("own");
    fs::write(&own, "im Garten steht ein Rhabarber aus Zinn\n").unwrap();
    let second = ["key", "passphrase", "--key-file", out, "--passphrase-file", own.to_str().unwrap()];
    machine.run(&second).exits(0).says("1 older passphrase does still open it");
    for phrase in [out, own.to_str().unwrap(), words] {
        machine.run(&["key", "check", "--key-file", phrase]).exits(0);
    }
    daemon.until_safe(10);
    daemon.stop().exits(0);
    machine.backup().exits(0);
}

#[test]
fn a_weak_passphrase_and_wrong_words_add_nothing() {
    let machine = Machine::new();
    let before = machine.objects();
    let (words, weak) = (machine.words(), machine.path("weak"));
    let words = words.to_str().unwrap();
    for text in ["Password1234567", "qwertyuiop123456", "summer2026summer", "aaaaaaaaaaaaaaaaaaaaaaaa"] {
        fs::write(&weak, text).unwrap();
        let weak = weak.to_str().unwrap();
        machine
            .run(&["key", "passphrase", "--key-file", words, "--passphrase-file", weak])
            .exits(2)
            .says("guesses find it")
            .says_not(text);
        let fresh = Machine::bare();
        fresh.run(&["init", "--words-file", "words", "--passphrase-file", weak]).exits(2).says("guesses find it");
        assert!(!fresh.state().join("main").exists());
    }
    let phrase = machine.path("phrase");
    fs::write(&weak, "abandon ability able").unwrap();
    let wrong = ["key", "passphrase", "--key-file", weak.to_str().unwrap(), "--out", phrase.to_str().unwrap()];
    machine.run(&wrong).exits(4).says("these are not 24 words");
    assert!(!phrase.exists(), "no passphrase that opens nothing");
    assert_eq!(machine.objects(), before);
}

#[test]
fn a_passphrase_works_with_a_bucket() {
    let Some(server) = Server::seaweedfs() else { return };
    server.make_bucket("box");
    let machine = Machine::bare();
    let address = format!("s3://box/v?{}", server.query());
    let folder = format!("url = \"file://{}\"", machine.vault().display());
    let cloud = format!("url = \"{address}\"\ncredentials_file = \"{}\"", server.credentials().display());
    let config = fs::read_to_string(machine.config()).unwrap();
    fs::write(machine.config(), config.replace(&folder, &cloud)).unwrap();
    machine.init();
    machine.backup().exits(0);
    let (words, out) = (machine.words(), machine.path("phrase"));
    let out = out.to_str().unwrap();
    let ran = machine.run(&["key", "passphrase", "--key-file", words.to_str().unwrap(), "--out", out]).exits(0);
    ran.says("It stays: nothing in a vault is ever deleted");
    machine.run(&["restore", "--key-file", out, "--to", "back"]).exits(0);
    assert_same(&machine.path("back").join(machine.data().strip_prefix("/").unwrap()), &machine.data());
    let keys = "print(len(s3.list_objects_v2(Bucket='box', Prefix='v/meta_key_').get('Contents', [])))";
    assert_eq!(server.boto3(keys), "1");
}
