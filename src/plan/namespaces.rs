//! Namespaces (OCI config-linux, "Namespaces"; `namespaces(7)`).

mod id_maps;
pub mod private_ids;

use std::fmt;

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType};
use serde::{Deserialize, Serialize};

use super::write_xor_execute::memory::{self, MemfdNoexec};
use super::{Input, Notes};
use crate::error::{Error, Kind};
use crate::host::Caller;
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

    /// What such a file says, unless it is none.
    pub fn read(table: &str) -> Option<Vec<IdMapping>> {
        let one = |line: &str| {
            let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
            Some(IdMapping { inside: numbers.next()??, outside: numbers.next()??, size: numbers.next()?? })
        };
        table.lines().map(one).collect()
    }
}

impl From<&LinuxIdMapping> for IdMapping {
    fn from(mapping: &LinuxIdMapping) -> Self {
        Self { inside: mapping.container_id(), outside: mapping.host_id(), size: mapping.size() }
    }
}

/// Who writes the id maps of a new user namespace (`user_namespaces(7)`, "Defining user and group ID mappings").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mapper {
    /// The runtime, with rights over the ids.
    #[default]
    Runtime,
    /// The runtime without: the caller's own id, and no setting of groups.
    Own,
    /// The program at this path, which knows the ids that were given to the caller: `newuidmap(1)`,
    /// `newgidmap(1)`.
    Program(String),
}

impl Mapper {
    fn is_runtime(&self) -> bool {
        *self == Mapper::Runtime
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
    /// User ids, where the user namespace is new, or is a pod's that has ids of its own.
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids, likewise.
    pub gid_mappings: Vec<IdMapping>,
    /// Who maps the user ids.
    #[serde(default, skip_serializing_if = "Mapper::is_runtime")]
    pub uid_mapper: Mapper,
    /// Who maps the group ids.
    #[serde(default, skip_serializing_if = "Mapper::is_runtime")]
    pub gid_mapper: Mapper,
    /// Whether files without a name can be executed in its pid namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memfd_noexec: Option<MemfdNoexec>,
    /// The ids of the user namespace are the container's alone: who wants that. Without mappings yet, they are still
    /// to come from the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_ids: Option<private_ids::WantedBy>,
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
    /// It was judged not to be the host's own, and must not be now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
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
                foreign: false,
            }),
            Some(path) => notes.refusals.push(
                Error::new(Kind::Invalid, format!("namespace path {path:?} is not absolute"), "").at(at),
            ),
        }
    }
    tighten(input, asked.is_some(), &mut namespaces, notes);
    private_ids::resolve(input, &mut namespaces, notes);
    id_maps::resolve(input, &mut namespaces, notes);
    time_offsets(input, &mut namespaces, notes);
    require_user(input, &namespaces, notes);
    refuse_mount(input, &namespaces, notes);
    memory::files(input, &mut namespaces, notes);
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
/// others to be the host's, but for the cgroup namespace, which costs nothing and hides the host's tree, and the
/// mount namespace, without which nothing can be mounted or hidden.
fn tighten(input: &Input<'_>, listed: bool, namespaces: &mut Namespaces, notes: &mut Notes) {
    if input.level < Level::Baseline {
        return;
    }
    let wanted: &[NamespaceKind] =
        if listed { &[NamespaceKind::Mount, NamespaceKind::Cgroup] } else { &DEFAULT };
    for &kind in wanted {
        if !namespaces.is_new(kind) && !namespaces.is_joined(kind) {
            namespaces.new.push(kind);
            notes.change("linux.namespaces", format!("a new {kind} namespace is added"));
        }
    }
    if input.level == Level::Strict && !namespaces.has_user() && input.host.caller == Caller::User {
        namespaces.new.push(NamespaceKind::User);
        notes.change("linux.namespaces", "a new user namespace is added");
    }
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

/// Whoever has no right to anything has it in a user namespace of their own.
fn require_user(input: &Input<'_>, namespaces: &Namespaces, notes: &mut Notes) {
    if input.host.caller == Caller::User && !namespaces.has_user() {
        let what = "an ordinary user's container needs a user namespace";
        notes.refusals.push(
            Error::new(Kind::Invalid, what, "")
                .at("linux.namespaces")
                .fix("add {\"type\": \"user\"}, as `sandrun spec --rootless` does, or run as root"),
        );
    }
}

/// The container's mounts are made in the namespace that is joined, and its root becomes that of all who are in
/// it: only where `config.json` counts to the letter.
fn refuse_mount(input: &Input<'_>, namespaces: &Namespaces, notes: &mut Notes) {
    if input.level < Level::Baseline {
        return;
    }
    if let Some(joined) = namespaces.join.iter().find(|joined| joined.kind == NamespaceKind::Mount) {
        let what = format!("a mount namespace is joined at level {}", input.level);
        notes.refusals.push(
            Error::new(Kind::Refused, what, "the root and the mounts of all who are in it would change")
                .at(&joined.at)
                .fix("leave the path out, or use --level oci"),
        );
    }
}
