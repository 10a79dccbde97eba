//! Removing a cgroup.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::dirs::places;
use super::{failure, files};
use crate::error::{Error, Kind, Result};
use crate::plan::cgroup::Layout;
use crate::sys::CallError;

/// How long the kernel may take, in all, to let go of a cgroup whose last process is gone.
const PATIENCE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Removes the cgroup at `path` and those beneath it from every hierarchy. It needs nothing but the path, so
/// it also removes what a killed `create` left behind. A cgroup that is not there is no error; its parents stay.
///
/// # Errors
/// `Failed` if processes are in it (see [`super::kill_all`]) or the kernel refuses; every hierarchy is tried.
pub fn delete(path: &str, layout: &Layout) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let errors: Vec<Error> = places(layout)
        .filter_map(|place| {
            let error = delete_in(place.root, path, deadline).err()?;
            let what = format!("cannot remove the cgroup {}{path}", place.root);
            Some(match error.errno {
                Errno::BUSY => Error::new(Kind::Failed, what, error.to_string())
                    .fix("kill the processes that are still in it"),
                _ => failure(what, &error),
            })
        })
        .collect();
    Error::all(&format!("cannot remove the cgroup {path}"), errors).map_or(Ok(()), Err)
}

/// Removes a cgroup in which nothing is left, in one attempt: the rule for a container that has ended. Whether
/// that was all; if not, there are processes, or cgroups beneath.
///
/// # Errors
/// `Failed` if the kernel refuses for another reason.
pub fn delete_empty(path: &str, layout: &Layout) -> Result<bool> {
    let mut all = true;
    for place in places(layout) {
        match remove_leaf(place.root, path) {
            Ok(()) => {}
            Err(error) if error.errno == Errno::NOENT => {}
            Err(error) if busy(&error) => all = false,
            Err(error) => {
                return Err(failure(format!("cannot remove the cgroup {}{path}", place.root), &error));
            }
        }
    }
    Ok(all)
}

fn remove_leaf(root: &str, path: &str) -> Result<(), CallError> {
    let names = files::components(path)?;
    let Some((leaf, parents)) = names.split_last() else { return Ok(()) };
    let parent = files::descend(files::open_root(root)?, parents)?;
    files::remove_dir(&parent, leaf)
}

fn delete_in(root: &str, path: &str, deadline: Instant) -> Result<(), CallError> {
    let names = files::components(path)?;
    let Some((leaf, parents)) = names.split_last() else { return Ok(()) };
    let parent = match files::open_root(root).and_then(|root| files::descend(root, parents)) {
        Ok(parent) => parent,
        Err(error) if error.errno == Errno::NOENT => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut pause = Duration::from_millis(1);
    loop {
        match remove(&parent, leaf) {
            Ok(()) => return Ok(()),
            Err(error) if error.errno == Errno::NOENT => return Ok(()),
            Err(error) if busy(&error) && Instant::now() < deadline => {}
            Err(error) => return Err(error),
        }
        sleep(pause);
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// The directory alone if it has none beneath it, which is the rule; else the lowest first.
fn remove(parent: &OwnedFd, leaf: &CStr) -> Result<(), CallError> {
    match files::remove_dir(parent, leaf) {
        Err(error) if busy(&error) => {}
        done => return done,
    }
    let top = files::open_dir(parent, leaf)?;
    files::walk(&top, &mut |_| Ok(()), &mut |parent, name| match files::remove_dir(parent, name) {
        Err(error) if error.errno != Errno::NOENT => Err(error),
        _ => Ok(()),
    })?;
    files::remove_dir(parent, leaf)
}

fn busy(error: &CallError) -> bool {
    matches!(error.errno, Errno::BUSY | Errno::NOTEMPTY)
}
