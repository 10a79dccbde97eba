//! Calls that change or read the whole machine. Where success would do harm, the arguments are such that the
//! kernel rejects them after its check of permission.

use super::Gate;
use crate::errno::Errno;
use crate::sys::{Arg, c_string, call, call_for_fd};

pub const GATES: &[Gate] = &[
    Gate {
        name: "reboot",
        gives: "the machine's power switch",
        past_the_door: &[libc::EINVAL],
        attempt: || plain(libc::SYS_reboot, &[0, 0, 0]),
    },
    Gate {
        name: "kexec-load",
        gives: "another kernel",
        past_the_door: &[libc::EINVAL],
        attempt: || plain(libc::SYS_kexec_load, &[0, 0, 0, 0x7]),
    },
    Gate {
        name: "init-module",
        gives: "code in the kernel",
        past_the_door: &[libc::ENOEXEC, libc::EFAULT],
        attempt: || plain(libc::SYS_init_module, &[]),
    },
    Gate {
        name: "finit-module",
        gives: "code in the kernel",
        past_the_door: &[libc::EBADF],
        attempt: || plain(libc::SYS_finit_module, &[-1]),
    },
    Gate {
        name: "delete-module",
        gives: "the kernel's defences unloaded",
        past_the_door: &[libc::ENOENT],
        attempt: delete_module,
    },
    Gate {
        name: "swapon",
        gives: "memory written where it likes",
        past_the_door: &[libc::ENOENT],
        attempt: swapon,
    },
    Gate {
        name: "acct",
        gives: "a file written by the kernel",
        past_the_door: &[libc::ENOENT],
        attempt: acct,
    },
    Gate { name: "syslog", gives: "the kernel's log and its addresses", past_the_door: &[], attempt: syslog },
    Gate {
        name: "settimeofday",
        gives: "everybody's clock",
        past_the_door: &[],
        attempt: || plain(libc::SYS_settimeofday, &[]),
    },
    Gate { name: "bpf", gives: "programs in the kernel", past_the_door: &[], attempt: bpf },
    Gate { name: "io-uring", gives: "a second system call table", past_the_door: &[], attempt: io_uring },
    Gate { name: "add-key", gives: "keys of the kernel", past_the_door: &[], attempt: add_key },
    Gate {
        name: "keyctl",
        gives: "keyrings that no namespace separates",
        past_the_door: &[libc::ENOKEY],
        attempt: keyctl,
    },
    Gate {
        name: "userfaultfd",
        gives: "a brake for race conditions",
        past_the_door: &[],
        attempt: userfaultfd,
    },
    Gate {
        name: "quotactl",
        gives: "the disk quotas of all",
        past_the_door: &[libc::ENODEV, libc::ENOENT, libc::ENOTBLK],
        attempt: quotactl,
    },
    Gate {
        name: "seccomp-listener",
        gives: "answers forged for its children",
        past_the_door: &[],
        attempt: seccomp_listener,
    },
    Gate {
        name: "personality",
        gives: "memory without random addresses",
        past_the_door: &[],
        attempt: || plain(libc::SYS_personality, &[0x0004_0000]),
    },
];

fn plain(number: libc::c_long, integers: &[i64]) -> Result<(), Errno> {
    let mut arguments: Vec<Arg<'_>> = integers.iter().map(|integer| Arg::Int(*integer)).collect();
    call(number, &mut arguments).map(drop)
}

fn with_path(number: libc::c_long, path: &str, flags: i32) -> Result<(), Errno> {
    call(number, &mut [c_string(path).as_slice().into(), flags.into()]).map(drop)
}

fn delete_module() -> Result<(), Errno> {
    with_path(libc::SYS_delete_module, "no_such_module", libc::O_NONBLOCK)
}

fn swapon() -> Result<(), Errno> {
    with_path(libc::SYS_swapon, "/no-such-file", 0)
}

fn acct() -> Result<(), Errno> {
    with_path(libc::SYS_acct, "/no-such-file", 0)
}

fn syslog() -> Result<(), Errno> {
    const SYSLOG_ACTION_READ_ALL: i32 = 3;
    let mut buffer = [0; 64];
    call(libc::SYS_syslog, &mut [SYSLOG_ACTION_READ_ALL.into(), buffer.as_mut_slice().into(), 64.into()])
        .map(drop)
}

fn bpf() -> Result<(), Errno> {
    const BPF_MAP_CREATE: i32 = 0;
    let mut attributes = [0_u8; 128];
    for (word, value) in [(0, 2_u32), (1, 4), (2, 4), (3, 1)] {
        attributes[word * 4..word * 4 + 4].copy_from_slice(&value.to_ne_bytes());
    }
    call_for_fd(libc::SYS_bpf, &mut [BPF_MAP_CREATE.into(), attributes.as_slice().into(), 128.into()])
        .map(drop)
}

fn io_uring() -> Result<(), Errno> {
    let mut parameters = [0; 120];
    call_for_fd(libc::SYS_io_uring_setup, &mut [1.into(), parameters.as_mut_slice().into()]).map(drop)
}

fn add_key() -> Result<(), Errno> {
    let (kind, name) = (c_string("user"), c_string("probe"));
    let process_keyring = libc::KEY_SPEC_PROCESS_KEYRING;
    let mut arguments =
        [kind.as_slice().into(), name.as_slice().into(), b"x".into(), 1.into(), process_keyring.into()];
    call(libc::SYS_add_key, &mut arguments).map(drop)
}

fn keyctl() -> Result<(), Errno> {
    const KEYCTL_GET_KEYRING_ID: i64 = 0;
    plain(libc::SYS_keyctl, &[KEYCTL_GET_KEYRING_ID, libc::KEY_SPEC_SESSION_KEYRING.into(), 0])
}

fn userfaultfd() -> Result<(), Errno> {
    const UFFD_USER_MODE_ONLY: i32 = 1;
    call_for_fd(libc::SYS_userfaultfd, &mut [(libc::O_CLOEXEC | UFFD_USER_MODE_ONLY).into()]).map(drop)
}

fn quotactl() -> Result<(), Errno> {
    const Q_SYNC_USRQUOTA: i64 = 0x0080_0001 << 8;
    let device = c_string("/no-such-device");
    call(libc::SYS_quotactl, &mut [Q_SYNC_USRQUOTA.into(), device.as_slice().into()]).map(drop)
}

/// A filter of one instruction that allows everything, with a listener.
fn seccomp_listener() -> Result<(), Errno> {
    const ALLOW_ALL: [u8; 8] = [0x06, 0, 0, 0, 0, 0, 0xff, 0x7f];
    let mut instructions = ALLOW_ALL;
    let mut program = crate::sys::iovec(&mut instructions);
    program.rotate_right(8);
    program[..8].copy_from_slice(&1_u64.to_ne_bytes());
    crate::sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER as i32, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as i32);
    call_for_fd(libc::SYS_seccomp, &mut [mode.into(), flags.into(), program.as_slice().into()]).map(drop)
}
