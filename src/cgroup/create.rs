//! Making a cgroup in every hierarchy.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use rustix::fs::fstat;
use rustix::io::Errno;

use super::dirs::{Dir, Dirs, Place, places};
use super::{failure, files};
use crate::error::{Error, Kind, Result};
use crate::plan::cgroup::{Cgroup, Layout, Version};
use crate::sys::{CallError, Syscall};

/// What statistics are read from. Where a cgroup above already has them, the container gets them too.
const COUNTED: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// Makes the cgroup of a plan: its directory in each hierarchy, with missing parents; on v2 the controllers
/// its settings need are switched on from the root down, and no others at the root.
///
/// An empty directory that is there stays as it is: whoever made it may have limited it, and what the plan does not
/// name is to hold. Where systemd has started the scope of the plan, its directories are there and have a process;
/// what systemd has no hierarchy or controller for is made as without it.
///
/// # Errors
/// `Exists` if a process or another cgroup is in it, or it is frozen; `Unsupported` without permission; `Failed` if
/// the kernel refuses a directory or a controller. What was made until then is removed again.
pub fn create(cgroup: &Cgroup, layout: &Layout) -> Result<Dirs> {
    let mut dirs = Dirs { path: cgroup.path.clone(), all: Vec::new(), created: Vec::new() };
    match places(layout).try_for_each(|place| create_in(&place, cgroup, &mut dirs)) {
        Ok(()) => Ok(dirs),
        Err(error) => {
            undo(&dirs.created);
            Err(error)
        }
    }
}

fn create_in(place: &Place<'_>, cgroup: &Cgroup, dirs: &mut Dirs) -> Result<()> {
    let cannot =
        |error: &CallError| failure(format!("cannot make the cgroup {}{}", place.root, cgroup.path), error);
    let needed: Vec<&str> = match place.version {
        Version::V1 => Vec::new(),
        Version::V2 => place
            .controllers
            .iter()
            .filter(|name| cgroup.settings.iter().any(|setting| setting.controller == **name))
            .map(String::as_str)
            .collect(),
    };
    let names = files::components(&cgroup.path).map_err(|error| cannot(&error))?;
    let Some((leaf, parents)) = names.split_last() else {
        return Err(cannot(&CallError { call: "mkdir(\"/\")".to_owned(), errno: Errno::INVAL }));
    };
    let mut at = place.root.to_owned();
    let mut dir = files::open_root(place.root).map_err(|error| cannot(&error))?;
    for (depth, name) in parents.iter().chain([leaf]).enumerate() {
        if place.version == Version::V2 {
            enable(&dir, &at, &needed, depth > 0 && cgroup.scope.is_none())?;
        }
        at = format!("{at}/{}", name.to_string_lossy());
        let made = make(&dir, name).map_err(|error| cannot(&error))?;
        if made {
            dirs.created.push(at.clone());
        }
        let next = files::open_dir(&dir, name).map_err(|error| cannot(&error))?;
        if !made && depth == parents.len() && cgroup.scope.is_none() {
            refuse_taken(&next, &at)?;
        }
        if place.controllers.iter().any(|name| name == "cpuset") && place.version == Version::V1 {
            inherit_cpuset(&dir, &next).map_err(|error| cannot(&error))?;
        }
        dir = next;
    }
    dirs.all.push(Dir {
        version: place.version,
        controllers: place.controllers.to_vec(),
        root: place.root.to_owned(),
        fd: dir,
    });
    Ok(())
}

/// Whether the directory was missing.
fn make(dir: &OwnedFd, name: &CStr) -> Result<bool, CallError> {
    match files::make_dir(dir, name) {
        Ok(()) => Ok(true),
        Err(error) if error.errno == Errno::EXIST => Ok(false),
        Err(error) => Err(error),
    }
}

