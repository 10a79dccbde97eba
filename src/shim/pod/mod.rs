//! The containers of a pod, as their server has them. Every operation is done at once, in the one thread there is.

mod control;
mod create;
mod delete;
mod exec;
mod exits;
mod start;

use std::collections::BTreeMap;
use std::path::PathBuf;

use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::any::Any;

use super::errors::missing;
use super::events::Events;
use super::options::Settings;
use super::process::{Exit, Process};
use super::sink::Sink;
use crate::container::state::Lock;
use crate::container::status::{Found, find};
use crate::error::Result;
use crate::oci::ExecProcess;

/// All that a server has.
pub struct Pod {
    /// containerd's namespace.
    pub namespace: String,
    /// Where events go.
    pub events: Events,
    /// The log.
    pub sink: Sink,
    containers: BTreeMap<String, Container>,
}

/// A container.
struct Container {
    bundle: PathBuf,
    settings: Settings,
    /// Its own process.
    init: Process,
    /// Those that were added to it, by the id of the exec.
    execs: BTreeMap<String, Exec>,
    /// Where the kernel counts what runs in it.
    cgroup: String,
    /// How many of its processes were killed for want of memory, as far as that was told.
    oom_kills: u64,
    /// Whether it has no pid namespace of its own, which would end with its first process.
    shares_pids: bool,
    /// How its first process ended, until it is told: all others are told before.
    untold: Option<Exit>,
}

/// A process that was added: what it is to be, until it is started.
struct Exec {
    process: Process,
    wanted: Option<Box<ExecProcess>>,
}

impl Pod {
    /// A pod without containers.
    pub fn new(namespace: String, events: Events, sink: Sink) -> Self {
        Self { namespace, events, sink, containers: BTreeMap::new() }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty()
    }

    fn container(&self, id: &str) -> Result<&Container> {
        self.containers.get(id).ok_or_else(|| not_created(id))
    }

    fn container_mut(&mut self, id: &str) -> Result<&mut Container> {
        self.containers.get_mut(id).ok_or_else(|| not_created(id))
    }

    /// A process by the id of its exec, or the container's own by none.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn process(&self, id: &str, exec_id: &str) -> Result<&Process> {
        self.container(id)?.process(exec_id)
    }

    fn process_mut(&mut self, id: &str, exec_id: &str) -> Result<&mut Process> {
        let container = self.container_mut(id)?;
        match exec_id {
            "" => Ok(&mut container.init),
            _ => container.execs.get_mut(exec_id).map(|exec| &mut exec.process).ok_or_else(|| no_process(exec_id)),
        }
    }
}

impl Container {
    fn process(&self, exec_id: &str) -> Result<&Process> {
        match exec_id {
            "" => Ok(&self.init),
            _ => self.execs.get(exec_id).map(|exec| &exec.process).ok_or_else(|| no_process(exec_id)),
        }
    }

    /// Whether its first process has ended.
    fn ended(&self) -> bool {
        self.untold.is_some() || self.init.exit().is_some()
    }

    /// What the library knows of it.
    fn find(&self, id: &str, lock: Lock) -> Result<Found> {
        find(&self.settings.root, id, lock)
    }
}

fn not_created(id: &str) -> crate::error::Error {
    missing(format!("container {id} not created"))
}

fn no_process(exec_id: &str) -> crate::error::Error {
    missing(format!("process {exec_id} does not exist"))
}

/// The bytes of a message that a call carries.
fn json(any: &MessageField<Any>, what: &str) -> Result<serde_json::Value> {
    let value = any.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
    crate::error::Context::context(serde_json::from_slice(value), || format!("{what} is not valid JSON"))
}
