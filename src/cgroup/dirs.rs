//! The directories of one cgroup, one in each hierarchy.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{failure, files};
use crate::error::{Error, Kind, Result};
use crate::plan::cgroup::{Layout, Version};
use crate::sys::CallError;

/// A cgroup, open in every hierarchy it has a directory in.
#[derive(Debug)]
pub struct Dirs {
    pub(super) path: String,
    pub(super) all: Vec<Dir>,
    pub(super) created: Vec<String>,
}

/// The directory in one hierarchy.
#[derive(Debug)]
pub(super) struct Dir {
    pub version: Version,
    pub controllers: Vec<String>,
    /// The root of its hierarchy.
    pub root: String,
    pub fd: OwnedFd,
}

/// A hierarchy to look into: interface, controllers, mount point.
pub(super) struct Place<'a> {
    pub version: Version,
    pub controllers: &'a [String],
    pub root: &'a str,
}

/// Every hierarchy of a host, v1 first.
pub(super) fn places(layout: &Layout) -> impl Iterator<Item = Place<'_>> {
    let v1 = layout.hierarchies().iter().map(|hierarchy| Place {
        version: Version::V1,
        controllers: &hierarchy.controllers,
        root: &hierarchy.dir,
    });
    let v2 = layout.unified().map(|unified| Place {
        version: Version::V2,
        controllers: &unified.controllers,
        root: &unified.dir,
    });
    v1.chain(v2)
}

impl Dirs {
    /// Opens a cgroup that exists, by the path of its plan. Hierarchies without it are left out.
    ///
    /// # Errors
    /// `NotFound` if no hierarchy has it, or the path is that of a container without a cgroup, which is empty;
    /// `Failed` if one cannot be opened.
    pub fn open(path: &str, layout: &Layout) -> Result<Dirs> {
        if path.trim_matches('/').is_empty() {
            let why = "the container has none of its own";
            return Err(Error::new(Kind::NotFound, "cannot open the container's cgroup", why));
        }
        let mut all = Vec::new();
        for place in places(layout) {
            let opened = files::components(path)
                .and_then(|names| files::open_root(place.root).and_then(|root| files::descend(root, &names)));
            match opened {
                Ok(fd) => all.push(Dir {
                    version: place.version,
                    controllers: place.controllers.to_vec(),
                    root: place.root.to_owned(),
                    fd,
                }),
                Err(error) if error.errno == Errno::NOENT => {}
                Err(error) => {
                    return Err(failure(format!("cannot open the cgroup {}{path}", place.root), &error));
                }
            }
        }
        if all.is_empty() {
            let why = "it is in no hierarchy of this host";
            return Err(Error::new(Kind::NotFound, format!("cannot open the cgroup {path}"), why));
        }
        Ok(Dirs { path: path.to_owned(), all, created: Vec::new() })
    }

    /// The path of the plan.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Which version has its limits: v1 on a hybrid host.
    pub fn version(&self) -> Version {
        if self.v1().next().is_some() { Version::V1 } else { Version::V2 }
    }

    /// The directories `create` made, parents first: what a caller records before it goes on.
    pub fn created(&self) -> &[String] {
        &self.created
    }

    /// The v2 directory, for `CLONE_INTO_CGROUP` (clone3(2), Linux 5.7). `None` on pure v1.
    pub fn unified(&self) -> Option<BorrowedFd<'_>> {
        self.v2().map(|dir| dir.fd.as_fd())
    }

    /// What a child must write to, to be in this cgroup: the `tasks` file of each v1 hierarchy, and
    /// `cgroup.procs` of v2 unless the child was cloned into it. For [`join`], in the child.
    ///
    /// # Errors
    /// `Failed` if one cannot be opened for writing.
    pub fn tasks(&self, cloned_into: bool) -> Result<Vec<OwnedFd>> {
        let open = |dir: &Dir, file| {
            files::open_file(&dir.fd, file, OFlags::WRONLY)
                .map_err(|error| failure(format!("cannot join the cgroup {}", self.place(dir)), &error))
        };
        let mut tasks: Vec<OwnedFd> = self.v1().map(|dir| open(dir, "tasks")).collect::<Result<_>>()?;
        if let Some(dir) = self.v2().filter(|_| !cloned_into) {
            tasks.push(open(dir, "cgroup.procs")?);
        }
        Ok(tasks)
    }

    pub(super) fn v1(&self) -> impl Iterator<Item = &Dir> {
        self.all.iter().filter(|dir| dir.version == Version::V1)
    }

    pub(super) fn v2(&self) -> Option<&Dir> {
        self.all.iter().find(|dir| dir.version == Version::V2)
    }

    /// The directory with a controller's files; v2's for the files every cgroup has there.
    pub(super) fn of(&self, controller: &str) -> Option<&Dir> {
        let holds = |dir: &&Dir| dir.controllers.iter().any(|name| name == controller);
        self.all.iter().find(holds).or_else(|| self.v2().filter(|_| controller == "cgroup"))
    }

    /// The absolute path of a directory, for messages.
    pub(super) fn place(&self, dir: &Dir) -> String {
        format!("{}{}", dir.root, self.path)
    }
}

/// Moves another process, of one thread, into the cgroup whose files [`Dirs::tasks`] opened. It waits for a grace
/// period of RCU, so it is only for a program that cannot be made to do it itself.
///
/// # Errors
/// The write that failed.
pub fn place(tasks: &[OwnedFd], pid: u32) -> Result<()> {
    let pid = pid.to_string();
    tasks
        .iter()
        .try_for_each(|file| files::write_to(file, "tasks", &pid))
        .map_err(|error| failure(format!("cannot move process {pid} into the cgroup"), &error))
}

/// Moves the calling thread into the cgroup whose files [`Dirs::tasks`] opened. The caller must be the only
/// thread of its process. "0" is the writer itself: no process id crosses a namespace, and on v1 the kernel
/// skips the grace period that moving somebody else costs.
///
/// # Errors
/// The write that failed: `ENOSPC` for a cpuset without CPUs or memory nodes.
pub fn join(tasks: &[OwnedFd]) -> Result<(), CallError> {
    tasks.iter().try_for_each(|file| files::write_to(file, "tasks", "0"))
}
