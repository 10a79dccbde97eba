//! Namespaces and mounts: the way to most kernel bugs that need a capability.

use std::os::fd::AsRawFd;

use super::Gate;
use crate::errno::Errno;
use crate::sys::{Arg, c_string, call, call_for_fd, exit_now, open_at, wait_for};

pub const GATES: &[Gate] = &[
    Gate {
        name: "unshare-user",
        gives: "a user namespace with every capability",
        past_the_door: &[],
        attempt: || unshare(libc::CLONE_NEWUSER),
    },
    Gate {
        name: "unshare-mount",
        gives: "a mount namespace",
        past_the_door: &[],
        attempt: || unshare(libc::CLONE_NEWNS),
    },
    Gate {
        name: "unshare-net",
        gives: "a network namespace",
        past_the_door: &[],
        attempt: || unshare(libc::CLONE_NEWNET),
    },
    Gate {
        name: "clone-user",
        gives: "a child with every capability",
        past_the_door: &[],
        attempt: clone_user,
    },
    Gate { name: "clone3", gives: "flags that a filter cannot read", past_the_door: &[], attempt: clone3 },
    Gate { name: "setns", gives: "another container's namespaces", past_the_door: &[], attempt: setns },
    Gate { name: "mount", gives: "mounts of its own", past_the_door: &[libc::ENODEV], attempt: mount },
    Gate { name: "umount", gives: "what a mount hides", past_the_door: &[libc::EINVAL], attempt: umount },
    Gate { name: "pivot-root", gives: "another root", past_the_door: &[libc::ENOENT], attempt: pivot_root },
    Gate {
        name: "chroot",
        gives: "the classic escape from a root directory",
        past_the_door: &[],
        attempt: chroot,
    },
    Gate { name: "fsopen", gives: "a filesystem driver", past_the_door: &[], attempt: fsopen },
    Gate { name: "open-tree", gives: "a copy of a mount tree", past_the_door: &[], attempt: open_tree },
    Gate {
        name: "mount-setattr",
        gives: "a mount without its read-only flag",
        past_the_door: &[libc::EINVAL],
        attempt: mount_setattr,
    },
];

fn unshare(flags: i32) -> Result<(), Errno> {
    call(libc::SYS_unshare, &mut [flags.into()]).map(drop)
}

fn clone_user() -> Result<(), Errno> {
    let flags = i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
    match call(libc::SYS_clone, &mut [flags.into()])? {
        0 => exit_now(0),
        child => finished(child),
    }
}

fn clone3() -> Result<(), Errno> {
    let mut arguments = [0_u8; 64];
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
    const OPEN_TREE_CLONE: i32 = 1;
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
