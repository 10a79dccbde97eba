//! Stands in for the `regex` crate, of which oci-spec uses one pattern: a CPU list such as `0-3,7`.
//!
//! Any other pattern is an error, so a new use in oci-spec shows in its first call.

use std::fmt;

const CPU_LIST: &str = r"^(\d+(-\d+)?)(,\d+(-\d+)?)*$";

/// The pattern of a CPU list (`cpuset(7)`, "List format").
pub struct Regex;

/// A pattern this stand-in does not know.
#[derive(Debug)]
pub struct Error(String);

impl Regex {
    /// Accepts the one known pattern.
    pub fn new(pattern: &str) -> Result<Regex, Error> {
        if pattern == CPU_LIST { Ok(Regex) } else { Err(Error(pattern.to_owned())) }
    }

    /// Whether `text` is a list of CPU numbers and ranges.
    pub fn is_match(&self, text: &str) -> bool {
        text.split(',').all(|part| match part.split_once('-') {
            Some((first, last)) => is_number(first) && is_number(last),
            None => is_number(part),
        })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no stand-in for the pattern {:?}", self.0)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists() {
        let list = Regex::new(CPU_LIST).unwrap();
        assert!(["0", "0-3", "0-3,7", "1,2,10-11"].iter().all(|text| list.is_match(text)));
        assert!(["", "a", "1-", "-1", "1,,2", "1-2-3", " 1"].iter().all(|text| !list.is_match(text)));
    }

    #[test]
    fn other_patterns_are_refused() {
        assert!(Regex::new("a+").is_err());
    }
}
