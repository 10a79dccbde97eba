//! System call filters: the last thing before `execve`, so that a profile never has to allow what only the
//! runtime needs.

use super::caps;
use crate::error::{Context, Result};
use crate::plan::Workload;

/// Loads every filter; the last capabilities that only this needed go right after.
pub fn load(workload: &Workload) -> Result<()> {
    for filter in &workload.seccomp {
        crate::sys::seccomp::load(&filter.instructions(), filter.flags)
            .context(|| format!("cannot load the seccomp profile {}", filter.name))
            .map_err(|error| error.at("linux.seccomp"))?;
    }
    if caps::until_filtered(workload) != workload.capabilities {
        crate::sys::process::set_capabilities(&workload.capabilities)
            .context(|| "cannot drop CAP_SYS_ADMIN after loading the seccomp filter".to_owned())?;
    }
    Ok(())
}
