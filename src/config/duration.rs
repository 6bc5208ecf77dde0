//! Lengths of time as people write them: `30s`, `1h`, `2d`, `1h 30m`, `500ms`, and a bare `0`.
//!
//! Units: `ms`, `s`, `m` or `min`, `h`, `d` (24 hours), `w` (7 days).

use std::time::Duration;

/// About 100 years: anything longer is a slip of the hand, and sums of bounded ones cannot overflow.
const LONGEST: Duration = Duration::from_secs(36_525 * 86_400);

/// The error says what would be right.
pub fn parse(text: &str) -> Result<Duration, String> {
    sum(text.trim())
        .filter(|d| *d <= LONGEST)
        .ok_or_else(|| format!("'{text}' is not a length of time; write it like \"30s\", \"15m\", \"6h\" or \"2d\""))
}

fn sum(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let after = rest[digits..].trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let one = unit(&after[..letters])?;
        total = total.checked_add(one.checked_mul(u32::try_from(number).ok()?)?)?;
        rest = after[letters..].trim_start();
    }
    (!text.is_empty()).then_some(total)
}

fn unit(letters: &str) -> Option<Duration> {
    Some(match letters {
        "ms" => Duration::from_millis(1),
        "s" | "sec" => Duration::from_secs(1),
        "m" | "min" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        "d" => Duration::from_secs(86_400),
        "w" => Duration::from_secs(7 * 86_400),
        _ => return None,
    })
}

/// Text that [`parse`] reads back to the same whole milliseconds: the largest unit that divides it.
pub fn text(length: Duration) -> String {
    let ms = length.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms != 0 && ms.is_multiple_of(size) {
            return format!("{}{unit}", ms / size);
        }
    }
    if ms == 0 { "0s".to_owned() } else { format!("{ms}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_read_the_units_people_use() {
        for (text, ms) in [
            ("30s", 30_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("15 min", 900_000),
            ("1w", 604_800_000),
            ("250ms", 250),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_length_is_refused_with_an_example() {
        for bad in ["", " ", "30", "s", "-1s", "1.5h", "1 fortnight", "99999999999d", "200000d", "1h 5", "ä"] {
            assert!(parse(bad).is_err_and(|e| e.contains("\"30s\"")), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ms in 0..4_000_000_000u64) {
            let length = Duration::from_millis(ms);
            prop_assert_eq!(parse(&text(length)), Ok(length));
        }
    }
}
