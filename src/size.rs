//! Sizes as people write them.

/// Bytes as go-units reads them, which runc uses: a number, a unit of 1024 (`k`, `M`, `G`, `T`, `P`, also `Mb` and
/// `MiB`), and −1.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<i64, String> {
    let bad = || format!("{text:?} is no size such as 67108864, 64M or -1");
    if text == "-1" {
        return Ok(-1);
    }
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = lower.strip_prefix(digits).unwrap_or_default();
    let unit = unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(unit);
    let power = match (unit, lower.ends_with("ib")) {
        ("", false) => 0,
        (letter, _) => {
            1 + ["k", "m", "g", "t", "p"].iter().position(|known| *known == letter).ok_or_else(bad)?
        }
    };
    let factor = 1i64.checked_shl(10 * power as u32).ok_or_else(bad)?;
    let digits = digits.trim_end();
    if let Ok(whole) = digits.parse::<i64>() {
        return whole.checked_mul(factor).filter(|bytes| *bytes >= 0).ok_or_else(bad);
    }
    let number: f64 =
        digits.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0).ok_or_else(bad)?;
    #[allow(clippy::cast_precision_loss)] // a power of two
    let bytes = number * factor as f64;
    #[allow(clippy::cast_possible_truncation)] // checked
    if bytes < 2f64.powi(63) { Ok(bytes as i64) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::parse as size;

    #[test]
    fn sizes_are_those_of_go_units() {
        for (text, bytes) in [
            ("0", 0),
            ("-1", -1),
            ("67108864", 64 << 20),
            ("32b", 32),
            ("32k", 32 << 10),
            ("32KB", 32 << 10),
            ("32 Mb", 32 << 20),
            ("64MiB", 64 << 20),
            ("1.5g", 3 << 29),
            ("2T", 2 << 40),
            ("1p", 1 << 50),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "-2", "x", "1x", "1ib", "M", "--1", "1kk", "nan", "inf", "1e400", "9999999p", "1,5M"]
        {
            assert!(size(text).is_err(), "{text:?} became {:?}", size(text));
        }
    }
}
