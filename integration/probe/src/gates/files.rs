//! Files, devices and terminals of the host.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{Gate, SUID_QUESTION};
use crate::errno::Errno;
use crate::sys::{c_string, call, call_for_fd, in_child, open_at, pipe};

pub const GATES: &[Gate] = &[
    Gate { name: "mknod-block", gives: "a disk by its number", past_the_door: &[], attempt: mknod_block },
    Gate {
        name: "raw-device",
        gives: "the kernel's log through a device node",
        past_the_door: &[],
        attempt: raw_device,
    },
    Gate {
        name: "open-by-handle",
        gives: "files outside the root by inode (shocker)",
        past_the_door: &[libc::ESTALE],
        attempt: open_by_handle,
    },
    Gate {
        name: "name-to-handle",
        gives: "inode handles to guess from",
        past_the_door: &[libc::EOPNOTSUPP, libc::EOVERFLOW],
        attempt: name_to_handle,
    },
    Gate {
        name: "core-pattern",
        gives: "a program run by the host on a crash",
        past_the_door: &[],
        attempt: || open_for_write("/proc/sys/kernel/core_pattern"),
    },
    Gate {
        name: "sysrq-trigger",
        gives: "the machine's emergency keys",
        past_the_door: &[],
        attempt: || open_for_write("/proc/sysrq-trigger"),
    },
    Gate {
        name: "sys-write",
        gives: "settings of the host's kernel",
        past_the_door: &[],
        attempt: sys_write,
    },
    Gate { name: "cgroup-write", gives: "its own limits", past_the_door: &[], attempt: cgroup_write },
    Gate {
        name: "tiocsti",
        gives: "keystrokes on the caller's terminal",
        past_the_door: &[libc::ENOTTY],
        attempt: || terminal_call(libc::TIOCSTI as i64),
    },
    Gate {
        name: "tioclinux",
        gives: "the console's clipboard",
        past_the_door: &[libc::ENOTTY],
        attempt: || terminal_call(libc::TIOCLINUX as i64),
    },
    Gate {
        name: "tiocsetd",
        gives: "a line discipline of the kernel",
        past_the_door: &[libc::ENOTTY],
        attempt: || terminal_call(libc::TIOCSETD as i64),
    },
    Gate {
        name: "splice",
        gives: "the page cache through a pipe (CVE-2022-0847)",
        past_the_door: &[],
        attempt: splice,
    },
    Gate {
        name: "vmsplice",
        gives: "own pages shared with the kernel",
        past_the_door: &[],
        attempt: vmsplice,
    },
    Gate {
        name: "set-user-id",
        gives: "root from a set-user-ID file",
        past_the_door: &[],
        attempt: set_user_id,
    },
];

fn open_for_write(path: &str) -> Result<(), Errno> {
    open_at(libc::AT_FDCWD, path, libc::O_WRONLY | libc::O_NONBLOCK).map(drop)
}

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

fn sys_write() -> Result<(), Errno> {
    const SETTINGS: &[&str] = &[
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/kernel/mm/ksm/run",
        "/sys/kernel/rcu_expedited",
    ];
    open_for_write(first_present(SETTINGS)?)
}

fn cgroup_write() -> Result<(), Errno> {
    const MEMBERS: &[&str] = &[
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/memory/cgroup.procs",
        "/sys/fs/cgroup/pids/cgroup.procs",
        "/sys/fs/cgroup/unified/cgroup.procs",
    ];
    open_for_write(first_present(MEMBERS)?)
}

fn first_present(paths: &[&'static str]) -> Result<&'static str, Errno> {
    paths.iter().copied().find(|path| fs::symlink_metadata(path).is_ok()).ok_or(Errno(libc::ENOENT))
}

/// On a pipe, which is no terminal: ENOTTY once the call has been let through.
fn terminal_call(request: i64) -> Result<(), Errno> {
    let (read, _write) = pipe()?;
    call(libc::SYS_ioctl, &mut [read.as_raw_fd().into(), request.into(), b"x\0\0\0".into()]).map(drop)
}

fn splice() -> Result<(), Errno> {
    let ((source, fill), (_drain, target)) = (pipe()?, pipe()?);
    call(libc::SYS_write, &mut [fill.as_raw_fd().into(), b"x".into(), 1.into()])?;
    let mut arguments =
        [source.as_raw_fd().into(), 0.into(), target.as_raw_fd().into(), 0.into(), 1.into(), 0.into()];
    call(libc::SYS_splice, &mut arguments).map(drop)
}

fn vmsplice() -> Result<(), Errno> {
    let (_read, write) = pipe()?;
    let mut page = [0_u8; 16];
    let vector = crate::sys::iovec(&mut page);
    call(libc::SYS_vmsplice, &mut [write.as_raw_fd().into(), vector.as_slice().into(), 1.into()]).map(drop)
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