/// A container has its cgroup for itself, and its first process must be able to run there.
fn refuse_taken(dir: &OwnedFd, at: &str) -> Result<()> {
    let what = format!("cannot make the cgroup {at}");
    let why = match taken(dir) {
        Ok(None) => return Ok(()),
        Ok(Some(why)) => why,
        Err(error) => return Err(failure(what, &error)),
    };
    Err(Error::new(Kind::Exists, what, why)
        .at("linux.cgroupsPath")
        .fix("delete the container that uses it, or give this one another path"))
}

fn taken(dir: &OwnedFd) -> Result<Option<&'static str>, CallError> {
    // A directory has a link for itself, one in its parent, and one in each directory beneath it.
    let links = fstat(dir).call(|| "fstat(cgroup)".to_owned())?.st_nlink;
    if links > 2 || !files::read(dir, "cgroup.procs")?.is_empty() {
        return Ok(Some("it exists and has processes or cgroups in it"));
    }
    for (file, thawed) in [("cgroup.freeze", "0"), ("freezer.state", "THAWED")] {
        match files::read(dir, file) {
            Ok(state) if state.trim() == thawed => {}
            Ok(_) => return Ok(Some("it exists and is frozen")),
            Err(error) if error.errno == Errno::NOENT => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A v1 cpuset starts with no CPU and no memory node, and lets no process in: it gets those of its parent.
fn inherit_cpuset(parent: &OwnedFd, child: &OwnedFd) -> Result<(), CallError> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if files::read(child, file)?.trim().is_empty() {
            let above = files::read(parent, file)?;
            files::write(child, file, above.trim())?;
        }
    }
    Ok(())
}

/// Hands the controllers of `dir` on to the cgroups beneath it (`cgroup.subtree_control`).
/// With `counted` those too that only count.
pub(super) fn enable(dir: &OwnedFd, at: &str, needed: &[&str], counted: bool) -> Result<()> {
    let cannot = |error: &CallError| failure(format!("cannot hand controllers on from {at}"), error);
    if needed.is_empty() && !counted {
        return Ok(());
    }
    let on = files::read(dir, "cgroup.subtree_control").map_err(|error| cannot(&error))?;
    let is_on = |name: &&str| on.split_whitespace().any(|on| on == *name);
    for name in needed.iter().filter(|name| !is_on(name)) {
        files::write(dir, "cgroup.subtree_control", &format!("+{name}"))
            .map_err(|error| cannot_enable(name, at, &error))?;
    }
    if counted {
        let available = files::read(dir, "cgroup.controllers").map_err(|error| cannot(&error))?;
        for name in available.split_whitespace().filter(|name| COUNTED.contains(name) && !is_on(name)) {
            // No limit depends on these: without them there are only fewer statistics.
            files::write(dir, "cgroup.subtree_control", &format!("+{name}")).unwrap_or_default();
        }
    }
    Ok(())
}

fn cannot_enable(controller: &str, at: &str, error: &CallError) -> Error {
    let what = format!("cannot switch the {controller} controller on below {at}");
    match error.errno {
        Errno::BUSY => Error::new(Kind::Unsupported, what, format!("{error}: {at} has processes of its own")).fix(
            "choose a path whose parents hold no processes (cgroup-v2.rst, no internal process constraint)",
        ),
        Errno::NOENT => Error::new(Kind::Unsupported, what, format!("{error}: it is not handed on to {at}"))
            .fix(format!("add +{controller} to cgroup.subtree_control of the cgroups above")),
        _ => failure(what, error),
    }
}

/// Removes what a failed `create` made. Whatever cannot be removed is in use by then, and is not ours.
fn undo(created: &[String]) {
    for dir in created.iter().rev() {
        rmdir(dir).unwrap_or_default();
    }
}

fn rmdir(dir: &str) -> Result<(), CallError> {
    let Some((parent, name)) = dir.rsplit_once('/') else { return Ok(()) };
    let name =
        CString::new(name).map_err(|_| CallError { call: format!("rmdir({dir:?})"), errno: Errno::INVAL })?;
    files::remove_dir(files::open_root(parent)?, &name)
}
