//! From which NUMA nodes the process gets its memory.

use crate::enforce::init::Init;
use crate::enforce::receipt::State;
use crate::error::{Context, Result};
use crate::plan::Workload;
use crate::plan::memory_policy::MemoryPolicy;
use crate::sys::schedule;

/// Sets the policy, which `execve` keeps.
pub fn set(workload: &Workload, _: &mut Init) -> Result<()> {
    let Some(MemoryPolicy { name, mode, flags, nodes, since }) = &workload.memory_policy else {
        return Ok(());
    };
    schedule::set_memory_policy(mode | flags, nodes).context(|| format!("cannot set {name}")).map_err(|error| {
        error.at("linux.memoryPolicy").fix(format!(
            "{name} needs CONFIG_NUMA and Linux {since}, and a node that is there and in linux.resources.cpu.mems"
        ))
    })
}

/// The nodes may be fewer than asked for: those that the cgroup allows.
pub fn read_back(workload: &Workload, init: &mut Init) -> Result<()> {
    let Some(policy) = &workload.memory_policy else { return Ok(()) };
    let (mode, nodes) =
        schedule::memory_policy().context(|| "cannot read the memory policy back".to_owned())?;
    let planned = policy.mode | policy.flags;
    if mode != planned {
        return Err(super::verify::differs("memory policy", planned, mode).at("linux.memoryPolicy"));
    }
    init.receipt.add("memoryPolicy", State::Enforced, format!("{}, nodes {nodes:?}", policy.name));
    Ok(())
}
