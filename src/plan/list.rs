//! Lists of numbers as the kernel writes them, such as `0-3,7` (`cpuset(7)`, "List format").

/// The numbers of a list in ascending order, each once; spaces around the parts do not count.
///
/// # Errors
/// Why the text is no such list, or that a number is above `last`.
pub(super) fn numbers(text: &str, last: u32) -> Result<Vec<u32>, String> {
    let number = |text: &str| {
        let digits = text.trim();
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = if plain { digits.parse::<u32>().ok() } else { None };
        match number {
            Some(number) if number <= last => Ok(number),
            _ if plain => Err(format!("{digits} is above {last}")),
            _ => Err(format!("{digits:?} is no number; a list is such as 0-3,7")),
        }
    };
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, end) = part.split_once('-').unwrap_or((part, part));
        let (first, end) = (number(first)?, number(end)?);
        if first > end {
            return Err(format!("the range {} goes backwards", part.trim()));
        }
        numbers.extend(first..=end);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_reads_them() {
        for (text, list) in [
            ("0", vec![0]),
            ("0-3,7", vec![0, 1, 2, 3, 7]),
            (" 7 , 1 - 2 ", vec![1, 2, 7]),
            ("2,1-3,2", vec![1, 2, 3]),
            ("10", vec![10]),
        ] {
            assert_eq!(numbers(text, 10), Ok(list), "{text:?}");
        }
        for text in ["", ",", "1,", "a", "1-", "-1", "3-1", "1-2-3", "11", "0-11", "+1", "99999999999"] {
            assert!(numbers(text, 10).is_err(), "{text:?}");
        }
    }
}
