//! Exec: another process is announced; Start runs it.

use containerd_shim_protos::api::ExecProcessRequest;
use containerd_shim_protos::events::task::TaskExecAdded;

use super::{Exec, Pod, json};
use crate::error::{Error, Kind, Result};
use crate::oci;
use crate::shim::io::Wanted;
use crate::shim::process::Process;

impl Pod {
    /// Adds a process to a container.
    ///
    /// # Errors
    /// `Exists` when the id is taken, `Invalid` for a process that cannot be understood.
    pub fn exec(&mut self, request: &ExecProcessRequest) -> Result<()> {
        let namespace = self.namespace.clone();
        let container = self.container_mut(&request.id)?;
        let exec_id = request.exec_id.clone();
        if container.execs.contains_key(&exec_id) {
            return Err(Error::new(Kind::Exists, format!("process {exec_id} already exists"), ""));
        }
        let mut process = oci::process(json(&request.spec, "the process")?)?;
        process.typed.set_terminal(Some(request.terminal));
        let stdio = Wanted {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
            namespace,
            id: exec_id.clone(),
        };
        let exec = Exec { process: Process::new(stdio), wanted: Some(Box::new(process)) };
        container.execs.insert(exec_id.clone(), exec);
        self.events.send(&TaskExecAdded {
            container_id: request.id.clone(),
            exec_id,
            ..TaskExecAdded::default()
        });
        Ok(())
    }
}
