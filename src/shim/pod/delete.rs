//! Delete: what a process has left goes, and with the first one the container.

use std::time::SystemTime;

use containerd_shim_protos::events::task::TaskDelete;
use containerd_shim_protos::protobuf::MessageField;

use super::Pod;
use crate::container::delete::delete;
use crate::container::rootfs;
use crate::container::state::Lock;
use crate::container::status::Status;
use crate::error::{Error, Kind, Result};
use crate::shim::process::{Exit, timestamp};
use crate::sys::process::SIGKILL;

/// What there is to be waited for first.
pub struct Ending {
    /// The end of the process, unless it never began.
    pub ended: Option<Box<dyn Future<Output = Exit> + Send + Unpin>>,
    /// The end of its output.
    pub drained: Option<Box<dyn Future<Output = ()> + Send + Unpin>>,
}

impl Pod {
    /// Prepares for the removal of a process: one that was made and never started is killed.
    ///
    /// # Errors
    /// `NotFound`; `WrongState` when it runs.
    pub fn end(&mut self, id: &str, exec_id: &str) -> Result<Ending> {
        match self.status(id, exec_id)? {
            Status::Running | Status::Paused => {
                let what = format!("cannot delete {}", if exec_id.is_empty() { id } else { exec_id });
                return Err(Error::new(Kind::WrongState, what, "it runs").fix("stop it first"));
            }
            Status::Created if exec_id.is_empty() => {
                let found = self.container(id)?.find(id, Lock::None)?;
                if let Some(process) = &found.process {
                    // It may just have ended.
                    process.signal(SIGKILL).unwrap_or_default();
                }
            }
            _ => {}
        }
        let process = self.process_mut(id, exec_id)?;
        let ended = (process.pid != 0).then(|| process.ended());
        let drained = process.streams.as_mut().map(|streams| streams.drained());
        Ok(Ending {
            ended: ended.map(|ended| Box::new(Box::pin(ended)) as _),
            drained: drained.map(|drained| Box::new(Box::pin(drained)) as _),
        })
    }

    /// Removes a process that has ended; what it was.
    ///
    /// # Errors
    /// Why something is left; the same can be tried again then.
    pub fn delete(&mut self, id: &str, exec_id: &str) -> Result<(u32, Option<Exit>)> {
        let process = self.process(id, exec_id)?;
        let (pid, exit) = (process.number(), process.exit());
        if !exec_id.is_empty() {
            self.container_mut(id)?.execs.remove(exec_id);
            return Ok((pid, exit));
        }
        let container = self.container(id)?;
        match delete(&container.settings.root, id, false) {
            Ok(failed) => failed.iter().for_each(|error| self.sink.error(&error.to_string())),
            // A checkpoint takes it away, and so may who administers the node.
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        rootfs::unmount(&container.bundle.join("rootfs"))?;
        self.containers.remove(id);
        let told = exit.unwrap_or(Exit { status: 255, at: SystemTime::now() });
        self.events.send(&TaskDelete {
            container_id: id.to_owned(),
            pid,
            exit_status: told.status,
            exited_at: MessageField::some(timestamp(told.at)),
            ..TaskDelete::default()
        });
        Ok((pid, exit))
    }
}
