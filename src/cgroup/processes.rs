//! The processes of a cgroup: listing, signalling, killing.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::dirs::{Dir, Dirs};
use super::freezer::{inhabited, stop, thaw, wait_for};
use super::{failure, files};
use crate::error::{Error, Kind, Result};
use crate::sys::process::{SIGKILL, pidfd_signal};
use crate::sys::{CallError, Syscall};

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one attempt to stop them, or to see them gone, may take.
const ROUND: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(1);

/// The processes of the cgroup, in ascending order, as this process's pid namespace numbers them; with
/// `recursive` those of the cgroups beneath too. On v1 those of any hierarchy.
///
/// # Errors
/// `Failed` if a list cannot be read.
pub fn pids(dirs: &Dirs, recursive: bool) -> Result<Vec<i32>> {
    let all = list(dirs, recursive)
        .map_err(|error| failure(format!("cannot list the processes of the cgroup {}", dirs.path), &error))?;
    Ok(all.into_iter().collect())
}

/// Sends a signal, by number, to every process of the cgroup and of those beneath it. One that is forked meanwhile may be
/// missed: to end them all use [`kill_all`].
///
/// # Errors
/// `Failed` if a list cannot be read or a signal cannot be sent.
pub fn signal(dirs: &Dirs, signal: i32) -> Result<()> {
    send(dirs, signal).map_err(|error| failure(format!("cannot signal the cgroup {}", dirs.path), &error))
}

/// Kills every process of the cgroup and of those beneath it, and returns when they are gone; a frozen cgroup
/// is thawed for it. With `cgroup.kill` (v2, Linux 5.14) by the kernel, else frozen first, so that nothing can
/// fork away, and signalled one by one.
///
/// # Errors
/// `Failed` if processes are left after 10 s (state D), or the kernel refuses.
pub fn kill_all(dirs: &Dirs) -> Result<()> {
    let cannot = |error: &CallError| failure(format!("cannot kill the cgroup {}", dirs.path), error);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = list(dirs, true).map_err(|error| cannot(&error))?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let why = format!("{left:?} are still there after {} s", PATIENCE.as_secs());
            return Err(Error::new(Kind::Failed, format!("cannot kill the cgroup {}", dirs.path), why)
                .fix("look for processes in state D"));
        }
        let killed = round(dirs);
        // Who else manages the cgroup may remove it as soon as it is empty, and before the end of a round.
        if killed.is_err() && !list(dirs, true).map_err(|error| cannot(&error))?.is_empty() {
            return killed;
        }
    }
}

/// One attempt: ends with a SIGKILL waiting for every process, and nothing frozen.
fn round(dirs: &Dirs) -> Result<()> {
    let cannot = |error: &CallError| failure(format!("cannot kill the cgroup {}", dirs.path), error);
    let by_kernel = match dirs.v2() {
        // On a hybrid host the processes may be in v1 alone.
        Some(dir) if inhabited(dir).map_err(|error| cannot(&error))? => {
            match files::write(&dir.fd, "cgroup.kill", "1") {
                Ok(()) => true,
                Err(error) if error.errno == Errno::NOENT => false,
                Err(error) => return Err(cannot(&error)),
            }
        }
        _ => false,
    };
    if !by_kernel {
        // Not standing still in time is no reason to wait: the next round comes.
        stop(dirs, Instant::now() + ROUND).map_err(|error| cannot(&error))?;
    }
    if !by_kernel || dirs.v1().next().is_some() {
        send(dirs, SIGKILL).map_err(|error| cannot(&error))?;
    }
    // Only now, when a signal waits for each: what is thawed dies instead of running.
    thaw(dirs)?;
    wait(dirs).map_err(|error| cannot(&error))
}

/// Gives the killed a moment to go.
fn wait(dirs: &Dirs) -> Result<(), CallError> {
    if let Some(dir) = dirs.v2() {
        wait_for(&dir.fd, "populated", 0, Instant::now() + ROUND)?;
    }
    if dirs.v1().next().is_some() {
        sleep(PAUSE);
    }
    Ok(())
}

/// A number read from a list may belong to another process by the time it is used. So each process is pinned
/// by a pidfd first, and gets the signal only if a second list, read after that, still has its number.
fn send(dirs: &Dirs, signal: i32) -> Result<(), CallError> {
    let mut pinned: Vec<(i32, OwnedFd)> = Vec::new();
    for number in list(dirs, true)? {
        let Some(pid) = Pid::from_raw(number) else { continue };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => pinned.push((number, fd)),
            Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno).call(|| format!("pidfd_open({number})")),
        }
    }
    let still = list(dirs, true)?;
    for (_, fd) in pinned.iter().filter(|(number, _)| still.contains(number)) {
        match pidfd_signal(fd, signal) {
            Err(error) if error.errno == Errno::SRCH => {}
            sent => sent?,
        }
    }
    Ok(())
}

fn list(dirs: &Dirs, recursive: bool) -> Result<BTreeSet<i32>, CallError> {
    let mut all = BTreeSet::new();
    for dir in &dirs.all {
        match list_one(dir, recursive, &mut all) {
            // Removed since it was opened: nobody is in it.
            Err(error) if matches!(error.errno, Errno::NOENT | Errno::NODEV) => {}
            other => other?,
        }
    }
    Ok(all)
}

fn list_one(dir: &Dir, recursive: bool, all: &mut BTreeSet<i32>) -> Result<(), CallError> {
    let mut read = |dir: &OwnedFd| -> Result<(), CallError> {
        match files::read(dir, "cgroup.procs") {
            // 0 stands for a process of a pid namespace we cannot see into.
            Ok(text) => {
                all.extend(text.lines().filter_map(|line| line.parse().ok()).filter(|pid: &i32| *pid != 0))
            }
            // A threaded cgroup lists its processes only in the domain above.
            Err(error) if error.errno == Errno::OPNOTSUPP => {}
            Err(error) => return Err(error),
        }
        Ok(())
    };
    if recursive { files::walk(&dir.fd, &mut read, &mut |_, _| Ok(())) } else { read(&dir.fd) }
}
