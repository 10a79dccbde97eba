//! The mounts of `config.json`, in order, each made detached and attached by descriptor.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, XattrFlags, fchmod, fsetxattr, fstat, openat};
use rustix::io::Errno;

use crate::enforce::init::Init;
use crate::enforce::order::Role;
use crate::enforce::root::{self, Root};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Plan;
use crate::plan::mounts::{Mount, Propagation, Source};
use crate::sys::mount::{
    Attributes, attach, clone_private, clone_tree, new_filesystem, reconfigure, set_attributes, set_idmap,
};
use crate::sys::{CallError, Syscall};

const RDONLY: u64 = 0x1;

mod cgroup;
mod copy_up;
mod explain;
mod link;

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
        Source::Bind { recursive, copy_link, .. } => {
            let tree = match received {
                Some(tree) => tree,
                None => bind_source(mount)?,
            };
            if *copy_link && let Some(target) = root::link_target(&tree) {
                return link::make(init.root()?, &mount.destination, &target);
            }
            propagate(&tree, mount, default_propagation(plan), *recursive)?;
            put(init.root()?, mount, &tree)?;
            keep(init, mount, tree)
        }
        Source::Filesystem { fstype, source, options, copy_up, .. } => {
            let waits = fstype == "tmpfs" && mount.is_readonly();
            let first = waits.then(|| writable(mount));
            let mount = first.as_ref().unwrap_or(mount);
            let made =
                received.map_or_else(|| filesystem(plan, fstype, source.as_deref(), options, mount), Ok);
            let tree = match made {
                Err(error) if fstype == "sysfs" && denied(&error) => host_sysfs().map_err(|_| error)?,
                tree => tree?,
            };
            if fstype == "tmpfs" {
                start_tmpfs(init.root()?, &mount.destination, options, *copy_up, &tree)?;
            }
            if let Some(namespace) = init.received.take(&Role::Idmap(index)) {
                map_ids(&tree, &namespace, mount)?;
            }
            propagate(&tree, mount, Propagation::Private, false)?;
            put(init.root()?, mount, &tree)?;
            if waits {
                let later = tree.try_clone().context(|| format!("cannot keep {}", mount.destination))?;
                init.readonly_later.push(later);
            }
            keep(init, mount, tree)
        }
        Source::Cgroup { views, .. } => cgroup::mount(plan, views, init, mount),
        Source::Remount { options } => remount(init.root()?, mount, options),
    }
}

/// The detached mount of a bind mount's source: what the parent makes where it may, and init where it may not.
///
/// # Errors
/// ENOENT when the source is not there; `Refused` when a link lies on a path that was judged.
pub fn bind_source(mount: &Mount) -> Result<OwnedFd> {
    let Source::Bind { path, recursive, nofollow, copy_link, judged } = &mount.source else {
        return Err(Error::new(Kind::Invalid, format!("{} is no bind mount", mount.at), ""));
    };
    let what = || format!("cannot bind {path}");
    let opened = match judged {
        true => root::host_plain(Path::new(path), *nofollow || *copy_link),
        false => root::host(Path::new(path), *nofollow || *copy_link),
    };
    let errno = opened.as_ref().err().map(|error| error.errno);
    let source = opened.context(what).map_err(|error| match errno {
        Some(Errno::NOENT) => error.fix("make it first: a missing source is not made"),
        Some(Errno::LOOP) if *judged => Error {
            kind: Kind::Refused,
            why: "a link has been put on the path since the node policy allowed it".to_owned(),
            ..error
        },
        _ => error,
    });
    let source = source.map_err(|error| error.at(format!("{}.source", mount.at)))?;
    clone_tree(&source, Path::new(""), *recursive)
        .context(what)
        .map_err(|error| error.at(format!("{}.source", mount.at)))
}

/// Which filesystems can be idmapped.
pub const CAN_BE_IDMAPPED: &str = "the filesystem has to support it: ext4, vfat and xfs do since Linux 5.12, btrfs \
    since 5.15, the layers of an overlay since 5.19, tmpfs since 6.3; proc, sysfs and an overlay itself do not, but \
    containerd-shim-sandrun-v2 mounts an overlay on such layers";

/// Before the mount is attached anywhere: the kernel maps the ids of no mount that is in use.
///
/// # Errors
/// EINVAL where the filesystem cannot be idmapped.
pub fn map_ids(tree: &OwnedFd, namespace: &OwnedFd, mount: &Mount) -> Result<()> {
    let recursive = mount.idmap.as_ref().is_some_and(|idmap| idmap.recursive);
    set_idmap(tree, namespace, recursive)
        .context(|| format!("cannot map the ids of the mount on {}", mount.destination))
        .map_err(|error| {
            let error = error.at(&mount.at);
            if denied(&error) {
                return error.fix("only root of the host may map the ids of a filesystem of the host's");
            }
            error.fix(CAN_BE_IDMAPPED)
        })
}

