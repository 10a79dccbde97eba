//! What the host's side does in a network that is joined, of which the container's root is not root.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::joined::{is_hosts, open_one};
use crate::enforce::order::Role;
use crate::enforce::steps::sysctl;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Plan;
use crate::plan::mounts::Source;
use crate::plan::namespaces::NamespaceKind;
use crate::sys::Syscall;
use crate::sys::mount::new_filesystem;

/// Sets the network's parameters, and makes the mounts that show it.
///
/// # Errors
/// The failed call; `Refused` where the network is the host's.
pub(super) fn prepare(plan: &Plan, descriptors: &mut Vec<(Role, OwnedFd)>) -> Result<()> {
    let joined = plan.namespaces.join.iter().find(|joined| joined.kind == NamespaceKind::Network);
    let Some(joined) = joined.filter(|_| plan.namespaces.has_others_network()) else { return Ok(()) };
    let network = open_one(joined)?;
    if is_hosts(&network, NamespaceKind::Network)? {
        let why = format!("{} is the host's network namespace", joined.path);
        return Err(Error::new(Kind::Refused, "private ids in the host's network", why).at(&joined.at));
    }
    within(&network, || {
        for (index, mount) in plan.mounts.iter().enumerate() {
            if let Source::Filesystem { fstype, source, options, of_network: true, .. } = &mount.source {
                let tree = new_filesystem(fstype, source.as_deref(), options, mount.set)
                    .context(|| format!("cannot mount {fstype} on {}", mount.destination))
                    .map_err(|error| error.at(&mount.at))?;
                descriptors.push((Role::Mount(index), tree));
            }
        }
        sysctl::write(&plan.network_sysctl)
    })
}

/// Does something in another network, and comes back.
///
/// # Errors
/// What `act` says, or that one of the ways is closed.
pub(super) fn within<T>(network: &File, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let what = || "cannot enter the container's network namespace".to_owned();
    let own = File::open("/proc/thread-self/ns/net").context(what)?;
    let enter = |namespace: &File| {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .call(|| "setns(CLONE_NEWNET)".to_owned())
            .context(what)
    };
    enter(network)?;
    let done = act();
    enter(&own)?;
    done
}
