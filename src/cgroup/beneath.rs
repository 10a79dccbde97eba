//! Cgroups that a workload made beneath its container's own: where an exec goes.

use super::dirs::{Dir, Dirs};
use super::{failure, files};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::cgroup::Version;
use crate::sys::CallError;

impl Dirs {
    /// Goes down to a cgroup that exists beneath this one: in the hierarchy of a controller, or in every one.
    /// Components are names; none leads up.
    ///
    /// # Errors
    /// `NotFound` if there is none, or no hierarchy with that controller.
    pub fn enter(&mut self, controller: Option<&str>, path: &str) -> Result<()> {
        let what = format!("cannot use the cgroup {path:?} beneath {}", self.path);
        let chosen = |dir: &Dir| controller.is_none_or(|name| has(dir, name));
        if !self.all.iter().any(chosen) {
            let why =
                format!("no hierarchy of the container has the controller {}", controller.unwrap_or(""));
            return Err(Error::new(Kind::NotFound, what, why));
        }
        for dir in self.all.iter_mut().filter(|dir| chosen(dir)) {
            go_down(dir, path).map_err(|error| failure(what.clone(), &error))?;
        }
        Ok(())
    }

    /// On version 2 a cgroup that hands controllers on may hold no process (cgroup-v2.rst, no internal process
    /// constraint). Where the workload made it so, this goes where the given process of its is.
    ///
    /// # Errors
    /// `Failed` if that cannot be found out.
    pub fn enter_that_of(&mut self, pid: i32) -> Result<()> {
        let top = self.path.clone();
        let Some(dir) = self.all.iter_mut().find(|dir| dir.version == Version::V2) else { return Ok(()) };
        let what = || format!("cannot find a cgroup beneath {top} that may hold a process");
        if files::read(&dir.fd, "cgroup.subtree_control").context(what)?.trim().is_empty() {
            return Ok(());
        }
        let memberships = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).context(what)?;
        let own = memberships.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
        // Beneath the container's, or not ours to use.
        match own.strip_prefix(&top).filter(|rest| rest.starts_with('/')) {
            Some(beneath) => go_down(dir, beneath).context(what),
            None => Ok(()),
        }
    }
}

/// `name=systemd` may be called `systemd`.
fn has(dir: &Dir, controller: &str) -> bool {
    dir.controllers.iter().any(|own| own == controller || own.strip_prefix("name=") == Some(controller))
}

fn go_down(dir: &mut Dir, path: &str) -> Result<(), CallError> {
    let names = files::components(path)?;
    dir.fd = files::descend(files::open_dir(&dir.fd, c".")?, &names)?;
    Ok(())
}
