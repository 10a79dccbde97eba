//! Kernel parameters of the container's namespaces, through a procfs that nobody else can reach.

use std::collections::BTreeMap;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::enforce::init::Init;
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::plan::sysctl::swap;
use crate::sys::Syscall;
use crate::sys::mount::new_filesystem;

/// Sets those that root of the container may.
pub fn set(plan: &Plan, _: &mut Init) -> Result<()> {
    write(&plan.sysctl)
}

/// Writes each parameter, in the namespaces that the caller is in.
///
/// # Errors
/// The failed call, with the parameter.
pub fn write(parameters: &BTreeMap<String, String>) -> Result<()> {
    if parameters.is_empty() {
        return Ok(());
    }
    let procfs =
        new_filesystem("proc", None, &[], 0).context(|| "cannot open a procfs of our own".to_owned())?;
    for (name, value) in parameters {
        let what = || format!("cannot set sysctl {name} to {value:?}");
        let path = format!("sys/{}", swap(name));
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let file = openat2(&procfs, path.as_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve)
            .call(|| format!("openat2(procfs, {path:?})"))
            .context(what)
            .map_err(|error| error.at(format!("linux.sysctl[\"{name}\"]")))?;
        rustix::io::write(&file, value.as_bytes())
            .call(|| format!("write({path:?})"))
            .context(what)
            .map_err(|error| error.at(format!("linux.sysctl[\"{name}\"]")))?;
    }
    Ok(())
}
