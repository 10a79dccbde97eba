//! Children that have ended: the server is their parent, or becomes it when theirs is gone.
//!
//! Only here are they reaped without being named. The library waits for children of its own (hooks, a first clone) by
//! pidfd, and never while this runs: there is one thread.

use rustix::process::{WaitOptions, WaitStatus, wait};

use crate::error::{Context, Result};
use crate::sys::Syscall;

/// Takes over processes whose parent has ended, as the container's are.
///
/// # Errors
/// Those of `prctl(2)`.
pub fn become_subreaper() -> Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .call(|| "prctl(PR_SET_CHILD_SUBREAPER)".to_owned())
        .context(|| "cannot take over orphaned processes".to_owned())
}

/// The next child that has ended, by pid; none when no other has, or there are no children.
pub fn next() -> Option<(i32, WaitStatus)> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Err(rustix::io::Errno::INTR) => {}
            ended => return ended.ok().flatten().map(|(pid, status)| (pid.as_raw_nonzero().get(), status)),
        }
    }
}
