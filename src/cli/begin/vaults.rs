//! Starting the vaults of a configuration that have no keys here: their words reach the owner, on the screen or in a
//! file, are asked back from paper, and go onto a sheet where one is wanted.

use super::super::key::{Typed, absent, kit, typed_back};
use super::super::{Failure, host, prices, read_text};
use super::price_table;
use crate::clock::SystemClock;
use crate::config::{Settings, VaultSettings};
use crate::daemon::found::{Founding, Witness, is_words_file_of};
use crate::daemon::gate::Gate;
use crate::daemon::home::{Home, VaultHome};
use crate::daemon::open::{Folders, OpenStore, open_configured, throttle_of};
use crate::error::{Error, Result};
use crate::model::VaultId;
use crate::seal::SystemEntropy;
use crate::seal::keys::SealKeys;
use crate::store::ObjectName;
use crate::store::abilities::Abilities;
use crate::worker::{Faults, Stop};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What the owner of a new vault gets and gives.
pub struct Papers<'a> {
    pub words_file: Option<&'a Path>,
    pub passphrase: Option<&'a Zeroizing<String>>,
    /// Where the recovery sheet goes.
    pub kit: Option<&'a Path>,
    pub sheet: SheetNow,
}

/// Whether words that were shown are asked back at once, from paper.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SheetNow {
    Ask,
    LeaveForLater,
}

/// Starts every vault that has no keys here. How many.
pub fn found_missing(settings: &Settings, papers: &Papers<'_>, faults: &Faults) -> std::result::Result<usize, Failure> {
    let words_file = papers.words_file;
    let home = Home::new(&settings.state_dir);
    let _lock = home.lock()?;
    // A vault that was added has words of its own.
    let is_of_some_vault = |file: &Path| {
        let mut keys = settings.vaults.iter().filter_map(|vault| home.vault(&vault.name).keys().ok());
        keys.any(|keys| is_words_file_of(file, &keys))
    };
    let book = prices::book(settings.prices_file.as_ref())?;
    let mut started = 0;
    for vault in &settings.vaults {
        let mine = home.vault(&vault.name);
        if mine.has_keys() && (mine.catalog().exists() || exists(settings, vault)?) {
            if let Some(file) = words_file
                && file.exists()
                && !is_of_some_vault(file)
            {
                return Err(Failure::Usage(
                    Error::operator(format!("use the words file {}: it is not the one of this vault", file.display()))
                        .remedy("leave '--words-file' away, or name the right file"),
                ));
            }
            late_sheet(settings, vault, papers, faults)?;
            continue;
        }
        if words_file.is_none() && !std::io::stdout().is_terminal() {
            return Err(Failure::Usage(
                Error::operator("show the recovery words: this is no terminal").remedy("give '--words-file FILE'"),
            ));
        }
        let kit = papers.kit.map(|kit| if started == 0 { kit.to_owned() } else { named_for(kit, &vault.name) });
        if let Some(kit) = &kit {
            absent(kit, "the sheet")?;
        }
        print!("{}", price_table::table(&book, &prices::place(&vault.url, None), &vault.name, vault.pack_size));
        let words = found_one(settings, vault, &mine, papers, faults)?;
        started += 1;
        let kit = kit.or_else(|| sheet_wanted(papers));
        if let Some(kit) = kit {
            kit::after_start(settings, vault, &words, &kit, faults)?;
        }
    }
    Ok(started)
}

/// A start that was cut off before its sheet was written; the words file still has the words.
fn late_sheet(settings: &Settings, vault: &VaultSettings, papers: &Papers<'_>, faults: &Faults) -> Result<()> {
    let (Some(kit), Some(file)) = (papers.kit, papers.words_file) else { return Ok(()) };
    let keys = Home::new(&settings.state_dir).vault(&vault.name).keys()?;
    if kit.exists() || !is_words_file_of(file, &keys) {
        return Ok(());
    }
    let words = Zeroizing::new(read_text(file, "the words file")?);
    kit::after_start(settings, vault, &words, kit, faults)
}

/// `sheet.pdf` becomes `sheet-cloud.pdf`: each vault has a page of its own.
fn named_for(kit: &Path, vault: &str) -> PathBuf {
    let stem = kit.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let end = kit.extension().map_or_else(String::new, |e| format!(".{}", e.to_string_lossy()));
    kit.with_file_name(format!("{stem}-{vault}{end}"))
}

/// Offered to whoever sits there.
fn sheet_wanted(papers: &Papers<'_>) -> Option<PathBuf> {
    if papers.sheet == SheetNow::LeaveForLater || papers.words_file.is_some() || !std::io::stdin().is_terminal() {
        return None;
    }
    print!("A page to print, with these words and all that is needed to use them? A new file for it (Enter: none): ");
    let _ = std::io::stdout().flush();
    let mut name = String::new();
    std::io::stdin().read_line(&mut name).ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| PathBuf::from(name))
}

