//! What is done to a container that is there: signals, limits, the freezer, a checkpoint.

use std::path::PathBuf;

use containerd_shim_protos::api::{CheckpointTaskRequest, KillRequest, ProcessInfo, UpdateTaskRequest};
use containerd_shim_protos::events::task::{TaskCheckpointed, TaskPaused, TaskResumed};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::shim::oci::{CheckpointOptions, ProcessDetails};
use rustix::process::Pid;

use super::{Container, Pod, json};
use crate::cgroup::{self, Dirs};
use crate::container::checkpoint::{self, Dump};
use crate::container::kill::kill;
use crate::container::pause::{pause, resume};
use crate::container::process::in_pid_namespace_of;
use crate::container::state::Lock;
use crate::container::status::Status;
use crate::container::update::update;
use crate::error::{Context, Error, Kind, Result};
use crate::oci;
use crate::plan::intel_rdt::Shares;
use crate::shim::errors::cannot_signal;
use crate::shim::metrics;

impl Pod {
    /// What a process is doing.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn status(&self, id: &str, exec_id: &str) -> Result<Status> {
        let container = self.container(id)?;
        let process = container.process(exec_id)?;
        if process.exit().is_some() || exec_id.is_empty() && container.ended() {
            return Ok(Status::Stopped);
        }
        let status = container.find(id, Lock::None).map_or(Status::Stopped, |found| found.status);
        Ok(match (exec_id, status) {
            ("", _) | (_, Status::Paused) => status,
            _ if process.pid == 0 => Status::Created,
            _ => Status::Running,
        })
    }

    /// The directory of a container.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn bundle(&self, id: &str) -> Result<String> {
        Ok(self.container(id)?.bundle.to_string_lossy().into_owned())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// `NotFound` when the process has ended.
    pub fn kill(&mut self, request: &KillRequest) -> Result<()> {
        let signal = i32::try_from(request.signal)
            .ok()
            .filter(|signal| (0..=64).contains(signal))
            .ok_or("it is not a number from 0 to 64")
            .context(|| format!("unknown signal {}", request.signal))?;
        let container = self.container(&request.id)?;
        let process = container.process(&request.exec_id)?;
        let finished = || Err(Error::new(Kind::NotFound, "process already finished", ""));
        if request.exec_id.is_empty() {
            if process.exit().is_some() && !request.all {
                return finished();
            }
            let found = container.find(&request.id, Lock::None)?;
            return kill(&found, signal, request.all).map_err(cannot_signal);
        }
        match Pid::from_raw(process.pid) {
            None => Err(Error::new(Kind::WrongState, "process not created", "")),
            Some(_) if process.exit().is_some() => finished(),
            // Not reaped yet, so the number is still its own.
            Some(pid) => crate::sys::process::signal(pid, signal)
                .context(|| format!("cannot send signal {signal} to process {}", request.exec_id)),
        }
    }

    /// Freezes a container.
    ///
    /// # Errors
    /// `WrongState` unless it runs.
    pub fn pause(&mut self, id: &str) -> Result<()> {
        pause(&self.container(id)?.find(id, Lock::Exclusive)?)?;
        self.events.send(&TaskPaused { container_id: id.to_owned(), ..TaskPaused::default() });
        Ok(())
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// `WrongState` unless it is paused.
    pub fn resume(&mut self, id: &str) -> Result<()> {
        resume(&self.container(id)?.find(id, Lock::Exclusive)?)?;
        self.events.send(&TaskResumed { container_id: id.to_owned(), ..TaskResumed::default() });
        Ok(())
    }

    /// Gives a container other limits.
    ///
    /// # Errors
    /// Why not; those before stay in force then.
    pub fn update(&mut self, request: &UpdateTaskRequest) -> Result<()> {
        let resources = oci::resources(json(&request.resources, "the resources")?)?;
        let container = self.container(&request.id)?;
        let found = container.find(&request.id, Lock::Exclusive)?;
        let updated = update(&found, resources, &Shares::default(), &container.settings.policy)?;
        for change in updated.warnings.iter().chain(&updated.notes) {
            self.sink.warning(&format!("container {}: {}: {}", request.id, change.at, change.what));
        }
        Ok(())
    }

    /// The processes of a container, with the ids of the execs among them.
    ///
    /// # Errors
    /// `NotFound`; else why they cannot be listed.
    pub fn pids(&self, id: &str) -> Result<Vec<ProcessInfo>> {
        let container = self.container(id)?;
        let pids = match Dirs::open(&container.cgroup, &cgroup::detect()?) {
            Err(error) if error.kind == Kind::NotFound => in_pid_namespace_of(container.init.pid),
            dirs => cgroup::pids(&dirs?, true)?,
        };
        Ok(pids.into_iter().map(|pid| container.info(pid)).collect())
    }

    /// What a container uses.
    ///
    /// # Errors
    /// `NotFound` without a cgroup.
    pub fn stats(&self, id: &str) -> Result<Any> {
        metrics::of(&Dirs::open(&self.container(id)?.cgroup, &cgroup::detect()?)?)
    }

    /// Writes a container to files. It takes as long as CRIU needs, and the pod's other containers wait.
    ///
    /// # Errors
    /// Why not; it goes on then.
    pub fn checkpoint(&mut self, request: &CheckpointTaskRequest) -> Result<()> {
        let value = request.options.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
        let options = CheckpointOptions::parse_from_bytes(value)
            .map_err(|error| Error::new(Kind::Invalid, "cannot decode the options", error.to_string()))?;
        let container = self.container(&request.id)?;
        let work = [&options.work_path, &container.settings.criu_work_path].into_iter().find(|it| !it.is_empty());
        let dump = Dump {
            common: checkpoint::Options {
                image_path: PathBuf::from(&request.path),
                work_path: work.map(PathBuf::from),
                tcp_established: options.open_tcp,
                ext_unix_sk: options.external_unix_sockets,
                shell_job: options.terminal,
                file_locks: options.file_locks,
                ..checkpoint::Options::default()
            },
            leave_running: !options.exit,
            ..Dump::default()
        };
        let failed = checkpoint::checkpoint(&container.settings.root, &request.id, &dump)?;
        failed.iter().for_each(|error| self.sink.error(&error.to_string()));
        self.events.send(&TaskCheckpointed {
            container_id: request.id.clone(),
            checkpoint: request.path.clone(),
            ..TaskCheckpointed::default()
        });
        Ok(())
    }

    /// Changes the size of a terminal.
    ///
    /// # Errors
    /// Those of the call.
    pub fn resize(&mut self, id: &str, exec_id: &str, width: u32, height: u32) -> Result<()> {
        let streams = &mut self.process_mut(id, exec_id)?.streams;
        streams.as_mut().map_or(Ok(()), |streams| streams.resize(width, height))
    }

    /// Lets standard input end.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn close_stdin(&mut self, id: &str, exec_id: &str) -> Result<()> {
        if let Some(streams) = &mut self.process_mut(id, exec_id)?.streams {
            streams.close_stdin();
        }
        Ok(())
    }
}

impl Container {
    fn info(&self, pid: i32) -> ProcessInfo {
        let mut info = ProcessInfo { pid: u32::try_from(pid).unwrap_or(0), ..ProcessInfo::default() };
        if let Some((exec_id, _)) = self.execs.iter().find(|(_, exec)| exec.process.pid == pid) {
            let details = ProcessDetails { exec_id: exec_id.clone(), ..ProcessDetails::default() };
            info.info = MessageField::some(Any {
                type_url: "containerd.runc.v1.ProcessDetails".to_owned(),
                value: details.write_to_bytes().unwrap_or_default(),
                ..Any::default()
            });
        }
        info
    }
}
