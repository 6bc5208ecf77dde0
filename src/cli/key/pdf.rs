//! The recovery sheet as one A4 page, drawn so that it folds along its dotted lines to a quarter of its width and half
//! of its height and still reads: nothing but the commands crosses a fold. The fonts are those every PDF reader has; the
//! QR code is drawn as rectangles. The same sheet gives the same bytes.

use super::sheet::{Command, INTRO, Row, SCAN_NOTE, Sheet, TITLE, WORDS_NOTE};
use super::width::wrapped;
use crate::error::{Error, Result};
use crate::seal::words::COUNT;
use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

/// A4 in points.
const PAGE: (f32, f32) = (595.28, 841.89);
/// Two panels side by side, four above each other: each of the size of a passport.
const PANEL: (f32, f32) = (PAGE.0 / 2.0, PAGE.1 / 4.0);
/// What printers cannot reach, and room beside a fold.
const MARGIN: f32 = 22.0;
const TEXT: f32 = 7.6;
const LEADING: f32 = 9.6;
/// Of Courier's letters, all alike.
const MONO: f32 = 0.6;
/// Smallest size at which a command is printed before it is broken.
const LEAST_MONO: f32 = 6.4;
/// Light modules around a QR code, without which a camera does not find it.
const QUIET: usize = 4;

#[derive(Clone, Copy)]
enum Font {
    Plain,
    Bold,
    Mono,
    MonoBold,
}

const FONTS: [(Font, &[u8], &[u8]); 4] = [
    (Font::Plain, b"F1", b"Helvetica"),
    (Font::Bold, b"F2", b"Helvetica-Bold"),
    (Font::Mono, b"F3", b"Courier"),
    (Font::MonoBold, b"F4", b"Courier-Bold"),
];

/// The page, wiped by whoever asked for it. Operator: the vault's address is too long for one page.
pub fn pdf(sheet: &Sheet) -> Result<Vec<u8>> {
    let mut pen = Pen(Content::new());
    pen.folds();
    head(&mut pen, sheet);
    let ends = [(place(&mut pen, sheet), 1.0), (way_in(&mut pen, sheet), 3.0), (steps(&mut pen, sheet), 4.0)];
    words(&mut pen, sheet);
    code(&mut pen, sheet)?;
    heir(&mut pen, sheet);
    if ends.iter().any(|(y, panels)| *y > panels * PANEL.1) {
        return Err(Error::operator("print the sheet: what is to be said does not fit on one page")
            .remedy("take '--text', which has room for a long address"));
    }
    Ok(page(pen.0, sheet))
}

fn page(content: Content, sheet: &Sheet) -> Vec<u8> {
    let mut refs = (1..).map(Ref::new);
    let mut next = || refs.next().expect("there is always a next number");
    let (catalog, tree, page, stream, info) = (next(), next(), next(), next(), next());
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(tree);
    pdf.pages(tree).kids([page]).count(1);
    pdf.document_info(info).title(TextStr(&format!("{TITLE} of vault {}", sheet.vault)));
    let mut one = pdf.page(page);
    one.parent(tree).media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).contents(stream);
    let fonts: Vec<_> = FONTS.map(|(_, name, base)| (next(), name, base)).into();
    let mut resources = one.resources();
    let mut known = resources.fonts();
    for (id, name, _) in &fonts {
        known.pair(Name(name), *id);
    }
    known.finish();
    resources.finish();
    one.finish();
    for (id, _, base) in fonts {
        pdf.type1_font(id).base_font(Name(base)).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    pdf.stream(stream, &content.finish());
    pdf.finish()
}

/// Draws; heights are counted from the top of the page.
struct Pen(Content);

impl Pen {
    fn say(&mut self, at: (f32, f32), font: Font, size: f32, text: &str) {
        let name = FONTS[font as usize].1;
        self.0.begin_text().set_font(Name(name), size).next_line(at.0, PAGE.1 - at.1);
        self.0.show(Str(&win_ansi(text))).end_text();
    }

    /// Lines of plain text; how far down it went.
    fn paragraph(&mut self, at: (f32, f32), width: f32, text: &str) -> f32 {
        let mut y = at.1;
        for line in wrapped(text, TEXT, width) {
            self.say((at.0, y), Font::Plain, TEXT, &line);
            y += LEADING;
        }
        y
    }

    fn heading(&mut self, panel: Panel, text: &str) -> f32 {
        self.say((panel.x, panel.y + 6.0), Font::Bold, 10.0, text);
        panel.y + 21.0
    }

    fn line(&mut self, from: (f32, f32), to: (f32, f32)) {
        self.0.move_to(from.0, PAGE.1 - from.1).line_to(to.0, PAGE.1 - to.1).stroke();
    }

