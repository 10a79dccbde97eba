//! Capabilities and no_new_privs.

use crate::enforce::init::Init;
use crate::error::{Context, Result};
use crate::plan::Workload;
use crate::plan::caps::CapabilityMasks;
use crate::sys::{Syscall, capabilities};

const SYS_ADMIN: u64 = 1 << 21;

/// Drops everything from the bounding set that the plan does not keep, by number, known or not.
pub fn limit_bounding_set(workload: &Workload, _: &mut Init) -> Result<()> {
    capabilities::limit_bounding_set(workload.capabilities.bounding)
        .context(|| "cannot limit the bounding set".to_owned())
}

/// Makes `execve` unable to add privileges.
pub fn set_no_new_privs(workload: &Workload, _: &mut Init) -> Result<()> {
    if !workload.no_new_privs {
        return Ok(());
    }
    rustix::thread::set_no_new_privs(true)
        .call(|| "prctl(PR_SET_NO_NEW_PRIVS, 1)".to_owned())
        .context(|| "cannot set no_new_privs".to_owned())
}

/// Sets the other four sets, and what is still needed to load a filter or enter a Landlock domain.
pub fn set(workload: &Workload, _: &mut Init) -> Result<()> {
    let what = || "cannot set capabilities".to_owned();
    let masks = until_filtered(workload);
    capabilities::set_capabilities(&masks).context(what).map_err(explain)?;
    capabilities::raise_ambient(masks.ambient).context(what)
}

/// The sets until the filter is loaded: without no_new_privs that needs `CAP_SYS_ADMIN`, as Landlock does.
pub fn until_filtered(workload: &Workload) -> CapabilityMasks {
    let mut masks = workload.capabilities;
    let confined = !workload.seccomp.is_empty() || !workload.landlock.is_empty();
    if !workload.no_new_privs && confined {
        masks.effective |= SYS_ADMIN;
        masks.permitted |= SYS_ADMIN;
    }
    masks
}

fn explain(error: crate::error::Error) -> crate::error::Error {
    error.at("process.capabilities").fix(
        "a container gets no capability that its creator lacks: compare with CapPrm in /proc/self/status",
    )
}
