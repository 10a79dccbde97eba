//! Ways into other processes, and to their secrets by the processor's counters.

use std::os::fd::AsRawFd;

use super::Gate;
use crate::errno::Errno;
use crate::sys::{call, call_for_fd, iovec};

pub const GATES: &[Gate] = &[
    Gate {
        name: "ptrace",
        gives: "another process's registers and memory",
        past_the_door: &[],
        attempt: ptrace,
    },
    Gate {
        name: "process-vm-readv",
        gives: "another process's memory",
        past_the_door: &[],
        attempt: process_vm_readv,
    },
    Gate {
        name: "pidfd-getfd",
        gives: "another process's descriptors",
        past_the_door: &[],
        attempt: pidfd_getfd,
    },
    Gate { name: "kcmp", gives: "addresses of kernel objects, in order", past_the_door: &[], attempt: kcmp },
    Gate {
        name: "perf-event-open",
        gives: "the processor's counters",
        past_the_door: &[],
        attempt: perf_event_open,
    },
    #[cfg(target_arch = "x86_64")]
    Gate { name: "modify-ldt", gives: "segments of its own", past_the_door: &[], attempt: modify_ldt },
];

fn own_pid() -> i32 {
    std::process::id() as i32
}

fn ptrace() -> Result<(), Errno> {
    call(libc::SYS_ptrace, &mut [(libc::PTRACE_TRACEME as i32).into()]).map(drop)
}

fn process_vm_readv() -> Result<(), Errno> {
    let (mut here, mut there) = ([0_u8; 8], [7_u8; 8]);
    let (to, from) = (iovec(&mut here), iovec(&mut there));
    let mut arguments =
        [own_pid().into(), to.as_slice().into(), 1.into(), from.as_slice().into(), 1.into(), 0.into()];
    call(libc::SYS_process_vm_readv, &mut arguments).map(drop)
}

fn pidfd_getfd() -> Result<(), Errno> {
    let own = call_for_fd(libc::SYS_pidfd_open, &mut [own_pid().into()])?;
    call_for_fd(libc::SYS_pidfd_getfd, &mut [own.as_raw_fd().into(), own.as_raw_fd().into()]).map(drop)
}

fn kcmp() -> Result<(), Errno> {
    const KCMP_VM: i32 = 1;
    call(libc::SYS_kcmp, &mut [own_pid().into(), own_pid().into(), KCMP_VM.into()]).map(drop)
}

/// A software counter of the own process, user mode only: what an unprivileged user may have at most.
fn perf_event_open() -> Result<(), Errno> {
    const EXCLUDE_KERNEL_AND_HYPERVISOR: u64 = 1 << 5 | 1 << 6;
    let mut attributes = [0_u8; 112];
    attributes[0] = 1;
    attributes[4] = 112;
    attributes[40..48].copy_from_slice(&EXCLUDE_KERNEL_AND_HYPERVISOR.to_ne_bytes());
    let mut arguments = [attributes.as_slice().into(), 0.into(), (-1).into(), (-1).into()];
    call_for_fd(libc::SYS_perf_event_open, &mut arguments).map(drop)
}

#[cfg(target_arch = "x86_64")]
fn modify_ldt() -> Result<(), Errno> {
    let mut buffer = [0; 16];
    call(libc::SYS_modify_ldt, &mut [0.into(), buffer.as_mut_slice().into(), 16.into()]).map(drop)
}
