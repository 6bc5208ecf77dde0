//! Looking into a backup: `ls`, `versions`, `find`.

use super::args::Line;
use super::out_args::{Find, From, Ls, Versions};
use super::source::{self, Choice, Source};
use super::{Answer, Exit, Failure, time};
use crate::catalog::State;
use crate::clock::{SystemClock, Wall};
use crate::error::{Error, Result};
use crate::filter::InPlace;
use crate::model::{Entry, Shape, Size, TreePath};
use crate::restore::list::{Reach, list};
use crate::worker::Stop;
use serde_json::json;
use std::io::Write;
use std::path::Path;

pub fn typed(path: &Path) -> std::result::Result<TreePath, Failure> {
    let absolute = std::path::absolute(path)
        .map_err(|e| Failure::Usage(Error::operator(format!("use the path {}", path.display())).because(e)))?;
    TreePath::from_typed(&absolute).ok_or_else(|| {
        Failure::Usage(
            Error::operator(format!("use the path {}: it is not a plain path", path.display()))
                .remedy("write it without '..'"),
        )
    })
}

fn letter(shape: &Shape) -> char {
    match shape {
        Shape::File => '-',
        Shape::Dir => 'd',
        Shape::Symlink(_) => 'l',
        Shape::Fifo => 'p',
        Shape::CharDevice(_) => 'c',
        Shape::BlockDevice(_) => 'b',
    }
}

fn mode_text(entry: &Entry) -> String {
    let bits = |n: u32| {
        [(4, 'r'), (2, 'w'), (1, 'x')].map(|(b, c)| if n & b != 0 { c } else { '-' }).iter().collect::<String>()
    };
    format!("{}{}{}{}", letter(&entry.shape), bits(entry.mode >> 6), bits(entry.mode >> 3), bits(entry.mode))
}

fn print(line: &Line, path: &TreePath, entry: Option<&Entry>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = if line.json {
        let kind = entry.map(|e| letter(&e.shape).to_string());
        let row = json!({"path": path.to_string(), "kind": kind, "mode": entry.map(|e| e.mode), "size": entry.map(|e| e.size.0), "mtime": entry.map(|e| e.mtime.secs)});
        writeln!(out, "{row}")
    } else {
        match entry {
            None => writeln!(out, "d?????????  {:>9}  {:19}  {path}", "", ""),
            Some(e) => {
                let target =
                    if let Shape::Symlink(t) = &e.shape { format!(" -> {}", escaped(t)) } else { String::new() };
                let at = time::local(Wall(e.mtime.secs.saturating_mul(1000)));
                writeln!(
                    out,
                    "{}  {:>9}  {at:19}  {path}{target}",
                    mode_text(e),
                    if e.shape == Shape::File { Size(e.size.0).to_string() } else { String::new() }
                )
            }
        }
    };
    written.map_err(|e| match e.kind() {
        // The reader has seen enough.
        std::io::ErrorKind::BrokenPipe => Error::stopping(),
        _ => Error::retry("write to standard output").because(e),
    })
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::new();
    let _ = crate::model::path::write_escaped(bytes, &mut out);
    out
}

/// A reader that closed its pipe is no failure.
fn ended(done: Result<bool>) -> Result<bool> {
    match done {
        Err(e) if e.kind() == crate::error::Kind::Stopping => Ok(true),
        other => other,
    }
}

/// Of several vaults the cheapest to read, and which that is: others may hold more, or newer things.
fn looked_into(line: &Line, from: &From) -> std::result::Result<Source, Failure> {
    let source = source::open(line, from, None, &Choice::First)?;
    if let Some(chosen) = &source.chosen {
        eprintln!("in the vault '{}' ({}); '--vault NAME' looks into another", chosen.name, source.url);
    }
    Ok(source)
}

pub fn ls(line: &Line, args: &Ls) -> Answer {
    let path = args.path.as_deref().map_or(Ok(TreePath::root()), typed)?;
    let when = time::when(args.at.as_deref(), SystemClock::shared().wall())?;
    let source = looked_into(line, &args.from)?;
    let mut each = |p: &TreePath, e: Option<&Entry>| {
        if *p == path && e.is_none_or(|e| e.shape == Shape::Dir) { Ok(()) } else { print(line, p, e) }
    };
    let found = ended(list(&source.catalog, when, &path, Reach::Folder, &Stop::new(), &mut each))?;
    if !found {
        return Err(Failure::Work(Error::path(format!("list {path}: nothing of that name is in the backup then"))));
    }
    Ok(Exit::Done)
}

pub fn find(line: &Line, args: &Find) -> Answer {
    let when = time::when(args.at.as_deref(), SystemClock::shared().wall())?;
    let glob = InPlace::new(std::slice::from_ref(&args.glob)).map_err(|_| {
        Failure::Usage(
            Error::operator(format!("understand the glob `{}`", args.glob))
                .remedy("write it like \"*.jpg\" or \"/home/**/letter*\""),
        )
    })?;
    let source = looked_into(line, &args.from)?;
    let mut hits = 0_u64;
    let mut each = |p: &TreePath, e: Option<&Entry>| {
        let hit = p.parent().zip(p.name()).is_some_and(|(folder, name)| glob.matches(&folder, name));
        if hit {
            hits += 1;
            return print(line, p, e);
        }
        Ok(())
    };
    ended(list(&source.catalog, when, &TreePath::root(), Reach::Tree, &Stop::new(), &mut each))?;
    Ok(if hits > 0 { Exit::Done } else { Exit::Unhealthy })
}

pub fn versions(line: &Line, args: &Versions) -> Answer {
    let path = typed(&args.path)?;
    let source = looked_into(line, &args.from)?;
    let unknown = || Failure::Work(Error::path(format!("list the versions of {path}: the backup never saw it")));
    let node = source.catalog.find(&path)?.ok_or_else(unknown)?;
    let history = source.catalog.history(node)?;
    if history.is_empty() {
        return Err(unknown());
    }
    for record in history {
        let at = time::local(record.captured);
        let safe = if record.safe { "safe" } else { "not yet safe" };
        match (&record.state, line.json) {
            (State::Version { entry, torn }, true) => {
                println!(
                    "{}",
                    json!({"seq": record.seq.0, "captured_ms": record.captured.0, "size": entry.size.0, "mode": entry.mode, "torn": torn, "deleted": false, "safe": record.safe})
                );
            }
            (State::Deleted, true) => println!(
                "{}",
                json!({"seq": record.seq.0, "captured_ms": record.captured.0, "deleted": true, "safe": record.safe})
            ),
            (State::Version { entry, torn }, false) => {
                let torn = if *torn { "  changed while it was read" } else { "" };
                println!("{at}  {}  {:>9}  {safe}{torn}", mode_text(entry), Size(entry.size.0).to_string());
            }
            (State::Deleted, false) => println!("{at}  deleted                {safe}"),
        }
    }
    Ok(Exit::Done)
}
