//! Sizes and rates with the units people use.
//!
//! Sizes: `25 MiB`, `512MB`, `1.5 GB`, `900` (bytes). Rates: `2 Mbit/s`, `800 kbit/s`, `2 MB/s`, `1 MiB/s`,
//! and `none` where "no limit" may be said. Decimal units are powers of 1000, binary ones of 1024.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// Bytes per second, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(std::num::NonZeroU64);

impl Size {
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }
}

impl Rate {
    pub fn bytes_per_second(n: u64) -> Option<Self> {
        std::num::NonZeroU64::new(n).map(Self)
    }
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// A number and the letters after it; None where there is no number, or it is negative or not finite.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..at].parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some((number, text[at..].trim()))
}

fn byte_unit(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    })
}

fn bit_unit(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "bit" => 1.0,
        "kbit" => 1e3,
        "mbit" => 1e6,
        "gbit" => 1e9,
        _ => return None,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked against the range first")]
fn whole(bytes: f64) -> Option<u64> {
    (bytes < 9.0e18).then_some(bytes.round() as u64)
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        split(text)
            .and_then(|(n, unit)| whole(n * byte_unit(unit)?))
            .map(Self)
            .ok_or_else(|| format!("'{text}' is not a size; write it like \"25 MiB\" or \"512 MB\""))
    }
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let (n, unit) = split(text)?;
            let per_second = unit.strip_suffix("/s").or_else(|| unit.strip_suffix("ps")).or(if unit.is_empty() {
                Some("")
            } else {
                None
            })?;
            let per_second = per_second.trim();
            let bytes = match bit_unit(per_second) {
                Some(bits) => n * bits / 8.0,
                None => n * byte_unit(per_second)?,
            };
            Rate::bytes_per_second(whole(bytes)?)
        };
        parsed()
            .ok_or_else(|| format!("'{text}' is not a rate; write it like \"2 Mbit/s\", \"800 kbit/s\" or \"2 MB/s\""))
    }
}

/// Three significant digits and a decimal unit: `24.8 MB`.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn human(n: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match (unit, value) {
        (0, _) => write!(f, "{n} B"),
        (_, v) if v < 9.995 => write!(f, "{v:.2} {}", UNITS[unit]),
        (_, v) if v < 99.95 => write!(f, "{v:.1} {}", UNITS[unit]),
        (_, v) => write!(f, "{v:.0} {}", UNITS[unit]),
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        human(self.0, f)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        human(self.get(), f)?;
        f.write_str("/s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_the_units_people_use() {
        for (text, bytes) in
            [("900", 900), ("25 MiB", 25 << 20), ("512MB", 512_000_000), ("1.5 kB", 1500), ("0", 0), ("2g", 2 << 30)]
        {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for bad in ["", "MB", "-1", "1 lightyear", "1e99 GB", "25 MiB/s"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_read_bits_and_bytes_and_refuse_nothing_per_second() {
        for (text, bytes) in [
            ("2 Mbit/s", 250_000),
            ("800 kbit/s", 100_000),
            ("2 MB/s", 2_000_000),
            ("1 MiB/s", 1 << 20),
            ("16kbit/s", 2_000),
        ] {
            assert_eq!(text.parse::<Rate>().map(Rate::get), Ok(bytes), "{text}");
        }
        for bad in ["0", "0 MB/s", "2 MB", "fast", "2 Mbit/h"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_print_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_500, "1.50 kB"),
            (24_800_000, "24.8 MB"),
            (999_999, "1.00 MB"),
            (123_400_000_000, "123 GB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
