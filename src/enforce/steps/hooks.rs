//! Hooks that run while init waits (OCI config, "POSIX-platform Hooks").

use std::path::Path;

use crate::enforce::hook::{Batch, Surroundings};
use crate::enforce::init::Init;
use crate::enforce::order::Report;
use crate::error::{Context, Result};
use crate::plan::hooks::{Point, State};
use crate::plan::{Plan, Workload};

/// Lets the parent run the hooks of the host's side, then runs those of the container's: every mount is there,
/// nothing is hidden or read-only yet, and the host's paths still lead somewhere.
pub fn created(plan: &Plan, init: &mut Init) -> Result<()> {
    let hooks = &plan.hooks;
    if hooks.at_creation() {
        Report::EnvironmentMade.send(&init.control, &[])?;
        init.hear()?.then_some(()).ok_or("it is gone").context(|| "cannot wait for the hooks".to_owned())?;
    }
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let batch = |point| {
        let state = State::at(point, &plan.id, Some(pid), &hooks.bundle, &plan.annotations);
        Batch::new(hooks.at(point), &state)
    };
    init.hooks_at_start = batch(Point::StartContainer)?;
    // Not in the root, as runc's are: what a program with the host's rights looks for where it stands, such as a
    // module of Python's, would be the image's.
    batch(Point::CreateContainer)?.run(&Surroundings { dir: Some(Path::new(&hooks.bundle)), like: None })
}

/// Runs what is to run inside before the program does, with no right that the program has not.
pub fn starting(workload: &Workload, init: &Init) -> Result<()> {
    init.hooks_at_start.run(&Surroundings { dir: None, like: Some(workload) })
}
