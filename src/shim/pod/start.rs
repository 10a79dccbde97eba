//! Start: the program of a container, or of an exec, runs.

use containerd_shim_protos::events::task::{TaskExecStarted, TaskStart};

use super::Pod;
use crate::container::create::Console;
use crate::container::exec::{Process as Given, Wish, exec};
use crate::container::start::start;
use crate::container::state::Lock;
use crate::error::{Error, Kind, Result};
use crate::shim::io::Streams;

impl Pod {
    /// Runs it; the result is its pid. Its end, should it have come already, is told after this.
    ///
    /// # Errors
    /// Why it cannot be executed.
    pub fn start(&mut self, id: &str, exec_id: &str) -> Result<u32> {
        if !exec_id.is_empty() {
            return self.start_exec(id, exec_id);
        }
        let container = self.container(id)?;
        start(&container.find(id, Lock::Exclusive)?)?;
        let pid = container.init.number();
        self.events.send(&TaskStart { container_id: id.to_owned(), pid, ..TaskStart::default() });
        Ok(pid)
    }

    fn start_exec(&mut self, id: &str, exec_id: &str) -> Result<u32> {
        let (events, sink) = (self.events.clone(), self.sink.clone());
        let container = self.container_mut(id)?;
        let refuse =
            |why: &str| Err(Error::new(Kind::WrongState, format!("cannot start process {exec_id}"), why));
        if container.init.exit().is_some() {
            return refuse(&format!("container {id} init process is not running"));
        }
        let settings = container.settings.clone();
        let Some(exec_process) = container.execs.get_mut(exec_id) else {
            return Err(super::no_process(exec_id));
        };
        let Some(process) = exec_process.wanted.take() else { return refuse("it was started before") };
        let mut streams = Streams::open(&exec_process.process.stdio)?;
        let mut wish = Wish {
            id: id.to_owned(),
            root: settings.root,
            process: Given::Given(process),
            console: streams.console().map_or(Console::None, Console::Socket),
            streams: streams.child_ends(),
            policy: settings.policy,
            ..Wish::default()
        };
        let ready = exec(&mut wish)?;
        drop(wish);
        ready
            .warnings
            .iter()
            .for_each(|it| sink.warning(&format!("exec {exec_id} in {id}: {}: {}", it.at, it.what)));
        streams.begin()?;
        ready.child.go()?;
        exec_process.process.pid = ready.child.pid();
        exec_process.process.streams = Some(streams);
        ready.child.release();
        let pid = exec_process.process.number();
        events.send(&TaskExecStarted {
            container_id: id.to_owned(),
            exec_id: exec_id.to_owned(),
            pid,
            ..TaskExecStarted::default()
        });
        Ok(pid)
    }
}
