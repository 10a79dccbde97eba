//! `start`: the program of a created container runs.

use super::confirm::PENDING;
use super::record::Record;
use super::state::StateDir;
use super::status::{Found, Status};
use super::{hooks, start_socket};
use crate::enforce::order::Report;
use crate::enforce::receipt::{Receipt, State};
use crate::error::{Error, Kind, Result};
use crate::plan::hooks::Point;
use crate::policy::require;
use crate::sys::process::SIGKILL;

/// Starts a container that was found, and locked.
///
/// # Errors
/// `WrongState` unless it is created; else why its program cannot be executed.
pub fn start(found: &Found) -> Result<()> {
    let id = found.dir.id();
    match found.status {
        Status::Created => {}
        Status::Stopped => {
            return Err(Error::new(
                Kind::WrongState,
                format!("cannot start container {id}"),
                "container has run and stopped",
            ));
        }
        status => {
            return Err(Error::new(
                Kind::WrongState,
                format!("cannot start container {id}"),
                format!("it is {status}"),
            ));
        }
    }
    let connection = start_socket::connect(&found.dir)?;
    if let Some((Report::Failed(error), _)) = Report::receive(&connection)? {
        return Err(error);
    }
    let receipt = found.dir.fetch("receipt.json")?;
    started(&found.dir, &found.record, receipt).inspect_err(|_| stop(found))
}

/// A container whose hooks failed does not go on (OCI runtime, "Lifecycle", 9).
fn stop(found: &Found) {
    if let Some(process) = &found.process {
        // It may have ended by itself.
        process.signal(SIGKILL).unwrap_or_default();
    }
}

/// Marks a container as started, completes its receipt with what only shows once the program runs, and runs the
/// hooks for that.
///
/// # Errors
/// When the directory cannot be written, a layer that the node policy requires is not in force, or a hook fails: the container has to be stopped then.
pub fn started(dir: &StateDir, record: &Record, receipt: Receipt) -> Result<()> {
    complete(dir, record, receipt)?;
    hooks::run(record, Point::Poststart, record.process.map_or(0, |process| process.pid))
}

fn complete(dir: &StateDir, record: &Record, mut receipt: Receipt) -> Result<()> {
    dir.forget_start()?;
    for layer in &mut receipt.layers {
        if let Some(planned) = layer.detail.strip_suffix(PENDING) {
            (layer.state, layer.detail) = (State::Enforced, filters(planned, record)?);
        }
    }
    dir.replace("receipt.json", &receipt)?;
    require::confirm(&record.required, &receipt, true)
}

/// What the kernel shows from outside; a filter may not let the process itself ask.
///
/// # Errors
/// Fewer filters than planned: nothing may run that is less confined.
fn filters(planned: &str, record: &Record) -> Result<String> {
    let expected = planned.split(' ').next().and_then(|count| count.parse::<usize>().ok());
    let status = record
        .process
        .and_then(|process| std::fs::read_to_string(format!("/proc/{}/status", process.pid)).ok());
    let field = |name: &str| -> Option<&str> {
        let line = status.as_ref()?.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.strip_prefix(':')?.trim())
    };
    // Nobody is left to read from, and only a process with its filters loaded could end as this one did.
    if field("State").is_none_or(|state| state.starts_with(['Z', 'X'])) {
        return Ok(format!("{planned}; the process has ended"));
    }
    match (field("Seccomp"), field("Seccomp_filters").and_then(|count| count.parse::<usize>().ok())) {
        // 3: a filter has just killed it.
        (Some("2" | "3"), count) if count >= expected => Ok(planned.to_owned()),
        found => {
            let why = format!("planned {planned}, but the kernel says {found:?}");
            Err(Error::new(Kind::Failed, "system call filters not in force", why))
        }
    }
}
