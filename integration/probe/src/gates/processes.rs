//! Ways into other processes, and to their secrets by the processor's counters.

use std::os::fd::AsRawFd;

use super::gate::{Call, Gate};
use crate::errno::Errno;
use crate::sys::{call, call_for_fd, exit_now, fork, iovec, wait_for};

pub const GATES: &[Gate] = &[
    Gate::plain("ptrace", "a parent that reads its registers and memory", Call::new(libc::SYS_ptrace, &[])),
    Gate::new("ptrace-attach", "another process's registers and memory", ptrace_attach)
        .by(Call::new(libc::SYS_ptrace, &[libc::PTRACE_SEIZE as i64])),
    Gate::new("process-vm-readv", "another process's memory", process_vm_readv)
        .by(Call::new(libc::SYS_process_vm_readv, &[0, 0, 1, 0, 1])),
    Gate::new("pidfd-getfd", "another process's descriptors", pidfd_getfd)
        .by(Call::new(libc::SYS_pidfd_getfd, &[])),
    Gate::new("kcmp", "addresses of kernel objects, in order", kcmp)
        .by(Call::new(libc::SYS_kcmp, &[0, 0, KCMP_VM])),
    Gate::new("perf-event-open", "the processor's counters", perf_event_open)
        .by(Call::new(libc::SYS_perf_event_open, &[0, 0, -1, -1])),
];

const KCMP_VM: i64 = 1;

fn own_pid() -> i32 {
    std::process::id() as i32
}

/// On a child that waits to be ended.
fn ptrace_attach() -> Result<(), Errno> {
    let child = match fork()? {
        0 => {
            let code = call(libc::SYS_pause, &mut []).err().map_or(0, |errno| errno.0);
            exit_now(code)
        }
        child => child,
    };
    let result = call(libc::SYS_ptrace, &mut [(libc::PTRACE_SEIZE as i32).into(), child.into()]);
    call(libc::SYS_kill, &mut [child.into(), libc::SIGKILL.into()])?;
    wait_for(child);
    result.map(drop)
}

fn process_vm_readv() -> Result<(), Errno> {
    let (mut here, mut there) = ([0_u8; 8], [7_u8; 8]);
    let (to, from) = (iovec(&mut here), iovec(&mut there));
    let mut arguments =
        [own_pid().into(), to.as_slice().into(), 1.into(), from.as_slice().into(), 1.into(), 0.into()];
    call(libc::SYS_process_vm_readv, &mut arguments).map(drop)
}

fn pidfd_getfd() -> Result<(), Errno> {
    // Where there are no pidfds, it is refused all the same.
    let own = call_for_fd(libc::SYS_pidfd_open, &mut [own_pid().into()]);
    let own_fd = own.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    call_for_fd(libc::SYS_pidfd_getfd, &mut [own_fd.into(), own_fd.into()]).map(drop)
}

fn kcmp() -> Result<(), Errno> {
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
