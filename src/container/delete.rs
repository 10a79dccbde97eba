//! `delete`: nothing of a container is left.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::hooks;
use super::place::gone;
use super::private_ids;
use super::process::Process;
use super::record::Record;
use super::rootfs;
use super::state::{Lock, StateDir};
use super::status::Status;
use crate::cgroup;
use crate::error::{Error, Kind, Result};
use crate::plan::cgroup::{Layout, Unit};
use crate::plan::intel_rdt::IntelRdt;
use crate::resctrl::Resctrl;
use crate::sys::process::SIGKILL;

/// How long a killed process may take, in milliseconds.
const PATIENCE: i64 = 10_000;

/// Deletes a container. With `force` one that runs is killed, one that was never made to the end is cleaned
/// up, and one that does not exist is no error. What its hooks for that end did wrong stops nothing, and is
/// returned (OCI runtime, "Lifecycle", 13).
///
/// # Errors
/// `WrongState` when it runs, `NotFound` when there is none (both without `force`).
pub fn delete(root: &Path, id: &str, force: bool) -> Result<Vec<Error>> {
    let dir = match StateDir::open(root, id, Lock::Exclusive) {
        Err(error) if error.kind == Kind::NotFound && force => return Ok(Vec::new()),
        dir => dir?,
    };
    delete_locked(&dir, force, &cgroup::detect()?)
}

/// The same for a container whose directory is locked already.
///
/// # Errors
/// As [`delete`].
pub fn delete_locked(dir: &StateDir, force: bool, layout: &Layout) -> Result<Vec<Error>> {
    let id = dir.id();
    let record = match dir.load() {
        Err(error) if error.kind == Kind::NotFound || force => {
            // Nothing was made before the record; one that cannot be read is no reason to leave anything.
            let unit = unit(dir, None);
            cgroups(dir, None).iter().try_for_each(|path| gone(path, unit.as_ref(), layout))?;
            let planned = dir.fetch::<StoredGroup>("plan.json").ok().and_then(|stored| stored.intel_rdt);
            resctrl_gone(&planned.as_ref().map(IntelRdt::removed).unwrap_or_default())?;
            if let Some(path) = mounted_rootfs(dir) {
                rootfs::unmount(Path::new(&path))?;
            }
            private_ids::give_all_back(dir)?;
            dir.remove()?;
            return Ok(Vec::new());
        }
        record => record?,
    };
    let process = record.process.map(Process::open).transpose()?.flatten();
    if let Some(process) = &process {
        let created = dir.awaits_start();
        if !force && !created {
            let status = Status::Running;
            return Err(Error::new(
                Kind::WrongState,
                format!("cannot delete container {id} that is not stopped"),
                format!("it is {status}"),
            )
            .fix("stop it first with `sandrun kill`, or use --force"));
        }
        process
            .signal(SIGKILL)
            .or_else(|error| if error.kind == Kind::WrongState { Ok(()) } else { Err(error) })?;
    }
    let unit = unit(dir, Some(&record));
    match force {
        true => cgroups(dir, Some(&record.cgroup))
            .iter()
            .try_for_each(|path| gone(path, unit.as_ref(), layout))?,
        false => gone(&record.cgroup, unit.as_ref(), layout)?,
    }
    if let Some(process) = &process
        && !process.wait(PATIENCE)?
    {
        return Err(Error::new(
            Kind::Failed,
            format!("cannot delete container {id}"),
            "its process does not end",
        )
        .fix("look for a process in state D"));
    }
    resctrl_gone(&record.resctrl)?;
    rootfs::unmount_recorded(&record)?;
    private_ids::give_back(record.private_ids, dir)?;
    dir.remove()?;
    Ok(hooks::run_poststop(&record))
}

/// Removes groups of the resctrl filesystem; when it is mounted no more, there are none.
pub(super) fn resctrl_gone(groups: &[String]) -> Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    match Resctrl::find() {
        Err(error) if error.kind == Kind::Unsupported => Ok(()),
        resctrl => resctrl?.remove(groups),
    }
}

/// The part of a stored plan that names its resctrl group.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredGroup {
    intel_rdt: Option<IntelRdt>,
}

/// The part of a stored plan that names what has to go.
#[derive(Deserialize)]
struct StoredCgroup {
    cgroup: StoredPath,
}

#[derive(Deserialize)]
struct StoredPath {
    path: String,
    #[serde(default)]
    scope: Option<StoredScope>,
}

#[derive(Deserialize)]
struct StoredScope {
    unit: Unit,
}

/// The part of a stored plan that names where the root filesystem was mounted by us.
#[derive(Deserialize)]
struct StoredRootfs {
    rootfs: StoredStack,
}

#[derive(Deserialize)]
struct StoredStack {
    path: String,
    #[serde(default)]
    stack: Vec<Value>,
}

fn mounted_rootfs(dir: &StateDir) -> Option<String> {
    let stored = dir.fetch::<StoredRootfs>("plan.json").ok()?.rootfs;
    (!stored.stack.is_empty()).then_some(stored.path)
}

/// The unit that systemd may have for the container, by the record or by the plan.
fn unit(dir: &StateDir, record: Option<&Record>) -> Option<Unit> {
    let planned = || dir.fetch::<StoredCgroup>("plan.json").ok()?.cgroup.scope.map(|scope| scope.unit);
    record.map_or_else(planned, |record| record.unit.clone())
}

/// Where the container's cgroup may be, by the record and by the plan: they differ when one of the files is damaged,
/// and then the one that names the container is right. A path that the plan would not allow is nobody's.
fn cgroups(dir: &StateDir, recorded: Option<&str>) -> Vec<String> {
    let planned = dir.fetch::<StoredCgroup>("plan.json").map(|stored| stored.cgroup.path);
    let mut paths = vec![recorded.unwrap_or_default().to_owned(), planned.unwrap_or_default()];
    paths.retain(|path| crate::plan::cgroup::allowed(path));
    paths.dedup();
    if paths.iter().any(|path| path.ends_with(dir.id())) {
        paths.retain(|path| path.ends_with(dir.id()));
    }
    if paths.is_empty() && recorded.is_none() {
        paths.push(crate::plan::cgroup::default_path(dir.id()));
    }
    paths
}
