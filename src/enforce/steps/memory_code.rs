//! Pages of memory: none is written and executed.

use crate::enforce::init::Init;
use crate::enforce::receipt::State;
use crate::error::{Context, Result};
use crate::plan::Workload;
use crate::sys::process;

/// From here on, in this program and all that come of it.
pub fn deny(workload: &Workload, _: &mut Init) -> Result<()> {
    if !workload.mdwe {
        return Ok(());
    }
    process::set_mdwe().context(|| "cannot keep memory from becoming executable".to_owned())
}

/// Asks whether it is so.
pub fn read_back(workload: &Workload, init: &mut Init) -> Result<()> {
    if !workload.mdwe {
        return Ok(());
    }
    if !process::mdwe().context(|| "cannot read memory-deny-write-execute back".to_owned())? {
        return Err(super::verify::differs("memory-deny-write-execute", true, false));
    }
    init.receipt.add("mdwe", State::Enforced, "no page becomes executable, or is while it can be written");
    Ok(())
}
