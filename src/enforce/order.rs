//! What the parent and init say to each other over the control socket.
//!
//! ```text
//! child   8 bytes    the gap's report (sys::clone): a second child's pid, or a failed call
//! init    8 bytes    zeroes: the sealed binary runs
//! parent  Order      the plan, with the descriptors that the plan's parts need
//! init    Report     (exec) Successor: another process goes on as init
//! parent  1 byte     (exec) to that one: it is known
//! init    Report     (hooks on the host) EnvironmentMade
//! parent  1 byte     they have run
//! init    Report     Ready with the receipt, or Failed
//! init    Report     (a filter notifies) Listener, with the descriptor that the parent gives to the agent
//! parent  1 byte     (start at once) go
//! init    Report     Failed, or the socket closes: execve has happened
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::receipt::Receipt;
use crate::error::{Context, Error, Result};
use crate::plan::{Plan, Workload};
use crate::sys::socket;

/// What init is to become.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Task {
    /// The first process of a new container.
    Create(Box<Plan>),
    /// Another process in a container that exists: the namespaces (`CLONE_NEW*`) to join, and the process.
    Exec(u32, Box<Workload>),
}

impl Task {
    /// The process that the child becomes.
    pub fn workload(&self) -> &Workload {
        match self {
            Task::Create(plan) => &plan.workload,
            Task::Exec(_, workload) => workload,
        }
    }
}

/// When the program is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Start {
    /// When the parent says go.
    Go,
    /// When somebody connects to the start socket.
    Socket,
}

/// What a descriptor that comes with an order is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// A cgroup's `tasks` file; init writes itself into it.
    Tasks,
    /// The detached mount of the root filesystem; for an exec in the caller's mount namespace, the root itself.
    Rootfs,
    /// The detached mount for the plan's mount with this index.
    Mount(usize),
    /// The user namespace whose ids the plan's mount with this index gets.
    Idmap(usize),
    /// The detached mount of the device node with this index.
    Device(usize),
    /// The detached mount of the container's cgroup in the hierarchy of this name.
    Cgroup(String),
    /// The listening start socket.
    StartSocket,
    /// The connected socket that wants the terminal.
    ConsoleSocket,
    /// The pidfd of the container's process, for an exec.
    Container,
    /// What becomes the descriptor of this number, 0 to 2; where none is sent, the caller's own is inherited.
    Stream(i32),
}

/// Everything init gets.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// What to become.
    pub task: Task,
    /// When to run the program.
    pub start: Start,
    /// What the descriptors are for, in order.
    pub roles: Vec<Role>,
}

/// What init answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Report {
    /// The process with this id, as the parent numbers it, goes on; the one that reports ends.
    Successor(i32),
    /// All mounts are there, and it is the parent's turn (OCI runtime, "Lifecycle", 4).
    EnvironmentMade,
    /// Everything but seccomp is in force, and read back.
    Ready(Receipt),
    /// The filters are in force, too; the descriptor that comes with this answers their notifications.
    Listener,
    /// Something did not work, and why.
    Failed(Error),
}

impl Report {
    /// Sends it, on the control socket or to who connected to the start socket.
    ///
    /// # Errors
    /// When nobody hears any more.
    pub fn send(&self, to: impl AsFd, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let what = || "cannot report to the parent".to_owned();
        let report = serde_json::to_vec(self).context(what)?;
        socket::send(to, &report, descriptors).context(what)
    }

    /// Hears one, with its descriptors; none when the other side has closed.
    ///
    /// # Errors
    /// When it is no report, or ends within one.
    pub fn receive(from: impl AsFd) -> Result<Option<(Self, Vec<OwnedFd>)>> {
        let what = || "cannot hear the container's init".to_owned();
        let message = socket::receive(from).context(what)?;
        message
            .map(|(bytes, descriptors)| Ok((serde_json::from_slice(&bytes).context(what)?, descriptors)))
            .transpose()
    }
}

/// Descriptors that came with an order.
#[derive(Default)]
pub struct Received(Vec<(Role, OwnedFd)>);

impl Received {
    /// Pairs descriptors with their roles.
    pub fn new(roles: Vec<Role>, descriptors: Vec<OwnedFd>) -> Self {
        Self(roles.into_iter().zip(descriptors).collect())
    }

    /// Takes the first descriptor for a role.
    pub fn take(&mut self, role: &Role) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(other, _)| other == role)?;
        Some(self.0.remove(at).1)
    }

    /// Takes a descriptor that the parent always sends.
    ///
    /// # Errors
    /// When it did not.
    pub fn require(&mut self, role: &Role) -> Result<OwnedFd> {
        self.take(role).ok_or("it was not sent").context(|| format!("no descriptor for {role:?}"))
    }
}
