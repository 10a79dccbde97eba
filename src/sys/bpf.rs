//! bpf(2), as far as a device program for cgroup v2 needs it.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::error::{CallError, Syscall, check};

/// linux/bpf.h: `enum bpf_cmd`, `enum bpf_prog_type`, `enum bpf_attach_type`, flags.
const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// The start of `union bpf_attr` for `BPF_PROG_LOAD`; what follows is zero for the kernel.
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    length: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The start of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttributes {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Loads a device program (`BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15), each word one `struct bpf_insn`.
/// The limit on locked memory stays as it is: one page fits the smallest default of the kernels that count it.
///
/// # Errors
/// `EPERM` without `CAP_BPF` (before Linux 5.8 `CAP_SYS_ADMIN`) in the initial user namespace, `EINVAL` or
/// `EACCES` for a program the verifier refuses.
pub fn load_device_program(instructions: &[u64]) -> Result<OwnedFd, CallError> {
    let attributes = LoadAttributes {
        kind: PROG_TYPE_CGROUP_DEVICE,
        length: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
        instructions: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: *b"sandrun_devices\0",
    };
    let call = || format!("bpf(BPF_PROG_LOAD, {} instructions)", instructions.len());
    // SAFETY: `attributes` is a live, fully initialised prefix of `union bpf_attr` of the size given, and the
    // slice and the string its pointers name outlive the call, which only reads them.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attributes, size_of_val(&attributes)) };
    let raw = check(result).call(call)?;
    #[allow(clippy::cast_possible_truncation)] // a descriptor is an int
    let raw = raw as i32;
    // SAFETY: the kernel has just returned this descriptor (close-on-exec) and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Attaches a device program to a cgroup directory, beside programs of cgroups above and below. It stays
/// until the cgroup is removed.
///
/// # Errors
/// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`, or where a cgroup above forbids programs beneath it.
pub fn attach_device_program(program: impl AsFd, cgroup: impl AsFd) -> Result<(), CallError> {
    let number = |fd: i32| fd.cast_unsigned();
    let attributes = AttachAttributes {
        target: number(cgroup.as_fd().as_raw_fd()),
        program: number(program.as_fd().as_raw_fd()),
        kind: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: `attributes` is a live, fully initialised prefix of `union bpf_attr` of the size given, and
    // both descriptors are borrowed for the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attributes, size_of_val(&attributes)) };
    check(result).call(|| "bpf(BPF_PROG_ATTACH, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI)".to_owned()).map(drop)
}
