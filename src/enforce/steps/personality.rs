//! The execution domain: what `uname(2)` says the machine is.

use crate::enforce::init::Init;
use crate::enforce::receipt::State;
use crate::error::{Context, Result};
use crate::plan::Workload;
use crate::sys::schedule::personality;

/// Sets the domain, which `execve` keeps.
pub fn set(workload: &Workload, _: &mut Init) -> Result<()> {
    if workload.personality.is_none() {
        return Ok(());
    }
    personality(workload.personality)
        .map(drop)
        .context(|| "cannot set the personality".to_owned())
        .map_err(|error| error.at("linux.personality"))
}

/// Compares it.
pub fn read_back(workload: &Workload, init: &mut Init) -> Result<()> {
    let Some(planned) = workload.personality else { return Ok(()) };
    let found = personality(None).context(|| "cannot read the personality back".to_owned())?;
    if found != planned {
        return Err(super::verify::differs("personality", planned, found).at("linux.personality"));
    }
    init.receipt.add("personality", State::Enforced, if planned == 0 { "LINUX" } else { "LINUX32" });
    Ok(())
}
