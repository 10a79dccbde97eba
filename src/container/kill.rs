//! `kill`: a signal to a container.

use super::status::{Found, Status};
use crate::cgroup;
use crate::error::{Error, Kind, Result};

/// Signals a container that was found: its process, or with `all` every process in its cgroup, also after the
/// first one is gone: that there is none left is no error then. KILL is for all where no pid namespace ends with the
/// first one.
///
/// # Errors
/// `WrongState` when its process is to be signalled, and has ended.
pub fn kill(found: &Found, signal: i32, all: bool) -> Result<()> {
    let kills = signal == crate::sys::process::SIGKILL;
    if all || kills && found.record.shares_pids {
        return kill_all(found, signal);
    }
    match &found.process {
        Some(process) => process.signal(signal)?,
        None => return Err(not_running(found)),
    }
    // On v1 what is frozen dies only once it is thawed; with the signal waiting for it, it does nothing else.
    if kills && found.status == Status::Paused {
        cgroup::thaw(&cgroup::Dirs::open(&found.record.cgroup, &cgroup::detect()?)?)?;
    }
    Ok(())
}

fn kill_all(found: &Found, signal: i32) -> Result<()> {
    if found.record.cgroup.is_empty() {
        return kill_by_namespace(found, signal);
    }
    let layout = cgroup::detect()?;
    let dirs = match cgroup::Dirs::open(&found.record.cgroup, &layout) {
        Err(error) if error.kind == Kind::NotFound => return Ok(()),
        dirs => dirs?,
    };
    if signal == crate::sys::process::SIGKILL {
        return cgroup::kill_all(&dirs);
    }
    cgroup::signal(&dirs, signal)
}

/// Without a cgroup the container has a pid namespace, which ends with its first process.
fn kill_by_namespace(found: &Found, signal: i32) -> Result<()> {
    match &found.process {
        None => Ok(()),
        Some(process) if signal == crate::sys::process::SIGKILL => process.signal(signal),
        Some(_) => {
            let why = "it has no cgroup, which would know all of its processes";
            Err(Error::new(
                Kind::Unsupported,
                format!("cannot send signal {signal} to all of {}", found.dir.id()),
                why,
            )
            .fix("leave --all out, or send KILL"))
        }
    }
}

fn not_running(found: &Found) -> Error {
    Error::new(Kind::WrongState, "container not running", format!("{} is {}", found.dir.id(), found.status))
}

/// A signal by name, with or without `SIG`, or by number.
///
/// # Errors
/// `Invalid` for anything else.
pub fn parse_signal(text: &str) -> Result<i32> {
    if let Ok(number) = text.parse::<i32>()
        && (0..=64).contains(&number)
    {
        return Ok(number);
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    if let Ok(signal) = name.parse::<nix::sys::signal::Signal>() {
        return Ok(signal as i32);
    }
    if let Some(offset) = name.strip_prefix("SIGRTMIN") {
        let offset = offset.trim_start_matches('+');
        if let Ok(offset) = if offset.is_empty() { Ok(0) } else { offset.parse::<i32>() }
            && (0..=30).contains(&offset)
        {
            return Ok(34 + offset);
        }
    }
    Err(Error::new(Kind::Invalid, format!("unknown signal {text:?}"), "")
        .fix("use a name such as TERM or SIGKILL, or a number from 0 to 64"))
}
