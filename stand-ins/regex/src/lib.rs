//! Stands in for the `regex` crate, of which our dependencies use a few short patterns: the same interface, from the
//! same authors, without the tables of Unicode and the faster engines.

pub use regex_lite::*;

#[cfg(test)]
mod tests {
    use super::*;

    /// The one pattern of oci-spec: a list of CPUs (`cpuset(7)`, "List format").
    #[test]
    fn cpu_lists() {
        let list = Regex::new(r"^(\d+(-\d+)?)(,\d+(-\d+)?)*$").unwrap();
        assert!(["0", "0-3", "0-3,7", "1,2,10-11"].iter().all(|text| list.is_match(text)));
        assert!(["", "a", "1-", "-1", "1,,2", "1-2-3", " 1", "1\n"].iter().all(|text| !list.is_match(text)));
    }
}
