//! Resource limits that only the parent can raise.

use rustix::io::Errno;

use super::order::Task;
use crate::error::{Context, Result};
use crate::plan::Namespaces;
use crate::plan::namespaces::NamespaceKind;
use crate::sys::process::{rlimit, set_rlimit};

/// Raises the ceilings of a child that makes or joins a user namespace, where `CAP_SYS_RESOURCE` counts no more, to
/// what its limits will be. A limit that is lower than the caller's is for the child to set: it has work to do first.
///
/// # Errors
/// EINVAL for a limit that the kernel does not know.
pub(super) fn raise(pid: i32, new: &Namespaces, task: &Task) -> Result<()> {
    let user = NamespaceKind::User;
    let joins = matches!(task, Task::Exec(joined, _) if u64::from(*joined) & user.flag() != 0);
    if !joins && !new.is_new(user) {
        return Ok(());
    }
    for limit in &task.workload().rlimits {
        let what = || format!("cannot raise {} to {}", limit.name, limit.hard);
        let (soft, hard) = rlimit(limit.resource).context(what)?;
        if limit.hard <= hard {
            continue;
        }
        match set_rlimit(pid, limit.resource, soft, limit.hard) {
            // Whoever may not raise it is told so by the step that sets it.
            Err(error) if error.errno == Errno::PERM => {}
            raised => raised.context(what).map_err(|error| error.at("process.rlimits"))?,
        }
    }
    Ok(())
}
