//! What changes the whole machine. Where success would do harm, the arguments are such that the kernel rejects them
//! after its check of permission, and files are opened, not written.

use std::fs;

use super::gate::{Call, Gate};
use crate::errno::Errno;
use crate::sys::{c_string, call, open_at};

pub const GATES: &[Gate] = &[
    Gate::plain(
        "reboot",
        "the machine's power switch",
        Call::new(libc::SYS_reboot, &[]).needing("CAP_SYS_BOOT"),
    )
    .past(&[libc::EINVAL]),
    Gate::plain(
        "kexec-load",
        "another kernel",
        Call::new(libc::SYS_kexec_load, &[0, 0, 0, 0x7]).needing("CAP_SYS_BOOT"),
    )
    .past(&[libc::EINVAL]),
    Gate::plain(
        "init-module",
        "code in the kernel",
        Call::new(libc::SYS_init_module, &[]).needing("CAP_SYS_MODULE"),
    )
    .past(&[libc::ENOEXEC, libc::EFAULT]),
    Gate::plain(
        "finit-module",
        "code in the kernel",
        Call::new(libc::SYS_finit_module, &[-1]).needing("CAP_SYS_MODULE"),
    )
    .past(&[libc::EBADF]),
    Gate::new("delete-module", "the kernel's defences unloaded", || {
        with_path(libc::SYS_delete_module, "no_such_module", libc::O_NONBLOCK)
    })
    .by(Call::new(libc::SYS_delete_module, &[0, libc::O_NONBLOCK as i64]).needing("CAP_SYS_MODULE"))
    .past(&[libc::ENOENT]),
    Gate::new("swapon", "memory written where it likes", || with_path(libc::SYS_swapon, "/no-such-file", 0))
        .by(Call::new(libc::SYS_swapon, &[]).needing("CAP_SYS_ADMIN"))
        .past(&[libc::ENOENT]),
    Gate::new("acct", "a file written by the kernel", || with_path(libc::SYS_acct, "/no-such-file", 0))
        .by(Call::new(libc::SYS_acct, &[]).needing("CAP_SYS_PACCT"))
        .past(&[libc::ENOENT]),
    Gate::plain(
        "settimeofday",
        "everybody's clock",
        Call::new(libc::SYS_settimeofday, &[]).needing("CAP_SYS_TIME"),
    ),
    Gate::new("quotactl", "the disk quotas of all", quotactl)
        .by(Call::new(libc::SYS_quotactl, &[Q_SYNC_USRQUOTA]))
        .past(&[libc::ENODEV, libc::ENOENT, libc::ENOTBLK]),
    #[cfg(target_arch = "x86_64")]
    Gate::plain(
        "iopl",
        "the ports of every device",
        Call::new(libc::SYS_iopl, &[3]).needing("CAP_SYS_RAWIO"),
    ),
    Gate::new("core-pattern", "a program run by the host on a crash", || {
        open_for_write("/proc/sys/kernel/core_pattern")
    }),
    Gate::new("sysrq-trigger", "the machine's emergency keys", || open_for_write("/proc/sysrq-trigger")),
    Gate::new("sys-write", "settings of the host's kernel", || any_for_write(SETTINGS)),
    Gate::new("release-agent", "a program run by the host when a cgroup is empty (CVE-2022-0492)", || {
        any_for_write(&beside("release_agent"))
    }),
    Gate::new("device-cgroup", "the list of devices it may open", || any_for_write(&beside("devices.allow"))),
    Gate::new("cgroup-write", "its own limits", || any_for_write(&beside("cgroup.procs"))),
];

const Q_SYNC_USRQUOTA: i64 = 0x0080_0001 << 8;

const SETTINGS: &[&str] =
    &["/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/mm/ksm/run", "/sys/kernel/rcu_expedited"];

fn with_path(number: libc::c_long, path: &str, flags: i32) -> Result<(), Errno> {
    call(number, &mut [c_string(path).as_slice().into(), flags.into()]).map(drop)
}

fn quotactl() -> Result<(), Errno> {
    let device = c_string("/no-such-device");
    call(libc::SYS_quotactl, &mut [Q_SYNC_USRQUOTA.into(), device.as_slice().into()]).map(drop)
}

/// Files of this name in the cgroups that are mounted.
fn beside(name: &str) -> Vec<String> {
    let controllers = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let below = controllers.map(|controller| format!("{}/{name}", controller.path().display()));
    std::iter::once(format!("/sys/fs/cgroup/{name}")).chain(below).collect()
}

/// Done if one of them can be opened for writing; else what the last that is there answered.
fn any_for_write(paths: &[impl AsRef<str>]) -> Result<(), Errno> {
    let mut answer = Err(Errno(libc::ENOENT));
    for path in paths.iter().filter(|path| fs::symlink_metadata(path.as_ref()).is_ok()) {
        answer = open_for_write(path.as_ref());
        if answer.is_ok() {
            break;
        }
    }
    answer
}

fn open_for_write(path: &str) -> Result<(), Errno> {
    open_at(libc::AT_FDCWD, path, libc::O_WRONLY | libc::O_NONBLOCK).map(drop)
}
