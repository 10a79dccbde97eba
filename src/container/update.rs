//! `update`: other limits for a container that has a process.

use super::confirm;
use super::status::{Found, Status};
use crate::cgroup::systemd::Systemd;
use crate::cgroup::{self, Dirs};
use crate::enforce::receipt::{Receipt, State};
use crate::error::{Error, Kind, Result};
use crate::oci::Resources;
use crate::plan::cgroup::{Layout, Setting, Unit, Update, unit_properties};
use crate::plan::intel_rdt::{Schema, Shares};
use crate::plan::{Change, Plan};
use crate::policy::ceilings::{self, Limits};
use crate::policy::judge::Verdict;
use crate::policy::{Loaded, Origin};
use crate::resctrl::Resctrl;

/// What there is to say of an update.
pub struct Updated {
    /// To the caller.
    pub notes: Vec<Change>,
    /// To the log.
    pub warnings: Vec<Change>,
}

/// Changes the limits of a container that was found and locked: those that are given, and no others. All of them
/// are in force afterwards, in the stored plan and in the receipt, or none is. Returns what has no effect, or
/// takes a default of ours away, and what the node policy has to say; it is in the stored plan, too.
///
/// # Errors
/// `WrongState` for a container without a process, `Unsupported` for one without a cgroup or a limit that this
/// host does not have, `Refused` by the node policy; else why the kernel refuses.
pub fn update(found: &Found, mut resources: Resources, shares: &Shares, policy: &Origin) -> Result<Updated> {
    let policy = policy.load()?;
    let what = format!("cannot update container {}", found.dir.id());
    if !matches!(found.status, Status::Created | Status::Running | Status::Paused) {
        let why = format!("container not running: it is {}", found.status);
        return Err(Error::new(Kind::WrongState, what, why));
    }
    let mut plan: Plan = found.dir.fetch("plan.json")?;
    if found.record.cgroup.is_empty() {
        let why = "it has no cgroup of its own, because its owner could make none";
        return Err(Error::new(Kind::Unsupported, what, why));
    }
    let together = |errors: Vec<Error>| {
        let errors = errors.into_iter().map(Error::of_another_file).collect();
        Error::all(&what, errors).unwrap_or_else(|| Error::new(Kind::Failed, &what, ""))
    };
    let schemata = shares.lines().map_err(together)?;
    let layout = cgroup::detect()?;
    let clamped = policy.as_ref().map(|policy| clamp(policy, &mut resources)).unwrap_or_default();
    let update = plan.cgroup.update(&resources.typed, resources.pids_limit, &layout).map_err(together)?;
    let warnings = match &policy {
        Some(policy) => judge(policy, &update).map_err(together)?,
        None => Vec::new(),
    };
    let dirs = Dirs::open(&found.record.cgroup, &layout)?;
    let before = cgroup::update(&dirs, &update.writes, &layout).map_err(Error::of_another_file)?;
    if let Some(unit) = &found.record.unit {
        tell_systemd(unit, &dirs, &update.writes, &layout)
            .map_err(|error| take_back(error, &dirs, &before))?;
    }
    let rdt = divide(found, &mut plan, schemata).map_err(|error| take_back(error, &dirs, &before))?;
    plan.cgroup = update.cgroup;
    let unknown = resources.unknown.iter().map(|field| Change {
        at: field.clone(),
        what: "is not known to this version, and has no effect".to_owned(),
    });
    let notes =
        update.notes.into_iter().map(|note| Change { at: note.at, what: format!("update: {}", note.why) });
    let notes: Vec<Change> = clamped.into_iter().chain(unknown).chain(notes).collect();
    let all = notes.iter().chain(&warnings);
    let new = all.filter(|note| !plan.changes.contains(note)).cloned().collect::<Vec<_>>();
    plan.changes.extend(new);
    store(found, &plan, &dirs, rdt).map_err(|error| take_back(error, &dirs, &before))?;
    Ok(Updated { notes, warnings })
}

fn clamp(policy: &Loaded, resources: &mut Resources) -> Vec<Change> {
    let mut changes = Vec::new();
    let Resources { typed, pids_limit, .. } = resources;
    ceilings::tighten_update(policy, &mut Limits { resources: typed, pids: pids_limit }, &mut changes);
    changes
}

/// What is let pass with a warning; the limits that stay as they are are not judged again.
fn judge(policy: &Loaded, update: &Update) -> Result<Vec<Change>, Vec<Error>> {
    let mut verdict = Verdict::new(policy);
    ceilings::judge(&update.cgroup, Some(&update.writes), &mut verdict);
    if verdict.refusals.is_empty() { Ok(verdict.warnings) } else { Err(verdict.refusals) }
}

fn take_back(error: Error, dirs: &Dirs, before: &[Setting]) -> Error {
    match cgroup::restore(dirs, before) {
        Ok(()) => error,
        Err(second) => error.and_then(second),
    }
}

/// Gives the container's resctrl group other shares; what the kernel says of it then.
fn divide(found: &Found, plan: &mut Plan, schemata: Vec<Schema>) -> Result<Option<String>> {
    let (Some(first), pid) = (schemata.first(), found.record.process.map_or(0, |process| process.pid)) else {
        return Ok(None);
    };
    let Some(group) = &mut plan.intel_rdt else {
        let what = format!("{} is for a container with linux.intelRdt", first.at);
        return Err(Error::new(Kind::Unsupported, what, "this one has none").fix("leave the flag out"));
    };
    let resctrl = Resctrl::find()?;
    resctrl.change(group, &schemata).map_err(Error::of_another_file)?;
    group.give(schemata);
    resctrl.confirm(group, pid).map(Some)
}

/// What systemd is not told it takes back when it is reloaded; and what it writes may be rounded, so the exact
/// values are written once more.
fn tell_systemd(unit: &Unit, dirs: &Dirs, writes: &[Setting], layout: &Layout) -> Result<()> {
    let properties = unit_properties(writes, layout.version());
    if properties.is_empty() {
        return Ok(());
    }
    Systemd::ask(unit.user)?.set_properties(unit, &properties)?;
    cgroup::apply(dirs, writes).map_err(Error::of_another_file)
}

/// Only what the kernel says is in the receipt, of the limits that were there before as well.
fn store(found: &Found, plan: &Plan, dirs: &Dirs, rdt: Option<String>) -> Result<()> {
    let mut receipt: Receipt = found.dir.fetch("receipt.json")?;
    confirm::limits(plan, dirs, &mut receipt);
    if let Some(confirmed) = rdt {
        receipt.replace("intelRdt", State::Enforced, confirmed);
    }
    found.dir.replace("plan.json", plan)?;
    found.dir.replace("receipt.json", &receipt).map(drop)
}
