//! What will be true of the workload, decided before the first side effect.
//!
//! [`resolve`] is pure: the same configuration, level and host facts give the same bytes. Every field of
//! `config.json` ends in the plan, in [`Plan::changes`] (honoured, but tightened by the level), or in an error
//! that names it; nothing is dropped in silence. All refusals come at once.
//!
//! Not here: system calls, files, anything of `enforce`. A test holds that border.

pub mod caps;
pub mod cgroup;
pub mod checkpoint;
pub mod devices;
pub mod hooks;
pub mod landlock;
pub mod mounts;
pub mod namespaces;
pub mod process;
pub mod seccomp;
pub(crate) mod unsupported;
mod without_cgroup;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::level::Level;

pub use devices::Device;
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
    /// Device nodes, the default ones first.
    pub devices: Vec<Device>,
    /// Paths hidden behind an empty, read-only file or directory.
    pub masked_paths: Vec<String>,
    /// Paths mounted read-only over themselves.
    pub readonly_paths: Vec<String>,
    /// Kernel parameters (`sysctl(8)`), names with dots.
    pub sysctl: BTreeMap<String, String>,
    /// What the process itself is and may do; an exec gets one too.
    pub workload: Workload,
    /// Capabilities that `config.json` asks for: what an exec may ask for, too.
    pub asked_capabilities: caps::CapabilityMasks,
    /// The container's cgroup and its limits.
    pub cgroup: cgroup::Cgroup,
    /// Annotations of `config.json`, as they are.
    pub annotations: BTreeMap<String, String>,
    /// Programs that run at points of the container's life.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
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
    /// Fields of `config.json` that nobody knows; they are listed in the plan.
    pub unknown: &'a [String],
    /// The bundle's absolute path; `root.path` is relative to it.
    pub bundle: &'a Path,
    /// The level in force.
    pub level: Level,
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
    /// Do not use `pivot_root(2)` (`--no-pivot`), for a root filesystem on a ramdisk.
    pub no_pivot: bool,
    /// The root filesystem and all that is mounted below it read-only, without set-id programs and devices,
    /// from before the container's mounts are made: for a root filesystem that is the host's.
    pub sealed_root: bool,
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
    let config = input.config;
    let mut notes = Notes { refusals: unsupported::refusals(config), ..Notes::default() };
    note_unknown(input, &mut notes);
    let namespaces = namespaces::resolve(input, &mut notes);
    let rootfs = notes.collect(mounts::rootfs(input));
    let mut mounts = mounts::resolve(input, &namespaces, &mut notes);
    let devices = notes.collect(devices::resolve(config));
    let workload = process::container(input, &namespaces, &rootfs, &mounts, &mut notes);
    let cgroup = resolve_cgroup(input, &devices, &mut notes);
    let linux = config.linux().as_ref();
    let owned = |paths: Option<&Option<Vec<String>>>| paths.and_then(Clone::clone).unwrap_or_default();
    mounts::locate_cgroups(&mut mounts, &input.host.cgroup, &cgroup.path);
    let mut plan = Plan {
        version: VERSION,
        id: input.id.to_owned(),
        level: input.level,
        hostname: config.hostname().clone(),
        domainname: config.domainname().clone(),
        namespaces,
        rootfs,
        mounts,
        devices,
        masked_paths: owned(linux.map(|linux| linux.masked_paths())),
        readonly_paths: owned(linux.map(|linux| linux.readonly_paths())),
        sysctl: sysctl(linux.and_then(|linux| linux.sysctl().as_ref()), &mut notes),
        workload,
        asked_capabilities: caps::asked(config.process().as_ref().and_then(|it| it.capabilities().as_ref())),
        cgroup,
        annotations: config.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
        hooks: notes.collect(hooks::resolve(input)),
        changes: Vec::new(),
        absent: Vec::new(),
    };
    if input.level >= Level::Baseline {
        tighten_paths(&mut plan, &mut notes);
    }
    check(&plan, &mut notes);
    plan.changes = notes.changes;
    plan.absent = notes.absent;
    if notes.refusals.is_empty() { Ok(plan) } else { Err(refused(input.id, notes.refusals)) }
}

fn refused(id: &str, refusals: Vec<Error>) -> Error {
    let what = format!("cannot run container {id}");
    Error::all(&what, refusals).unwrap_or_else(|| Error::new(Kind::Failed, what, ""))
}

