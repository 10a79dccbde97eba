//! What will be true of the workload, decided before the first side effect.
//!
//! [`resolve`] is pure: the same configuration, level and host facts give the same bytes. Every field of
//! `config.json` ends in the plan, in [`Plan::changes`] (honoured, but tightened by the level), or in an error
//! that names it; nothing is dropped in silence. All refusals come at once.
//!
//! Not here: system calls, files, anything of `enforce`. A test holds that border.

pub mod annotations;
pub mod caps;
pub mod cgroup;
pub mod checkpoint;
pub mod devices;
mod draft;
pub mod hooks;
pub mod intel_rdt;
pub mod landlock;
mod list;
pub mod memory_policy;
pub mod mounts;
pub mod namespaces;
pub mod net_devices;
mod others_network;
mod paths;
mod personality;
pub mod process;
pub mod scheduling;
pub mod seccomp;
pub mod sysctl;
pub mod within;
mod without_cgroup;
mod without_mounts;
pub mod write_xor_execute;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::level::Level;

pub use annotations::Loosening;
pub use devices::Device;
pub use draft::{Draft, PolicyInForce};
pub use hooks::Hooks;
pub use mounts::{Mount, Rootfs};
pub use namespaces::Namespaces;
pub use process::Workload;

/// The newest version of the OCI runtime-spec whose fields are known.
pub const OCI_VERSION: &str = "1.3.0";

/// The version of the plan's JSON; a stored plan of another version is refused.
pub const VERSION: u32 = 1;

/// The plan of one container, fully resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// The level in force.
    pub level: Level,
    /// Namespaces made and joined.
    pub namespaces: Namespaces,
    /// Host name inside, where the UTS namespace is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// NIS domain name inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// The root filesystem.
    pub rootfs: Rootfs,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// SELinux label of filesystems that are made for the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_label: Option<String>,
    /// Device nodes, the default ones first.
    pub devices: Vec<Device>,
    /// Paths hidden behind an empty, read-only file or directory.
    pub masked_paths: Vec<String>,
    /// Paths mounted read-only over themselves.
    pub readonly_paths: Vec<String>,
    /// Kernel parameters (`sysctl(8)`), names with dots.
    pub sysctl: BTreeMap<String, String>,
    /// Those of a network in which the container's root has no rights, which the host's side sets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub network_sysctl: BTreeMap<String, String>,
    /// Network devices of the host to move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub net_devices: Vec<net_devices::NetDevice>,
    /// The group of the resctrl filesystem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intel_rdt: Option<intel_rdt::IntelRdt>,
    /// What the process itself is and may do; an exec gets one too.
    pub workload: Workload,
    /// The CPUs of an exec that does not ask for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_cpu_affinity: Option<scheduling::CpuAffinity>,
    /// Capabilities that `config.json` asks for: what an exec may ask for, too.
    pub asked_capabilities: caps::CapabilityMasks,
    /// The container's cgroup and its limits.
    pub cgroup: cgroup::Cgroup,
    /// Annotations of `config.json`, as they are.
    pub annotations: BTreeMap<String, String>,
    /// Programs that run at points of the container's life.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// The node policy it was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyInForce>,
    /// What the level tightened.
    pub changes: Vec<Change>,
    /// Layers that this host cannot enforce, with the reason.
    pub absent: Vec<Absent>,
}

/// One thing that is not as `config.json` says, because the level is stricter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The field.
    pub at: String,
    /// What was changed, and to what.
    pub what: String,
}

/// A layer that the level wants and this host does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// `landlock`, `cgroup`, …
    pub layer: String,
    /// Why not, and which kernel or setting has it.
    pub why: String,
}

/// Everything a plan is made from.
pub struct Input<'a> {
    /// The container's id.
    pub id: &'a str,
    /// `config.json`, parsed.
    pub config: &'a Spec,
    /// `process.terminal` and other values may be overridden by the command line; these are.
    pub options: Options,
    /// `linux.resources.pids.limit` as it is written, where it is: the typed form cannot tell 0 from nothing.
    pub pids_limit: Option<i64>,
    /// `process.landlock` as it is written: no version of the specification has it yet.
    pub landlock: Option<&'a Value>,
    /// Fields of `config.json` that nobody knows; they are listed in the plan.
    pub unknown: &'a [String],
    /// The bundle's absolute path; `root.path` is relative to it.
    pub bundle: &'a Path,
    /// The level in force.
    pub level: Level,
    /// What the node policy lets loosen.
    pub loosening: Loosening,
    /// What this host can do.
    pub host: &'a Host,
}

