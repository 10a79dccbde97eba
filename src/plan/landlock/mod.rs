//! Landlock domains (`landlock(7)`, Linux 5.13): what no process of the container reaches, whatever it gets hold of.

mod derived;

use serde::{Deserialize, Serialize};

pub(super) use derived::derive as resolve;

/// A ruleset, in the bits of `linux/landlock.h`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Landlock {
    /// The ABI the ruleset was made for.
    pub abi: u32,
    /// Rights that are denied unless a rule grants them.
    pub handled_access_fs: u64,
    /// Scopes that end at the domain's border.
    pub scoped: u64,
    /// What is granted beneath which path.
    pub path_beneath: Vec<PathBeneath>,
}

/// Rights beneath one path of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathBeneath {
    /// The container's root, or a mount point in it.
    pub path: String,
    /// The rights.
    pub allowed_access: u64,
}

/// Every filesystem right of an ABI.
fn rights(abi: u32) -> u64 {
    let count = match abi {
        0 => 0,
        1 => 13,
        2 => 14,
        3 | 4 => 15,
        _ => 16,
    };
    (1 << count) - 1
}
