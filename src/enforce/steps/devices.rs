//! Device nodes in the container's `/dev`, and the links that programs expect beside them.

use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, makedev, mknodat, openat, symlinkat,
};
use rustix::io::Errno;

use crate::enforce::init::Init;
use crate::enforce::order::Role;
use crate::enforce::root::{Root, split};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Plan;
use crate::plan::devices::{Device, DeviceKind};
use crate::plan::mounts::Source;
use crate::sys::Syscall;
use crate::sys::mount::{Attributes, attach, clone_private, set_attributes};

/// OCI runtime-linux, "Dev symbolic links".
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Makes all nodes, unless the whole `/dev` is bound from somewhere, or the host's, which then has what it has.
pub fn make(plan: &Plan, init: &mut Init) -> Result<()> {
    let bound = plan
        .mounts
        .iter()
        .any(|mount| mount.destination == "/dev" && matches!(mount.source, Source::Bind { .. }));
    if bound || plan.rootfs.in_place {
        return Ok(());
    }
    let dev = open_dev(init.root()?)?;
    let umask = rustix::process::umask(Mode::empty());
    let made = plan.devices.iter().enumerate().try_for_each(|(index, device)| {
        let bind = init.received.take(&Role::Device(index));
        one(init.root()?, device, bind, plan.rootfs.write_xor_execute.is_some()).map_err(|error| Error {
            what: format!("cannot make device {}: {}", device.path, error.what),
            ..error
        })
    });
    rustix::process::umask(umask);
    made?;
    links(&dev)
}

/// `/dev` itself must not be a link: nodes would be made wherever it leads (CVE-2026-41579).
fn open_dev(root: &Root) -> Result<OwnedFd> {
    root.make_dir("/dev")?;
    root.open_plain("/dev", OFlags::RDONLY | OFlags::DIRECTORY)
        .context(|| "cannot open /dev in the root filesystem".to_owned())
        .map_err(|error| error.fix("/dev of the root filesystem must be a plain directory"))
}

fn one(root: &Root, device: &Device, bind: Option<OwnedFd>, noexec: bool) -> Result<()> {
    let (parent, name) = split(&device.path);
    let parent = root.make_dir(parent)?;
    // In a user namespace nobody may make nodes; the host's are bound instead.
    if let Some(tree) = bind {
        return put(&tree, root, device, noexec);
    }
    if device.bound {
        let source = crate::enforce::root::host(device.path.as_ref(), false)
            .context(|| "cannot bind it".to_owned())?;
        if !is_device(&source, device) {
            let what = format!("the host's {} is not device {}:{}", device.path, device.major, device.minor);
            return Err(Error::new(Kind::Invalid, what, ""));
        }
        let tree = clone_private(&source, "".as_ref(), false).context(|| "cannot bind it".to_owned())?;
        return put(&tree, root, device, noexec);
    }
    match mknodat(&parent, name, file_type(device), Mode::from_raw_mode(device.mode), number(device)) {
        Err(Errno::EXIST) => return expect_same(&parent, name, device),
        result => result.call(|| format!("mknodat({name:?})")).context(|| "the kernel refused".to_owned())?,
    }
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .call(|| format!("fchownat({name:?})"))
        .context(|| "the kernel refused".to_owned())
}

/// A node of the host's, in the place of the container's.
fn put(tree: &OwnedFd, root: &Root, device: &Device, noexec: bool) -> Result<()> {
    let what = || "cannot bind it".to_owned();
    if noexec {
        let noexec = Attributes { set: libc::MOUNT_ATTR_NOEXEC, ..Attributes::default() };
        set_attributes(tree, noexec, false).context(what)?;
    }
    attach(tree, root.make_plain_file(&device.path)?).context(what)
}

/// What is there already is only accepted when it is that very device.
fn expect_same(parent: &OwnedFd, name: &str, device: &Device) -> Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let there = openat(parent, name, flags, Mode::empty())
        .call(|| format!("openat({name:?})"))
        .context(|| "it is there already".to_owned())?;
    if is_device(&there, device) {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, "something else is there already", "")
        .fix("mount a tmpfs on /dev, or remove it from the image"))
}

/// Whether a descriptor is of a node of the same kind and number.
pub fn is_device(node: &OwnedFd, device: &Device) -> bool {
    fstat(node).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == file_type(device)
            && (device.kind == DeviceKind::Fifo || stat.st_rdev == number(device))
    })
}

fn file_type(device: &Device) -> FileType {
    match device.kind {
        DeviceKind::Char => FileType::CharacterDevice,
        DeviceKind::Block => FileType::BlockDevice,
        DeviceKind::Fifo => FileType::Fifo,
    }
}

fn number(device: &Device) -> u64 {
    makedev(device.major, device.minor)
}

fn links(dev: &OwnedFd) -> Result<()> {
    for (name, target) in LINKS {
        match symlinkat(target, dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => {
                return Err(errno)
                    .call(|| format!("symlinkat({target:?}, {name:?})"))
                    .context(|| format!("cannot make the link /dev/{name}"));
            }
        }
    }
    Ok(())
}
