//! The root filesystem, where mounting it is ours: made detached, so that it goes with this process, and attached at
//! its place once the record says so.

mod apart;
mod overlay;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::idmap::user_namespace;
use super::record::Record;
use crate::enforce::root::{Root, host as open_host, is_dir};
use crate::enforce::steps::mounts::{CAN_BE_IDMAPPED, with_atime_cleared};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Rootfs;
use crate::plan::mounts::stack::{Origin, Stacked};
use crate::plan::namespaces::IdMapping;
use crate::sys::mount::{
    Attributes, attach as attach_tree, clone_private, clone_tree, new_filesystem, set_attributes, set_idmap,
};
use crate::sys::{CallError, Syscall, loop_device};

/// Ids that a root filesystem is to show, on whose layers its own stay.
#[derive(Clone, Copy)]
pub(super) struct Ids<'a> {
    /// The user namespace that has them.
    pub namespace: BorrowedFd<'a>,
    /// Its root, as the host numbers it.
    pub root: (u32, u32),
}

impl<'a> Ids<'a> {
    /// Of a user namespace with these mappings.
    pub fn new(namespace: BorrowedFd<'a>, uids: &[IdMapping], gids: &[IdMapping]) -> Self {
        let root = |list: &[IdMapping]| list.iter().find(|it| it.inside == 0).map_or(0, |it| it.outside);
        Self { namespace, root: (root(uids), root(gids)) }
    }
}

/// Makes all that the root filesystem consists of; nobody sees any of it yet.
///
/// # Errors
/// What is not there, or the kernel's refusal; `Unsupported` where ids cannot be mapped.
pub(super) fn make(rootfs: &Rootfs, ids: Option<Ids<'_>>) -> Result<Vec<OwnedFd>> {
    rootfs.stack.iter().map(|mount| one(rootfs, mount, ids).map_err(|error| at(error, mount))).collect()
}

fn at(error: Error, mount: &Stacked) -> Error {
    if error.at.is_some() { error } else { error.at(&mount.at) }
}

fn one(rootfs: &Rootfs, mount: &Stacked, ids: Option<Ids<'_>>) -> Result<OwnedFd> {
    let what = || format!("cannot mount the root filesystem {}", rootfs.path);
    let own = match mount.uid_mappings.is_empty() {
        true => None,
        false => Some(user_namespace(&mount.uid_mappings, &mount.gid_mappings)?),
    };
    let mapped = own.as_ref().map(AsFd::as_fd).or(ids.map(|ids| ids.namespace));
    let tree = match &mount.from {
        Origin::Overlay(layers) => {
            let ids = match (&own, ids) {
                (Some(own), _) => Some(overlay::Mapped::Lower(own.as_fd())),
                (None, ids) => ids.map(overlay::Mapped::All),
            };
            overlay::make(layers, mount.set, Path::new(&rootfs.path), ids)?
        }
        Origin::Bind { path, recursive } => {
            let source = open_host(Path::new(path), false).context(what)?;
            let tree = clone_private(&source, Path::new(""), *recursive).context(what)?;
            let attributes = Attributes { set: mount.set, ..Attributes::default() };
            set_attributes(&tree, with_atime_cleared(attributes), false).context(what)?;
            map(&tree, mapped, *recursive)?;
            tree
        }
        Origin::Filesystem { fstype, source, options, loop_device } => {
            let readonly = mount.set & READONLY != 0;
            let device = loop_device.map(|direct| loop_device::attach(Path::new(source), readonly, direct));
            let device = device.transpose().context(what)?;
            let source = device.as_ref().map_or(source.as_str(), |device| device.path.as_str());
            let tree = new_filesystem(fstype, Some(source), options, mount.set).context(what)?;
            map(&tree, mapped, false)?;
            tree
        }
    };
    for &(propagation, recursive) in &mount.propagation {
        let attributes = Attributes { propagation: propagation.flag(), ..Attributes::default() };
        set_attributes(&tree, attributes, recursive).context(what)?;
    }
    Ok(tree)
}

