//! Beginning: `quickstart` writes a config, starts a vault and runs; `init` starts the vaults of a config.
//!
//! The words reach the terminal or a synced file before the first object is sealed to them. A second start finds keys
//! and vault and goes on.

mod config_file;
mod price_table;
mod vaults;

use super::args::{Init, Line, Quickstart};
use super::{Answer, Exit, Failure, read_text, serve, settings};
use crate::config::{Listen, Settings, Sketch, VaultUrl, render};
use crate::daemon::console::Overall;
use crate::error::{Doing, Error, Kind};
use crate::model::{Rate, TreePath};
use crate::seal::passphrase::strong_enough;
use crate::worker::Faults;
use config_file::{address, with_more, write_new};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vaults::{Papers, SheetNow, found_missing};
use zeroize::Zeroizing;

/// How long a change waits for a full pack when `quickstart` was given a bucket: whoever tries it out wants to see it
/// safe within minutes. At most a pack and a segment a minute: cents a month where the default of an hour costs less.
const QUICK_GATHER: Duration = Duration::from_secs(60);

fn absolute(path: &Path) -> Result<TreePath, Failure> {
    let wrong = || Failure::Usage(Error::operator(format!("use the path {}: it is not a plain path", path.display())));
    let path = std::path::absolute(path).map_err(|_| wrong())?;
    let real = path.canonicalize().unwrap_or(path);
    TreePath::from_typed(&real).ok_or_else(wrong)
}

/// `panicroom` in the XDG data folder.
fn default_home() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|h| h.join(".local/share")));
    data.map(|d| d.join("panicroom")).ok_or_else(|| {
        Failure::Usage(Error::operator("find a home for config and state: HOME is not set").remedy("give '--home DIR'"))
    })
}

pub fn quickstart(q: &Quickstart) -> Answer {
    let (settings, config) = prepare(q, &Faults::default())?;
    let (mut live, mut told) = (serve::LiveLine::new(), false);
    let words = q.words_file.as_deref().and_then(|f| f.canonicalize().ok());
    let parting = parting_words(&settings, words.as_deref(), &config);
    serve::serve(&settings, &mut |status| {
        let looking = live.show(status);
        if !told && status.state == Overall::Idle {
            told = true;
            let advice = status.advice.as_ref().map_or(String::new(), |a| format!("{a}\n"));
            live.say(&format!("\n{}\n{advice}{parting}", status.headline));
        }
        looking
    })
}

/// All of a quickstart before the daemon runs: a config and a founded vault, and where the config is. Dying anywhere, the
/// same command goes on.
pub fn prepare(q: &Quickstart, faults: &Faults) -> Result<(Arc<Settings>, PathBuf), Failure> {
    let root = absolute(&q.dir)?;
    if !root.as_path().is_dir() {
        return Err(Failure::Usage(
            Error::operator(format!("protect {root}: it is not a folder")).remedy("name a folder that exists"),
        ));
    }
    let home = q.home.clone().map_or_else(default_home, Ok)?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&home)
        .doing(Kind::Operator, || format!("create {}", home.display()))?;
    let home = absolute(&home)?;
    let config = home.as_path().join("config.toml");
    let settings = Arc::new(if config.exists() {
        again(&config, q, &root, faults)?
    } else {
        first(&config, &home, q, &root, faults)?
    });
    let wanted =
        Papers { words_file: q.words_file.as_deref(), passphrase: None, kit: None, sheet: SheetNow::LeaveForLater };
    found_missing(&settings, &wanted, faults)?;
    Ok((settings, config))
}

/// What to do after the disaster, and what goes on meanwhile: commands that run as they stand.
fn parting_words(settings: &Settings, words: Option<&Path>, config: &Path) -> String {
    let vault = shell(&settings.vaults[settings.vaults.len() - 1].url.to_string());
    let (key, asks) = match words {
        Some(file) => (format!(" --key-file {}", shell(&file.display().to_string())), ""),
        None => (String::new(), " (it asks for the words)"),
    };
    format!(
        "To bring everything back, on this or any other machine{asks}:\n  panicroom restore --vault {vault}{key} --to \
         restored\nIt goes on watching; stop it with Ctrl-C, and start it again with the same command or with\n  \
         panicroom --config {} run\n",
        shell(&config.display().to_string())
    )
}

/// As a shell reads it back.
pub(super) fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._:=@%+,-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A second quickstart goes on with what the first one wrote.
fn again(config: &Path, q: &Quickstart, root: &TreePath, faults: &Faults) -> Result<Settings, Failure> {
    let mut settings = settings::load_from(config)?;
    if !settings.roots.iter().any(|r| r.path == *root) {
        let has: Vec<String> = settings.roots.iter().map(|r| r.path.to_string()).collect();
        return Err(Failure::Usage(
            Error::operator(format!("protect {root}: {} protects {}", config.display(), has.join(", ")))
                .remedy("add a [[root]] to that file and run it, or give another '--home DIR'"),
        ));
    }
    if let Some(url) = &q.vault {
        settings = with_more(config, &[], Some(url), faults)?;
    }
    if let Some(limit) = rate(q.limit.as_deref())? {
        settings.uplink.limit = limit;
    }
    match listen(q.http.as_deref())? {
        Listen::Default => {}
        Listen::Off => settings.http_listen = None,
        Listen::At(address) => settings.http_listen = Some(address),
    }
    Ok(settings)
}

