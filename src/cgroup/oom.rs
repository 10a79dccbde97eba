//! Hearing that the kernel ran out of memory for a cgroup, and how many processes it killed for that.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::dirs::{Dir, Dirs};
use super::{failure, files};
use crate::error::Result;
use crate::plan::cgroup::{Layout, Version};
use crate::sys::{CallError, Syscall};

const V2: &str = "memory.events";
const V1: &str = "memory.oom_control";

/// How many processes the kernel killed for want of memory: `oom_kill` of `memory.events`, or of
/// `memory.oom_control` (Linux 4.13). `None` without a memory controller.
///
/// # Errors
/// `Failed` if the file cannot be read.
pub fn oom_kills(path: &str, layout: &Layout) -> Result<Option<u64>> {
    // The root of a hierarchy counts for the whole host.
    let Some(root) = layout.dir_of("memory").filter(|_| !path.is_empty()) else { return Ok(None) };
    let read = |file: &str| {
        let dir = files::descend(files::open_root(root)?, &files::components(path)?)?;
        files::read(&dir, file)
    };
    for file in [V2, V1] {
        match read(file) {
            Ok(text) => return Ok(files::keyed(&text, "oom_kill")),
            Err(error) if error.errno == Errno::NOENT => {}
            Err(error) => return Err(failure(format!("cannot read {root}{path}/{file}"), &error)),
        }
    }
    Ok(None)
}

/// Tells when memory runs out.
pub struct OomWatch {
    source: Source,
}

enum Source {
    /// The open `memory.events`, which wakes whoever polls it for `POLLPRI`, and the kills seen so far.
    Events(OwnedFd, u64),
    /// An eventfd that the kernel signals (`cgroup.event_control`), and the file that tells of the cgroup's end.
    Notified { eventfd: OwnedFd, control: OwnedFd },
}

impl OomWatch {
    /// Starts to watch a cgroup; `None` without a memory controller.
    ///
    /// # Errors
    /// `Failed` if the kernel refuses.
    pub fn new(dirs: &Dirs) -> Result<Option<Self>> {
        let Some(dir) = dirs.of("memory") else { return Ok(None) };
        let source = match dir.version {
            Version::V1 => notified(dir),
            Version::V2 => events(dir),
        };
        match source {
            Ok(source) => Ok(Some(Self { source })),
            // The controller was not handed on to this cgroup, or the kernel has no such notifications.
            Err(error) if error.errno == Errno::NOENT => Ok(None),
            Err(error) => {
                Err(failure(format!("cannot watch the memory of the cgroup {}", dirs.place(dir)), &error))
            }
        }
    }

    /// What to poll for.
    pub fn poll_fd(&self) -> PollFd<'_> {
        match &self.source {
            Source::Events(events, _) => PollFd::from_borrowed_fd(events.as_fd(), PollFlags::PRI),
            Source::Notified { eventfd, .. } => PollFd::from_borrowed_fd(eventfd.as_fd(), PollFlags::IN),
        }
    }

    /// How often memory ran out since the last look.
    ///
    /// # Errors
    /// `Failed` if the kernel's word cannot be read.
    pub fn happened(&mut self) -> Result<u64> {
        let counted = match &mut self.source {
            Source::Events(events, seen) => more_kills(events, seen),
            Source::Notified { eventfd, control } => notifications(eventfd, control),
        };
        counted.map_err(|error| failure("cannot read what memory ran out of".to_owned(), &error))
    }
}

fn events(dir: &Dir) -> Result<Source, CallError> {
    let events = files::open_file(&dir.fd, V2, OFlags::RDONLY)?;
    let mut seen = 0;
    more_kills(&events, &mut seen)?;
    Ok(Source::Events(events, seen))
}

/// The reading arms the next notification. Kills that come together are one.
fn more_kills(events: &OwnedFd, seen: &mut u64) -> Result<u64, CallError> {
    let now = match files::read_from(events, V2) {
        Ok(text) => files::keyed(&text, "oom_kill").unwrap_or(0),
        // The cgroup is gone.
        Err(error) if error.errno == Errno::NODEV => *seen,
        Err(error) => return Err(error),
    };
    let more = now > *seen;
    *seen = now;
    Ok(more.into())
}

fn notified(dir: &Dir) -> Result<Source, CallError> {
    let control = files::open_file(&dir.fd, V1, OFlags::RDONLY)?;
    let eventfd =
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).call(|| "eventfd(2)".to_owned())?;
    let line = format!("{} {}", eventfd.as_raw_fd(), control.as_raw_fd());
    files::write(&dir.fd, "cgroup.event_control", &line)?;
    Ok(Source::Notified { eventfd, control })
}

/// The kernel signals once more when the cgroup is removed.
fn notifications(eventfd: &OwnedFd, control: &OwnedFd) -> Result<u64, CallError> {
    let mut count = [0; 8];
    let signals = match rustix::io::read(eventfd, &mut count) {
        Ok(_) => u64::from_ne_bytes(count),
        Err(Errno::AGAIN) => return Ok(0),
        Err(errno) => return Err(errno).call(|| "read(eventfd)".to_owned()),
    };
    match files::read_from(control, V1) {
        Ok(_) => Ok(signals),
        Err(error) if error.errno == Errno::NODEV => Ok(signals.saturating_sub(1)),
        Err(error) => Err(error),
    }
}
