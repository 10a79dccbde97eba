//! What of a plan outlives a checkpoint, and what the plan of a restore must have in common with it.

use serde_json::Value;

use super::Plan;
use super::namespaces::NamespaceKind;
use crate::error::{Error, Kind};

/// What would not be there after a restore, by name; a container with any of it is not checkpointed, and not
/// restored. CRIU brings back credentials, no_new_privs, seccomp filters, limits and namespaces.
pub fn refusals(plan: &Plan) -> Vec<Error> {
    let refuse = |what: &str, why: &str, fix: &str| {
        Error::new(Kind::Unsupported, format!("{what} cannot be checkpointed"), why).fix(fix)
    };
    let workload = &plan.workload;
    let mut refusals = Vec::new();
    if !workload.landlock.is_empty() {
        refusals.push(refuse(
            "Landlock",
            "no kernel gives a domain to a process from outside, so the restored processes would be in none",
            "create the container with --level oci, where config.json alone confines it",
        ));
    }
    if workload.seccomp.iter().any(|filter| filter.listener.is_some()) {
        refusals.push(
            refuse(
                "a seccomp listener",
                "the agent's descriptor is bound to the filter that it came with",
                "use a profile without SCMP_ACT_NOTIFY",
            )
            .at("linux.seccomp"),
        );
    }
    // CRIU knows nothing of these, and the processes would run without.
    for (present, field) in [
        (workload.memory_policy.is_some(), "linux.memoryPolicy"),
        (workload.io_priority.is_some(), "process.ioPriority"),
        (plan.intel_rdt.is_some(), "linux.intelRdt"),
        (!plan.net_devices.is_empty(), "linux.netDevices"),
    ] {
        if present {
            refusals.push(refuse(field, "CRIU does not restore it", "remove the field").at(field));
        }
    }
    if plan.namespaces.private_ids.is_some() {
        refusals.push(refuse(
            "private user ids",
            "CRIU would restore the ids of before, which are another container's by then",
            "create the container without --private-ids",
        ));
    }
    if let Some(joined) = plan.namespaces.join.iter().find(|joined| {
        matches!(joined.kind, NamespaceKind::User | NamespaceKind::Cgroup | NamespaceKind::Mount)
    }) {
        let what = format!("a joined {} namespace", joined.kind);
        let fix = "use a new one, or the host's";
        refusals.push(refuse(&what, "CRIU does not restore into it", fix).at(&joined.at));
    }
    refusals
}

/// The parts of two plans that are not the same, though confinement depends on them. Names, paths of the host,
/// hooks, and what the first program was are each container's own.
pub fn differences(recorded: &Plan, now: &Plan) -> Vec<String> {
    let (recorded, now) = (essence(recorded), essence(now));
    let (Value::Object(recorded), Value::Object(now)) = (recorded, now) else { return Vec::new() };
    let differs = |name: &&String| recorded.get(*name) != now.get(*name);
    let mut names: Vec<&String> = recorded.keys().chain(now.keys()).filter(differs).collect();
    names.sort();
    names.dedup();
    names.into_iter().cloned().collect()
}

fn essence(plan: &Plan) -> Value {
    let mut plan = plan.clone();
    plan.id.clear();
    plan.rootfs.path.clear();
    plan.rootfs.stack.clear();
    plan.cgroup.path.clear();
    plan.cgroup.scope = None;
    plan.annotations.clear();
    plan.changes.clear();
    plan.absent.clear();
    plan.hooks = Default::default();
    plan.policy = None;
    plan.workload.args.clear();
    plan.workload.env.clear();
    // A restored process keeps its clocks by a time namespace of its own.
    plan.namespaces.new.retain(|kind| *kind != NamespaceKind::Time);
    for joined in &mut plan.namespaces.join {
        joined.path.clear();
        joined.foreign = false;
    }
    for mount in &mut plan.mounts {
        match &mut mount.source {
            super::mounts::Source::Bind { path, judged, .. } => {
                path.clear();
                *judged = false;
            }
            super::mounts::Source::Cgroup { views, .. } => views.clear(),
            _ => {}
        }
    }
    serde_json::to_value(plan).unwrap_or_default()
}
