//! The mounts of `config.json`, in order, each made detached and attached by descriptor.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, OFlags};

use crate::enforce::init::Init;
use crate::enforce::order::Role;
use crate::enforce::root::{self, Root};
use crate::error::{Context, Error, Result};
use crate::plan::Plan;
use crate::plan::mounts::{Mount, Propagation, Source};
use crate::sys::mount::{Attributes, attach, clone_private, clone_tree, new_filesystem, set_attributes};

mod cgroup;
mod copy_up;

/// Makes all mounts.
pub fn mount(plan: &Plan, init: &mut Init) -> Result<()> {
    for (index, mount) in plan.mounts.iter().enumerate() {
        one(plan, init, index, mount).map_err(|error| match error.at {
            None => error.at(&mount.at),
            Some(_) => error,
        })?;
    }
    Ok(())
}

fn one(plan: &Plan, init: &mut Init, index: usize, mount: &Mount) -> Result<()> {
    let received = init.received.take(&Role::Mount(index));
    match &mount.source {
        Source::Bind { path, recursive, nofollow } => {
            let tree = match received {
                Some(tree) => tree,
                None => bind_source(Path::new(path), *recursive, *nofollow)?,
            };
            let default = plan.rootfs.propagation;
            propagate(&tree, mount, default, *recursive)?;
            put(init.root()?, mount, &tree)?;
            keep(init, mount, tree)
        }
        Source::Filesystem { fstype, source, options, copy_up } => {
            let tree = match filesystem(fstype, source.as_deref(), options, mount) {
                Err(error) if fstype == "sysfs" => host_sysfs().map_err(|_| error)?,
                tree => tree?,
            };
            if *copy_up {
                copy_up::copy(init.root()?, &mount.destination, &tree)?;
            }
            propagate(&tree, mount, Propagation::Private, false)?;
            put(init.root()?, mount, &tree)?;
            keep(init, mount, tree)
        }
        Source::Cgroup { views } => cgroup::mount(views, init, mount),
        Source::Remount => remount(init.root()?, mount),
    }
}

/// The detached mount of a host path: what the parent does where it may, and init where it may not.
///
/// # Errors
/// ENOENT when the source is not there.
pub fn bind_source(path: &Path, recursive: bool, nofollow: bool) -> Result<OwnedFd> {
    let what = || format!("cannot bind {}", path.display());
    let source = root::host(path, nofollow).context(what)?;
    clone_tree(&source, Path::new(""), recursive).context(what)
}

fn filesystem(
    fstype: &str,
    source: Option<&str>,
    options: &[(String, Option<String>)],
    mount: &Mount,
) -> Result<OwnedFd> {
    new_filesystem(fstype, source, options, mount.set)
        .context(|| format!("cannot mount {fstype} on {}", mount.destination))
        .map_err(|error| explain(fstype, error))
}

/// In a user namespace the kernel refuses a new procfs that would show more than the one already there.
fn explain(fstype: &str, error: Error) -> Error {
    if matches!(fstype, "proc" | "sysfs") && error.why.contains("Operation not permitted") {
        return error.fix(format!(
            "in a user namespace a new {fstype} needs one that is mounted without anything over it: \
             check `grep {fstype} /proc/self/mountinfo` of the caller"
        ));
    }
    if fstype == "devpts" && error.why.contains("Invalid gid") {
        return error.fix("in a user namespace the group has to be mapped: map it, or remove the option gid");
    }
    error
}

/// Where a new sysfs is not allowed (the network namespace is not ours), the host's, which is bound read-only.
fn host_sysfs() -> Result<OwnedFd> {
    let what = || "cannot bind the host's /sys".to_owned();
    let tree = clone_private(CWD, Path::new("/sys"), true).context(what)?;
    let readonly = Attributes { set: 0x1, ..Attributes::default() };
    set_attributes(&tree, readonly, true).context(what)?;
    Ok(tree)
}

/// A clone is a peer of the mount it was cloned from: what is mounted below it would reach the host.
fn propagate(tree: &OwnedFd, mount: &Mount, default: Propagation, recursive: bool) -> Result<()> {
    let what = || format!("cannot set the propagation of {}", mount.destination);
    let set = |propagation: Propagation, recursive| {
        let attributes = Attributes { propagation: propagation.flag(), ..Attributes::default() };
        set_attributes(tree, attributes, recursive).context(what)
    };
    if mount.propagation.is_empty() {
        return set(default, recursive);
    }
    mount.propagation.iter().try_for_each(|&(propagation, recursive)| set(propagation, recursive))
}

/// Gives a detached mount its options and, with a default for it, its propagation.
///
/// # Errors
/// The failed call.
pub fn dress(tree: &OwnedFd, mount: &Mount, default: Option<(Propagation, bool)>) -> Result<()> {
    if let Some((propagation, recursive)) = default {
        propagate(tree, mount, propagation, recursive)?;
    }
    set_all(tree, mount).context(|| format!("cannot mount on {}", mount.destination))
}

fn put(root: &Root, mount: &Mount, tree: &OwnedFd) -> Result<()> {
    let what = || format!("cannot mount on {}", mount.destination);
    set_all(tree, mount).context(what)?;
    let target = target(root, mount, root::is_dir(tree))?;
    attach(tree, &target).context(what)
}

/// What masks and read-only paths are looked up in later, wherever a rename has put it by then.
fn keep(init: &mut Init, mount: &Mount, tree: OwnedFd) -> Result<()> {
    if matches!(mount.destination.as_str(), "/proc" | "/sys") {
        init.pseudo.push((mount.destination.clone(), Root::new(tree)));
    }
    Ok(())
}

fn set_all(tree: &OwnedFd, mount: &Mount) -> Result<(), crate::sys::CallError> {
    let own = Attributes { set: mount.set, clear: mount.clear, propagation: 0 };
    let below = Attributes { set: mount.set_recursive, clear: mount.clear_recursive, propagation: 0 };
    if own != Attributes::default() {
        set_attributes(tree, with_atime_cleared(own), false)?;
    }
    if below != Attributes::default() {
        set_attributes(tree, with_atime_cleared(below), true)?;
    }
    Ok(())
}

/// The access-time field has several values: the kernel wants it cleared as a whole before one is set.
fn with_atime_cleared(mut attributes: Attributes) -> Attributes {
    const ATIME: u64 = 0x70;
    if (attributes.set | attributes.clear) & ATIME != 0 {
        attributes.clear |= ATIME;
    }
    attributes
}

/// The place in the root filesystem, made where it is missing. `/proc` and `/sys` are what the kernel is told
/// by path: no link may lead them elsewhere (CVE-2019-19921).
fn target(root: &Root, mount: &Mount, directory: bool) -> Result<OwnedFd> {
    let path = mount.destination.as_str();
    let pseudo =
        matches!(&mount.source, Source::Filesystem { fstype, .. } if fstype == "proc" || fstype == "sysfs");
    let made = if directory { root.make_dir(path)? } else { root.make_file(path)? };
    if !pseudo && path != "/dev" {
        return Ok(made);
    }
    root.open_plain(path, OFlags::PATH | OFlags::DIRECTORY)
        .context(|| format!("cannot mount on {path}"))
        .map_err(|error| error.fix(format!("{path} of the root filesystem must be a plain directory")))
}

fn remount(root: &Root, mount: &Mount) -> Result<()> {
    let what = || format!("cannot remount {}", mount.destination);
    let target = root.open(&mount.destination, OFlags::PATH).context(what)?;
    set_all(&target, mount).context(what)
}
