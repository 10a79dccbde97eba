//! Namespaces and mounts: the way to most kernel bugs that need a capability.

use std::os::fd::AsRawFd;

use super::gate::{Call, Gate};
use crate::errno::Errno;
use crate::sys::{Arg, c_string, call, call_for_fd, exit_now, open_at, wait_for};

pub const GATES: &[Gate] = &[
    Gate::plain("unshare-user", "a user namespace with every capability", unshare(libc::CLONE_NEWUSER)),
    Gate::plain("unshare-mount", "a mount namespace", unshare(libc::CLONE_NEWNS)),
    Gate::plain("unshare-net", "a network namespace", unshare(libc::CLONE_NEWNET)),
    Gate::new("clone-user", "a child with every capability", clone_user)
        .by(Call::new(libc::SYS_clone, &[CLONE_USER_FLAGS])),
    Gate::new("clone3", "flags that a filter cannot read", || clone3(0)).by(CLONE3),
    Gate::new("clone3-user", "a child with every capability, past a filter", || clone3(libc::CLONE_NEWUSER))
        .by(CLONE3),
    Gate::new("setns", "another container's namespaces", setns)
        .by(Call::new(libc::SYS_setns, &[0, libc::CLONE_NEWUTS as i64])),
    Gate::new("mount", "mounts of its own", mount).by(Call::new(libc::SYS_mount, &[])).past(&[libc::ENODEV]),
    Gate::new("umount", "what a mount hides", umount)
        .by(Call::new(libc::SYS_umount2, &[0, libc::MNT_DETACH as i64]))
        .past(&[libc::EINVAL]),
    Gate::new("pivot-root", "another root", pivot_root)
        .by(Call::new(libc::SYS_pivot_root, &[]))
        .past(&[libc::ENOENT]),
    Gate::new("chroot", "the classic escape from a root directory", chroot)
        .by(Call::new(libc::SYS_chroot, &[])),
    Gate::new("fsopen", "a filesystem driver", fsopen).by(Call::new(libc::SYS_fsopen, &[])),
    Gate::new("open-tree", "a copy of a mount tree", open_tree)
        .by(Call::new(libc::SYS_open_tree, &[libc::AT_FDCWD as i64, 0, OPEN_TREE_CLONE])),
    Gate::new("mount-setattr", "a mount without its read-only flag", mount_setattr)
        .by(Call::new(libc::SYS_mount_setattr, &[libc::AT_FDCWD as i64, 0, 0, 0, 32]))
        .past(&[libc::EINVAL]),
];

const CLONE_USER_FLAGS: i64 = (libc::CLONE_NEWUSER | libc::SIGCHLD) as i64;
const CLONE3: Call = Call::new(libc::SYS_clone3, &[0, 64]);
const OPEN_TREE_CLONE: i64 = 1;

const fn unshare(flags: i32) -> Call {
    Call::new(libc::SYS_unshare, &[flags as i64])
}

fn clone_user() -> Result<(), Errno> {
    match call(libc::SYS_clone, &mut [CLONE_USER_FLAGS.into()])? {
        0 => exit_now(0),
        child => finished(child),
    }
}

fn clone3(flags: i32) -> Result<(), Errno> {
    let mut arguments = [0_u8; 64];
    arguments[..8].copy_from_slice(&i64::from(flags).to_ne_bytes());
    arguments[32..40].copy_from_slice(&i64::from(libc::SIGCHLD).to_ne_bytes());
    match call(libc::SYS_clone3, &mut [arguments.as_mut_slice().into(), 64.into()])? {
        0 => exit_now(0),
        child => finished(child),
    }
}

fn finished(child: i64) -> Result<(), Errno> {
    wait_for(child as i32);
    Ok(())
}

fn setns() -> Result<(), Errno> {
    let own = open_at(libc::AT_FDCWD, "/proc/self/ns/uts", libc::O_RDONLY)?;
    call(libc::SYS_setns, &mut [own.as_raw_fd().into(), libc::CLONE_NEWUTS.into()]).map(drop)
}

fn mount() -> Result<(), Errno> {
    let (source, target, kind) = (c_string("none"), c_string("/"), c_string("no-such-filesystem"));
    let mut arguments: [Arg<'_>; 3] =
        [source.as_slice().into(), target.as_slice().into(), kind.as_slice().into()];
    call(libc::SYS_mount, &mut arguments).map(drop)
}

fn umount() -> Result<(), Errno> {
    call(libc::SYS_umount2, &mut [c_string("/proc/self").as_slice().into(), libc::MNT_DETACH.into()])
        .map(drop)
}

fn pivot_root() -> Result<(), Errno> {
    let nowhere = c_string("/no-such-directory");
    call(libc::SYS_pivot_root, &mut [nowhere.as_slice().into(), nowhere.as_slice().into()]).map(drop)
}

fn chroot() -> Result<(), Errno> {
    call(libc::SYS_chroot, &mut [c_string("/").as_slice().into()]).map(drop)
}

fn fsopen() -> Result<(), Errno> {
    call_for_fd(libc::SYS_fsopen, &mut [c_string("tmpfs").as_slice().into()]).map(drop)
}

fn open_tree() -> Result<(), Errno> {
    let root = c_string("/");
    call_for_fd(
        libc::SYS_open_tree,
        &mut [libc::AT_FDCWD.into(), root.as_slice().into(), OPEN_TREE_CLONE.into()],
    )
    .map(drop)
}

/// Asks to clear the read-only flag of a directory that is no mount: EINVAL after the check of permission.
fn mount_setattr() -> Result<(), Errno> {
    let mut attributes = [0_u8; 32];
    attributes[8] = 1;
    let path = c_string("/proc/self");
    let mut arguments =
        [libc::AT_FDCWD.into(), path.as_slice().into(), 0.into(), attributes.as_slice().into(), 32.into()];
    call(libc::SYS_mount_setattr, &mut arguments).map(drop)
}