fn first(
    config: &Path,
    home: &TreePath,
    q: &Quickstart,
    root: &TreePath,
    faults: &Faults,
) -> Result<Settings, Failure> {
    let state = home.join(b"state").expect("a plain name");
    let vault = match &q.vault {
        Some(url) => address(url)?,
        None => VaultUrl::Folder(home.join(b"vault").expect("a plain name")),
    };
    let gather = if matches!(vault, VaultUrl::Folder(_)) { Duration::ZERO } else { QUICK_GATHER };
    let sketch = Sketch {
        root: root.clone(),
        vault_name: "main".to_owned(),
        vault,
        quiet: Some(Duration::from_secs(2)),
        gather: Some(gather),
        listen: listen(q.http.as_deref())?,
        limit: rate(q.limit.as_deref())?.flatten(),
        state_dir: state,
    };
    let text = sketch.text()?;
    let settings = settings::parse(config, &text)?;
    write_new(config, &text, faults)?;
    Ok(settings)
}

/// Said at all, and then the bound or its absence.
#[expect(clippy::option_option, reason = "not said, none, and a bound are three answers")]
fn rate(text: Option<&str>) -> Result<Option<Option<Rate>>, Failure> {
    match text {
        None => Ok(None),
        Some("none") => Ok(Some(None)),
        Some(text) => text.parse().map(|r| Some(Some(r))).map_err(|e| Failure::Usage(Error::operator(e))),
    }
}

fn listen(text: Option<&str>) -> Result<Listen, Failure> {
    match text {
        None => Ok(Listen::Default),
        Some("off") => Ok(Listen::Off),
        Some(text) => text.parse().map(Listen::At).map_err(|_| {
            Failure::Usage(
                Error::operator(format!("open the page on '{text}': it is not an address"))
                    .remedy("write it like 127.0.0.1:8420, or \"off\""),
            )
        }),
    }
}

pub fn init(line: &Line, i: &Init, faults: &Faults) -> Answer {
    let asked = !i.root.is_empty() || i.vault.is_some();
    let settings = Arc::new(if !asked {
        settings::load(line)?
    } else if line.config.exists() {
        let roots = i.root.iter().map(|r| absolute(r)).collect::<Result<Vec<_>, _>>()?;
        with_more(&line.config, &roots, i.vault.as_deref(), faults)?
    } else {
        let settings = write_config(&line.config, i, faults)?;
        println!("wrote {}", line.config.display());
        settings
    });
    let passphrase = match &i.passphrase_file {
        Some(file) => {
            Some(Zeroizing::new(read_text(file, "the passphrase")?.trim_end_matches(['\n', '\r']).to_owned()))
        }
        None => None,
    };
    if let Some(passphrase) = &passphrase {
        strong_enough(passphrase).map_err(Failure::Usage)?;
    }
    let wanted = Papers {
        words_file: i.words_file.as_deref(),
        passphrase: passphrase.as_ref(),
        kit: i.kit.as_deref(),
        sheet: SheetNow::Ask,
    };
    let started = found_missing(&settings, &wanted, faults)?;
    if started == 0 {
        println!("every vault of {} has its keys on this machine already; nothing to do", line.config.display());
    }
    Ok(Exit::Done)
}

fn write_config(path: &Path, i: &Init, faults: &Faults) -> Result<Settings, Failure> {
    let roots = i.root.iter().map(|r| absolute(r)).collect::<Result<Vec<_>, _>>()?;
    let (Some((root, others)), Some(vault)) = (roots.split_first(), &i.vault) else {
        return Err(Failure::Usage(
            Error::operator(format!("write the configuration {}: it needs a root and a vault", path.display()))
                .remedy("name them with '--root DIR' and '--vault URL'"),
        ));
    };
    let sketch = Sketch {
        root: root.clone(),
        vault_name: "main".to_owned(),
        vault: address(vault)?,
        quiet: None,
        gather: None,
        listen: Listen::Default,
        limit: None,
        state_dir: TreePath::from_typed(Path::new(crate::config::defaults::STATE_DIR)).expect("a valid default"),
    };
    let text = sketch.text()? + &render::more(others, None)?;
    let settings = settings::parse(path, &text)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).doing(Kind::Operator, || format!("create {}", folder.display()))?;
    }
    write_new(path, &text, faults)?;
    Ok(settings)
}
