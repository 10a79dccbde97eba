//! `[capabilities]` and `[process]`.

use super::{Breach, Case, Verdict};
use crate::plan::caps::{CapabilityMasks, names};
use crate::plan::namespaces::NamespaceKind;
use crate::plan::{Namespaces, Plan};
use crate::policy::form::RunAsRoot;
use crate::policy::words::CapabilityName;

/// What hides of /proc what belongs to the host, in the lists of every engine.
pub const LEAST_MASKED: [&str; 4] = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"];
/// What keeps /proc from changing the host.
pub const LEAST_READONLY: [&str; 2] = ["/proc/sys", "/proc/sysrq-trigger"];

pub(super) fn judge(case: &Case<'_>, plan: &Plan, verdict: &mut Verdict<'_>) {
    capabilities(&plan.asked_capabilities, "process.capabilities", verdict);
    if let Some(process) = case.config.process() {
        user(process.user().uid(), &plan.namespaces, "process.user.uid", verdict);
        escalation(plan, verdict);
        seccomp(case, plan, verdict);
        labels(case, plan, verdict);
    }
    masks(plan, verdict);
}

/// Every set counts: what is only bounding comes back by a file's capabilities.
pub fn capabilities(asked: &CapabilityMasks, at: &str, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.capabilities;
    let (Some(allowed), mode) = (rules.allow.as_deref().map(CapabilityName::mask), rules.mode) else {
        return;
    };
    let more =
        (asked.bounding | asked.effective | asked.permitted | asked.inheritable | asked.ambient) & !allowed;
    if more != 0 {
        verdict.breach(Breach {
            rule: "capabilities.allow",
            mode,
            at: at.to_owned(),
            what: format!("{} asked for", names(more).join(", ")),
            fix: "drop them, in a pod by capabilities.drop, or have them listed in the policy",
        });
    }
}

/// Also of an exec.
pub fn user(uid: u32, namespaces: &Namespaces, at: &str, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.process;
    let mode = rules.mode;
    let root_outside = || {
        let maps_root = namespaces.uid_mappings.iter().any(|map| map.inside == 0 && map.outside == 0);
        !namespaces.has_user() || (namespaces.is_new(NamespaceKind::User) && maps_root)
    };
    let (refused, fix) = match rules.run_as_root {
        None | Some(RunAsRoot::Always) => (false, ""),
        Some(RunAsRoot::Never) => (true, "run it as another user, in a pod by runAsUser"),
        Some(RunAsRoot::UserNamespace) => {
            (root_outside(), "run it as another user, or in a user namespace (in a pod hostUsers: false)")
        }
    };
    if uid == 0 && refused {
        let what = "the process would be root".to_owned();
        verdict.breach(Breach { rule: "process.run-as-root", mode, at: at.to_owned(), what, fix });
    }
}

fn escalation(plan: &Plan, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.process;
    let mode = rules.mode;
    if rules.privilege_escalation == Some(false) && !plan.workload.no_new_privs {
        verdict.breach(Breach {
            rule: "process.privilege-escalation",
            mode,
            at: "process.noNewPrivileges".to_owned(),
            what: "execve could add privileges".to_owned(),
            fix: "set it to true, in a pod allowPrivilegeEscalation: false",
        });
    }
}

fn seccomp(case: &Case<'_>, plan: &Plan, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.process;
    let mode = rules.mode;
    // One that was refused leaves none in the plan.
    let given = case.config.linux().as_ref().is_some_and(|linux| linux.seccomp().is_some());
    if rules.seccomp_unconfined == Some(false) && plan.workload.seccomp.is_empty() && !given {
        verdict.breach(Breach {
            rule: "process.seccomp-unconfined",
            mode,
            at: "linux.seccomp".to_owned(),
            what: "no filter of system calls".to_owned(),
            fix: "give a profile, in a pod seccompProfile RuntimeDefault, or use --level baseline",
        });
    }
}

fn labels(case: &Case<'_>, plan: &Plan, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.process;
    let (mode, types) = (rules.mode, rules.selinux_types.clone());
    let profile = plan.workload.apparmor_profile.as_deref();
    let unconfined = profile == Some("unconfined") || (profile.is_none() && case.host.apparmor);
    if rules.apparmor_unconfined == Some(false) && unconfined {
        verdict.breach(Breach {
            rule: "process.apparmor-unconfined",
            mode,
            at: "process.apparmorProfile".to_owned(),
            what: "not confined by AppArmor".to_owned(),
            fix: "give a profile, in a pod appArmorProfile RuntimeDefault",
        });
    }
    if let (Some(types), Some(label)) = (types, &plan.workload.selinux_label) {
        let own = label.split(':').nth(2).unwrap_or_default();
        if !types.iter().any(|known| known == own) {
            verdict.breach(Breach {
                rule: "process.selinux-types",
                mode,
                at: "process.selinuxLabel".to_owned(),
                what: format!("SELinux type {own:?}"),
                fix: "use container_t, in a pod without seLinuxOptions.type",
            });
        }
    }
}

fn masks(plan: &Plan, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.process;
    let mode = rules.mode;
    if rules.unmasked != Some(false) {
        return;
    }
    let lists = [
        ("linux.maskedPaths", &plan.masked_paths, LEAST_MASKED.as_slice()),
        ("linux.readonlyPaths", &plan.readonly_paths, LEAST_READONLY.as_slice()),
    ];
    for (at, list, least) in lists {
        let missing: Vec<&str> =
            least.iter().copied().filter(|path| !list.iter().any(|own| own == path)).collect();
        if !missing.is_empty() {
            verdict.breach(Breach {
                rule: "process.unmasked",
                mode,
                at: at.to_owned(),
                what: format!("{} not listed", missing.join(", ")),
                fix: "list them, in a pod procMount: Default",
            });
        }
    }
}
