//! What the end of a process means. The order of what is told is containerd's contract: that memory ran out before that
//! something ended for it, and of a container's processes the first one last.

use containerd_shim_protos::events::task::{TaskExit, TaskOOM};
use containerd_shim_protos::protobuf::MessageField;

use super::{Container, Pod};
use crate::cgroup;
use crate::container::kill::kill;
use crate::container::state::Lock;
use crate::shim::process::{Exit, timestamp};
use crate::sys::process::SIGKILL;

impl Pod {
    /// A child with this pid has ended. Those that are nobody's were a container's orphans.
    pub fn exited(&mut self, pid: i32, exit: Exit) {
        let found = self.containers.iter().find_map(|(id, container)| {
            let exec = |(exec_id, exec): (&String, &super::Exec)| {
                (exec.process.pid == pid && exec.process.alive()).then(|| exec_id.clone())
            };
            match container.init.pid == pid && container.init.alive() && container.untold.is_none() {
                true => Some((id.clone(), String::new())),
                false => Some((id.clone(), container.execs.iter().find_map(exec)?)),
            }
        });
        match found {
            None => {}
            Some((id, exec_id)) if exec_id.is_empty() => self.init_exited(&id, exit),
            Some((id, exec_id)) => self.exec_exited(&id, &exec_id, exit),
        }
    }

    fn init_exited(&mut self, id: &str, exit: Exit) {
        let sink = self.sink.clone();
        self.tell_oom(id);
        let Some(container) = self.containers.get_mut(id) else { return };
        container.untold = Some(exit);
        // With a pid namespace of its own the kernel has killed the others.
        if container.shares_pids
            && let Err(error) = container.find(id, Lock::None).and_then(|found| kill(&found, SIGKILL, true))
        {
            sink.error(&format!("cannot kill what is left of container {id}: {error}"));
        }
        self.tell_init(id);
    }

    fn exec_exited(&mut self, id: &str, exec_id: &str, exit: Exit) {
        self.tell_oom(id);
        if let Ok(process) = self.process_mut(id, exec_id) {
            process.exited(exit);
            let pid = process.number();
            self.tell_exit(id, exec_id, pid, exit);
        }
        self.tell_init(id);
    }

    /// Tells that the first process has ended, once no other is left.
    fn tell_init(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.execs.values().any(|exec| exec.process.alive()) {
            return;
        }
        if let Some(exit) = container.untold.take() {
            container.init.exited(exit);
            let pid = container.init.number();
            self.tell_exit(id, id, pid, exit);
        }
    }

    /// Tells that memory ran out, if it did since the last time.
    pub fn tell_oom(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.oom_killed() {
            self.events.send(&TaskOOM { container_id: id.to_owned(), ..TaskOOM::default() });
        }
    }

    fn tell_exit(&self, container_id: &str, id: &str, pid: u32, exit: Exit) {
        self.events.send(&TaskExit {
            container_id: container_id.to_owned(),
            id: id.to_owned(),
            pid,
            exit_status: exit.status,
            exited_at: MessageField::some(timestamp(exit.at)),
            ..TaskExit::default()
        });
    }
}

impl Container {
    /// Whether the kernel has killed more of its processes for want of memory. What cannot be read did not happen.
    fn oom_killed(&mut self) -> bool {
        let kills = cgroup::detect().and_then(|layout| cgroup::oom_kills(&self.cgroup, &layout));
        let kills = kills.ok().flatten().unwrap_or(self.oom_kills);
        let more = kills > self.oom_kills;
        self.oom_kills = kills;
        more
    }
}
