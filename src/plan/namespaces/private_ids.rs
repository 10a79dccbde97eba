//! A user namespace that `config.json` does not ask for, with ids that no other container has.
//!
//! Which ids is for the pool to say, when the container is made; here it is decided whether there are to be any. The
//! containers of a pod have the same: whoever joins namespaces of another joins its user namespace with them.

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, Mount as OciMount};
use serde::{Deserialize, Serialize};

use super::{IdMapping, Joined, NamespaceKind, Namespaces};
use crate::error::{Error, Kind};
use crate::host::Caller;
use crate::level::Level;
use crate::plan::annotations::field;
use crate::plan::devices::DEFAULT;
use crate::plan::{Input, Notes};

/// The annotation by which a container asks for ids of its own: `"true"`.
pub const ANNOTATION: &str = "dev.sandrun.private-ids";

/// The layer's name in the receipt.
pub const LAYER: &str = "user ids";

/// How many ids a container gets, and those it can use are below: what Kubernetes and systemd give one.
pub const RANGE: u32 = 65536;

/// Who wants the ids to be the container's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WantedBy {
    /// The level, or the host's administrator for all: where it cannot be done, the container goes without, and the
    /// receipt says so.
    Level,
    /// The caller, or the container itself: where it cannot be done, there is no container.
    Request,
}

/// The user namespace of those whose namespaces a container joins, where it is not the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its file: `/proc/PID/ns/user`.
    pub path: String,
    /// Its user ids.
    pub uid_mappings: Vec<IdMapping>,
    /// Its group ids.
    pub gid_mappings: Vec<IdMapping>,
}

impl Namespaces {
    /// Whether the network is one that was there before the container's user namespace, whose root has no rights in it.
    pub fn has_others_network(&self) -> bool {
        self.private_ids.is_some() && self.is_joined(NamespaceKind::Network)
    }

    /// Makes the ids from `first` on those of the container.
    pub fn give_ids(&mut self, first: u32) {
        let range = IdMapping { inside: 0, outside: first, size: RANGE };
        self.uid_mappings = vec![range];
        self.gid_mappings = vec![range];
    }
}

/// Why a container cannot have ids of its own.
struct Obstacle {
    at: String,
    why: String,
    fix: &'static str,
}

/// Adds the user namespace, or says why there is none.
pub(super) fn resolve(input: &Input<'_>, namespaces: &mut Namespaces, notes: &mut Notes) {
    let Some((wanted_by, at)) = wish(input, notes) else { return };
    match (wanted_by, obstacle(input, namespaces, wanted_by)) {
        // It has ids of its own already, by config.json or as an ordinary user's.
        (WantedBy::Level, _) if namespaces.has_user() || input.host.caller != Caller::Root => {}
        (_, None) => {
            namespaces.private_ids = Some(wanted_by);
            add(&input.options.pod, namespaces, notes);
        }
        (WantedBy::Level, Some(obstacle)) => {
            let why = format!("the host's root is the container's: {}: {}", obstacle.at, obstacle.why);
            notes.absent(LAYER, why);
        }
        (WantedBy::Request, Some(Obstacle { at: field, why, fix })) => notes.refusals.push(
            Error::new(Kind::Unsupported, "the container cannot have private ids", format!("{field}: {why}"))
                .at(at)
                .fix(fix),
        ),
    }
}

/// That of the pod, or a new one.
fn add(pod: &Option<Pod>, namespaces: &mut Namespaces, notes: &mut Notes) {
    let Some((pod, shared)) = pod.as_ref().zip(shared(namespaces)) else {
        namespaces.new.push(NamespaceKind::User);
        return notes.change("linux.namespaces", "a new user namespace is added, with ids of its own");
    };
    let at = shared.at.clone();
    notes.change("linux.namespaces", format!("the user namespace that {at} belongs to is joined"));
    namespaces.join.push(Joined { kind: NamespaceKind::User, path: pod.path.clone(), at, foreign: false });
    namespaces.uid_mappings.clone_from(&pod.uid_mappings);
    namespaces.gid_mappings.clone_from(&pod.gid_mappings);
}

