//! Parts of the kernel that ordinary programs do not need, and that exploits start from.

use std::os::fd::AsRawFd;

use super::gate::{Call, Gate};
use crate::errno::Errno;
use crate::sys::{c_string, call, call_for_fd, pipe};

pub const GATES: &[Gate] = &[
    Gate::new("bpf", "programs in the kernel", bpf)
        .by(Call::new(libc::SYS_bpf, &[BPF_MAP_CREATE, 0, 128]).needing("CAP_BPF")),
    Gate::new("io-uring", "a second system call table", io_uring)
        .by(Call::new(libc::SYS_io_uring_setup, &[1])),
    Gate::new("native-aio", "buffers shared with the kernel", native_aio)
        .by(Call::new(libc::SYS_io_setup, &[1])),
    Gate::plain(
        "userfaultfd",
        "a brake for race conditions",
        Call::new(libc::SYS_userfaultfd, &[UFFD_FLAGS]),
    ),
    Gate::plain("pipe-notification", "a pipe that the kernel writes to (CVE-2022-0995)", NOTIFICATION_PIPE)
        .past(&[libc::EFAULT]),
    Gate::new("splice", "the page cache through a pipe (CVE-2022-0847)", splice)
        .by(Call::new(libc::SYS_splice, &[0, 0, 0, 0, 1])),
    Gate::new("tee", "pages in two pipes at once", tee).by(Call::new(libc::SYS_tee, &[0, 0, 1])),
    Gate::new("vmsplice", "own pages shared with the kernel", vmsplice)
        .by(Call::new(libc::SYS_vmsplice, &[0, 0, 1])),
    Gate::new("add-key", "keys of the kernel", add_key)
        .by(Call::new(libc::SYS_add_key, &[0, 0, 0, 1, PROCESS_KEYRING])),
    Gate::new("request-key", "a program that the host runs to find a key", request_key)
        .by(Call::new(libc::SYS_request_key, &[0, 0, 0, PROCESS_KEYRING]))
        .past(&[libc::ENOKEY]),
    Gate::plain("keyctl", "keyrings that no namespace separates", SESSION_KEYRING_ID).past(&[libc::ENOKEY]),
    Gate::plain("msgget", "kernel memory of any size to arrange", Call::new(libc::SYS_msgget, &[0, 0o1600])),
    Gate::new("mq-open", "kernel memory of any size to arrange", mq_open)
        .by(Call::new(libc::SYS_mq_open, &[0, MQ_FLAGS, 0o600])),
    Gate::plain(
        "shmget",
        "System V memory, shared by number",
        Call::new(libc::SYS_shmget, &[0, 4096, 0o1600]),
    ),
    Gate::plain("fanotify", "a say in what others open", Call::new(libc::SYS_fanotify_init, &[])),
    Gate::new("seccomp-listener", "answers forged for its children", seccomp_listener)
        .by(Call::new(libc::SYS_seccomp, &LISTENER)),
    Gate::plain(
        "personality",
        "memory without random addresses",
        Call::new(libc::SYS_personality, &[0x4_0000]),
    ),
    #[cfg(target_arch = "x86_64")]
    Gate::new("modify-ldt", "segments of its own", modify_ldt)
        .by(Call::new(libc::SYS_modify_ldt, &[0, 0, 16])),
];

const BPF_MAP_CREATE: i64 = 0;
const UFFD_USER_MODE_ONLY: i32 = 1;
const UFFD_FLAGS: i64 = (libc::O_CLOEXEC | UFFD_USER_MODE_ONLY) as i64;
const O_NOTIFICATION_PIPE: i64 = libc::O_EXCL as i64;
/// With nowhere to put the descriptors: EFAULT once the pipe has been made.
const NOTIFICATION_PIPE: Call = Call::new(libc::SYS_pipe2, &[0, O_NOTIFICATION_PIPE]);
const PROCESS_KEYRING: i64 = libc::KEY_SPEC_PROCESS_KEYRING as i64;
const SESSION_KEYRING_ID: Call = Call::new(libc::SYS_keyctl, &[0, libc::KEY_SPEC_SESSION_KEYRING as i64]);
const MQ_FLAGS: i64 = (libc::O_CREAT | libc::O_RDWR) as i64;
const LISTENER: [i64; 2] =
    [libc::SECCOMP_SET_MODE_FILTER as i64, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as i64];

