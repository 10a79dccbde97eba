//! A process of ours in a cgroup of others', so that what it uses counts there: the server of a pod in the pod's.
//!
//! On v1 it is in the cgroup itself. On v2 no process may be in a cgroup that hands controllers on to those beneath it
//! (cgroup-v2.rst, "No Internal Process Constraint"), as a pod's does: there it has a leaf of its own.

use std::ffi::CStr;
use std::path::Path;

use rustix::io::Errno;

use super::dirs::Dirs;
use super::{failure, files, join};
use crate::error::{Context, Result};
use crate::plan::cgroup::{Layout, Version};
use crate::sys::CallError;

/// The name of the leaf.
const LEAF: &CStr = c"sandrun-shim";

/// Moves the calling process, which must have one thread, into a cgroup that exists.
///
/// # Errors
/// `NotFound` when there is none; `Failed` when the kernel refuses, as it does in a cgroup without CPUs.
pub fn enter(path: &str, layout: &Layout) -> Result<()> {
    let dirs = Dirs::open(path, layout)?;
    let what = || format!("cannot enter the cgroup {path}");
    if layout.version() == Version::V1 {
        return join(&dirs.tasks(true)?).context(what);
    }
    let Some(dir) = dirs.v2() else { return Ok(()) };
    let leaf = || -> Result<(), CallError> {
        match files::make_dir(&dir.fd, LEAF) {
            Err(error) if error.errno != Errno::EXIST => return Err(error),
            _ => {}
        }
        files::write(files::open_dir(&dir.fd, LEAF)?, "cgroup.procs", "0")
    };
    leaf().map_err(|error| failure(what(), &error))
}

/// Leaves the leaf, if the calling process is in one, and removes it, unless others are in it: on its way to the end it
/// has no use for it, and nobody else would know whose it is.
///
/// # Errors
/// `Failed` when the kernel refuses.
pub fn leave(layout: &Layout) -> Result<()> {
    let own =
        std::fs::read_to_string("/proc/self/cgroup").context(|| "cannot find the own cgroup".to_owned())?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).map(Path::new);
    let Some((above, unified)) = own.filter(is_leaf).and_then(Path::parent).zip(layout.unified()) else {
        return Ok(());
    };
    files::open_root(&unified.dir)
        .and_then(|root| files::write(root, "cgroup.procs", "0"))
        .map_err(|error| failure("cannot leave the pod's cgroup".to_owned(), &error))?;
    remove_leaf(&above.to_string_lossy(), layout)
}

/// Removes the leaf beneath a cgroup, if it is there and nobody is in it.
///
/// # Errors
/// `Failed` when the kernel refuses.
pub fn remove_leaf(above: &str, layout: &Layout) -> Result<()> {
    let Some(unified) = layout.unified().filter(|_| layout.version() == Version::V2) else { return Ok(()) };
    let removed = files::components(above)
        .and_then(|names| files::descend(files::open_root(&unified.dir)?, &names))
        .and_then(|dir| files::remove_dir(dir, LEAF));
    match removed {
        Err(error) if !matches!(error.errno, Errno::NOENT | Errno::BUSY) => {
            Err(failure(format!("cannot remove the shim's cgroup beneath {above}"), &error))
        }
        _ => Ok(()),
    }
}

fn is_leaf(path: &&Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes() == LEAF.to_bytes())
}
