//! The cgroup of a container: made and limited before the first process is in it, and how processes come into it.

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::record::Record;
use crate::cgroup::systemd::{Started, Systemd};
use crate::cgroup::{self, Dirs, Restricted};
use crate::enforce::order::Role;
use crate::error::{Error, Kind, Result};
use crate::host::{Caller, Host};
use crate::plan::Plan;
use crate::plan::cgroup::{Layout, Unit};

/// A container's cgroup.
pub(super) struct Place {
    pub dirs: Dirs,
    /// The unit of the user's systemd that it is, which alone may move the user's processes there.
    attached: Option<(RefCell<Systemd>, Unit)>,
}

/// A cgroup with everything in force.
pub(super) struct Prepared {
    pub place: Place,
    pub devices: Restricted,
    /// Keeps a scope until the container is in it.
    pub started: Option<Started>,
}

/// Makes the cgroup of a plan. An ordinary user who may make none goes on without, if `config.json` needs none.
///
/// # Errors
/// `Exists` if somebody else uses it; what prevents it otherwise.
pub(super) fn make(plan: &mut Plan, host: &Host, systemd: Option<Systemd>) -> Result<Option<Prepared>> {
    let Some((mut systemd, scope)) = systemd.zip(plan.cgroup.scope.clone()) else {
        let dirs = match cgroup::create(&plan.cgroup, &host.cgroup) {
            Err(error) if error.kind == Kind::Unsupported && host.caller != Caller::Root => {
                return plan.give_up_cgroup(&error.why).map(|()| None);
            }
            dirs => dirs?,
        };
        return limit(plan, Place { dirs, attached: None }, None).map(Some);
    };
    let started = systemd.start(&scope)?;
    let dirs = cgroup::create(&plan.cgroup, &host.cgroup)?;
    if !cgroup::pids(&dirs, false)?.contains(&started.pid()) {
        let what = format!("{} is not at {}", scope.unit.name, plan.cgroup.path);
        let why = "the process that it was started with is not in that cgroup";
        return Err(Error::new(Kind::Failed, what, why)
            .fix("run sandrun where systemd runs, in its pid and mount namespaces"));
    }
    let attached = scope.unit.user.then(|| (RefCell::new(systemd), scope.unit));
    limit(plan, Place { dirs, attached }, Some(started)).map(Some)
}

fn limit(plan: &Plan, place: Place, started: Option<Started>) -> Result<Prepared> {
    cgroup::apply(&place.dirs, &plan.cgroup.settings)?;
    let devices = cgroup::restrict(&place.dirs, &plan.cgroup.devices)?;
    Ok(Prepared { place, devices, started })
}

impl Place {
    /// The cgroup of a container that exists, opened.
    ///
    /// # Errors
    /// `Unsupported` if its systemd does not answer.
    pub fn of(dirs: Dirs, record: &Record) -> Result<Place> {
        let unit = record.unit.clone().filter(|unit| unit.user);
        let attached = unit.map(|unit| Ok((RefCell::new(Systemd::ask(true)?), unit))).transpose()?;
        Ok(Place { dirs, attached })
    }

    /// The directory that a child is born in, on cgroup v2.
    pub fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.dirs.unified().filter(|_| self.attached.is_none())
    }

    /// What a child joins itself.
    ///
    /// # Errors
    /// Those of [`Dirs::tasks`].
    pub fn tasks(&self) -> Result<impl Iterator<Item = (Role, OwnedFd)>> {
        let elsewhere = self.dirs.unified().is_some();
        Ok(self.dirs.tasks(elsewhere)?.into_iter().map(|tasks| (Role::Tasks, tasks)))
    }

    /// Has the user's systemd move a child here, which can neither be born here nor join; else it does nothing.
    ///
    /// # Errors
    /// Why it does not.
    pub fn attach(&self, pid: i32) -> Result<()> {
        match &self.attached {
            Some((systemd, unit)) => systemd.borrow_mut().attach(unit, pid),
            None => Ok(()),
        }
    }
}

/// Ends and removes all of a container's cgroup, whoever made it.
///
/// # Errors
/// `Failed` if processes stay or a removal is refused; `Unsupported` if the systemd that has it does not answer.
pub(super) fn gone(path: &str, unit: Option<&Unit>, layout: &Layout) -> Result<()> {
    if let Some(unit) = unit.filter(|unit| unit.is_scope()) {
        // systemd would ask processes to end first, and give them 90 s.
        kill_left(path, layout)?;
        Systemd::ask(unit.user)?.stop(unit)?;
    }
    if cgroup::delete_empty(path, layout)? {
        return Ok(());
    }
    kill_left(path, layout)?;
    cgroup::delete(path, layout)
}

fn kill_left(path: &str, layout: &Layout) -> Result<()> {
    match Dirs::open(path, layout) {
        Err(error) if error.kind == Kind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(dirs) => cgroup::kill_all(&dirs),
    }
}
