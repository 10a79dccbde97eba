//! `[exec]`: processes that are added to a running container.

use super::Loaded;
use super::form::{ExecRule, Mode};
use super::judge::{self, Breach, Verdict};
use crate::error::{Error, Result};
use crate::plan::annotations::{EXEC_PROBES, exec_probes};
use crate::plan::caps::{CapabilityMasks, names};
use crate::plan::{Change, Plan, Workload};

/// Judges a process that is decided; what is let pass with a warning.
///
/// # Errors
/// Everything that the policy refuses about it, in one error.
pub fn judge(policy: &Loaded, workload: &Workload, plan: &Plan) -> Result<Vec<Change>> {
    let rules = &policy.policy.exec;
    let mut verdict = Verdict::new(policy);
    let mut breach = |rule: &str, at: &str, what: String, fix: &str| {
        verdict.breach(Breach { rule, mode: rules.mode, at: at.to_owned(), what, fix });
    };
    let rule = rules.allow.unwrap_or(ExecRule::Level);
    match rule {
        ExecRule::Deny => {
            breach(
                "exec.allow",
                "process.args",
                "no process is added to a container".to_owned(),
                "ask the node's administrator",
            );
        }
        ExecRule::Probes if workload.terminal.is_some() => {
            breach(
                "exec.allow",
                "process.terminal",
                "a probe has no terminal".to_owned(),
                "leave the terminal out",
            );
        }
        ExecRule::Probes if !is_probe(policy, workload, plan)? => {
            let what = format!("{:?} is no probe of this container", workload.args);
            let fix = "list it in exec.probes of the policy, or when the container is created in its annotation dev.sandrun.exec-probes";
            breach("exec.allow", "process.args", what, fix);
        }
        _ => {}
    }
    if matches!(rule, ExecRule::Same | ExecRule::Probes) {
        for (at, what) in beyond(workload, &plan.workload) {
            breach("exec.allow", at, what, "leave it out: an exec gets at most its container's privileges");
        }
    }
    judge::user(workload.user.uid, &plan.namespaces, "process.user.uid", &mut verdict);
    let Verdict { refusals, warnings, .. } = verdict;
    match Error::all(&format!("cannot exec in container {}", plan.id), refusals) {
        Some(error) => Err(error),
        None => Ok(warnings),
    }
}

/// Whether an exec is limited to what its container has at every level: because the rule is, or because the policy may
/// have taken something from the container.
pub fn limits(policy: &Loaded) -> bool {
    let (exec, capabilities) = (&policy.policy.exec, &policy.policy.capabilities);
    let holds = |mode| policy.policy.mode(mode) != Mode::Warn;
    let same = matches!(exec.allow, Some(ExecRule::Same | ExecRule::Probes)) && holds(exec.mode);
    same || (capabilities.allow.is_some() && holds(capabilities.mode))
}

/// Whole argument vectors: a program that is listed could do anything with others.
fn is_probe(policy: &Loaded, workload: &Workload, plan: &Plan) -> Result<bool> {
    let annotated = plan.annotations.get(EXEC_PROBES).map(|text| exec_probes(text)).transpose()?;
    let listed = policy.policy.exec.probes.iter().chain(&annotated).flatten();
    Ok(listed.into_iter().any(|probe| *probe == workload.args))
}

/// What of an exec is more than its container's own process has.
fn beyond(asked: &Workload, own: &Workload) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let union = |masks: &CapabilityMasks| {
        masks.bounding | masks.effective | masks.permitted | masks.inheritable | masks.ambient
    };
    let more = union(&asked.capabilities) & !union(&own.capabilities);
    if more != 0 {
        let what = format!("{} asked for, which the container does not have", names(more).join(", "));
        found.push(("process.capabilities", what));
    }
    // Root of the container may become anyone in it anyway.
    if own.user.uid != 0 && asked.user.uid != own.user.uid {
        let what = format!("user {}, where the container is user {}", asked.user.uid, own.user.uid);
        found.push(("process.user.uid", what));
    }
    let groups = |user: &crate::plan::process::User| [vec![user.gid], user.additional_gids.clone()].concat();
    let foreign: Vec<u32> =
        groups(&asked.user).into_iter().filter(|gid| !groups(&own.user).contains(gid)).collect();
    if own.user.uid != 0 && !foreign.is_empty() {
        found.push(("process.user", format!("groups {foreign:?}, which the container does not have")));
    }
    for (at, asked, own) in [
        ("process.apparmorProfile", &asked.apparmor_profile, &own.apparmor_profile),
        ("process.selinuxLabel", &asked.selinux_label, &own.selinux_label),
    ] {
        if asked != own {
            found.push((
                at,
                format!("another label than the container's: {:?}", asked.as_deref().unwrap_or_default()),
            ));
        }
    }
    found
}
