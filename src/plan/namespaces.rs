//! Namespaces (OCI config-linux, "Namespaces"; `namespaces(7)`).

use std::fmt;

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType};
use serde::{Deserialize, Serialize};

use super::{Input, Notes};
use crate::error::{Error, Kind};
use crate::level::Level;

/// The kinds of namespaces, by their names in `config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceKind {
    /// User and group ids, capabilities, keys (`user_namespaces(7)`).
    User,
    /// Process ids (`pid_namespaces(7)`).
    Pid,
    /// Network devices, stacks, ports, abstract sockets (`network_namespaces(7)`).
    Network,
    /// System V IPC and POSIX message queues (`ipc_namespaces(7)`).
    Ipc,
    /// Host and NIS domain name (`uts_namespaces(7)`).
    Uts,
    /// Mounts (`mount_namespaces(7)`).
    Mount,
    /// The root that is seen of the cgroup hierarchy (`cgroup_namespaces(7)`).
    Cgroup,
    /// Monotonic and boot-time clocks (`time_namespaces(7)`, Linux 5.6).
    Time,
}

impl NamespaceKind {
    /// Every kind.
    pub const ALL: [NamespaceKind; 8] = [
        NamespaceKind::User,
        NamespaceKind::Pid,
        NamespaceKind::Network,
        NamespaceKind::Ipc,
        NamespaceKind::Uts,
        NamespaceKind::Mount,
        NamespaceKind::Cgroup,
        NamespaceKind::Time,
    ];

    /// The file under `/proc/PID/ns`.
    pub fn file(self) -> &'static str {
        match self {
            NamespaceKind::User => "user",
            NamespaceKind::Pid => "pid",
            NamespaceKind::Network => "net",
            NamespaceKind::Ipc => "ipc",
            NamespaceKind::Uts => "uts",
            NamespaceKind::Mount => "mnt",
            NamespaceKind::Cgroup => "cgroup",
            NamespaceKind::Time => "time",
        }
    }

    /// The `CLONE_NEW*` flag.
    pub fn flag(self) -> u64 {
        match self {
            NamespaceKind::User => 0x1000_0000,
            NamespaceKind::Pid => 0x2000_0000,
            NamespaceKind::Network => 0x4000_0000,
            NamespaceKind::Ipc => 0x0800_0000,
            NamespaceKind::Uts => 0x0400_0000,
            NamespaceKind::Mount => 0x0002_0000,
            NamespaceKind::Cgroup => 0x0200_0000,
            NamespaceKind::Time => 0x0000_0080,
        }
    }
}

impl fmt::Display for NamespaceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NamespaceKind::Network => "network",
            NamespaceKind::Mount => "mount",
            other => other.file(),
        })
    }
}

/// A range of ids: `size` ids from `inside` on are those from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMapping {
    /// First id in the container.
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

impl IdMapping {
    /// Mappings as `/proc/PID/uid_map` takes them (`user_namespaces(7)`).
    pub fn table(mappings: &[IdMapping]) -> String {
        mappings.iter().map(|m| format!("{} {} {}\n", m.inside, m.outside, m.size)).collect()
    }
}

impl From<&LinuxIdMapping> for IdMapping {
    fn from(mapping: &LinuxIdMapping) -> Self {
        Self { inside: mapping.container_id(), outside: mapping.host_id(), size: mapping.size() }
    }
}

/// The offsets of one clock in a new time namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeOffset {
    /// `monotonic` or `boottime`.
    pub clock: String,
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds, below one second.
    pub nanoseconds: u32,
}

/// Which namespaces the container gets; one that is in neither list stays the caller's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Namespaces {
    /// Made for this container.
    pub new: Vec<NamespaceKind>,
    /// Joined, by path.
    pub join: Vec<Joined>,
    /// User ids, where the user namespace is new.
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids, where the user namespace is new.
    pub gid_mappings: Vec<IdMapping>,
    /// Clock offsets, where the time namespace is new.
    pub time_offsets: Vec<TimeOffset>,
}

/// A namespace to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Its kind; what is at the path must be of it.
    pub kind: NamespaceKind,
    /// A file of the nsfs filesystem, as `/proc/PID/ns/net`.
    pub path: String,
    /// The field of `config.json`.
    pub at: String,
}

impl Namespaces {
    /// Whether `kind` is made for this container.
    pub fn is_new(&self, kind: NamespaceKind) -> bool {
        self.new.contains(&kind)
    }

    /// Whether `kind` is joined.
    pub fn is_joined(&self, kind: NamespaceKind) -> bool {
        self.join.iter().any(|joined| joined.kind == kind)
    }

    /// Whether the container has a user namespace that is not the caller's.
    pub fn has_user(&self) -> bool {
        self.is_new(NamespaceKind::User) || self.is_joined(NamespaceKind::User)
    }
}

