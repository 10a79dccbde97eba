//! Into the container's cgroup, without another process moving us there.
//!
//! On version 2 the child was born in it. On version 1 a single-threaded process that writes `0` to `tasks`
//! moves only itself, for which the kernel need not wait for all CPUs as it does for `cgroup.procs`.

use nix::sched::CloneFlags;

use crate::enforce::init::Init;
use crate::enforce::order::Role;
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::plan::namespaces::NamespaceKind;

/// Joins every hierarchy whose `tasks` file came along.
pub fn join(_: &Plan, init: &mut Init) -> Result<()> {
    join_received(init)
}

/// The same for an exec, which has no plan of its own.
pub fn join_received(init: &mut Init) -> Result<()> {
    while let Some(tasks) = init.received.take(&Role::Tasks) {
        rustix::io::write(&tasks, b"0").context(|| "cannot join the container's cgroup".to_owned())?;
    }
    Ok(())
}

/// Makes the cgroup just joined the root of what is seen.
pub fn unshare(plan: &Plan, _: &mut Init) -> Result<()> {
    if !plan.namespaces.is_new(NamespaceKind::Cgroup) {
        return Ok(());
    }
    crate::sys::process::unshare(CloneFlags::CLONE_NEWCGROUP)
        .context(|| "cannot make the cgroup namespace".to_owned())
}
