//! A failed kernel call, printed as it was made.

use std::fmt;

use rustix::io::Errno;

/// A failed call: `open_tree(9, "proc/kcore"): ENOSYS (Function not implemented)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The call with its arguments.
    pub call: String,
    /// What the kernel answered.
    pub errno: Errno,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.errno)
    }
}

impl std::error::Error for CallError {}

/// Adds the call and its arguments to an errno.
pub trait Syscall<T> {
    /// Names the call; the text is only built on failure.
    ///
    /// # Errors
    /// The errno of `self` with the call.
    fn call(self, call: impl FnOnce() -> String) -> Result<T, CallError>;
}

impl<T> Syscall<T> for Result<T, Errno> {
    fn call(self, call: impl FnOnce() -> String) -> Result<T, CallError> {
        self.map_err(|errno| CallError { call: call(), errno })
    }
}

impl<T> Syscall<T> for Result<T, nix::errno::Errno> {
    fn call(self, call: impl FnOnce() -> String) -> Result<T, CallError> {
        self.map_err(|errno| CallError { call: call(), errno: Errno::from_raw_os_error(errno as i32) })
    }
}

/// The result of a raw `syscall(2)`: −1 means that errno says why.
pub(super) fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result == -1 {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    } else {
        Ok(result)
    }
}
