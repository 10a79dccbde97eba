//! Loading a seccomp filter, seccomp(2).

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::error::{CallError, Syscall, check};

const TSYNC: u32 = 1;
const NEW_LISTENER: u32 = 1 << 3;
const TSYNC_ESRCH: u32 = 1 << 4;
const WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// Puts the calling thread (with `TSYNC` in `flags`: the process) under a filter, for good.
///
/// Each instruction is a `struct sock_filter` packed in memory order on a little-endian machine. `flags` are
/// `SECCOMP_FILTER_FLAG_*`. With `NEW_LISTENER` the result is the descriptor that answers
/// `SECCOMP_RET_USER_NOTIF`, close-on-exec. no_new_privs is neither needed with CAP_SYS_ADMIN nor set here.
///
/// # Errors
/// EACCES without no_new_privs and CAP_SYS_ADMIN, EINVAL for a flag this kernel does not have or a program it
/// does not accept, E2BIG with more than 32768 instructions in all filters, EBUSY for a second listener.
pub fn load(instructions: &[u64], flags: u32) -> Result<Option<OwnedFd>, CallError> {
    let call =
        || format!("seccomp(SECCOMP_SET_MODE_FILTER, {flags:#x}, {} instructions)", instructions.len());
    let len = u16::try_from(instructions.len()).map_err(|_| rustix::io::Errno::INVAL).call(call)?;
    let program = libc::sock_fprog { len, filter: instructions.as_ptr().cast_mut().cast() };
    let listens = flags & NEW_LISTENER != 0;
    // Both flags want the result; TSYNC gives its own up for an errno.
    let esrch = if listens && flags & TSYNC != 0 { TSYNC_ESRCH } else { 0 };
    // SAFETY: the kernel reads `len` instructions of 8 bytes from `instructions`, which outlives the call and
    // is at least as aligned as `struct sock_filter`; it writes nothing.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags | esrch, &raw const program)
    };
    let result = check(result).call(call)?;
    if !listens {
        // With TSYNC alone, a positive result is a thread that could not follow; nothing is loaded then.
        return if result == 0 { Ok(None) } else { Err(rustix::io::Errno::SRCH).call(call) };
    }
    let descriptor = RawFd::try_from(result).map_err(|_| rustix::io::Errno::BADF).call(call)?;
    // SAFETY: with NEW_LISTENER the result is a descriptor that the kernel has just made for us alone.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

/// Whether this kernel has all of the given `SECCOMP_FILTER_FLAG_*`: it looks at them before it reads the program,
/// which is none here.
pub fn has_flags(flags: u32) -> bool {
    // Waiting only makes sense for somebody who listens, and is refused without.
    let listens = if flags & WAIT_KILLABLE_RECV != 0 { NEW_LISTENER } else { 0 };
    let none = std::ptr::null::<libc::sock_fprog>();
    // SAFETY: there is nothing at the null pointer, which the kernel answers with EFAULT.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags | listens, none) };
    check(result).err() == Some(rustix::io::Errno::FAULT)
}
