//! Create: from a request of containerd's to a container that waits for Start.

use std::path::{Path, PathBuf};

use containerd_shim_protos::api::CreateTaskRequest;
use containerd_shim_protos::events::task::{TaskCreate, TaskIO};
use containerd_shim_protos::protobuf::MessageField;

use super::{Container, Pod};
use crate::container::create::{Console, Created, Wish, create};
use crate::container::status::changes;
use crate::enforce::order::Start;
use crate::error::{Error, Kind, Result};
use crate::shim::io::Streams;
use crate::shim::options::Settings;
use crate::shim::process::{Process, Stdio};
use crate::shim::{delete, rootfs};
use crate::{oci, plan};

impl Pod {
    /// Makes a container; the result is its pid.
    ///
    /// # Errors
    /// Why not, with every reason; nothing of it is left then.
    pub fn create(&mut self, request: &CreateTaskRequest) -> Result<u32> {
        let id = request.id.as_str();
        if self.containers.contains_key(id) {
            return Err(Error::new(Kind::Exists, format!("container {id} already exists"), ""));
        }
        let settings = Settings::read(request.options.as_ref(), &self.namespace)?;
        let bundle = PathBuf::from(&request.bundle);
        delete::note(&bundle, &settings)?;
        rootfs::mount(&bundle, &request.rootfs)?;
        let container = self.make(id, &bundle, settings, request).map_err(|error| {
            // What is there now is nobody's.
            rootfs::unmount(&bundle).err().into_iter().fold(error, Error::and_then)
        })?;
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

    fn make(
        &self,
        id: &str,
        bundle: &Path,
        settings: Settings,
        request: &CreateTaskRequest,
    ) -> Result<Container> {
        let stdio = Stdio {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
        };
        let mut streams = Streams::open(&stdio)?;
        let config = oci::load(bundle)?;
        for name in config.unknown_capabilities() {
            self.sink.warning(&format!("container {id}: ignoring unknown or unavailable capability {name}"));
        }
        let mut wish = Wish {
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            config: Some(config),
            root: settings.root.clone(),
            level: settings.level,
            policy: settings.policy.clone(),
            systemd_cgroup: settings.systemd_cgroup,
            console: streams.console().map_or(Console::None, Console::Socket),
            streams: streams.child_ends(),
            options: plan::Options {
                keep_keyring: settings.no_new_keyring,
                no_pivot: settings.no_pivot_root,
                private_ids: settings.private_ids,
                ..plan::Options::default()
            },
            ..Wish::default()
        };
        let created = create(&mut wish, Start::Socket)?;
        self.tell_changes(&created);
        let mut init = Process::new(stdio);
        init.pid = created.child.pid();
        let record = created.record;
        // A child that is not released yet ends with its parent's interest in it.
        streams.begin()?;
        init.streams = Some(streams);
        created.child.release();
        Ok(Container {
            bundle: bundle.to_owned(),
            settings,
            init,
            execs: std::collections::BTreeMap::new(),
            cgroup: record.cgroup,
            oom_kills: 0,
            shares_pids: record.shares_pids,
            untold: None,
        })
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
