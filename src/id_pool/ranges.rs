//! Which ids are in the pool (`subuid(5)`, `subgid(5)`).

use std::io::ErrorKind;

use crate::error::{Context, Error, Kind, Result};
use crate::plan::namespaces::private_ids::RANGE;

/// The user whose lines in `/etc/subuid` and `/etc/subgid` are the pool.
const USER: &str = "sandrun";

/// Without such lines: 2046 ranges that nobody hands out. Below are the ids of systemd-nspawn (up to 1879048191),
/// those that shadow gives to users (up to 600100000), and what SSSD and FreeIPA make of domain accounts (up to
/// 2000200000); above are systemd's foreign ids (from 2147352576 on), and what programs take for negative.
const DEFAULT: Span = Span { first: 0x7800_0000, ranges: 0x7ffe - 0x7800 };

/// Ranges that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: u32,
    ranges: u32,
}

/// All ranges of the pool, none of which overlaps another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranges {
    spans: Vec<Span>,
    source: &'static str,
}

impl Ranges {
    pub fn of_host() -> Result<Self> {
        let read = |path: &str| match std::fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            text => text.context(|| format!("cannot read {path}")),
        };
        Self::from_files(&read("/etc/subuid")?, &read("/etc/subgid")?)
    }

    /// One number is a container's first user id and its first group id, so both files must give it.
    pub fn from_files(subuid: &str, subgid: &str) -> Result<Self> {
        let uids = lines(subuid, "/etc/subuid")?;
        let gids = lines(subgid, "/etc/subgid")?;
        let invalid = |why: &str| {
            Error::new(Kind::Invalid, format!("the ids of user {USER} cannot be used"), why).fix(format!(
                "give {USER} the same lines in /etc/subuid and /etc/subgid, each of {RANGE} ids or a multiple, \
                 or none at all"
            ))
        };
        if uids != gids {
            return Err(invalid("/etc/subuid and /etc/subgid do not have the same lines for it"));
        }
        if uids.is_empty() {
            return Ok(Self { spans: vec![DEFAULT], source: "the default pool" });
        }
        let spans: Vec<Span> =
            uids.iter().map(|&(first, count)| Span { first, ranges: count / RANGE }).collect();
        if spans.iter().all(|span| span.ranges == 0) {
            return Err(invalid(&format!("no line has {RANGE} ids")));
        }
        let mut last: Option<(u32, u32)> = None;
        for &(first, count) in &uids {
            if first == 0 || first.checked_add(count).is_none() {
                return Err(invalid(&format!("{USER}:{first}:{count} are not ids to give away")));
            }
            if last.is_some_and(|(before, count)| first < before + count) {
                return Err(invalid("two lines overlap"));
            }
            last = Some((first, count));
        }
        Ok(Self { spans, source: "/etc/subuid" })
    }

    /// How many ranges there are.
    pub fn count(&self) -> u32 {
        self.spans.iter().map(|span| span.ranges).sum()
    }

    /// The first id of a range, by its place among all.
    pub fn first_id(&self, index: u32) -> u32 {
        let mut index = index;
        for span in &self.spans {
            if index < span.ranges {
                return span.first + index * RANGE;
            }
            index -= span.ranges;
        }
        DEFAULT.first
    }

    /// Where they are from, for people.
    pub fn source(&self) -> &'static str {
        self.source
    }
}

/// The lines of the user, in the order of their ids: first id and how many.
fn lines(text: &str, path: &str) -> Result<Vec<(u32, u32)>> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Some(range) = line.strip_prefix(USER).and_then(|rest| rest.strip_prefix(':')) else { continue };
        let numbers =
            range.split_once(':').map(|(first, count)| (first.trim().parse(), count.trim().parse()));
        let Some((Ok(first), Ok(count))) = numbers else {
            return Err(Error::new(Kind::Invalid, format!("cannot understand {path}"), format!("{line:?}"))
                .fix(format!("write {USER}:FIRST:COUNT, as subuid(5) has it")));
        };
        found.push((first, count));
    }
    found.sort_unstable();
    Ok(found)
}
