//! Create: from a request of containerd's to a container that waits for Start.

use std::collections::BTreeMap;
use std::path::PathBuf;

use containerd_shim_protos::api::{CreateTaskRequest, Mount};
use containerd_shim_protos::events::task::{TaskCreate, TaskIO};
use containerd_shim_protos::protobuf::MessageField;

use super::restore::{Checkpoint, images};
use super::{Container, Pod};
use crate::container::create::{Console, Created, Wish, create};
use crate::container::rootfs;
use crate::container::status::changes;
use crate::enforce::order::Start;
use crate::error::{Error, Kind, Result};
use crate::plan::mounts::stack::Asked;
use crate::shim::delete;
use crate::shim::io::{Streams, Wanted};
use crate::shim::options::Settings;
use crate::shim::process::Process;
use crate::{oci, plan};

impl Pod {
    /// Whether there can be a container with this id.
    ///
    /// # Errors
    /// `Exists`.
    pub fn check_new(&self, id: &str) -> Result<()> {
        match self.containers.contains_key(id) {
            true => Err(Error::new(Kind::Exists, format!("container {id} already exists"), "")),
            false => Ok(()),
        }
    }

    /// Makes a container with these streams; the result is its pid.
    ///
    /// # Errors
    /// Why not, with every reason; nothing of it is left then.
    pub fn create(&mut self, request: &CreateTaskRequest, stdio: Wanted, streams: Streams) -> Result<u32> {
        let id = request.id.as_str();
        self.check_new(id)?;
        let settings = Settings::read(request.options.as_ref(), &self.namespace)?;
        let bundle = PathBuf::from(&request.bundle);
        delete::note(&bundle, &settings)?;
        let mut init = Process::new(stdio);
        init.streams = Some(streams);
        let mut container = Container::new(bundle, settings, init);
        let mounts = request.rootfs.iter().map(asked).collect();
        // A bundle that is used once more may still have what a server mounted that was killed.
        rootfs::unmount(&container.bundle.join("rootfs"))?;
        match images(&request.checkpoint) {
            Some(images) => container.checkpoint = Some(Checkpoint { images: images.to_owned(), mounts }),
            None => self.make(id, &mut container, mounts)?,
        }
        let pid = container.init.number();
        self.containers.insert(id.to_owned(), container);
        self.events.send(&TaskCreate {
            container_id: id.to_owned(),
            bundle: request.bundle.clone(),
            rootfs: request.rootfs.clone(),
            io: MessageField::some(TaskIO {
                stdin: request.stdin.clone(),
                stdout: request.stdout.clone(),
                stderr: request.stderr.clone(),
                terminal: request.terminal,
                ..TaskIO::default()
            }),
            checkpoint: request.checkpoint.clone(),
            pid,
            ..TaskCreate::default()
        });
        Ok(pid)
    }

    /// Hooks of config.json run here and in Start and Delete: as long as one takes, nobody is answered.
    fn make(&self, id: &str, container: &mut Container, mounts: Vec<Asked>) -> Result<()> {
        let Container { bundle, settings, init, .. } = container;
        let config = oci::load(bundle)?;
        for name in config.unknown_capabilities() {
            self.sink.warning(&format!("container {id}: ignoring unknown or unavailable capability {name}"));
        }
        let mut wish = Wish {
            id: id.to_owned(),
            bundle: bundle.clone(),
            config: Some(config),
            root: settings.root.clone(),
            default_level: settings.level,
            policy: settings.policy.clone(),
            systemd_cgroup: settings.systemd_cgroup,
            console: init.console().map_or(Console::None, Console::Socket),
            streams: init.child_ends(settings.io_owner)?,
            options: plan::Options {
                keep_keyring: settings.no_new_keyring,
                no_pivot: settings.no_pivot_root,
                // Who asks for all pods of a node, asks for those that can have them.
                private_ids: settings.private_ids.filter(|wanted| !wanted),
                prefer_private_ids: settings.private_ids == Some(true),
                rootfs: mounts,
                ..plan::Options::default()
            },
            ..Wish::default()
        };
        let created = create(&mut wish, Start::Socket)?;
        self.tell_changes(&created);
        init.pid = created.child.pid();
        container.cgroup = created.record.cgroup;
        container.shares_pids = created.record.shares_pids;
        created.child.release();
        Ok(())
    }

    fn tell_changes(&self, created: &Created) {
        let all = changes(&created.dir);
        let id = created.dir.id();
        created
            .warnings
            .iter()
            .for_each(|it| self.sink.warning(&format!("container {id}: {}: {}", it.at, it.what)));
        all.iter().for_each(|it| self.sink.debug(&format!("container {id}: {}: {}", it.at, it.what)));
    }
}

impl Container {
    fn new(bundle: PathBuf, settings: Settings, init: Process) -> Self {
        Self {
            bundle,
            settings,
            init,
            execs: BTreeMap::new(),
            cgroup: String::new(),
            oom_kills: 0,
            oom_watch: None,
            shares_pids: false,
            checkpoint: None,
            untold: None,
        }
    }
}

/// A mount as containerd says it.
fn asked(mount: &Mount) -> Asked {
    Asked {
        fstype: mount.type_.clone(),
        source: mount.source.clone(),
        target: mount.target.clone(),
        options: mount.options.clone(),
    }
}