/// Whether the vault these keys are for was founded; a start cut off before that made keys for nothing. An error where
/// nobody can tell: then it is neither "nothing to do" nor to be founded.
fn exists(settings: &Settings, vault: &VaultSettings) -> Result<bool> {
    let meta = ObjectName::from(crate::format::Name::Vault);
    with_store(settings, vault, |OpenStore { store, .. }| Ok(store.head(&meta)?.is_some()))
        .map_err(|e| e.during(&format!("tell whether the vault '{}' was started", vault.name)))
}

fn with_store<T>(settings: &Settings, vault: &VaultSettings, act: impl FnOnce(&OpenStore) -> Result<T>) -> Result<T> {
    let runtime = crate::cli::runtime()?;
    let throttle = throttle_of(settings, vault, SystemClock::shared());
    let opened = open_configured(vault, Abilities::default(), Folders::Create, throttle, runtime.handle())?;
    act(&opened)
}

/// The words, for a sheet.
fn found_one(
    settings: &Settings,
    vault: &VaultSettings,
    home: &VaultHome,
    papers: &Papers<'_>,
    faults: &Faults,
) -> Result<Zeroizing<String>> {
    with_store(settings, vault, |OpenStore { store, s3 }| {
        // Before the words are shown: they would be for nothing.
        if let Some(alarm) = s3.as_deref().map(|s3| Gate::default().pass(s3)).transpose()?.flatten() {
            println!("Note: {alarm}.");
        }
        let (mut shown, mut checked) = (Zeroizing::new(String::new()), false);
        let mut show = |words: &[&'static str], keys: &SealKeys| {
            shown.push_str(&words.join(" "));
            let asks = papers.sheet == SheetNow::Ask && std::io::stdin().is_terminal();
            let reached = show_words(words, keys.vault);
            checked = reached && asks && words_from_paper(words, keys);
            reached
        };
        let mut witness = match papers.words_file {
            Some(file) => Witness::File(file),
            None => Witness::Show(&mut show),
        };
        let clock = SystemClock::shared();
        let founding = Founding {
            store: &**store,
            home,
            entropy: &SystemEntropy,
            clock: &*clock,
            host: host(),
            passphrase: papers.passphrase.cloned(),
            faults,
            stop: &Stop::new(),
        };
        let keys = founding.found(&mut witness)?;
        faults.at("found.said")?;
        println!("Started vault {} in {}.", keys.vault, store.url());
        if let Some(file) = papers.words_file {
            println!(
                "Its recovery words are in {}: write them on paper, and keep the paper away from this machine.",
                file.display()
            );
            return Ok(Zeroizing::new(read_text(file, "the words file")?));
        }
        if checked {
            home.keep_sheet_checked(keys.vault, clock.wall())?;
        }
        Ok(shown)
    })
}

/// The words typed back from the paper they were written on, before anything is sealed to them: true once they are right,
/// false when that is put off. Wrong ones are shown again.
fn words_from_paper(words: &[&'static str], keys: &SealKeys) -> bool {
    loop {
        print!("Once they are on paper, press Enter: the screen is cleared, and you type them back from the paper. ");
        let _ = std::io::stdout().flush();
        if std::io::stdin().read_line(&mut String::new()).is_err() {
            return false;
        }
        // The screen, and what was scrolled off it.
        print!("\x1b[H\x1b[2J\x1b[3J");
        println!("From the paper, please. An empty line leaves it for later.");
        match typed_back(keys) {
            Typed::Right => {
                println!("Right: the paper has the words.\n");
                return true;
            }
            Typed::Later => {
                println!("Left for later: until 'panicroom key check' was run once, the status stays amber.\n");
                return false;
            }
            Typed::Wrong(e) => {
                eprintln!("panicroom: {e}");
                show_words(words, keys.vault);
            }
        }
    }
}

/// Shown once, never kept.
fn show_words(words: &[&'static str], vault: VaultId) -> bool {
    if !std::io::stdout().is_terminal() {
        return false;
    }
    println!(
        "\nThe recovery words of vault {vault}.\nWrite them on paper NOW, with their numbers: they are shown once, this \
         machine\ndoes not keep them, and without them nobody can read the backup.\n"
    );
    for row in 0..8 {
        let cells: Vec<String> =
            (0..3).map(|column| row + column * 8).map(|i| format!("{:2}. {:<12}", i + 1, words[i])).collect();
        println!("    {}", cells.join(""));
    }
    println!();
    std::io::stdout().flush().is_ok()
}
