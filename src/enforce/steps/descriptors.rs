//! What the program inherits: standard streams, the descriptors the caller asked to preserve, nothing else.

use crate::enforce::init::Init;
use crate::enforce::order::{Received, Role};
use crate::error::{Context, Result};
use crate::plan::Workload;

/// Lets go of every host object now, and marks what is left to go at the `execve` (CVE-2024-21626).
pub fn close(workload: &Workload, init: &mut Init) -> Result<()> {
    let what = || "cannot close descriptors".to_owned();
    let start = init.received.take(&Role::StartSocket);
    let kept = start.map(|socket| (Role::StartSocket, socket));
    let (roles, descriptors) = kept.into_iter().unzip();
    init.received = Received::new(roles, descriptors);
    let first = i32::try_from(workload.preserve_fds).unwrap_or(i32::MAX).saturating_add(3);
    crate::sys::process::close_on_exec_from(first).context(what)
}
