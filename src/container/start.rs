//! `start`: the program of a created container runs.

use super::confirm::PENDING;
use super::state::{Record, StateDir};
use super::status::{Found, Status};
use super::{hooks, start_socket};
use crate::enforce::order::Report;
use crate::enforce::receipt::{Receipt, State};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::hooks::Point;
use crate::sys::process::SIGKILL;
use crate::sys::socket;

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
    let what = || format!("cannot hear the init of container {id}");
    let message = socket::receive(&connection).context(what)?;
    if let Some((bytes, _)) = message
        && let Report::Failed(error) = serde_json::from_slice(&bytes).context(what)?
    {
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
/// When the directory cannot be written, or a hook fails: the container has to be stopped then.
pub fn started(dir: &StateDir, record: &Record, receipt: Receipt) -> Result<()> {
    complete(dir, record, receipt)?;
    hooks::run(record, Point::Poststart, record.process.map_or(0, |process| process.pid))
}

fn complete(dir: &StateDir, record: &Record, mut receipt: Receipt) -> Result<()> {
    dir.forget_start()?;
    for layer in &mut receipt.layers {
        if let Some(names) = layer.detail.strip_suffix(PENDING) {
            let names = names.trim_end().to_owned();
            (layer.state, layer.detail) = filters(&names, record);
        }
    }
    dir.replace("receipt.json", &receipt)
}

/// What the kernel shows from outside; a filter may not let the process itself ask.
fn filters(names: &str, record: &Record) -> (State, String) {
    let expected = names.split(" and ").count();
    let status = record
        .process
        .and_then(|process| std::fs::read_to_string(format!("/proc/{}/status", process.pid)).ok());
    let field = |name: &str| -> Option<&str> {
        let line = status.as_ref()?.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.strip_prefix(':')?.trim())
    };
    // Nobody is left to read from, and only a process with its filters loaded could end as this one did.
    if field("State").is_none_or(|state| state.starts_with(['Z', 'X'])) {
        return (State::Enforced, format!("{names} loaded; the process has ended"));
    }
    match (field("Seccomp"), field("Seccomp_filters").and_then(|count| count.parse::<usize>().ok())) {
        (Some("2"), Some(count)) if count >= expected => (State::Enforced, format!("{names} in force")),
        found => (State::Partial, format!("{names} planned, the kernel says {found:?}")),
    }
}