/// What nobody reads, among it the misspelt wishes to sandrun itself.
fn note_unknown(input: &Input<'_>, notes: &mut Notes) {
    let mut annotations: Vec<_> = input.config.annotations().iter().flat_map(HashMap::keys).collect();
    annotations.retain(|name| name.starts_with("dev.sandrun.") && *name != Level::ANNOTATION);
    annotations.sort();
    let annotations = annotations.into_iter().map(|name| format!("annotations[{name:?}]"));
    for field in input.unknown.iter().cloned().chain(annotations) {
        notes.change(&field, "is not known to this version, and has no effect");
    }
}

/// Names with dots; `/` separates as well.
fn sysctl(values: Option<&HashMap<String, String>>, notes: &mut Notes) -> BTreeMap<String, String> {
    let mut given: Vec<_> = values.into_iter().flatten().collect();
    given.sort();
    let mut sysctl = BTreeMap::new();
    for (name, value) in given {
        if sysctl.insert(name.replace('/', "."), value.clone()).is_some() {
            let what = format!("sysctl {name} is listed twice");
            notes.refusals.push(Error::new(Kind::Invalid, what, "").at(format!("linux.sysctl[{name:?}]")));
        }
    }
    sysctl
}

/// Paths of `/proc` and `/sys` that tell about or reach the host: what container engines hide, at least.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Paths of `/proc` that change the host.
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn tighten_paths(plan: &mut Plan, notes: &mut Notes) {
    let lists = [
        ("linux.maskedPaths", &mut plan.masked_paths, MASKED.as_slice()),
        ("linux.readonlyPaths", &mut plan.readonly_paths, READONLY.as_slice()),
    ];
    for (at, list, least) in lists {
        let missing: Vec<&str> =
            least.iter().copied().filter(|path| !list.iter().any(|own| own == path)).collect();
        if !missing.is_empty() {
            notes.change(at, format!("{} added", missing.join(", ")));
            list.extend(missing.into_iter().map(str::to_owned));
        }
    }
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
            let devices =
                cgroup::Devices { gate: cgroup::DeviceGate::None, rules: Vec::new(), list: Vec::new() };
            cgroup::Cgroup { path: String::new(), settings: Vec::new(), devices, ignored: Vec::new() }
        }
    }
}

/// What only shows when the parts are together.
fn check(plan: &Plan, notes: &mut Notes) {
    let own_uts = plan.namespaces.is_new(namespaces::NamespaceKind::Uts)
        || plan.namespaces.is_joined(namespaces::NamespaceKind::Uts);
    for (at, name) in [("hostname", &plan.hostname), ("domainname", &plan.domainname)] {
        if name.as_ref().is_some_and(|name| !name.is_empty()) && !own_uts {
            notes.refusals.push(
                Error::new(
                    Kind::Invalid,
                    format!("a {at} without a UTS namespace"),
                    "it would be the host's",
                )
                .at(at)
                .fix("add {\"type\": \"uts\"} to linux.namespaces, or remove the name"),
            );
        }
    }
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
    notes.refusals.extend(plan.sysctl.keys().filter_map(|name| check_sysctl(plan, name)));
}

/// Only parameters that belong to a namespace of the container; any other would change the host.
fn check_sysctl(plan: &Plan, name: &str) -> Option<Error> {
    use namespaces::NamespaceKind::{Ipc, Network, User, Uts};
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let own = |kind| plan.namespaces.is_new(kind) || plan.namespaces.is_joined(kind);
    let needed = match name {
        _ if name.split('.').any(str::is_empty) => None,
        _ if IPC.contains(&name) || name.starts_with("fs.mqueue.") => Some(Ipc),
        _ if name.starts_with("net.") => Some(Network),
        _ if name.starts_with("user.") => Some(User),
        "kernel.domainname" | "kernel.hostname" => Some(Uts),
        _ => None,
    };
    let error = |why: String| {
        Some(
            Error::new(Kind::Invalid, format!("sysctl {name} cannot be set"), why)
                .at(format!("linux.sysctl[\"{name}\"]")),
        )
    };
    match needed {
        None => error("it is not one of a namespace, so it would change the host".to_owned()),
        Some(kind) if !own(kind) => error(format!("the container has no {kind} namespace of its own"))
            .map(|error| error.fix(format!("add {{\"type\": \"{kind}\"}} to linux.namespaces"))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
