//! A container that comes back from a checkpoint. It runs as soon as CRIU has made it, so that this is done by Start.
//!
//! CRIU wants standard streams, a mount namespace and a session keyring that become the container's: a clone of the
//! server, which ends when it is done, has them in the server's place. What it restored is the server's then.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::pipe::{PipeFlags, pipe_with};

use super::Pod;
use crate::container::checkpoint::Options;
use crate::container::checkpoint::restore::{Choices, restore};
use crate::container::create::{Console, Streams, Wish};
use crate::container::state::Lock;
use crate::error::{Context, Error, Kind, Result};
use crate::plan;
use crate::plan::mounts::stack::Asked;
use crate::sys::process::place;
use crate::sys::{Syscall, branch};

/// Where a container comes from.
pub struct Checkpoint {
    /// The images.
    pub images: PathBuf,
    /// The root filesystem.
    pub mounts: Vec<Asked>,
}

impl Pod {
    /// Restores a container. As long as CRIU needs, the pod's other containers wait.
    ///
    /// # Errors
    /// Why not, as CRIU says it; nothing of it is left then.
    pub fn restore(&mut self, id: &str, checkpoint: Checkpoint) -> Result<()> {
        let container = self.container_mut(id)?;
        let settings = &container.settings;
        let mut wish = Wish {
            id: id.to_owned(),
            bundle: container.bundle.clone(),
            root: settings.root.clone(),
            default_level: settings.level,
            policy: settings.policy.clone(),
            systemd_cgroup: settings.systemd_cgroup,
            console: container.init.console().map_or(Console::None, Console::Socket),
            options: plan::Options { rootfs: checkpoint.mounts, ..plan::Options::default() },
            ..Wish::default()
        };
        let work = Some(&settings.criu_work_path).filter(|path| !path.is_empty()).map(PathBuf::from);
        let choices = Choices {
            common: Options { image_path: checkpoint.images, work_path: work, ..Options::default() },
            ..Choices::default()
        };
        let streams = container.init.child_ends(settings.io_owner)?;
        in_clone(&mut wish, &choices, streams).inspect_err(|_| container.init.never_ran())?;
        drop(wish);
        let record = container.find(id, Lock::None)?.record;
        container.init.pid = record.process.map_or(0, |process| process.pid);
        container.cgroup = record.cgroup;
        container.shares_pids = record.shares_pids;
        container.init.begin()
    }
}

fn in_clone(wish: &mut Wish, choices: &Choices, streams: Option<Streams>) -> Result<()> {
    let what = || format!("cannot restore container {}", wish.id);
    let (hears, tells) = pipe_with(PipeFlags::CLOEXEC).call(|| "pipe2(2)".to_owned()).context(what)?;
    let Some(_) = branch::branch().context(what)? else {
        let restored = attempt(wish, choices, streams);
        let told = restored.err().map(|error| serde_json::to_vec(&error).unwrap_or_default());
        // Who does not hear it sees that there is no container.
        File::from(tells).write_all(&told.unwrap_or_else(|| DONE.to_vec())).unwrap_or_default();
        branch::end(0)
    };
    drop((tells, streams));
    let mut told = Vec::new();
    File::from(hears).read_to_end(&mut told).context(what)?;
    match told.as_slice() {
        DONE => Ok(()),
        [] => Err(Error::new(Kind::Failed, what(), "the process that should do it was killed")),
        error => Err(serde_json::from_slice(error).context(what)?),
    }
}

/// What the clone says when all is well; an error is longer.
const DONE: &[u8] = b"0";

/// The clone's part.
fn attempt(wish: &mut Wish, choices: &Choices, streams: Option<Streams>) -> Result<()> {
    for (number, stream) in (0..).zip(streams.iter().flatten()) {
        place(stream, number).context(|| "cannot place a standard stream".to_owned())?;
    }
    restore(wish, choices).map(drop)
}

/// Where a checkpoint's images are, if a request names one.
pub fn images(checkpoint: &str) -> Option<&Path> {
    Some(checkpoint).filter(|path| !path.is_empty()).map(Path::new)
}
