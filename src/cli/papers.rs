//! What packages carry besides the program, made from the very commands it parses: completions and the manual page.

use super::args::Line;
use super::{Answer, Exit};
use crate::error::{Doing, Kind, Result};
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, line_break, roman};
use std::io::Write;

/// Files, variables and exit codes; the rest of the page follows from the flags.
const MORE: [(&str, &[(&str, &str)]); 3] = [
    (
        "EXIT STATUS",
        &[
            ("0", "done"),
            ("1", "failed, or not healthy"),
            ("2", "wrong usage or configuration"),
            ("3", "done, but some files failed"),
            ("4", "needs the operator"),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("PANICROOM_CONFIG", "the configuration, as --config"),
            ("PANICROOM_KEY_FILE", "file with the recovery words or the passphrase, as --key-file"),
            ("RUST_LOG", "what is logged, as in panicroom=debug"),
        ],
    ),
    (
        "FILES",
        &[
            ("/etc/panicroom/config.toml", "the configuration; example.toml of the package explains every setting"),
            ("/var/lib/panicroom", "keys, catalogs, spool and control socket"),
        ],
    ),
];

pub fn completions(shell: Shell, to: &mut dyn Write) -> Answer {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Line::command(), "panicroom", &mut script);
    hand_over(&script, to)?;
    Ok(Exit::Done)
}

/// One page with every command on it.
pub fn manual(to: &mut dyn Write) -> Answer {
    let mut command = Line::command();
    command.build();
    let page = page(&command).doing(Kind::Retry, || "write the manual page".to_owned())?;
    hand_over(&page, to)?;
    Ok(Exit::Done)
}

fn hand_over(text: &[u8], to: &mut dyn Write) -> Result<()> {
    match to.write_all(text).and_then(|()| to.flush()) {
        // A closed pipe is the reader's choice.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.doing(Kind::Retry, || "write to standard output".to_owned()),
    }
}

fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let mut out = vec![];
    let head = Man::new(command.clone());
    head.render_title(&mut out)?;
    head.render_name_section(&mut out)?;
    head.render_synopsis_section(&mut out)?;
    head.render_options_section(&mut out)?;
    let mut rest = Roff::new();
    rest.control("SH", ["COMMANDS"]);
    for sub in shown(command) {
        describe(&mut rest, &format!("panicroom {}", sub.get_name()), sub);
    }
    for (heading, rows) in MORE {
        rest.control("SH", [heading]);
        for (name, text) in rows {
            item(&mut rest, vec![bold(*name)], text);
        }
    }
    rest.to_writer(&mut out)?;
    Ok(out)
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help")
}

/// A command with its arguments, or each of the commands beneath it.
fn describe(roff: &mut Roff, name: &str, command: &Command) {
    if shown(command).next().is_some() {
        for sub in shown(command) {
            describe(roff, &format!("{name} {}", sub.get_name()), sub);
        }
        return;
    }
    roff.control("SS", [name]);
    roff.text(vec![roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
    for argument in command.get_arguments().filter(|a| !a.is_hide_set() && !a.is_global_set() && a.get_id() != "help") {
        item(roff, heading(argument), &argument.get_help().map(ToString::to_string).unwrap_or_default());
    }
}

fn heading(argument: &Arg) -> Vec<Inline> {
    let values: Vec<String> = argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let value = italic(values.join(" "));
    match argument.get_long() {
        None => vec![value],
        Some(long) if !argument.get_action().takes_values() => vec![bold(format!("--{long}"))],
        Some(long) => vec![bold(format!("--{long}")), roman(" "), value],
    }
}

fn item(roff: &mut Roff, heading: Vec<Inline>, text: &str) {
    roff.control("TP", []);
    roff.text(heading);
    roff.text(vec![roman(text), line_break()]);
}