const DEFAULT: [NamespaceKind; 6] = [
    NamespaceKind::Pid,
    NamespaceKind::Network,
    NamespaceKind::Ipc,
    NamespaceKind::Uts,
    NamespaceKind::Mount,
    NamespaceKind::Cgroup,
];

pub(super) fn resolve(input: &Input<'_>, notes: &mut Notes) -> Namespaces {
    let linux = input.config.linux().as_ref();
    let asked = linux.and_then(|linux| linux.namespaces().as_ref()).filter(|list| !list.is_empty());
    let mut namespaces = Namespaces::default();
    for (i, namespace) in asked.into_iter().flatten().enumerate() {
        let at = format!("linux.namespaces[{i}]");
        let kind = kind(namespace.typ());
        if namespaces.is_new(kind) || namespaces.is_joined(kind) {
            notes.refusals.push(
                Error::new(Kind::Invalid, format!("the {kind} namespace is listed twice"), "")
                    .at(at)
                    .fix("keep one entry of each type"),
            );
            continue;
        }
        match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
            None => namespaces.new.push(kind),
            Some(path) if path.is_absolute() => namespaces.join.push(Joined {
                kind,
                path: path.to_string_lossy().into_owned(),
                at: format!("{at}.path"),
            }),
            Some(path) => notes.refusals.push(
                Error::new(Kind::Invalid, format!("namespace path {path:?} is not absolute"), "").at(at),
            ),
        }
    }
    tighten(input, asked.is_some(), &mut namespaces, notes);
    mappings(input, &mut namespaces, notes);
    time_offsets(input, &mut namespaces, notes);
    require_mount(&namespaces, notes);
    namespaces
}

fn kind(typ: LinuxNamespaceType) -> NamespaceKind {
    match typ {
        LinuxNamespaceType::User => NamespaceKind::User,
        LinuxNamespaceType::Pid => NamespaceKind::Pid,
        LinuxNamespaceType::Network => NamespaceKind::Network,
        LinuxNamespaceType::Ipc => NamespaceKind::Ipc,
        LinuxNamespaceType::Uts => NamespaceKind::Uts,
        LinuxNamespaceType::Mount => NamespaceKind::Mount,
        LinuxNamespaceType::Cgroup => NamespaceKind::Cgroup,
        LinuxNamespaceType::Time => NamespaceKind::Time,
    }
}

/// A configuration that lists no namespaces gets all of the usual ones; one that lists some has chosen the
/// others to be the host's, but for the cgroup namespace, which costs nothing and hides the host's tree.
fn tighten(input: &Input<'_>, listed: bool, namespaces: &mut Namespaces, notes: &mut Notes) {
    if input.level < Level::Baseline {
        return;
    }
    let wanted: &[NamespaceKind] = if listed { &[NamespaceKind::Cgroup] } else { &DEFAULT };
    for &kind in wanted {
        if !namespaces.is_new(kind) && !namespaces.is_joined(kind) {
            namespaces.new.push(kind);
            notes.change("linux.namespaces", format!("a new {kind} namespace is added"));
        }
    }
    if input.level == Level::Strict && !namespaces.has_user() && input.host.euid != 0 {
        namespaces.new.push(NamespaceKind::User);
        notes.change("linux.namespaces", "a new user namespace is added");
    }
}

fn mappings(input: &Input<'_>, namespaces: &mut Namespaces, notes: &mut Notes) {
    let linux = input.config.linux().as_ref();
    let uids = linux.and_then(|linux| linux.uid_mappings().as_ref());
    let gids = linux.and_then(|linux| linux.gid_mappings().as_ref());
    for (name, list) in [("uidMappings", uids), ("gidMappings", gids)] {
        notes.refusals.extend(check_mappings(name, list.map_or(&[], Vec::as_slice)));
    }
    let convert = |list: Option<&Vec<LinuxIdMapping>>| -> Vec<IdMapping> {
        list.into_iter().flatten().map(IdMapping::from).collect()
    };
    if !namespaces.is_new(NamespaceKind::User) {
        for (name, list) in [("uidMappings", uids), ("gidMappings", gids)] {
            if list.is_some_and(|list| !list.is_empty()) {
                unused_mappings(&format!("linux.{name}"), namespaces.has_user(), notes);
            }
        }
        return;
    }
    namespaces.uid_mappings = convert(uids);
    namespaces.gid_mappings = convert(gids);
    if namespaces.uid_mappings.is_empty() && namespaces.gid_mappings.is_empty() {
        default_mappings(input, namespaces, notes);
    }
    for (name, list) in [("uidMappings", &namespaces.uid_mappings), ("gidMappings", &namespaces.gid_mappings)]
    {
        if !list.iter().any(|mapping| mapping.inside == 0 && mapping.size > 0) {
            notes.refusals.push(
                Error::new(
                    Kind::Invalid,
                    "the new user namespace has no id 0",
                    "container setup runs as root of its user namespace",
                )
                .at(format!("linux.{name}"))
                .fix("add a mapping with containerID 0"),
            );
        }
    }
}

