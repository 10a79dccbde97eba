//! Start: the program of a container, or of an exec, runs.

use containerd_shim_protos::events::task::{TaskExecStarted, TaskStart};

use super::{Exec, Pod};
use crate::container::create::Console;
use crate::container::exec::{Process as Given, Wish, exec as run_in};
use crate::container::start::start;
use crate::container::state::Lock;
use crate::error::{Error, Kind, Result};
use crate::plan::Change;
use crate::shim::io::{Streams, Wanted};

impl Pod {
    /// Runs the program of a container; the result is its pid. Its end, should it have come already, is told after this.
    ///
    /// # Errors
    /// Why it cannot be executed.
    pub fn start(&mut self, id: &str) -> Result<u32> {
        let container = self.container_mut(id)?;
        if let Some(checkpoint) = container.checkpoint.take() {
            self.restore(id, checkpoint)?;
        } else {
            let found = container.find(id, Lock::Exclusive)?;
            container.init.begin()?;
            start(&found)?;
        }
        let pid = self.process(id, "")?.number();
        self.events.send(&TaskStart { container_id: id.to_owned(), pid, ..TaskStart::default() });
        Ok(pid)
    }

    /// The streams that an exec wants, if it can be started.
    ///
    /// # Errors
    /// `NotFound`; `WrongState` when it was started before, or its container has ended.
    pub fn check_exec(&self, id: &str, exec_id: &str) -> Result<Wanted> {
        let container = self.container(id)?;
        let exec = container.execs.get(exec_id).ok_or_else(|| super::no_process(exec_id))?;
        let refuse =
            |why: String| Err(Error::new(Kind::WrongState, format!("cannot start process {exec_id}"), why));
        match exec.wanted {
            _ if container.ended() => refuse(format!("container {id} init process is not running")),
            None => refuse("it was started before".to_owned()),
            Some(_) => Ok(exec.process.stdio.clone()),
        }
    }

    /// Runs the process of an exec with these streams; the result is its pid.
    ///
    /// # Errors
    /// As [`Pod::check_exec`]; else why it cannot be executed. It has ended then, and whoever waits hears of it.
    pub fn start_exec(&mut self, id: &str, exec_id: &str, streams: Streams) -> Result<u32> {
        self.check_exec(id, exec_id)?;
        let container = self.container_mut(id)?;
        let (root, settings) = (container.settings.root.clone(), container.settings.clone());
        let Some(exec) = container.execs.get_mut(exec_id) else { return Err(super::no_process(exec_id)) };
        exec.process.streams = Some(streams);
        let wish = Wish { id: id.to_owned(), root, policy: settings.policy, ..Wish::default() };
        let warnings = run(exec, wish, settings.io_owner).inspect_err(|_| exec.process.never_ran())?;
        let pid = exec.process.number();
        for it in warnings {
            self.sink.warning(&format!("exec {exec_id} in container {id}: {}: {}", it.at, it.what));
        }
        self.events.send(&TaskExecStarted {
            container_id: id.to_owned(),
            exec_id: exec_id.to_owned(),
            pid,
            ..TaskExecStarted::default()
        });
        Ok(pid)
    }
}

fn run(exec: &mut Exec, mut wish: Wish, owner: (u32, u32)) -> Result<Vec<Change>> {
    let process = &mut exec.process;
    if let Some(wanted) = exec.wanted.take() {
        wish.process = Given::Given(wanted);
    }
    wish.console = process.console().map_or(Console::None, Console::Socket);
    wish.streams = process.child_ends(owner)?;
    let ready = run_in(&mut wish)?;
    process.begin()?;
    ready.child.go()?;
    process.pid = ready.child.pid();
    ready.child.release();
    Ok(ready.warnings)
}