fn bpf() -> Result<(), Errno> {
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

fn native_aio() -> Result<(), Errno> {
    let mut context = [0_u8; 8];
    call(libc::SYS_io_setup, &mut [1.into(), context.as_mut_slice().into()]).map(drop)
}

fn splice() -> Result<(), Errno> {
    let ((source, fill), (_drain, target)) = (pipe()?, pipe()?);
    call(libc::SYS_write, &mut [fill.as_raw_fd().into(), b"x".into(), 1.into()])?;
    let mut arguments =
        [source.as_raw_fd().into(), 0.into(), target.as_raw_fd().into(), 0.into(), 1.into(), 0.into()];
    call(libc::SYS_splice, &mut arguments).map(drop)
}

fn tee() -> Result<(), Errno> {
    let ((source, fill), (_drain, target)) = (pipe()?, pipe()?);
    call(libc::SYS_write, &mut [fill.as_raw_fd().into(), b"x".into(), 1.into()])?;
    call(libc::SYS_tee, &mut [source.as_raw_fd().into(), target.as_raw_fd().into(), 1.into()]).map(drop)
}

fn vmsplice() -> Result<(), Errno> {
    let (_read, write) = pipe()?;
    let mut page = [0_u8; 16];
    let vector = crate::sys::iovec(&mut page);
    call(libc::SYS_vmsplice, &mut [write.as_raw_fd().into(), vector.as_slice().into(), 1.into()]).map(drop)
}

fn add_key() -> Result<(), Errno> {
    let (kind, name) = (c_string("user"), c_string("probe"));
    let mut arguments =
        [kind.as_slice().into(), name.as_slice().into(), b"x".into(), 1.into(), PROCESS_KEYRING.into()];
    call(libc::SYS_add_key, &mut arguments).map(drop)
}

/// A key that nobody has, without the words that would have the host look for it.
fn request_key() -> Result<(), Errno> {
    let (kind, name) = (c_string("user"), c_string("no-such-key"));
    let mut arguments = [kind.as_slice().into(), name.as_slice().into(), 0.into(), PROCESS_KEYRING.into()];
    call(libc::SYS_request_key, &mut arguments).map(drop)
}

fn mq_open() -> Result<(), Errno> {
    let name = c_string(&format!("probe-{}", std::process::id()));
    call_for_fd(libc::SYS_mq_open, &mut [name.as_slice().into(), MQ_FLAGS.into(), 0o600.into()])?;
    call(libc::SYS_mq_unlink, &mut [name.as_slice().into()]).map(drop)
}

/// A filter of one instruction that allows everything, with a listener.
fn seccomp_listener() -> Result<(), Errno> {
    const ALLOW_ALL: [u8; 8] = [0x06, 0, 0, 0, 0, 0, 0xff, 0x7f];
    let mut instructions = ALLOW_ALL;
    let mut program = crate::sys::iovec(&mut instructions);
    program.rotate_right(8);
    program[..8].copy_from_slice(&1_u64.to_ne_bytes());
    crate::sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    let [mode, flags] = LISTENER;
    call_for_fd(libc::SYS_seccomp, &mut [mode.into(), flags.into(), program.as_slice().into()]).map(drop)
}

#[cfg(target_arch = "x86_64")]
fn modify_ldt() -> Result<(), Errno> {
    let mut buffer = [0; 16];
    call(libc::SYS_modify_ldt, &mut [0.into(), buffer.as_mut_slice().into(), 16.into()]).map(drop)
}
