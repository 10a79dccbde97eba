//! The record of a container: what has to be known of it across processes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::level::Level;
use crate::plan::Hooks;
use crate::plan::cgroup::Unit;
use crate::policy::form::Layer;

/// The version of the record; another one is refused.
pub(super) const VERSION: u32 = 1;

/// What is known of a container across processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Version of this form, 1.
    pub version: u32,
    /// The id.
    pub id: String,
    /// Absolute path of the bundle.
    pub bundle: String,
    /// Absolute path of the root filesystem on the host.
    pub rootfs: String,
    /// When it was created, RFC 3339 with nanoseconds.
    pub created: String,
    /// User id of who created it.
    pub owner: u32,
    /// Level in force.
    pub level: Level,
    /// Whether it is mounted there by us.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mounts_rootfs: bool,
    /// Path of its cgroup below the root of each hierarchy; empty where the caller could make none.
    pub cgroup: String,
    /// The first of the host's ids that are its alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_ids: Option<u32>,
    /// Directories in the resctrl filesystem that go with it, below the mount, the inner one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resctrl: Vec<String>,
    /// The unit that systemd has for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// The container's process, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// Whether it was paused before its program ran: else nobody looks for that, and `start` is quick.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Whether it is in a pid namespace of others, which does not end with its first process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shares_pids: bool,
    /// Layers that the node policy requires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<Layer>,
    /// Annotations of `config.json`.
    pub annotations: BTreeMap<String, String>,
    /// Hooks that are still to come.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
}

impl Record {
    /// The record of a container that has no process yet.
    pub fn new(id: &str, bundle: &Path, level: Level) -> Self {
        Self {
            version: VERSION,
            id: id.to_owned(),
            bundle: bundle.to_string_lossy().into_owned(),
            rootfs: String::new(),
            mounts_rootfs: false,
            created: crate::time::now(),
            owner: rustix::process::geteuid().as_raw(),
            level,
            cgroup: String::new(),
            private_ids: None,
            resctrl: Vec::new(),
            unit: None,
            process: None,
            paused: false,
            shares_pids: false,
            required: Vec::new(),
            annotations: BTreeMap::new(),
            hooks: Hooks::default(),
        }
    }
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessId {
    /// Number in the pid namespace of whoever created the container.
    pub pid: i32,
    /// Start time in clock ticks since boot (`proc_pid_stat(5)`, field 22).
    pub start_time: u64,
}
