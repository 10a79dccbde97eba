//! The filters of a running process, as the kernel has them (ptrace(2), PTRACE_SECCOMP_GET_FILTER, Linux 4.4).

use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::program::{Filters, Instruction};

const PTRACE_SECCOMP_GET_FILTER: libc::c_uint = 0x420c;

/// All filters of a process. It is stopped meanwhile.
pub fn filters_of(pid: i32) -> Filters {
    let process = Pid::from_raw(pid);
    ptrace::seize(process, Options::empty()).expect("cannot trace the process");
    ptrace::interrupt(process).expect("cannot stop the process");
    waitpid(process, Some(WaitPidFlag::__WALL)).expect("the process does not stop");
    let programs = (0..).map_while(|index| program(process, index)).collect();
    ptrace::detach(process, None).expect("cannot let the process go");
    Filters(programs)
}

/// One filter, counted from the oldest; none behind the last.
fn program(process: Pid, index: usize) -> Option<Vec<Instruction>> {
    // SAFETY: without a place to write to, the kernel only says how many instructions there are.
    let length = unsafe {
        libc::ptrace(PTRACE_SECCOMP_GET_FILTER, process.as_raw(), index, std::ptr::null_mut::<Instruction>())
    };
    let Ok(length) = usize::try_from(length) else {
        let error = std::io::Error::last_os_error();
        // Behind the last one, or there is none at all.
        assert!(matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)), "filter {index}: {error}");
        return None;
    };
    let mut program = vec![Instruction::NOTHING; length];
    // SAFETY: the process is stopped, so that the kernel writes the same number of `struct sock_filter`, which the
    // vector has room for.
    let written =
        unsafe { libc::ptrace(PTRACE_SECCOMP_GET_FILTER, process.as_raw(), index, program.as_mut_ptr()) };
    assert_eq!(usize::try_from(written), Ok(length), "filter {index} has changed");
    Some(program)
}
