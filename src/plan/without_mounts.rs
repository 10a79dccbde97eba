//! A container in the mount namespace of its caller, as `config.json` can ask for at level `oci`.

use super::mounts::{Propagation, Rootfs};
use super::namespaces::NamespaceKind;
use super::{Input, Notes, Plan};
use crate::error::{Error, Kind};

const WHY: &str = "the container has no mount namespace of its own";

/// Mounts would be the host's, and would stay: none is made, and the root is changed by `chroot(2)` alone. What
/// is left out for that is a change; what was to hide something is refused.
pub(super) fn resolve(input: &Input<'_>, plan: &mut Plan, notes: &mut Notes) {
    if plan.namespaces.is_new(NamespaceKind::Mount) || plan.namespaces.is_joined(NamespaceKind::Mount) {
        return;
    }
    for (at, paths) in [("maskedPaths", &plan.masked_paths), ("readonlyPaths", &plan.readonly_paths)] {
        if !paths.is_empty() {
            notes.refusals.push(
                Error::new(Kind::Invalid, format!("{at} without a mount namespace"), WHY)
                    .at(format!("linux.{at}"))
                    .fix("add {\"type\": \"mount\"} to linux.namespaces, or remove the paths"),
            );
        }
    }
    let linux = input.config.linux().as_ref();
    let devices = linux.and_then(|linux| linux.devices().as_ref()).is_some_and(|list| !list.is_empty());
    let propagation = linux.is_some_and(|linux| linux.rootfs_propagation().is_some());
    for (at, asked) in [
        ("mounts", !plan.mounts.is_empty()),
        ("root.readonly", plan.rootfs.readonly),
        ("linux.devices", devices),
        ("linux.rootfsPropagation", propagation),
    ] {
        if asked {
            notes.change(at, format!("has no effect: {WHY}"));
        }
    }
    plan.mounts.clear();
    plan.devices.clear();
    let Rootfs { path, stack, .. } = std::mem::take(&mut plan.rootfs);
    plan.rootfs =
        Rootfs { path, stack, propagation: Propagation::Slave, in_place: true, ..Rootfs::default() };
}