/// `MOUNT_ATTR_RDONLY`.
const READONLY: u64 = 0x1;

/// Gives a mount ids, before it is attached anywhere.
fn map(tree: &OwnedFd, ids: Option<BorrowedFd<'_>>, recursive: bool) -> Result<()> {
    let Some(ids) = ids else { return Ok(()) };
    set_idmap(tree, ids, recursive).map_err(cannot_be_mapped)
}

/// Of the kernel's refusals those that come from the filesystem are told apart: a level can do without ids.
fn cannot_be_mapped(error: CallError) -> Error {
    let kind =
        if matches!(error.errno, Errno::INVAL | Errno::PERM) { Kind::Unsupported } else { Kind::Failed };
    Error::new(kind, "cannot map the ids of the root filesystem", error.to_string()).fix(CAN_BE_IDMAPPED)
}

/// Makes and attaches what a container that is restored finds there.
///
/// # Errors
/// As [`make`] and [`attach`].
pub(super) fn mount(rootfs: &Rootfs) -> Result<()> {
    if rootfs.stack.is_empty() { Ok(()) } else { attach(rootfs, &make(rootfs, None)?).map(drop) }
}

/// Puts it where the bundle has it; the result is a clone of it all, for the container.
///
/// # Errors
/// The failed call.
pub(super) fn attach(rootfs: &Rootfs, trees: &[OwnedFd]) -> Result<OwnedFd> {
    let what = || format!("cannot mount the root filesystem {}", rootfs.path);
    let place = make_place(Path::new(&rootfs.path)).context(what)?;
    let mut top: Option<&OwnedFd> = None;
    for (mount, tree) in rootfs.stack.iter().zip(trees) {
        let on = match top {
            _ if !mount.target.is_empty() => {
                let below = top.unwrap_or(&place).try_clone().context(what)?;
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                Root::new(below).open(&mount.target, flags).context(what)?
            }
            top => top.unwrap_or(&place).try_clone().context(what)?,
        };
        if is_dir(tree) != is_dir(&on) {
            return Err(Error::new(Kind::Invalid, what(), "it is not a directory").at(&mount.at));
        }
        attach_tree(tree, &on).context(what).map_err(|error| at(error, mount))?;
        if mount.target.is_empty() {
            top = Some(tree);
        }
    }
    clone_tree(top.unwrap_or(&place), Path::new(""), true).context(what)
}

/// The directory in the bundle: whoever made the bundle may have left it to us.
fn make_place(path: &Path) -> Result<OwnedFd, CallError> {
    match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o711)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).call(|| format!("mkdir({path:?})")),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).call(|| format!("open({path:?})"))
}

/// Takes away what we have mounted for a container.
///
/// # Errors
/// The failed call.
pub(super) fn unmount_recorded(record: &Record) -> Result<()> {
    if record.mounts_rootfs { unmount(Path::new(&record.rootfs)) } else { Ok(()) }
}

/// Takes everything away that is mounted at a directory; one that is not there, or no mount, has nothing. What is still
/// in use goes from here, and as a whole when it no longer is.
///
/// # Errors
/// The failed call.
pub fn unmount(path: &Path) -> Result<()> {
    let what = || format!("cannot unmount the root filesystem {}", path.display());
    // A program of the host's may mount as fast as we take away.
    const MOST: u32 = 1000;
    for _ in 0..MOST {
        let unmounted = match rustix::mount::unmount(path, UnmountFlags::NOFOLLOW) {
            Err(Errno::BUSY) => rustix::mount::unmount(path, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH),
            unmounted => unmounted,
        };
        match unmounted {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno).call(|| format!("umount2({path:?})")).context(what),
        }
    }
    Err(Error::new(Kind::Failed, what(), format!("there is still something after {MOST} times")))
}

#[cfg(test)]
mod tests;