    /// Where it is folded.
    fn folds(&mut self) {
        self.0.save_state().set_line_width(0.4).set_stroke_gray(0.7).set_dash_pattern([1.0, 3.0], 0.0);
        for row in [PANEL.1, 2.0 * PANEL.1, 3.0 * PANEL.1] {
            self.line((0.0, row), (PAGE.0, row));
        }
        self.line((PANEL.0, 0.0), (PANEL.0, 3.0 * PANEL.1));
        self.0.restore_state();
    }

    /// A name and its value, or a line to write it on.
    fn row(&mut self, at: (f32, f32), width: f32, row: &Row) -> f32 {
        let (name, value) = row;
        let inner = at.0 + 82.0;
        self.say(at, Font::Plain, TEXT, name);
        let Some(value) = value else {
            self.0.set_line_width(0.4).set_stroke_gray(0.4);
            self.line((inner, at.1 + 2.0), (at.0 + width, at.1 + 2.0));
            return at.1 + 20.0;
        };
        // Broken anywhere: what is no prose must be whole.
        let letters: Vec<char> = value.chars().collect();
        let mut y = at.1;
        for piece in letters.chunks(letters_in(width - 82.0, 8.0)) {
            self.say((inner, y), Font::Mono, 8.0, &piece.iter().collect::<String>());
            y += 10.0;
        }
        y.max(at.1 + 10.0) + 3.5
    }
}

#[derive(Clone, Copy)]
struct Panel {
    x: f32,
    y: f32,
    width: f32,
}

fn panel(column: u8, row: u8) -> Panel {
    Panel {
        x: f32::from(column) * PANEL.0 + MARGIN,
        y: f32::from(row) * PANEL.1 + MARGIN,
        width: PANEL.0 - 1.6 * MARGIN,
    }
}

/// How many letters of Courier fit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a page is a few hundred letters wide")]
fn letters_in(width: f32, size: f32) -> usize {
    ((width / (MONO * size)) as usize).max(1)
}

fn head(pen: &mut Pen, sheet: &Sheet) {
    let p = panel(0, 0);
    pen.say((p.x, p.y + 10.0), Font::Bold, 19.0, TITLE);
    let of = sheet.name.as_ref().map_or_else(String::new, |name| format!(" \"{name}\""));
    pen.say((p.x, p.y + 26.0), Font::Plain, 9.0, &format!("of the backup vault{of}, printed {}", sheet.date));
    let y = pen.paragraph((p.x, p.y + 46.0), p.width, INTRO);
    pen.say(
        (p.x, y + 8.0),
        Font::Plain,
        TEXT,
        "Checked by typing the words back ('panicroom key check'), once a year, on:",
    );
    pen.0.set_line_width(0.4).set_stroke_gray(0.4);
    let each = p.width / 4.0;
    for n in 0..4_u8 {
        let x = p.x + f32::from(n) * each;
        pen.line((x, y + 28.0), (x + each - 8.0, y + 28.0));
    }
}

/// How far down it went, as with the panels below.
fn place(pen: &mut Pen, sheet: &Sheet) -> f32 {
    let p = panel(1, 0);
    let top = pen.heading(p, "1  Where the backup is");
    sheet.place.iter().fold(top, |y, row| pen.row((p.x, y), p.width, row))
}

fn words(pen: &mut Pen, sheet: &Sheet) {
    let p = panel(0, 1);
    let y = pen.heading(p, "2  The words");
    let third = COUNT / 3;
    for (i, word) in sheet.words.iter().enumerate() {
        let (column, row) = (small(i / third), small(i % third));
        let at = (p.x + column * p.width / 3.0, y + 3.0 + row * 16.5);
        pen.say(at, Font::MonoBold, 10.5, &format!("{:2} {word}", i + 1));
    }
    pen.say((p.x, y + 9.0 * 16.5 - 3.0), Font::Plain, TEXT - 0.6, WORDS_NOTE);
}

fn small(n: usize) -> f32 {
    f32::from(u16::try_from(n).unwrap_or(u16::MAX))
}

fn code(pen: &mut Pen, sheet: &Sheet) -> Result<()> {
    let p = panel(1, 1);
    let (dark, width) = sheet.code()?;
    let after = pen.paragraph((p.x, p.y + 6.0), p.width, SCAN_NOTE);
    // Down to the fold, less half a margin.
    let side = (2.0 * PANEL.1 - after - MARGIN / 2.0).min(p.width);
    let module = side / small(width + 2 * QUIET);
    let left = p.x + (p.width - side) / 2.0 + small(QUIET) * module;
    let top = after + small(QUIET) * module;
    for y in 0..width {
        let row = &dark[y * width..(y + 1) * width];
        let mut x = 0;
        while x < width {
            let run = row[x..].iter().take_while(|d| **d == row[x]).count();
            if row[x] {
                let bottom = PAGE.1 - (top + small(y + 1) * module);
                pen.0.rect(left + small(x) * module, bottom, small(run) * module, module);
            }
            x += run;
        }
    }
    pen.0.fill_nonzero();
    Ok(())
}