/// Choices of the command line that change the plan.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Keep the caller's session keyring (`--no-new-keyring`).
    pub keep_keyring: bool,
    /// Descriptors above standard error that the process inherits (`--preserve-fds`).
    pub preserve_fds: u32,
    /// Sockets that the caller was started with, below those, and hands on (`LISTEN_FDS`).
    pub listen_fds: Option<NonZeroU32>,
    /// Do not use `pivot_root(2)` (`--no-pivot`), for a root filesystem on a ramdisk.
    pub no_pivot: bool,
    /// The systemd that makes the cgroup (`--systemd-cgroup`).
    pub manager: Option<cgroup::Manager>,
    /// The root filesystem and all that is mounted below it read-only, without set-id programs and devices,
    /// from before the container's mounts are made: for a root filesystem that is the host's.
    pub sealed_root: bool,
    /// The network namespace that config.json names is the caller's own.
    pub joins_callers_network: bool,
    /// Ports of TCP that may be bound to (`--tcp-bind`), as the annotation has them.
    pub tcp_bind: Option<String>,
    /// Ports of TCP that may be connected to (`--tcp-connect`).
    pub tcp_connect: Option<String>,
    /// Landlock rules as LandlockConfig JSON: what is in the file of `--landlock`.
    pub landlock: Option<String>,
    /// User ids of the container's own wherever that is possible, as at level `strict`.
    pub prefer_private_ids: bool,
    /// The user namespace of those whose namespaces config.json names, where it is not the host's.
    pub pod: Option<namespaces::private_ids::Pod>,
    /// What the root filesystem is mounted from, by the runtime; nothing where it is there already.
    pub rootfs: Vec<mounts::stack::Asked>,
    /// User ids of the container's own, or the host's (`--private-ids`); absent for what annotation and level say.
    pub private_ids: Option<bool>,
}

impl Options {
    /// How many descriptors the process inherits, and how many of them it is told of.
    fn descriptors(&self) -> (u32, Option<NonZeroU32>) {
        (self.preserve_fds.saturating_add(self.listen_fds.map_or(0, NonZeroU32::get)), self.listen_fds)
    }
}

/// What the parts of a plan add to it beside their own value.
#[derive(Default)]
struct Notes {
    changes: Vec<Change>,
    absent: Vec<Absent>,
    refusals: Vec<Error>,
}

impl Notes {
    fn change(&mut self, at: &str, what: impl Into<String>) {
        self.changes.push(Change { at: at.to_owned(), what: what.into() });
    }

    fn absent(&mut self, layer: &str, why: impl Into<String>) {
        self.absent.push(Absent { layer: layer.to_owned(), why: why.into() });
    }

    /// Keeps a part's refusals, and goes on with a stand-in so that all parts get to speak.
    fn collect<T: Default>(&mut self, result: Result<T, Vec<Error>>) -> T {
        result.unwrap_or_else(|refusals| {
            self.refusals.extend(refusals);
            T::default()
        })
    }
}

/// Decides everything about a container.
///
/// # Errors
/// All reasons why `config.json` cannot be honoured on this host, joined into one error.
pub fn resolve(input: &Input<'_>) -> Result<Plan> {
    draft(input).finish()
}

