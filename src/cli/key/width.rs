//! How wide Helvetica's letters are, in thousandths of the font's size: from Adobe's public font metrics of the standard
//! PDF fonts (Helvetica.afm). Readers that have another font of that name have one of the same widths.

/// Of the characters from space to tilde.
const ASCII: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
];
/// Of what is not there, the widest of letters with accents: a line may come out short, never too long.
const OTHER: u16 = 778;

/// Of a text at a size, in the size's unit.
pub fn of(text: &str, size: f32) -> f32 {
    let units: u32 = text.chars().map(|c| u32::from(letter(c))).sum();
    #[expect(clippy::cast_precision_loss, reason = "a line of text is far below 2^24 units")]
    let units = units as f32;
    units * size / 1000.0
}

fn letter(c: char) -> u16 {
    let at = u32::from(c).checked_sub(32).and_then(|n| usize::try_from(n).ok());
    at.and_then(|n| ASCII.get(n)).copied().unwrap_or(OTHER)
}

/// Lines of whole words, each at most this wide; a word that is wider stands alone.
pub fn wrapped(text: &str, size: f32, width: f32) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if of(line, size) + of(" ", size) + of(word, size) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_its_column_and_no_word_is_lost() {
        let text = "Whoever has these words and can reach the place beside reads everything; Ärger kostet Geld.";
        for width in [40.0, 80.0, 120.0, 500.0] {
            let lines = wrapped(text, 8.0, width);
            assert_eq!(lines.join(" "), text);
            assert!(lines.iter().all(|l| of(l, 8.0) <= width || !l.contains(' ')), "{lines:?}");
        }
        assert!((of("Hamburg", 10.0) - 41.12).abs() < 0.01, "7.22 + 5.56 + 8.33 + 5.56 + 5.56 + 3.33 + 5.56 points");
    }
}
