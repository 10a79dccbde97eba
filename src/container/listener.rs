//! The seccomp agent: it is sent the listener of a container's filter, with the state of the container
//! (runtime-spec, config-linux.md, "The Container Process State").

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde::Serialize;

use super::status::State;
use crate::enforce::spawn::Child;
use crate::error::{Context, Error, Result};
use crate::plan::seccomp::Filter;
use crate::sys::socket;

/// The `ContainerProcessState` of runtime-spec.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'static str,
    /// What the descriptors that come with it are, in order.
    fds: [&'static str; 1],
    /// The process with the filter, in the pid namespace of the caller.
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    /// Of the container.
    state: &'a State,
}

/// Gives the listener of a child's filters to the agent that the plan names, if it does: connects with the caller's
/// rights, and sends it with the state of the container. Until then, the child's program cannot run.
///
/// # Errors
/// When the filters cannot be loaded, or nobody takes their listener.
pub(super) fn introduce(filters: &[Filter], child: &Child, state: &State) -> Result<()> {
    let Some(agent) = filters.iter().find_map(|filter| filter.listener.as_ref()) else { return Ok(()) };
    let listener = child.listener()?;
    let what = || format!("cannot send the seccomp listener to {}", agent.path.display());
    let explain = |error: Error| {
        error.at("linux.seccomp.listenerPath").fix("start the seccomp agent before the container")
    };
    let message = ContainerProcessState {
        oci_version: crate::oci::OCI_VERSION,
        fds: ["seccompFd"],
        pid: child.pid(),
        metadata: &agent.metadata,
        state,
    };
    let message = serde_json::to_vec(&message).context(what)?;
    let socket = UnixStream::connect(&agent.path).context(what).map_err(explain)?;
    socket::send_with_data(&socket, &message, &[listener.as_fd()]).context(what).map_err(explain)
}