/// The first namespace of another container that is joined. A network is made by others, for the whole pod.
fn shared(namespaces: &Namespaces) -> Option<&Joined> {
    namespaces.join.iter().find(|joined| joined.kind != NamespaceKind::Network)
}

/// The command line decides; a container may only ask for more than its level gives, unless the policy lets it.
fn wish(input: &Input<'_>, notes: &mut Notes) -> Option<(WantedBy, String)> {
    let at = field(ANNOTATION);
    let annotated = input.annotation(ANNOTATION).map(str::parse::<bool>);
    if let Some(Err(_)) = annotated {
        notes.refusals.push(
            Error::new(Kind::Invalid, "cannot tell whether ids are to be private", "neither true nor false")
                .at(&at),
        );
    }
    let wanted = input.level == Level::Strict || input.options.prefer_private_ids;
    match (input.options.private_ids, annotated) {
        (Some(asked), _) => asked.then(|| (WantedBy::Request, "--private-ids".to_owned())),
        (None, Some(Ok(true))) => Some((WantedBy::Request, at)),
        (None, Some(Ok(false))) if wanted => {
            notes.refusals.extend(input.loosening.allow(ANNOTATION, "false").err());
            None
        }
        (None, _) => wanted.then(|| (WantedBy::Level, String::new())),
    }
}

/// The first thing that private ids would break, or that would break them.
fn obstacle(input: &Input<'_>, namespaces: &Namespaces, wanted_by: WantedBy) -> Option<Obstacle> {
    let obstacle = |at: &str, why: &str, fix| Some(Obstacle { at: at.to_owned(), why: why.to_owned(), fix });
    if input.host.caller != Caller::Root {
        return obstacle("caller", "only the host's root can give ids", "run as root");
    }
    if namespaces.has_user() {
        return obstacle(
            "linux.namespaces",
            "config.json has a user namespace, and with it ids",
            "leave user out of linux.namespaces, with uidMappings and gidMappings",
        );
    }
    if let Some(joined) = shared(namespaces).filter(|_| input.options.pod.is_none()) {
        return obstacle(
            &joined.at,
            &format!("the {} namespace belongs to others, and so do the rights in it", joined.kind),
            "give it new namespaces, or private ids to whom it is shared with",
        );
    }
    let network = namespaces.join.iter().find(|joined| joined.kind == NamespaceKind::Network);
    if let Some(joined) = network.filter(|_| input.options.joins_callers_network) {
        let why = "the network namespace is the host's, and so are the rights in it";
        return obstacle(&joined.at, why, "give it a new one");
    }
    // What is mounted or bound in one of these takes rights over it. In the host's own files nothing of that is.
    let kinds = [NamespaceKind::Mount, NamespaceKind::Pid, NamespaceKind::Ipc, NamespaceKind::Network];
    let kinds = if input.options.sealed_root { &kinds[..3] } else { &kinds[..] };
    let owned = |kind: NamespaceKind| namespaces.is_new(kind) || namespaces.is_joined(kind);
    if let Some(kind) = kinds.iter().find(|kind| !owned(**kind)) {
        let why = format!("the {kind} namespace is the host's, and so are the rights in it");
        return obstacle("linux.namespaces", &why, "give it a new one");
    }
    if let Some(at) = privileged(input) {
        return obstacle(
            &at,
            "every device of the host is the container's",
            "list the devices that it needs",
        );
    }
    if let Some(at) = unmapped_id(input) {
        let why = format!("only ids below {RANGE} are the container's");
        return obstacle(&at, &why, "use a smaller id, or a user namespace with uidMappings and gidMappings");
    }
    if let Some((at, fstype)) = unmountable(input) {
        let why = format!("a new {fstype} can only be mounted by the host's root");
        return obstacle(&at, &why, "mount it on the host, and bind it");
    }
    if let Some((at, why)) = &input.host.unmappable {
        return obstacle(at, why, "use a filesystem that can be idmapped");
    }
    (wanted_by == WantedBy::Level).then(|| made_for_host_root(input)).flatten()
}