fn way_in(pen: &mut Pen, sheet: &Sheet) -> f32 {
    let p = panel(0, 2);
    if sheet.way_in.is_empty() {
        let y = pen.heading(p, "3  Notes");
        pen.0.set_line_width(0.4).set_stroke_gray(0.4);
        for n in 0..6_u8 {
            let y = y + 12.0 + f32::from(n) * 22.0;
            pen.line((p.x, y), (p.x + p.width, y));
        }
        return y;
    }
    let top = pen.heading(p, "3  Getting in");
    sheet.way_in.iter().fold(top, |y, row| pen.row((p.x, y + 3.0), p.width, row))
}

fn heir(pen: &mut Pen, sheet: &Sheet) {
    let p = panel(1, 2);
    let mut y = pen.heading(p, "If you did not make this");
    for paragraph in &sheet.heir {
        y = pen.paragraph((p.x, y), p.width, paragraph) + 4.0;
    }
}

fn steps(pen: &mut Pen, sheet: &Sheet) -> f32 {
    let p = panel(0, 3);
    let width = PAGE.0 - 2.0 * MARGIN;
    let mut y = pen.heading(p, "4  The day after");
    let commands = sheet.steps.iter().filter_map(|s| s.command.as_ref());
    let longest = commands.map(|c| c.whole().chars().count()).max().unwrap_or(1);
    let size = ((width - 12.0) / (MONO * small(longest))).clamp(LEAST_MONO, 8.0);
    for (n, step) in sheet.steps.iter().enumerate() {
        y = pen.paragraph((p.x, y), width, &format!("{}. {}", n + 1, step.says));
        for line in step.command.iter().flat_map(|c| broken(c, letters_in(width - 12.0, size))) {
            pen.say((p.x + 12.0, y), Font::Mono, size, &line);
            y += LEADING;
        }
        y += 3.0;
    }
    y
}

/// A command in lines of at most so many letters, which a shell reads as one.
fn broken(command: &Command, letters: usize) -> Vec<String> {
    let whole = command.whole();
    if whole.chars().count() <= letters {
        return vec![whole];
    }
    let mut lines = vec![format!("{} \\", command.head)];
    let mut rest: Vec<char> = command.tail.chars().collect();
    let quoted = rest.contains(&'\'');
    while rest.len() > letters {
        // Inside quotes a line goes on only outside them; an address holds no quote of its own.
        let end = if quoted { "'\\" } else { "\\" };
        let tail = rest.split_off(letters - end.len());
        lines.push(rest.into_iter().chain(end.chars()).collect());
        rest = if quoted { vec!['\''] } else { vec![] };
        rest.extend(tail);
    }
    lines.push(rest.into_iter().collect());
    lines
}

/// Bytes of the encoding the fonts are used with (Windows-1252); what it lacks becomes a question mark.
fn win_ansi(text: &str) -> Vec<u8> {
    text.chars().map(|c| byte(c).unwrap_or(b'?')).collect()
}

fn byte(c: char) -> Option<u8> {
    match c {
        ' '..='~' | '\u{a0}'..='\u{ff}' => u8::try_from(u32::from(c)).ok(),
        '€' => Some(0x80),
        '…' => Some(0x85),
        '‘' => Some(0x91),
        '’' => Some(0x92),
        '“' => Some(0x93),
        '”' => Some(0x94),
        '–' => Some(0x96),
        '—' => Some(0x97),
        _ => None,
    }
}

/// The first letter of a text that the page cannot show.
pub fn unprintable(text: &str) -> Option<char> {
    text.chars().find(|c| byte(*c).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_broken_command_as_the_whole_one() {
        for tail in [
            "--vault 's3://a-bucket/and/a/prefix?region=eu-central-1&endpoint=https://s3.example.org'",
            "--vault s3://a-bucket/and/a/prefix/that/goes/on/and/on/and/on",
        ] {
            let command = Command { head: "echo restore --to there".to_owned(), tail: tail.to_owned() };
            let said = |text: &str| {
                let ran = std::process::Command::new("sh").args(["-c", text]).output().unwrap();
                String::from_utf8(ran.stdout).unwrap()
            };
            let whole = said(&command.whole());
            assert!(whole.contains("prefix"));
            for letters in [20, 33, 60, 200] {
                let lines = broken(&command, letters.max(26));
                assert!(lines.iter().all(|l| l.chars().count() <= letters.max(26)), "{lines:?}");
                assert_eq!(said(&lines.join("\n")), whole, "{lines:?}");
            }
        }
    }

    #[test]
    fn letters_with_accents_are_shown_and_others_are_named() {
        assert_eq!(win_ansi("Größe …"), b"Gr\xf6\xdfe \x85");
        assert_eq!((unprintable("jörg@example.org"), unprintable("Łódź")), (None, Some('Ł')));
    }
}
