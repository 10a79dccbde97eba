//! Start: the program of a container, or of an exec, runs.

use containerd_shim_protos::events::task::{TaskExecStarted, TaskStart};

use super::Pod;
use crate::container::create::Console;
use crate::container::exec::{Process as Given, Wish, exec};
use crate::container::start::start;
use crate::container::state::Lock;
use crate::error::{Error, Kind, Result};
use crate::shim::io::{Streams, Wanted};

impl Pod {
    /// Runs the program of a container; the result is its pid. Its end, should it have come already, is told after this.
    ///
    /// # Errors
    /// Why it cannot be executed.
    pub fn start(&mut self, id: &str) -> Result<u32> {
        let container = self.container_mut(id)?;
        let found = container.find(id, Lock::Exclusive)?;
        container.init.begin()?;
        start(&found)?;
        let pid = container.init.number();
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
        let refuse = |why: String| {
            Err(Error::new(Kind::WrongState, format!("cannot start process {exec_id}"), why))
        };
        match exec.wanted {
            _ if container.ended() => refuse(format!("container {id} init process is not running")),
            None => refuse("it was started before".to_owned()),
            Some(_) => Ok(exec.process.stdio.clone()),
        }
    }

    /// Runs the process of an exec with these streams; the result is its pid.
    ///
    /// # Errors
    /// As [`Pod::check_exec`]; else why it cannot be executed.
    pub fn start_exec(&mut self, id: &str, exec_id: &str, streams: Streams) -> Result<u32> {
        self.check_exec(id, exec_id)?;
        let (events, sink) = (self.events.clone(), self.sink.clone());
        let container = self.container_mut(id)?;
        let settings = container.settings.clone();
        let Some(exec_of) = container.execs.get_mut(exec_id) else { return Err(super::no_process(exec_id)) };
        let (process, Some(wanted)) = (&mut exec_of.process, exec_of.wanted.take()) else {
            return Err(super::no_process(exec_id));
        };
        process.streams = Some(streams);
        let mut wish = Wish {
            id: id.to_owned(),
            root: settings.root,
            process: Given::Given(wanted),
            console: process.console().map_or(Console::None, Console::Socket),
            streams: process.child_ends(settings.io_owner)?,
            policy: settings.policy,
            ..Wish::default()
        };
        let ready = exec(&mut wish)?;
        drop(wish);
        ready.warnings.iter().for_each(|it| sink.warning(&format!("exec {exec_id} in {id}: {}: {}", it.at, it.what)));
        process.begin()?;
        ready.child.go()?;
        process.pid = ready.child.pid();
        ready.child.release();
        let pid = process.number();
        events.send(&TaskExecStarted {
            container_id: id.to_owned(),
            exec_id: exec_id.to_owned(),
            pid,
            ..TaskExecStarted::default()
        });
        Ok(pid)
    }
}
