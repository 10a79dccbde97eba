//! The working directory: made in a new container if the image lacks it, and entered.

use rustix::fs::OFlags;

use crate::enforce::init::Init;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::{Plan, Workload};
use crate::sys::Syscall;

/// Makes it where it is missing, as every engine expects of an image's `WORKDIR`.
pub fn make(plan: &Plan, init: &mut Init) -> Result<()> {
    let root = init.root()?;
    if root.open(&plan.workload.cwd, OFlags::PATH).is_ok() {
        return Ok(());
    }
    root.make_dir(&plan.workload.cwd).map(drop).map_err(|error| error.at("process.cwd"))
}

/// Enters it, and makes sure that it is inside: a descriptor of the host could be named by its path in `/proc`
/// (CVE-2024-21626).
pub fn enter(workload: &Workload, _: &mut Init) -> Result<()> {
    let cwd = workload.cwd.as_str();
    let what = || format!("cannot enter the working directory {cwd}");
    rustix::process::chdir(cwd)
        .call(|| format!("chdir({cwd:?})"))
        .context(what)
        .map_err(|error| error.at("process.cwd"))?;
    let path = rustix::process::getcwd(Vec::new()).call(|| "getcwd(2)".to_owned()).context(what)?;
    if path.as_bytes().first() == Some(&b'/') {
        return Ok(());
    }
    Err(Error::new(Kind::Refused, what(), "it is outside the container's root").at("process.cwd"))
}
