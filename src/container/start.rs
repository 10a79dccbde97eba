//! `start`: the program of a created container runs.

use super::create::connect_to_start;
use super::state::{Record, StateDir};
use super::status::{Found, Status};
use crate::enforce::order::Report;
use crate::enforce::receipt::{Receipt, State};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Plan;
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
    let connection = connect_to_start(&found.dir)?;
    let what = || format!("cannot hear the init of container {id}");
    let message = socket::receive(&connection).context(what)?;
    if let Some((bytes, _)) = message
        && let Report::Failed(error) = serde_json::from_slice(&bytes).context(what)?
    {
        return Err(error);
    }
    started(&found.dir, &found.record)
}

/// Marks a container as started, and completes its receipt with what only shows once the program runs.
///
/// # Errors
/// When the directory cannot be written.
pub fn started(dir: &StateDir, record: &Record) -> Result<()> {
    dir.forget_start()?;
    let Ok(mut receipt) = dir.fetch::<Receipt>("receipt.json") else { return Ok(()) };
    let plan: Plan = dir.fetch("plan.json")?;
    receipt.layers.retain(|layer| layer.layer != "seccomp");
    seccomp(&plan, record, &mut receipt);
    dir.store("receipt.json", &receipt)
}

/// What the kernel shows from outside; a filter may not let the process itself ask.
fn seccomp(plan: &Plan, record: &Record, receipt: &mut Receipt) {
    let names: Vec<&str> = plan.workload.seccomp.iter().map(|filter| filter.name.as_str()).collect();
    if names.is_empty() {
        return receipt.add("seccomp", State::Absent, "config.json has no profile, and level oci adds none");
    }
    let status = record
        .process
        .and_then(|process| std::fs::read_to_string(format!("/proc/{}/status", process.pid)).ok());
    let field = |name: &str| -> Option<usize> {
        let line = status.as_ref()?.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().parse().ok()
    };
    match (field("Seccomp"), field("Seccomp_filters")) {
        (Some(2), Some(count)) if count >= names.len() => {
            receipt.add("seccomp", State::Enforced, format!("{} in force", names.join(" and ")));
        }
        (None, _) => receipt.add(
            "seccomp",
            State::Enforced,
            format!("{} loaded; the process has ended", names.join(" and ")),
        ),
        found => receipt.add(
            "seccomp",
            State::Partial,
            format!("planned {}, the kernel says {found:?}", names.join(" and ")),
        ),
    }
}
