//! Mounts: read-only or `noexec`, all of them without set-id programs, and without devices but where those are.

use std::path::Path;

use crate::plan::Notes;
use crate::plan::devices::Device;
use crate::plan::mounts::{Mount, NODEV, NOEXEC, NOSUID, RDONLY, Source};

/// Attributes by the names that options have.
const NAMES: [(u64, &str); 4] = [(RDONLY, "ro"), (NOSUID, "nosuid"), (NODEV, "nodev"), (NOEXEC, "noexec")];

pub(super) fn part(mounts: &mut [Mount], devices: &[Device], notes: &mut Notes) {
    let writable: Vec<Mount> = mounts.iter().filter(|mount| !mount.is_readonly()).cloned().collect();
    let wanted: Vec<u64> = mounts.iter().map(|mount| wanted(mount, &writable, mounts, devices)).collect();
    for (mount, wanted) in mounts.iter_mut().zip(wanted) {
        let recursive = matches!(mount.source, Source::Bind { recursive: true, .. });
        let in_force = match recursive {
            true => mount.set_recursive,
            false => mount.set & !mount.clear_recursive | mount.set_recursive,
        };
        let names: Vec<&str> = NAMES
            .iter()
            .filter(|(attribute, _)| wanted & !in_force & attribute != 0)
            .map(|&(_, name)| name)
            .collect();
        if !names.is_empty() {
            let below = if recursive { " to it and what is mounted below" } else { "" };
            notes.change(&format!("{}.options", mount.at), format!("{} added{below}", names.join(", ")));
        }
        mount.set |= wanted;
        mount.clear &= !wanted;
        mount.clear_recursive &= !wanted;
        if recursive {
            mount.set_recursive |= wanted;
        }
    }
}

fn wanted(mount: &Mount, writable: &[Mount], mounts: &[Mount], devices: &[Device]) -> u64 {
    let harmless = harmless(&mount.destination, mounts, devices);
    let harmless = if is_of_devices(mount) { harmless & !NODEV } else { harmless };
    if mount.destination == "/" {
        // The root: read-only in the end, when all mount points are made.
        return harmless;
    }
    let readonly = match mount.is_readonly() {
        // What is mounted below is not read-only by that.
        true if matches!(mount.source, Source::Bind { .. }) => RDONLY,
        true => 0,
        false => NOEXEC,
    };
    let aliased = writable.iter().any(|other| is_alias(mount, other));
    harmless | readonly | if aliased { NOEXEC } else { 0 }
}

/// What takes nothing from a mount that holds no node of the plan's.
pub(super) fn harmless(destination: &str, mounts: &[Mount], devices: &[Device]) -> u64 {
    let holds = |device: &Device| {
        let place = mounts
            .iter()
            .map(|mount| mount.destination.as_str())
            .filter(|place| Path::new(&device.path).starts_with(place))
            .max_by_key(|place| place.len());
        place.unwrap_or("/") == destination
    };
    if destination == "/dev" || devices.iter().any(holds) { NOSUID } else { NOSUID | NODEV }
}

/// Nodes of the host's, or of a kernel filesystem that consists of them.
fn is_of_devices(mount: &Mount) -> bool {
    match &mount.source {
        Source::Bind { path, .. } => {
            Path::new(path).starts_with("/dev") || mount.destination.starts_with("/dev/")
        }
        Source::Filesystem { fstype, .. } => fstype == "devpts",
        Source::Remount { .. } => mount.destination.starts_with("/dev/"),
        Source::Cgroup { .. } => false,
    }
}

/// Whether files of a read-only bind mount can be written through another one: one source holds the other, and is not
/// covered by it in the container.
fn is_alias(mount: &Mount, writable: &Mount) -> bool {
    let (Source::Bind { path, .. }, Source::Bind { path: other, .. }) = (&mount.source, &writable.source)
    else {
        return false;
    };
    let covers = |inner: &Mount, outer: &Mount, rest: &Path| {
        !rest.as_os_str().is_empty()
            && Path::new(&inner.destination) == Path::new(&outer.destination).join(rest)
    };
    match (Path::new(other).strip_prefix(path), Path::new(path).strip_prefix(other)) {
        (Ok(rest), _) => !covers(writable, mount, rest),
        (_, Ok(rest)) => !covers(mount, writable, rest),
        _ => false,
    }
}
