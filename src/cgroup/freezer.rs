//! Stopping every process of a cgroup, and letting it go on.

use std::os::fd::{AsFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::dirs::{Dir, Dirs};
use super::{failure, files};
use crate::error::{Error, Kind, Result};
use crate::sys::{CallError, Syscall};

/// How long a process may stay in the kernel before freezing is given up.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at a v1 freezer, which tells nobody when it is done.
const PAUSE: Duration = Duration::from_millis(1);

const V2: &str = "cgroup.freeze";
const V1: &str = "freezer.state";

/// Freezes the cgroup and all beneath it, and returns when every process stands still. v2 (Linux 5.2) where
/// the processes are in it; the freezer controller of v1 otherwise.
///
/// # Errors
/// `Unsupported` if the host has neither; `Failed` if a process does not stop within 2 s, after thawing again.
pub fn freeze(dirs: &Dirs) -> Result<()> {
    let cannot = |error: &CallError| failure(format!("cannot freeze the cgroup {}", dirs.path), error);
    let stands = stop(dirs, Instant::now() + PATIENCE).map_err(|error| cannot(&error))?;
    match stands {
        Some(true) => Ok(()),
        Some(false) => {
            thaw(dirs)?;
            let why = format!("a process did not stop within {} s", PATIENCE.as_secs());
            Err(Error::new(Kind::Failed, format!("cannot freeze the cgroup {}", dirs.path), why)
                .fix("look for a process in state D"))
        }
        None => {
            let why = "this host has neither cgroup.freeze (Linux 5.2) nor the v1 freezer controller";
            Err(Error::new(Kind::Unsupported, format!("cannot freeze the cgroup {}", dirs.path), why))
        }
    }
}

/// Lets everything go on, whichever interface froze it. A cgroup that is not frozen stays as it is.
///
/// # Errors
/// `Failed` if the kernel refuses.
pub fn thaw(dirs: &Dirs) -> Result<()> {
    let v2 = dirs.v2().map(|dir| (dir, V2, "0"));
    let v1 = freezer(dirs).map(|dir| (dir, V1, "THAWED"));
    for (dir, file, value) in v2.into_iter().chain(v1) {
        match files::write(&dir.fd, file, value) {
            Ok(()) => {}
            Err(error) if gone(&error) => {}
            Err(error) => return Err(failure(format!("cannot thaw the cgroup {}", dirs.path), &error)),
        }
    }
    Ok(())
}

/// Whether the cgroup stands still.
///
/// # Errors
/// `Failed` if its state cannot be read.
pub fn frozen(dirs: &Dirs) -> Result<bool> {
    let read = |dir: &Dir, file| match files::read(&dir.fd, file) {
        Ok(text) => Ok(text),
        Err(error) if gone(&error) => Ok(String::new()),
        Err(error) => Err(failure(format!("cannot read the state of the cgroup {}", dirs.path), &error)),
    };
    if let Some(dir) = dirs.v2()
        && files::keyed(&read(dir, "cgroup.events")?, "frozen") == Some(1)
    {
        return Ok(true);
    }
    match freezer(dirs) {
        Some(dir) => Ok(read(dir, V1)?.trim() == "FROZEN"),
        None => Ok(false),
    }
}

/// Asks for a standstill: whether it came by the deadline, `None` where nothing can do it.
pub(super) fn stop(dirs: &Dirs, deadline: Instant) -> Result<Option<bool>, CallError> {
    let v1 = freezer(dirs);
    if let Some(dir) = dirs.v2() {
        // On a hybrid host the processes may be in v1 alone, and an empty cgroup freezes at once.
        let inhabited = v1.is_none() || inhabited(dir)?;
        match files::write(&dir.fd, V2, "1") {
            Ok(()) if inhabited => return wait_for(&dir.fd, "frozen", 1, deadline).map(Some),
            Ok(()) => files::write(&dir.fd, V2, "0")?,
            Err(error) if error.errno == Errno::NOENT => {}
            Err(error) => return Err(error),
        }
    }
    let Some(dir) = v1 else { return Ok(None) };
    loop {
        // Written again each time: a process that was forking is only caught by the next attempt.
        files::write(&dir.fd, V1, "FROZEN")?;
        if files::read(&dir.fd, V1)?.trim() == "FROZEN" {
            return Ok(Some(true));
        }
        if Instant::now() > deadline {
            return Ok(Some(false));
        }
        sleep(PAUSE);
    }
}

/// Waits until `cgroup.events` has `key value`; the kernel wakes us when the file changes.
pub(super) fn wait_for(dir: &OwnedFd, key: &str, value: u64, deadline: Instant) -> Result<bool, CallError> {
    const EVENTS: &str = "cgroup.events";
    let events = files::open_file(dir, EVENTS, OFlags::RDONLY)?;
    loop {
        // Read before each wait: the reading is what arms the notification.
        if files::keyed(&files::read_from(&events, EVENTS)?, key) == Some(value) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut [PollFd::from_borrowed_fd(events.as_fd(), PollFlags::PRI)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).call(|| format!("poll({EVENTS:?})")),
        }
    }
}

/// Whether a process is in a v2 cgroup or beneath it.
pub(super) fn inhabited(dir: &Dir) -> Result<bool, CallError> {
    Ok(files::keyed(&files::read(&dir.fd, "cgroup.events")?, "populated") == Some(1))
}

fn freezer(dirs: &Dirs) -> Option<&Dir> {
    dirs.v1().find(|dir| dir.controllers.iter().any(|name| name == "freezer"))
}

/// The file does not exist, or its cgroup was removed while we had it open.
fn gone(error: &CallError) -> bool {
    matches!(error.errno, Errno::NOENT | Errno::NODEV)
}
