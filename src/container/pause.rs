//! `pause` and `resume`: the freezer of the container's cgroup.

use super::record::Record;
use super::status::{Found, Status};
use crate::cgroup::{self, Dirs};
use crate::error::{Error, Kind, Result};

/// Stops every process of a container; returns when the kernel says that they stand still.
///
/// # Errors
/// `WrongState` unless it is created or running.
pub fn pause(found: &Found) -> Result<()> {
    match found.status {
        Status::Running => cgroup::freeze(&dirs(found)?),
        Status::Created => {
            cgroup::freeze(&dirs(found)?)?;
            found.dir.save(&Record { paused: true, ..found.record.clone() })
        }
        status => Err(wrong(found, "pause", status)),
    }
}

/// Lets them go on.
///
/// # Errors
/// `WrongState` unless it is paused.
pub fn resume(found: &Found) -> Result<()> {
    match found.status {
        Status::Paused => {
            cgroup::thaw(&dirs(found)?)?;
            match found.record.paused {
                true => found.dir.save(&Record { paused: false, ..found.record.clone() }),
                false => Ok(()),
            }
        }
        status => Err(wrong(found, "resume", status)),
    }
}

fn dirs(found: &Found) -> Result<Dirs> {
    Dirs::open(&found.record.cgroup, &cgroup::detect()?)
}

fn wrong(found: &Found, verb: &str, status: Status) -> Error {
    let why = match status {
        // The words by which engines know that there is nothing to do.
        Status::Stopped => format!("container not running: it is {status}"),
        status => format!("it is {status}"),
    };
    Error::new(Kind::WrongState, format!("cannot {verb} container {}", found.dir.id()), why)
}
