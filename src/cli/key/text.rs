//! The recovery sheet as plain text, for a terminal or a printer that knows no PDF.

use super::sheet::{INTRO, Row, SCAN_NOTE, Sheet, TITLE};
use crate::error::Result;
use crate::seal::words::COUNT;
use std::fmt::Write as _;
use zeroize::Zeroizing;

const WIDTH: usize = 78;
/// Light modules around a QR code, without which a camera does not find it.
const QUIET: usize = 4;

pub fn text(sheet: &Sheet) -> Result<Zeroizing<String>> {
    let mut out = Zeroizing::new(String::with_capacity(8192));
    let mut put = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    put(&format!("{TITLE} of the vault {}, {}", sheet.vault, sheet.date));
    put("");
    folded(INTRO, "", &mut put);
    heading("Where the backup is", &mut put);
    rows(&sheet.place, &mut put);
    heading("The words", &mut put);
    let third = COUNT / 3;
    for row in 0..third {
        let cells: Vec<String> =
            (0..3).map(|column| row + column * third).map(|i| format!("{:2}. {:<12}", i + 1, sheet.words[i])).collect();
        put(&format!("    {}", cells.join("").trim_end()));
    }
    if !sheet.way_in.is_empty() {
        heading("Getting in", &mut put);
        rows(&sheet.way_in, &mut put);
    }
    heading("If you did not make this", &mut put);
    for (n, paragraph) in sheet.heir.iter().enumerate() {
        if n > 0 {
            put("");
        }
        folded(paragraph, "", &mut put);
    }
    heading("The day after", &mut put);
    for (n, step) in sheet.steps.iter().enumerate() {
        folded(&format!("{}. {}", n + 1, step.says), "   ", &mut put);
        if let Some(command) = &step.command {
            put(&format!("     {}", command.whole()));
        }
    }
    heading("For a camera", &mut put);
    folded(SCAN_NOTE, "", &mut put);
    let (dark, width) = sheet.code()?;
    put("");
    put(&blocks(&dark, width));
    put("The same as text:");
    put(&sheet.scan);
    Ok(out)
}

fn heading(text: &str, put: &mut dyn FnMut(&str)) {
    put("");
    put(text);
    put(&"-".repeat(text.len()));
}

fn rows(rows: &[Row], put: &mut dyn FnMut(&str)) {
    for (name, value) in rows {
        let value = value.as_ref().map_or_else(|| "_".repeat(40), |v| v.to_string());
        put(&format!("  {name:<22} {value}"));
    }
}

/// Whole words up to the width of a terminal; lines after the first are put in by `indent`.
fn folded(text: &str, indent: &str, put: &mut dyn FnMut(&str)) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && !line.trim().is_empty() {
            put(&line);
            indent.clone_into(&mut line);
        } else if !line.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
        line.push_str(word);
    }
    put(&line);
}

/// Two modules a character, light ones printed: right on a dark terminal, and most readers take it inverted too.
fn blocks(dark: &[bool], width: usize) -> String {
    let is_light = |x: usize, y: usize| {
        let inside = (QUIET..QUIET + width).contains(&x) && (QUIET..QUIET + width).contains(&y);
        !(inside && dark[(y - QUIET) * width + x - QUIET])
    };
    let side = width + 2 * QUIET;
    let mut out = String::new();
    for y in (0..side).step_by(2) {
        for x in 0..side {
            out.push(match (is_light(x, y), y + 1 < side && is_light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        let _ = writeln!(out);
    }
    out
}
