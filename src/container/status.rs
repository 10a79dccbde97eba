//! The state of a container, as the kernel has it (OCI runtime, "State").

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::process::Process;
use super::record::Record;
use super::state::{Lock, StateDir};
use crate::cgroup;
use crate::enforce::receipt::{Layer, Receipt};
use crate::error::{Error, Kind, Result};
use crate::plan::{Change, PolicyInForce};

/// OCI runtime, "State", `status`; `paused` is what every runtime says of a frozen one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its creation is under way, or was interrupted.
    Creating,
    /// Ready, waiting for `start`.
    Created,
    /// The program runs.
    Running,
    /// It is frozen.
    Paused,
    /// It has ended.
    Stopped,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        })
    }
}

/// A container as it is found.
pub struct Found {
    /// Its directory.
    pub dir: StateDir,
    /// Its record.
    pub record: Record,
    /// Its process, if alive.
    pub process: Option<Process>,
    /// Its state.
    pub status: Status,
}

/// Opens a container and looks what it is doing.
///
/// # Errors
/// `NotFound` when there is none.
pub fn find(root: &Path, id: &str, lock: Lock) -> Result<Found> {
    let dir = StateDir::open(root, id, lock)?;
    let record = dir.load().map_err(|error| match error.kind {
        Kind::NotFound => {
            Error::new(Kind::WrongState, format!("container {id} was never created to the end"), "")
                .fix(format!("remove it with `sandrun delete --force {id}`"))
        }
        _ => error,
    })?;
    let process = record.process.map(Process::open).transpose()?.flatten();
    let status = match (&process, record.process) {
        (None, None) => Status::Creating,
        (None, Some(_)) => Status::Stopped,
        (Some(_), _) if dir.awaits_start() && !(record.paused && is_frozen(&record)) => Status::Created,
        (Some(_), _) if is_frozen(&record) => Status::Paused,
        (Some(_), _) => Status::Running,
    };
    Ok(Found { dir, record, process, status })
}

/// A cgroup that cannot be read is not known to be frozen.
fn is_frozen(record: &Record) -> bool {
    let frozen = || -> Result<bool> {
        let dirs = cgroup::Dirs::open(&record.cgroup, &cgroup::detect()?)?;
        cgroup::frozen(&dirs)
    };
    frozen().unwrap_or(false)
}

/// What cannot be read is not told.
fn oom_kills(record: &Record) -> Option<u64> {
    cgroup::detect().and_then(|layout| cgroup::oom_kills(&record.cgroup, &layout)).ok().flatten()
}

/// The JSON of `sandrun state`: what runc prints, and the receipt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Version of the OCI runtime specification.
    pub oci_version: &'static str,
    /// The container's id.
    pub id: String,
    /// The process, 0 when it has ended.
    pub pid: i32,
    /// What it is doing.
    pub status: Status,
    /// Absolute path of the bundle.
    pub bundle: String,
    /// Absolute path of the root filesystem.
    pub rootfs: String,
    /// When it was created, RFC 3339.
    pub created: String,
    /// Annotations of `config.json`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Name of the user who created it.
    pub owner: String,
    /// What is enforced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandrun: Option<Confinement>,
}

/// What sandrun adds to the state.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Confinement {
    /// The level in force.
    pub level: crate::level::Level,
    /// What was read back from the kernel.
    pub receipt: Receipt,
    /// How many of its processes the kernel has killed for want of memory; absent where it does not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
    /// The node policy it was judged by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyInForce>,
    /// What the level and the policy tightened.
    pub changes: Vec<Change>,
}

/// What annotations of the state begin with that tell what is enforced. A container cannot set any.
pub const RECEIPT: &str = "dev.sandrun.receipt.";

impl Confinement {
    /// The same for those who read annotations only: the level, and one for each layer, `enforced: …`.
    fn annotations(&self) -> impl Iterator<Item = (String, String)> {
        let level = (format!("{RECEIPT}level"), self.level.to_string());
        let layer = |layer: &Layer| {
            let name = layer.layer.replace(' ', "-");
            (format!("{RECEIPT}{name}"), format!("{}: {}", layer.state, layer.detail))
        };
        std::iter::once(level).chain(self.receipt.layers.iter().map(layer))
    }
}

/// The parts of a stored plan that the state shows.
#[derive(Default, Deserialize)]
struct Shown {
    changes: Vec<Change>,
    policy: Option<PolicyInForce>,
}

/// What the level tightened of a container; nothing where its plan cannot be read.
pub fn changes(dir: &StateDir) -> Vec<Change> {
    shown(dir).changes
}

fn shown(dir: &StateDir) -> Shown {
    dir.fetch("plan.json").unwrap_or_default()
}

impl Found {
    /// The state as it is printed; `complete` adds what sandrun knows beyond OCI.
    pub fn state(&self, complete: bool) -> State {
        let mut state = State::of(&self.record, self.status);
        if self.process.is_none() {
            state.pid = 0;
        }
        if complete {
            state.sandrun = self.confinement();
        }
        if let Some(sandrun) = &state.sandrun {
            state.annotations.extend(sandrun.annotations());
        }
        state
    }

    /// Nothing before there is a receipt.
    fn confinement(&self) -> Option<Confinement> {
        let Shown { changes, policy } = shown(&self.dir);
        Some(Confinement {
            level: self.record.level,
            receipt: self.dir.fetch("receipt.json").ok()?,
            oom_kills: oom_kills(&self.record),
            policy,
            changes,
        })
    }
}

impl State {
    /// What OCI wants to know of a container with a process.
    pub(super) fn of(record: &Record, status: Status) -> State {
        State {
            oci_version: crate::oci::OCI_VERSION,
            id: record.id.clone(),
            pid: record.process.map_or(0, |process| process.pid),
            status,
            bundle: record.bundle.clone(),
            rootfs: record.rootfs.clone(),
            created: record.created.clone(),
            annotations: own_annotations(record),
            owner: user_name(record.owner),
            sandrun: None,
        }
    }
}

/// Those of `config.json`, but for what would pass for a receipt.
fn own_annotations(record: &Record) -> BTreeMap<String, String> {
    let mut annotations = record.annotations.clone();
    annotations.retain(|name, _| !name.starts_with(RECEIPT));
    annotations
}

/// The name in `/etc/passwd`, else the number: static binaries have no name service.
pub fn user_name(uid: u32) -> String {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let named = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    named.unwrap_or(number)
}
