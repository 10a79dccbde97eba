//! Files and devices of the host.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::SUID_QUESTION;
use super::gate::{Call, Gate};
use crate::errno::Errno;
use crate::sys::{c_string, call, call_for_fd, in_child, open_at};

pub const GATES: &[Gate] = &[
    Gate::new("mknod-block", "a disk by its number", mknod_block)
        .by(Call::new(libc::SYS_mknodat, &[libc::AT_FDCWD as i64, 0, libc::S_IFBLK as i64 | 0o600])),
    Gate::new("raw-device", "the kernel's log through a device node", raw_device)
        .by(Call::new(libc::SYS_mknodat, &[libc::AT_FDCWD as i64, 0, libc::S_IFCHR as i64 | 0o600])),
    Gate::new("open-by-handle", "files outside the root by inode (shocker)", open_by_handle)
        .by(Call::new(libc::SYS_open_by_handle_at, &[]))
        .past(&[libc::ESTALE]),
    Gate::new("name-to-handle", "inode handles to guess from", name_to_handle)
        .by(Call::new(libc::SYS_name_to_handle_at, &[libc::AT_FDCWD as i64]))
        .past(&[libc::EOPNOTSUPP, libc::EOVERFLOW]),
    Gate::new("set-user-id", "root from a set-user-ID file", set_user_id),
];

/// Makes a node in the first place that takes files, runs `then` on it, and removes it.
fn with_node(kind: u32, device: u64, then: fn(&str) -> Result<(), Errno>) -> Result<(), Errno> {
    let mut last = Errno(libc::ENOENT);
    for place in ["/dev", "/dev/shm", "/tmp", "/run", "."] {
        let path = format!("{place}/.probe-{}", std::process::id());
        let mode = i64::from(kind | 0o600);
        let name = c_string(&path);
        let mut arguments =
            [libc::AT_FDCWD.into(), name.as_slice().into(), mode.into(), (device as i64).into()];
        match call(libc::SYS_mknodat, &mut arguments) {
            Ok(_) => {
                let result = then(&path);
                fs::remove_file(&path).map_err(|error| Errno::of(&error))?;
                return result;
            }
            Err(errno) if matches!(errno.0, libc::EROFS | libc::ENOENT | libc::ENOSPC) => last = errno,
            Err(errno) => return Err(errno),
        }
    }
    Err(last)
}

/// Block device 240:0 is kept free for experiments, so the node leads nowhere.
fn mknod_block() -> Result<(), Errno> {
    with_node(libc::S_IFBLK, libc::makedev(240, 0), |_| Ok(()))
}

/// Character device 1:11 is /dev/kmsg.
fn raw_device() -> Result<(), Errno> {
    with_node(libc::S_IFCHR, libc::makedev(1, 11), |path| {
        open_at(libc::AT_FDCWD, path, libc::O_RDONLY | libc::O_NONBLOCK).map(drop)
    })
}

/// A handle of 8 bytes, type 1, that no inode has.
fn open_by_handle() -> Result<(), Errno> {
    let mut handle = [0_u8; 16];
    handle[0] = 8;
    handle[4] = 1;
    let root = open_at(libc::AT_FDCWD, "/", libc::O_RDONLY | libc::O_DIRECTORY)?;
    let mut arguments = [root.as_raw_fd().into(), handle.as_slice().into(), libc::O_RDONLY.into()];
    call_for_fd(libc::SYS_open_by_handle_at, &mut arguments).map(drop)
}

fn name_to_handle() -> Result<(), Errno> {
    let (mut handle, mut mount) = ([0_u8; 136], [0_u8; 4]);
    handle[0] = 128;
    let root = c_string("/");
    let mut arguments = [
        libc::AT_FDCWD.into(),
        root.as_slice().into(),
        handle.as_mut_slice().into(),
        mount.as_mut_slice().into(),
        0.into(),
    ];
    call(libc::SYS_name_to_handle_at, &mut arguments).map(drop)
}

/// Root makes a set-user-ID copy of the probe and runs it as nobody: is the copy root?
fn set_user_id() -> Result<(), Errno> {
    let copy = format!("/tmp/.probe-suid-{}", std::process::id());
    let result = ask_copy(&copy);
    match fs::remove_file(&copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Errno::of(&error)),
        _ => result,
    }
}

fn ask_copy(copy: &str) -> Result<(), Errno> {
    fs::copy("/proc/self/exe", copy).map_err(|error| Errno::of(&error))?;
    call(libc::SYS_chmod, &mut [c_string(copy).as_slice().into(), 0o4755.into()])?;
    let nobody = 65_534;
    let outcome = in_child(|| {
        call(libc::SYS_setresuid, &mut [nobody.into(), nobody.into(), nobody.into()])?;
        Err(Errno::of(&Command::new(copy).arg(SUID_QUESTION).exec()))
    });
    match outcome {
        crate::errno::Outcome::Done(_) => Ok(()),
        crate::errno::Outcome::Refused(errno) => Err(errno),
        crate::errno::Outcome::Killed(_) => Err(Errno(libc::EPERM)),
    }
}
