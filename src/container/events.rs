//! `events`: what a container uses, and when it runs out of memory.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::process::Process;
use super::status::Found;
use crate::cgroup::stats::{self, Stats};
use crate::cgroup::{self, Dirs, OomWatch};
use crate::error::{Context, Error, Kind, Result};
use crate::sys::Syscall;

/// What is told of a container.
#[derive(Debug)]
pub enum Event {
    /// What it has used.
    Stats(Box<Stats>),
    /// The kernel ran out of memory for it.
    Oom,
}

/// What a container has used up to now.
///
/// # Errors
/// `WrongState` without a process, `NotFound` without a cgroup.
pub fn stats(found: &Found) -> Result<Stats> {
    live(found)?;
    stats::read(&dirs(found)?)
}

/// Tells what a container uses, at every interval, and when it runs out of memory; until it ends.
///
/// # Errors
/// As [`stats()`]; those of whoever is told.
pub fn watch(found: &Found, interval: Duration, mut tell: impl FnMut(Event) -> Result<()>) -> Result<()> {
    let process = live(found)?;
    let dirs = dirs(found)?;
    let mut oom = OomWatch::new(&dirs)?;
    let mut next = Instant::now() + interval;
    loop {
        let ended = wait(process, oom.as_ref(), next)?;
        // Before the end is believed: the last thing that happens may be that memory runs out.
        let happened = oom.as_mut().map_or(Ok(0), OomWatch::happened)?;
        for _ in 0..happened {
            tell(Event::Oom)?;
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= next {
            tell(Event::Stats(Box::new(stats::read(&dirs)?)))?;
            // What was slept through is left out.
            next = (next + interval).max(Instant::now());
        }
    }
}

/// Waits for an event, the end, or the next reading; whether it was the end.
fn wait(process: &Process, oom: Option<&OomWatch>, next: Instant) -> Result<bool> {
    let left = next.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
    let pidfd = process.pidfd();
    let mut descriptors = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    descriptors.extend(oom.map(OomWatch::poll_fd));
    match poll(&mut descriptors, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => {
            return Err(errno).call(|| "poll(2)".to_owned()).context(|| "cannot wait for events".to_owned());
        }
    }
    Ok(descriptors.first().is_some_and(|pidfd| !pidfd.revents().is_empty()))
}

fn live(found: &Found) -> Result<&Process> {
    found.process.as_ref().ok_or_else(|| {
        let what = format!("cannot tell what happens in container {}", found.dir.id());
        Error::new(Kind::WrongState, what, format!("container not running: it is {}", found.status))
    })
}

fn dirs(found: &Found) -> Result<Dirs> {
    Dirs::open(&found.record.cgroup, &cgroup::detect()?)
}