fn filesystem(
    plan: &Plan,
    fstype: &str,
    source: Option<&str>,
    options: &[(String, Option<String>)],
    mount: &Mount,
) -> Result<OwnedFd> {
    let what = || format!("cannot mount {fstype} on {}", mount.destination);
    let tree = new_filesystem(fstype, source, options, mount.set)
        .context(what)
        .map_err(|error| explain::refused(fstype, options, error))?;
    if fstype == "mqueue"
        && let Some(label) = &plan.mount_label
    {
        let top = open_top(&tree).context(what)?;
        fsetxattr(&top, "security.selinux", label.as_bytes(), XattrFlags::empty())
            .call(|| format!("fsetxattr(security.selinux, {label:?})"))
            .context(what)
            .map_err(|error| error.at("linux.mountLabel"))?;
    }
    Ok(tree)
}

fn denied(error: &Error) -> bool {
    error.why.contains("Operation not permitted")
}

/// Where a new sysfs is not allowed (the network namespace is not ours), the host's, which is bound read-only.
fn host_sysfs() -> Result<OwnedFd> {
    let what = || "cannot bind the host's /sys".to_owned();
    let tree = clone_private(CWD, Path::new("/sys"), true).context(what)?;
    let readonly = Attributes { set: RDONLY, ..Attributes::default() };
    set_attributes(&tree, readonly, true).context(what)?;
    Ok(tree)
}

/// What is mounted in a tmpfs, and the devices in `/dev`, are still to be made there.
fn writable(mount: &Mount) -> Mount {
    let all = !RDONLY;
    Mount { set: mount.set & all, set_recursive: mount.set_recursive & all, ..mount.clone() }
}

/// A tmpfs has the mode of the directory it hides, unless it is given one, and may start with what is in there.
fn start_tmpfs(
    root: &Root,
    path: &str,
    options: &[(String, Option<String>)],
    copy_up: bool,
    tree: &OwnedFd,
) -> Result<()> {
    let what = || format!("cannot give the tmpfs on {path} the mode of what it hides");
    if options.iter().all(|(key, _)| key != "mode")
        && let Ok(hidden) = root.open(path, OFlags::PATH | OFlags::DIRECTORY)
    {
        let mode = fstat(&hidden).call(|| "fstat".to_owned()).context(what)?.st_mode & 0o7777;
        fchmod(open_top(tree).context(what)?, Mode::from_raw_mode(mode))
            .call(|| format!("fchmod({mode:o})"))
            .context(what)?;
    }
    if copy_up { copy_up::copy(root, path, tree) } else { Ok(()) }
}

fn open_top(tree: &OwnedFd) -> Result<OwnedFd, CallError> {
    openat(tree, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .call(|| "openat(detached mount)".to_owned())
}

/// What a bind mount has when it says nothing: the propagation of the root; of what is unbindable nothing could be
/// bound or made read-only.
pub fn default_propagation(plan: &Plan) -> Propagation {
    match plan.rootfs.propagation {
        Propagation::Unbindable => Propagation::Private,
        other => other,
    }
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
    set_all(tree, mount).context(what).map_err(explain::locked)?;
    let target = target(root, mount, root::is_dir(tree))?;
    attach(tree, &target).context(what)
}

/// What is looked up in later: masks and read-only paths in what is on `/proc` and `/sys`, wherever a rename has put
/// it by then; everything in what is on `/`.
fn keep(init: &mut Init, mount: &Mount, tree: OwnedFd) -> Result<()> {
    match mount.destination.as_str() {
        "/" => {
            init.root = Some(Root::new(tree));
            init.pseudo.clear();
        }
        "/proc" | "/sys" => init.pseudo.push((mount.destination.clone(), Root::new(tree))),
        _ => {}
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
pub fn with_atime_cleared(mut attributes: Attributes) -> Attributes {
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
    if mount.on_link {
        return root.make_unfollowed(path, directory);
    }
    let made = if directory { root.make_dir(path) } else { root.make_file(path) };
    if !pseudo && path != "/dev" {
        return made;
    }
    let plain = || root.open_plain(path, OFlags::PATH | OFlags::DIRECTORY);
    made.and_then(|_| plain().context(|| format!("cannot mount on {path}"))).map_err(|error| {
        // In the words that runc has for it, and that callers look for.
        error.fix(format!("{path} must be mounted on ordinary directory of the root filesystem"))
    })
}

fn remount(root: &Root, mount: &Mount, options: &[(String, Option<String>)]) -> Result<()> {
    let what = || format!("cannot remount {}", mount.destination);
    let target = root.open(&mount.destination, OFlags::PATH).context(what)?;
    if !options.is_empty() {
        reconfigure(&target, options).context(what)?;
    }
    set_all(&target, mount).context(what).map_err(explain::locked)?;
    mount.propagation.iter().try_for_each(|&(propagation, recursive)| {
        let attributes = Attributes { propagation: propagation.flag(), ..Attributes::default() };
        set_attributes(&target, attributes, recursive).context(what)
    })
}
