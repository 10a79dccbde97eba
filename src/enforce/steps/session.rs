//! A session of its own, so that no terminal of the caller's is the container's.

use crate::enforce::init::Init;
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::sys::Syscall;

/// Starts a new session (`setsid(2)`).
pub fn start(_: &Plan, _: &mut Init) -> Result<()> {
    new_session()
}

/// The same for an exec.
pub fn new_session() -> Result<()> {
    rustix::process::setsid()
        .map(drop)
        .call(|| "setsid(2)".to_owned())
        .context(|| "cannot start a session".to_owned())
}
