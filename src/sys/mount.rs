//! Mounts as descriptors: the mount API of Linux 5.2 (`fsopen`, `open_tree`, `move_mount`) and
//! `mount_setattr(2)` of Linux 5.12.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_reconfigure, fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, fspick,
    move_mount, open_tree,
};

use super::error::{CallError, Syscall, check};

/// Attributes of `mount_setattr(2)`: what to set, what to clear, and the propagation type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0 to leave it.
    pub propagation: u64,
}

/// A clone of the mount at `path` (with all below it if `recursive`), attached nowhere.
///
/// # Errors
/// `open_tree(2)`'s; EPERM without `CAP_SYS_ADMIN` over the mount namespace.
pub fn clone_tree(at: impl AsFd, path: &Path, recursive: bool) -> Result<OwnedFd, CallError> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    let dir = at.as_fd();
    open_tree(dir, path, flags).call(|| format!("open_tree({}, {path:?}, CLONE)", dir.as_raw_fd()))
}

/// The same, cut off from the mount it was cloned from: a plain clone of a shared mount is its peer, and what is
/// mounted below one shows below the other.
///
/// # Errors
/// As [`clone_tree`].
pub fn clone_private(at: impl AsFd, path: &Path, recursive: bool) -> Result<OwnedFd, CallError> {
    let tree = clone_tree(at, path, recursive)?;
    let private = Attributes { propagation: libc::MS_PRIVATE, ..Attributes::default() };
    set_attributes(&tree, private, true)?;
    Ok(tree)
}

/// A new instance of a filesystem, attached nowhere. `options` are what `mount(8)` calls data.
///
/// # Errors
/// The failed call; with the reason that the filesystem gives, where it gives one.
pub fn new_filesystem(
    fstype: &str,
    source: Option<&str>,
    options: &[(String, Option<String>)],
    attributes: u64,
) -> Result<OwnedFd, CallError> {
    new_filesystem_of(fstype, source, &[], options, attributes)
}

/// The same of directories that are given by descriptor, each under a name of its own (`FSCONFIG_SET_FD`; overlayfs
/// since Linux 6.13, of mounts that are attached nowhere since 6.15).
///
/// # Errors
/// As [`new_filesystem`].
pub fn new_filesystem_of(
    fstype: &str,
    source: Option<&str>,
    directories: &[(&str, OwnedFd)],
    options: &[(String, Option<String>)],
    attributes: u64,
) -> Result<OwnedFd, CallError> {
    let context = fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).call(|| format!("fsopen({fstype:?})"))?;
    let explained = |error| explain(&context, error);
    if let Some(source) = source {
        fsconfig_set_string(&context, "source", source)
            .call(|| format!("fsconfig({fstype}, source={source})"))
            .map_err(explained)?;
    }
    for (key, directory) in directories {
        fsconfig_set_fd(&context, *key, directory.as_fd())
            .call(|| format!("fsconfig({fstype}, {key}, FD)"))
            .map_err(explained)?;
    }
    configure(&context, fstype, options)?;
    fsconfig_create(&context).call(|| format!("fsconfig({fstype}, CREATE)")).map_err(explained)?;
    let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).call(|| format!("fsmount({fstype})"))
}

/// Changes the options of the filesystem that is mounted at `target`.
///
/// # Errors
/// As [`new_filesystem`]; EINVAL for an option that cannot be changed.
pub fn reconfigure(target: impl AsFd, options: &[(String, Option<String>)]) -> Result<(), CallError> {
    let flags = FsPickFlags::FSPICK_EMPTY_PATH | FsPickFlags::FSPICK_CLOEXEC;
    let target = target.as_fd();
    let context = fspick(target, "", flags).call(|| format!("fspick({})", target.as_raw_fd()))?;
    configure(&context, "mounted", options)?;
    fsconfig_reconfigure(&context)
        .call(|| "fsconfig(RECONFIGURE)".to_owned())
        .map_err(|error| explain(&context, error))
}

fn configure(context: &OwnedFd, fstype: &str, options: &[(String, Option<String>)]) -> Result<(), CallError> {
    for (key, value) in options {
        match value {
            Some(value) => fsconfig_set_string(context, key.as_str(), value.as_str())
                .call(|| format!("fsconfig({fstype}, {key}={value})")),
            None => fsconfig_set_flag(context, key.as_str()).call(|| format!("fsconfig({fstype}, {key})")),
        }
        .map_err(|error| explain(context, error))?;
    }
    Ok(())
}

/// The filesystem context keeps a log of what it did not like (`fsopen(2)`, "message retrieval").
fn explain(context: &OwnedFd, mut error: CallError) -> CallError {
    let mut buffer = [0u8; 256];
    if let Ok(length) = rustix::io::read(context, &mut buffer) {
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        error.call = format!("{} (\"{}\")", error.call, text.trim_end().trim_start_matches("e "));
    }
    error
}

/// Attaches a detached mount on top of what `target` refers to.
///
/// # Errors
/// `move_mount(2)`'s.
pub fn attach(tree: impl AsFd, target: impl AsFd) -> Result<(), CallError> {
    let (tree, target) = (tree.as_fd(), target.as_fd());
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", target, "", flags)
        .call(|| format!("move_mount({}, {})", tree.as_raw_fd(), target.as_raw_fd()))
}

/// Changes a mount by descriptor, and all below it if `recursive`.
///
/// # Errors
/// `mount_setattr(2)`'s; EPERM for a flag that an outer user namespace has locked.
pub fn set_attributes(mount: impl AsFd, attributes: Attributes, recursive: bool) -> Result<(), CallError> {
    set(mount, attributes, None, recursive)
}

/// Maps the ids of a detached mount by those of a user namespace (Linux 5.12, per filesystem later).
///
/// # Errors
/// `mount_setattr(2)`'s; EINVAL where the filesystem cannot be idmapped.
pub fn set_idmap(mount: impl AsFd, user_namespace: impl AsFd, recursive: bool) -> Result<(), CallError> {
    let attributes = Attributes { set: libc::MOUNT_ATTR_IDMAP, ..Attributes::default() };
    set(mount, attributes, Some(user_namespace.as_fd().as_raw_fd()), recursive)
}

fn set(
    mount: impl AsFd,
    attributes: Attributes,
    user_namespace: Option<i32>,
    recursive: bool,
) -> Result<(), CallError> {
    let attr = libc::mount_attr {
        attr_set: attributes.set,
        attr_clr: attributes.clear,
        propagation: attributes.propagation,
        userns_fd: user_namespace.unwrap_or(0) as u64,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let fd = mount.as_fd().as_raw_fd();
    // SAFETY: the path is a C string, and the kernel reads as many bytes of `attr` as its size says.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd,
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result).map(drop).call(|| {
        let Attributes { set, clear, propagation } = attributes;
        format!("mount_setattr({fd}, set {set:#x}, clear {clear:#x}, propagation {propagation:#x})")
    })
}
