//! What the host's side can confirm of a new container: its namespaces and its cgroup's values.

use std::os::unix::fs::MetadataExt;

use super::place::Prepared;
use super::private_ids;
use crate::cgroup::{self, Dirs, Restricted};
use crate::enforce::receipt::{Receipt, State};
use crate::enforce::spawn::Child;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Plan;
use crate::plan::intel_rdt::IntelRdt;
use crate::plan::seccomp::Filter;
use crate::resctrl::Resctrl;

/// What the receipt says of a filter that is loaded with the program.
pub(super) const PENDING: &str = ", when the program starts";

/// The receipt of a container whose init has confirmed what it sees itself.
pub(super) fn all(
    plan: &Plan,
    child: &Child,
    cgroup: Option<Prepared>,
    unmapped: &[String],
    inside: Receipt,
) -> Result<Receipt> {
    let mut receipt = Receipt::default();
    namespaces(plan, child.pid(), &mut receipt)?;
    private_ids::confirm(plan, child.pid(), unmapped, &mut receipt)?;
    if let Some(made) = cgroup {
        limits(plan, &made.place.dirs, &mut receipt);
        devices(made.devices, &mut receipt);
        // The container is in its scope, and keeps it.
        drop(made.started);
    }
    if let Some(group) = &plan.intel_rdt {
        resctrl(group, child.pid(), &mut receipt)?;
    }
    receipt.layers.extend(inside.layers);
    plan.absent.iter().for_each(|absent| receipt.lacks(&absent.layer, &absent.why));
    expect_filters(plan, &mut receipt);
    Ok(receipt)
}

/// What the kernel says of the cgroup's values.
pub(super) fn limits(plan: &Plan, cgroup: &Dirs, receipt: &mut Receipt) {
    let outcomes = cgroup::verify(cgroup, &plan.cgroup.settings);
    let missing: Vec<String> = outcomes
        .iter()
        .filter(|outcome| !outcome.holds)
        .map(|outcome| format!("{} is {:?}, not {}", outcome.file, outcome.actual, outcome.asked))
        .collect();
    let limits: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.holds && !outcome.file.starts_with("devices."))
        .map(|outcome| format!("{}={}", outcome.file, outcome.asked))
        .collect();
    match missing.is_empty() {
        true if limits.is_empty() => {
            receipt.replace("cgroup", State::Enforced, "a cgroup of its own, no limits")
        }
        true => receipt.replace("cgroup", State::Enforced, limits.join(", ")),
        false => receipt.replace("cgroup", State::Partial, missing.join(", ")),
    }
}

/// What became of the device rules.
pub(super) fn devices(devices: Restricted, receipt: &mut Receipt) {
    match devices {
        Restricted::List => receipt.add("devices", State::Enforced, "list of cgroup v1"),
        Restricted::Program => receipt.add("devices", State::Enforced, "BPF program on the cgroup"),
        Restricted::Not(why) => receipt.add("devices", State::Absent, why),
    }
}

/// Filters are loaded last of all: until the program runs they are only planned.
fn expect_filters(plan: &Plan, receipt: &mut Receipt) {
    let filters = &plan.workload.seccomp;
    match filters.is_empty() {
        true => receipt.add("seccomp", State::Absent, "config.json has no profile, and level oci adds none"),
        false => receipt.add("seccomp", State::Partial, format!("{}{PENDING}", described(filters))),
    }
}

/// Puts the container into its resctrl group, whose children all are in it then.
fn resctrl(plan: &IntelRdt, pid: i32, receipt: &mut Receipt) -> Result<()> {
    let resctrl = Resctrl::find()?;
    resctrl.join(plan, pid)?;
    receipt.add("intelRdt", State::Enforced, resctrl.confirm(plan, pid)?);
    Ok(())
}

/// How many, which, and who answers: `2 filters: baseline, config.json`.
fn described(filters: &[Filter]) -> String {
    let one = |filter: &Filter| match &filter.listener {
        Some(listener) => format!("{} with a listener for {}", filter.name, listener.path.display()),
        None => filter.name.clone(),
    };
    let names: Vec<String> = filters.iter().map(one).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{} filter{plural}: {}", names.len(), names.join(", "))
}

/// A namespace that should be new must not be ours.
pub(super) fn namespaces(plan: &Plan, pid: i32, receipt: &mut Receipt) -> Result<()> {
    let mut names = Vec::new();
    for kind in &plan.namespaces.new {
        let what = || format!("cannot read the {kind} namespace back");
        let read =
            |process: &str| std::fs::read_link(format!("/proc/{process}/ns/{}", kind.file())).context(what);
        if read("self")? == read(&pid.to_string())? {
            return Err(Error::new(
                Kind::Failed,
                format!("the {kind} namespace is not new"),
                "the kernel shows the caller's",
            ));
        }
        names.push(kind.to_string());
    }
    for joined in &plan.namespaces.join {
        let what = || format!("cannot read the {} namespace back", joined.kind);
        let identity =
            |path: &str| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).context(what);
        let theirs = format!("/proc/{pid}/ns/{}", joined.kind.file());
        if identity(&joined.path)? != identity(&theirs)? {
            let what = format!("the {} namespace is not {}", joined.kind, joined.path);
            return Err(Error::new(Kind::Failed, what, "the kernel shows another one").at(&joined.at));
        }
        names.push(format!("{} joined", joined.kind));
    }
    receipt.add("namespaces", State::Enforced, names.join(", "));
    Ok(())
}
