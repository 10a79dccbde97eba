//! The domain that is derived from the container itself: its root filesystem, mounts and devices.
//!
//! The kernel walks from a file up through its mounts to the root of the namespace, so a rule on the
//! container's root covers all that is mounted in it, and nothing else: a descriptor, a `/proc/PID/root` or a
//! foreign mount namespace leads outside every rule. Rights add up on the way, so what some mount must not
//! have is left out of the root's rule and granted on the mounts that need it.

use super::rights::{
    self, EXECUTE, IOCTL_DEV, Kind, MAKE_BLOCK, MAKE_CHAR, READ_DIR, READ_FILE, RESOLVE_UNIX,
    SCOPE_ABSTRACT_UNIX_SOCKET, SCOPE_SIGNAL, WRITE_FILE,
};
use super::{Landlock, PathBeneath};
use crate::level::Level;
use crate::plan::mounts::{Mount, Rootfs, Source};
use crate::plan::namespaces::{NamespaceKind, Namespaces};
use crate::plan::{Input, Notes, write_xor_execute};

/// Read, list and execute: what needs no write access.
pub(in crate::plan) const READ: u64 = EXECUTE | READ_FILE | READ_DIR;

/// Below, no file can be moved between directories at all, which ordinary images do.
const LOWEST_ABI: u32 = 2;

/// Abstract sockets belong to the network namespace: in one that is not the host's there is none of the host
/// to reach, and a scope would only keep an exec, whose domain is another one, from its container's sockets.
fn wanted_scopes(input: &Input<'_>, namespaces: &Namespaces) -> u64 {
    let network = NamespaceKind::Network;
    let joined = namespaces.is_joined(network) && !input.options.joins_callers_network;
    match input.level {
        Level::Strict => SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL,
        _ if namespaces.is_new(network) || joined => 0,
        _ => SCOPE_ABSTRACT_UNIX_SOCKET,
    }
}

/// The domain that follows from what the container is.
pub(in crate::plan) fn derive(
    input: &Input<'_>,
    namespaces: &Namespaces,
    rootfs: &Rootfs,
    mounts: &[Mount],
    notes: &mut Notes,
) -> Option<Landlock> {
    let abi = input.host.landlock_abi.min(rights::NEWEST_ABI);
    if abi == 0 || (abi < LOWEST_ABI && input.level < Level::Strict) {
        let why = match abi {
            0 => "Landlock is not enabled; needs Linux 5.19 with landlock in the lsm= list",
            _ => "Landlock ABI 1 cannot allow moving files between directories; needs Linux 5.19",
        };
        notes.absent("landlock", why);
        return None;
    }
    let wanted = wanted_scopes(input, namespaces);
    note_younger_rights(abi, wanted, notes);
    let handled = rights::all(Kind::Fs, abi);
    let inner = handled & !(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV);
    let mut domain = Landlock {
        origin: "derived".to_owned(),
        abi,
        handled_access_fs: handled,
        scoped: wanted & rights::all(Kind::Scope, abi),
        ..Landlock::default()
    };
    if input.level == Level::Strict {
        write_xor_execute::grant(&mut domain, inner, rootfs, mounts);
        domain.path_beneath.extend(on_devices(input, handled));
        return Some(domain);
    }
    // A socket may be connected to on a read-only mount, too.
    let root = if rootfs.readonly { (READ | RESOLVE_UNIX) & handled } else { inner };
    let rule =
        |path: &str, allowed_access| PathBeneath { path: path.to_owned(), allowed_access, optional: false };
    domain.path_beneath.push(rule("/", root));
    domain.path_beneath.extend(mounts.iter().filter_map(|mount| {
        let more = on_mount(mount, inner, handled) & !root;
        (more != 0).then(|| rule(&mount.destination, more))
    }));
    domain.path_beneath.extend(on_devices(input, handled & !root));
    Some(domain)
}

/// Rules for nodes that config.json wants in other places than `/dev`.
fn on_devices<'a>(input: &Input<'a>, missing: u64) -> impl Iterator<Item = PathBeneath> {
    let allowed_access = (WRITE_FILE | IOCTL_DEV) & missing;
    let rule = move |path: &str| PathBeneath { path: path.to_owned(), allowed_access, optional: false };
    devices_elsewhere(input).map(rule).filter(move |_| allowed_access != 0)
}

/// Nodes that config.json wants in other places than `/dev`.
fn devices_elsewhere<'a>(input: &Input<'a>) -> impl Iterator<Item = &'a str> {
    let devices = input.config.linux().as_ref().and_then(|linux| linux.devices().as_ref());
    let paths = devices.into_iter().flatten().filter_map(|device| device.path().to_str());
    paths.filter(|path| path.starts_with('/') && !path.starts_with("/dev/"))
}

/// A writable mount of a read-only container may be written; `/dev` has the devices that were made for it.
pub(in crate::plan) fn on_mount(mount: &Mount, inner: u64, handled: u64) -> u64 {
    let write = if mount.is_readonly() { 0 } else { inner };
    match &mount.source {
        Source::Filesystem { fstype, .. } if fstype == "proc" => (WRITE_FILE | READ) & handled,
        Source::Filesystem { fstype, .. } if fstype == "sysfs" => write & (WRITE_FILE | READ),
        Source::Filesystem { fstype, .. } if fstype == "devpts" => write | (IOCTL_DEV & handled),
        Source::Remount { .. } => 0,
        _ if mount.destination == "/dev" => write | (IOCTL_DEV & handled),
        _ => write,
    }
}

fn note_younger_rights(abi: u32, scopes: u64, notes: &mut Notes) {
    let [sockets, signals] = [SCOPE_ABSTRACT_UNIX_SOCKET, SCOPE_SIGNAL].map(|scope| scopes & scope != 0);
    let younger = [
        (2, true, "moving files between directories is refused: Landlock ABI 2, Linux 5.19, can allow it"),
        (3, true, "truncation of files outside: Landlock ABI 3, Linux 6.2"),
        (5, true, "ioctl on devices: Landlock ABI 5, Linux 6.10"),
        (6, sockets, "abstract sockets of the host: Landlock ABI 6, Linux 6.12"),
        (6, signals, "signals to processes outside: Landlock ABI 6, Linux 6.12"),
    ];
    for (_, _, what) in younger.into_iter().filter(|&(needed, wanted, _)| wanted && abi < needed) {
        notes.absent("landlock", what);
    }
}
