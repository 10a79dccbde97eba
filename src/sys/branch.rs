//! `clone3(2)` without a gap: the clone goes on as what it is, a process of this program's one thread.

use std::ffi::{c_int, c_long};
use std::os::fd::{FromRawFd, OwnedFd};

use super::clone::{CloneArgs, Cloned, exit, raw};
use super::error::{CallError, Syscall, check};

/// Clones the calling process, which must have one thread, as a child of its own parent: what only children
/// of a process enter, a pid namespace that it has joined, is entered so. The original gets the clone's pid,
/// the clone nothing.
///
/// # Errors
/// `clone3(2)`'s.
pub fn successor() -> Result<Option<i32>, CallError> {
    let args = CloneArgs { flags: libc::CLONE_PARENT as u64, ..CloneArgs::default() };
    // SAFETY: no CLONE_VM and no new stack: both go on in their own copy, and no other thread of this program
    // could hold a lock in it.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    let pid = check(pid).call(|| "clone3(CLONE_PARENT)".to_owned())?;
    Ok((pid != 0).then_some(pid as i32))
}

/// Clones the calling process, which must have one thread. The original gets the child, the child nothing; it ends
/// in `execve` or [`end`], never by returning to what its parent was about.
///
/// # Errors
/// `clone3(2)`'s: EAGAIN (pids limit).
pub fn branch() -> Result<Option<Cloned>, CallError> {
    let mut pidfd: c_int = -1;
    let args = CloneArgs {
        flags: libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    // SAFETY: as in `successor`.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    let pid = check(pid).call(|| "clone3(CLONE_PIDFD)".to_owned())?;
    if pid == 0 {
        return Ok(None);
    }
    // SAFETY: the kernel stored a new descriptor in `pidfd`, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Some(Cloned { pid: pid as i32, pidfd }))
}

/// Ends a clone, without running what its parent would at its own end.
pub fn end(code: i32) -> ! {
    exit(code)
}

/// Makes a child that does nothing but hold new namespaces until it is killed, or its parent dies.
///
/// # Errors
/// `clone3(2)`'s.
pub fn holder(new_namespaces: u64) -> Result<Cloned, CallError> {
    let mut pidfd: c_int = -1;
    let args = CloneArgs {
        flags: new_namespaces | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    let parent = std::process::id() as c_long;
    // SAFETY: as in `clone`; the child makes only system calls, and ends in one that it makes over and over.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    if pid == 0 {
        hold(parent);
    }
    let pid = check(pid).call(|| format!("clone3(flags {:#x})", args.flags))?;
    // SAFETY: the kernel stored a new descriptor in `pidfd`, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned { pid: pid as i32, pidfd })
}

/// A parent that dies before the signal is asked for is nobody's parent by then.
fn hold(parent: c_long) -> ! {
    raw(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as c_long, libc::SIGKILL as c_long, 0, 0, 0]);
    if raw(libc::SYS_getppid, [0; 5]) != parent {
        exit(1);
    }
    loop {
        raw(libc::SYS_ppoll, [0; 5]);
    }
}