/// What engines write for a privileged container: a rule for all devices that there are.
fn privileged(input: &Input<'_>) -> Option<String> {
    let resources = input.config.linux().as_ref()?.resources().as_ref()?;
    let all = |rule: &LinuxDeviceCgroup| {
        let every_kind = matches!(rule.typ(), None | Some(LinuxDeviceType::A));
        let every_number = [rule.major(), rule.minor()].iter().all(|number| number.is_none_or(|it| it < 0));
        rule.allow() && every_kind && every_number
    };
    let at = resources.devices().iter().flatten().position(all)?;
    Some(format!("linux.resources.devices[{at}]"))
}

/// The first id of the process that is not among those of the container.
fn unmapped_id(input: &Input<'_>) -> Option<String> {
    let user = input.config.process().as_ref()?.user();
    let groups = user.additional_gids().iter().flatten().enumerate();
    let groups = groups.map(|(i, gid)| (format!("process.user.additionalGids[{i}]"), *gid));
    let own = [("process.user.uid".to_owned(), user.uid()), ("process.user.gid".to_owned(), user.gid())];
    own.into_iter().chain(groups).find(|(_, id)| *id >= RANGE).map(|(at, _)| at)
}

/// The first new filesystem that the kernel lets nobody mount in a user namespace (`FS_USERNS_MOUNT`), or an overlay that
/// keeps its notes where nobody can write there.
fn unmountable(input: &Input<'_>) -> Option<(String, String)> {
    const MOUNTABLE: [&str; 11] =
        ["bind", "bpf", "cgroup", "cgroup2", "devpts", "mqueue", "none", "proc", "ramfs", "sysfs", "tmpfs"];
    let fstype = |mount: &OciMount| mount.typ().clone().unwrap_or_default();
    let bound = |mount: &OciMount| {
        let options = mount.options().iter().flatten();
        options
            .into_iter()
            .any(|option| matches!(option.as_str(), "bind" | "rbind" | "remount" | "userxattr"))
    };
    let (i, mount) = input.config.mounts().iter().flatten().enumerate().find(|(_, mount)| {
        let fstype = fstype(mount);
        !fstype.is_empty() && !bound(mount) && !MOUNTABLE.contains(&fstype.as_str())
    })?;
    Some((format!("mounts[{i}].type"), fstype(mount)))
}

/// What only works with the rights of the host's root, and works without private ids.
fn made_for_host_root(input: &Input<'_>) -> Option<Obstacle> {
    let obstacle = |at: String, why: &str| Some(Obstacle { at, why: why.to_owned(), fix: "" });
    let hooks = input.config.hooks().as_ref().and_then(|hooks| hooks.create_container().as_ref());
    if hooks.is_some_and(|hooks| !hooks.is_empty()) {
        return obstacle("hooks.createContainer".to_owned(), "it runs with the rights of the host's root");
    }
    let mapped = |mount: &OciMount| mount.uid_mappings().iter().flatten().next().is_some();
    if let Some(i) = input.config.mounts().iter().flatten().position(mapped) {
        return obstacle(format!("mounts[{i}].uidMappings"), "they map to ids of the host");
    }
    let linux = input.config.linux().as_ref()?;
    let special = |device: &LinuxDevice| {
        let path = device.path().to_string_lossy();
        device.typ() != LinuxDeviceType::P && DEFAULT.iter().all(|(usual, ..)| *usual != path)
    };
    if let Some(i) = linux.devices().as_ref().and_then(|devices| devices.iter().position(special)) {
        return obstacle(format!("linux.devices[{i}]"), "its node would be the host's, owner and mode");
    }
    let mut names: Vec<_> = linux.sysctl().iter().flat_map(|all| all.keys()).collect();
    names.sort();
    let name = names.into_iter().find(|name| name.starts_with("kernel.") || name.starts_with("fs."))?;
    obstacle(format!("linux.sysctl[{name:?}]"), "before Linux 6.9 only the host's root sets it")
}