/// Engines repeat the mappings of a namespace that they join; without any, they cannot be meant.
fn unused_mappings(at: &str, joined: bool, notes: &mut Notes) {
    if joined {
        return notes.change(at, "has no effect: the user namespace that is joined has its own");
    }
    notes.refusals.push(
        Error::new(Kind::Invalid, "id mappings without a user namespace", "")
            .at(at)
            .fix("add {\"type\": \"user\"} to linux.namespaces"),
    );
}

/// An ordinary caller may map itself, and nothing else without `newuidmap(1)`.
fn default_mappings(input: &Input<'_>, namespaces: &mut Namespaces, notes: &mut Notes) {
    let (euid, egid) = (input.host.euid, input.host.egid);
    if euid == 0 {
        notes.refusals.push(
            Error::new(Kind::Invalid, "a new user namespace without id mappings", "")
                .at("linux.namespaces")
                .fix("set linux.uidMappings and linux.gidMappings"),
        );
        return;
    }
    namespaces.uid_mappings = vec![IdMapping { inside: 0, outside: euid, size: 1 }];
    namespaces.gid_mappings = vec![IdMapping { inside: 0, outside: egid, size: 1 }];
    notes.change("linux.uidMappings", format!("the container's root is user {euid}"));
}

/// Lines in `uid_map` (Linux 4.15).
const MOST_MAPPINGS: usize = 340;

fn check_mappings(name: &str, list: &[LinuxIdMapping]) -> Vec<Error> {
    if list.len() > MOST_MAPPINGS {
        let why = format!("the kernel takes {MOST_MAPPINGS} (user_namespaces(7)), these are {}", list.len());
        return vec![Error::new(Kind::Invalid, "too many id mappings", why).at(format!("linux.{name}"))];
    }
    let mut errors = Vec::new();
    let end = |first: u32, size: u32| u64::from(first) + u64::from(size);
    for (i, mapping) in list.iter().enumerate() {
        let at = format!("linux.{name}[{i}]");
        let refuse = |why: &str| Error::new(Kind::Invalid, "impossible id mapping", why).at(at.clone());
        if mapping.size() == 0 {
            errors.push(refuse("size is 0"));
        }
        let last = u64::from(u32::MAX);
        if end(mapping.container_id(), mapping.size()) > last || end(mapping.host_id(), mapping.size()) > last
        {
            errors.push(refuse("the range goes beyond the largest id, 4294967294"));
        }
        for other in list.iter().take(i) {
            let overlap =
                |a: u32, b: u32| u64::from(a) < end(b, other.size()) && u64::from(b) < end(a, mapping.size());
            if overlap(mapping.container_id(), other.container_id()) {
                errors.push(refuse("its container ids overlap an earlier mapping"));
            } else if overlap(mapping.host_id(), other.host_id()) {
                errors.push(refuse("its host ids overlap an earlier mapping"));
            }
        }
    }
    errors
}

fn time_offsets(input: &Input<'_>, namespaces: &mut Namespaces, notes: &mut Notes) {
    let offsets = input.config.linux().as_ref().and_then(|linux| linux.time_offsets().as_ref());
    let mut offsets: Vec<_> = offsets.into_iter().flatten().collect();
    offsets.sort_by(|a, b| a.0.cmp(b.0));
    if !offsets.is_empty() && !namespaces.is_new(NamespaceKind::Time) {
        notes.refusals.push(
            Error::new(Kind::Invalid, "clock offsets without a new time namespace", "")
                .at("linux.timeOffsets")
                .fix("add {\"type\": \"time\"} to linux.namespaces"),
        );
    }
    for (clock, offset) in offsets {
        let at = format!("linux.timeOffsets.{clock}");
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            notes.refusals.push(
                Error::new(Kind::Invalid, format!("no clock {clock:?} in a time namespace"), "")
                    .at(at)
                    .fix("use monotonic or boottime"),
            );
            continue;
        }
        let nanoseconds = offset.nanosecs().unwrap_or(0);
        if nanoseconds >= 1_000_000_000 {
            notes.refusals.push(
                Error::new(Kind::Invalid, "nanosecs is a second or more", "").at(format!("{at}.nanosecs")),
            );
        }
        namespaces.time_offsets.push(TimeOffset {
            clock: clock.clone(),
            seconds: offset.secs().unwrap_or(0),
            nanoseconds,
        });
    }
}

/// Mounts are made by pivoting a namespace of our own; in the host's they would be the host's.
fn require_mount(namespaces: &Namespaces, notes: &mut Notes) {
    if !namespaces.is_new(NamespaceKind::Mount) {
        let why = "sandrun makes the container's mounts in a namespace of its own";
        notes.refusals.push(
            Error::new(Kind::Unsupported, "no new mount namespace", why)
                .at("linux.namespaces")
                .fix("add {\"type\": \"mount\"} without a path"),
        );
    }
}
