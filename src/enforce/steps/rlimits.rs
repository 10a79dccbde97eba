//! Resource limits of the process.

use crate::enforce::init::Init;
use crate::error::{Context, Result};
use crate::plan::Workload;

/// Sets each limit.
pub fn set(workload: &Workload, _: &mut Init) -> Result<()> {
    for limit in &workload.rlimits {
        crate::sys::process::set_rlimit(0, limit.resource, limit.soft, limit.hard)
            .context(|| format!("cannot set {} to {}:{}", limit.name, limit.soft, limit.hard))
            .map_err(|error| {
                let error = error.at("process.rlimits");
                if error.why.contains("Operation not permitted") {
                    return error.fix("raising a limit needs CAP_SYS_RESOURCE, which the caller lacks");
                }
                error
            })?;
    }
    Ok(())
}