/// The same, with the reasons one by one, for who has more of them.
pub fn draft(input: &Input<'_>) -> Draft {
    let config = input.config;
    let mut notes = Notes::default();
    annotations::note_unknown(input, &mut notes);
    let namespaces = namespaces::resolve(input, &mut notes);
    let mut rootfs = notes.collect(mounts::rootfs(input));
    let mut mounts = mounts::resolve(input, &namespaces, &mut notes);
    mounts::map_private_ids(input, &namespaces, &mut rootfs, &mut mounts);
    let devices = devices::resolve(input, &namespaces, &mut notes);
    write_xor_execute::resolve(input, &devices, &mut rootfs, &mut mounts, &mut notes);
    let mut workload = process::container(input, &namespaces, &rootfs, &mounts, &mut notes);
    let mut sysctl = sysctl::resolve(input, &namespaces, &mut notes);
    let mut uts_name = |field, value| sysctl::uts_name(field, value, &namespaces, &mut sysctl, &mut notes);
    let hostname = uts_name("hostname", config.hostname().as_ref());
    let domainname = uts_name("domainname", config.domainname().as_ref());
    let network_sysctl = others_network::resolve(&namespaces, &mut sysctl, &mut mounts, &mut notes);
    let net_devices = net_devices::resolve(input, &namespaces, &mut notes);
    let intel_rdt = intel_rdt::resolve(input, &mut notes);
    let cgroup = resolve_cgroup(input, &devices, &mut notes);
    let linux = config.linux().as_ref();
    mounts::locate_cgroups(&mut mounts, &input.host.cgroup, &cgroup.path, &mut notes);
    let mut plan = Plan {
        version: VERSION,
        id: input.id.to_owned(),
        level: input.level,
        hostname,
        domainname,
        namespaces,
        rootfs,
        mounts,
        mount_label: mounts::label(input),
        devices,
        masked_paths: paths::resolve(
            "linux.maskedPaths",
            linux.map(|linux| linux.masked_paths()),
            &mut notes,
        ),
        readonly_paths: paths::resolve(
            "linux.readonlyPaths",
            linux.map(|linux| linux.readonly_paths()),
            &mut notes,
        ),
        sysctl,
        network_sysctl,
        net_devices,
        intel_rdt,
        exec_cpu_affinity: workload.cpu_affinity.take(),
        workload,
        asked_capabilities: caps::asked_by(config),
        cgroup,
        annotations: config.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
        hooks: notes.collect(hooks::resolve(input)),
        policy: None,
        changes: Vec::new(),
        absent: Vec::new(),
    };
    if input.level >= Level::Baseline {
        paths::tighten(&mut plan, &mut notes);
    }
    without_mounts::resolve(input, &mut plan, &mut notes);
    check(&plan, &mut notes);
    plan.changes = notes.changes;
    plan.absent = notes.absent;
    Draft { plan, refusals: notes.refusals }
}

/// Processes a container may have unless it says otherwise; the limit that podman has proven in the field.
const DEFAULT_PIDS_LIMIT: i64 = 2048;

fn resolve_cgroup(input: &Input<'_>, devices: &[Device], notes: &mut Notes) -> cgroup::Cgroup {
    let linux = input.config.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().as_ref()).map(|path| path.to_string_lossy());
    let nodes: Vec<_> = devices.iter().filter_map(Device::as_cgroup_node).collect();
    let request = cgroup::Request {
        id: input.id,
        path: path.as_deref(),
        delegated: input.host.delegated_cgroup.as_deref(),
        manager: input.options.manager.as_ref(),
        resources: linux.and_then(|linux| linux.resources().as_ref()),
        pids_limit: input.pids_limit,
        default_pids_limit: (input.level >= Level::Baseline).then_some(DEFAULT_PIDS_LIMIT),
        nodes: &nodes,
    };
    match cgroup::resolve(&request, &input.host.cgroup) {
        Ok(cgroup) => {
            for ignored in &cgroup.ignored {
                notes.change(&ignored.at, format!("has no effect here: {}", ignored.why));
            }
            cgroup
        }
        Err(refusals) => {
            notes.refusals.extend(refusals);
            cgroup::Cgroup::default()
        }
    }
}

/// What only shows when the parts are together.
fn check(plan: &Plan, notes: &mut Notes) {
    for (at, list) in [("maskedPaths", &plan.masked_paths), ("readonlyPaths", &plan.readonly_paths)] {
        for (i, path) in list.iter().enumerate() {
            if !Path::new(path).is_absolute() || path.split('/').any(|part| part == "..") {
                notes.refusals.push(
                    Error::new(Kind::Invalid, format!("path {path:?} is not absolute and plain"), "")
                        .at(format!("linux.{at}[{i}]")),
                );
            }
        }
    }
    let notifies = plan.workload.seccomp.iter().any(|filter| filter.listener.is_some());
    if notifies && !plan.hooks.at(hooks::Point::StartContainer).is_empty() {
        notes.refusals.push(
            Error::new(
                Kind::Unsupported,
                "startContainer hooks with SCMP_ACT_NOTIFY",
                "no agent is told of their calls",
            )
            .at("hooks.startContainer")
            .fix("use createContainer hooks, or another action"),
        );
    }
}

#[cfg(test)]
pub(crate) mod tests;
