//! The container's process, by pidfd, never mistaken for a later one with the same number.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::record::ProcessId;
use crate::error::{Context, Error, Kind, Result};
use crate::sys::Syscall;

/// A live process (a zombie is none).
pub struct Process {
    pidfd: OwnedFd,
}

/// What `/proc/PID/stat` says (`proc_pid_stat(5)`).
struct Stat {
    state: char,
    start_time: u64,
}

/// The identity of a process that is ours to name: a child not yet reaped.
///
/// # Errors
/// When `/proc` does not have it.
pub fn identify(pid: i32) -> Result<ProcessId> {
    let stat = stat(pid).ok_or("it is not in /proc").context(|| format!("cannot identify process {pid}"))?;
    Ok(ProcessId { pid, start_time: stat.start_time })
}

impl Process {
    /// The process, if it is alive.
    ///
    /// # Errors
    /// Those of `pidfd_open(2)` but for a process that is gone.
    pub fn open(id: ProcessId) -> Result<Option<Self>> {
        let what = || format!("cannot open process {}", id.pid);
        // A number that no process has is that of none, whoever wrote it.
        let Some(pid) = Pid::from_raw(id.pid.max(0)) else { return Ok(None) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(None),
            pidfd => pidfd.call(|| format!("pidfd_open({})", id.pid)).context(what)?,
        };
        // The number is held by the pidfd's process now: what /proc says is about that one, or about nobody.
        let alive = stat(id.pid)
            .is_some_and(|stat| stat.start_time == id.start_time && !matches!(stat.state, 'Z' | 'X' | 'x'));
        Ok(alive.then_some(Self { pidfd }))
    }

    /// The pidfd.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Sends a signal by number.
    ///
    /// # Errors
    /// `WrongState` when the process is gone.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let what = || format!("cannot send signal {signal}");
        match crate::sys::process::pidfd_signal(&self.pidfd, signal) {
            Err(error) if error.errno == Errno::SRCH => {
                Err(Error::new(Kind::WrongState, "container not running", "process already finished"))
            }
            result => result.context(what),
        }
    }

    /// Waits until the process has ended, at most `milliseconds`; whether it has.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    pub fn wait(&self, milliseconds: i64) -> Result<bool> {
        let timeout = Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 };
        loop {
            let mut descriptors = [PollFd::new(&self.pidfd, PollFlags::IN)];
            match poll(&mut descriptors, Some(&timeout)) {
                Err(Errno::INTR) => {}
                ready => {
                    return ready
                        .map(|count| count > 0)
                        .call(|| "poll(pidfd)".to_owned())
                        .context(|| "cannot wait for the process".to_owned());
                }
            }
        }
    }
}

/// The processes in the pid namespace of one, as far as the caller may look at them.
pub fn in_pid_namespace_of(pid: i32) -> Vec<i32> {
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let (Some(wanted), Ok(entries)) = (namespace(pid), std::fs::read_dir("/proc")) else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| namespace(pid).as_ref() == Some(&wanted)).collect()
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses too.
    let mut fields = text.get(text.rfind(')')? + 2..)?.split(' ');
    let state = fields.next()?.chars().next()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, start_time })
}
