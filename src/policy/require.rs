//! `require`: layers without which nothing runs. The plan is judged before, the receipt after.

use super::form::Layer;
use super::judge::{Breach, Verdict};
use crate::enforce::receipt::{Receipt, State};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;

impl Layer {
    /// Its name in a receipt.
    fn name(self) -> &'static str {
        match self {
            Layer::Seccomp => "seccomp",
            Layer::Landlock => "landlock",
            Layer::UserIds => "namespaces",
            Layer::Cgroup => "cgroup",
            Layer::Devices => "devices",
            Layer::NoNewPrivs => "no_new_privs",
            Layer::Apparmor => "apparmor",
            Layer::Selinux => "selinux",
        }
    }

    fn is_planned(self, plan: &Plan) -> bool {
        let workload = &plan.workload;
        match self {
            Layer::Seccomp => !workload.seccomp.is_empty(),
            Layer::Landlock => !workload.landlock.is_empty(),
            Layer::UserIds => plan.namespaces.has_user(),
            Layer::Cgroup => !plan.cgroup.path.is_empty(),
            Layer::Devices => !plan.cgroup.devices.rules.is_empty(),
            Layer::NoNewPrivs => workload.no_new_privs,
            Layer::Apparmor => workload.apparmor_profile.is_some(),
            Layer::Selinux => workload.selinux_label.is_some(),
        }
    }
}

/// Before anything is done.
pub(super) fn judge(plan: &Plan, verdict: &mut Verdict<'_>) {
    for layer in verdict.policy().require.clone().unwrap_or_default() {
        let lacking = plan.absent.iter().find(|absent| absent.layer == layer.name());
        let what = match lacking {
            Some(absent) => format!("layer {}: {}", layer.name(), absent.why),
            None if layer.is_planned(plan) => continue,
            None => format!("layer {} is not part of the plan at level {}", layer.name(), plan.level),
        };
        let (at, fix) = match layer {
            Layer::Seccomp => ("linux.seccomp", "give a profile, or use --level baseline"),
            Layer::Landlock => ("linux", "use --level baseline, on a kernel that has Landlock"),
            Layer::UserIds => {
                ("linux.namespaces", "add {\"type\": \"user\"} with id mappings, in a pod hostUsers: false")
            }
            Layer::Cgroup => ("linux.cgroupsPath", "run as root, or in a delegated cgroup"),
            Layer::Devices => ("linux.resources.devices", "run as root, or in a delegated cgroup"),
            Layer::NoNewPrivs => ("process.noNewPrivileges", "set it to true, or use --level baseline"),
            Layer::Apparmor => ("process.apparmorProfile", "name a profile, on a host with AppArmor"),
            Layer::Selinux => ("process.selinuxLabel", "name a context, on a host with SELinux"),
        };
        verdict.breach(Breach { rule: "require", mode: None, at: at.to_owned(), what, fix });
    }
}

/// After it was enforced: what the kernel did not confirm as a whole. A filter is loaded with the program, so before
/// that it is `started` false.
///
/// # Errors
/// `Refused`, with every layer that is missing or only partly there.
pub fn confirm(layers: &[Layer], receipt: &Receipt, started: bool) -> Result<()> {
    let mut refusals = Vec::new();
    for layer in layers.iter().filter(|layer| started || **layer != Layer::Seccomp) {
        let found = receipt.layers.iter().find(|found| found.layer == layer.name());
        let why = match found {
            Some(found) if found.state == State::Enforced => continue,
            Some(found) => format!("it is {}: {}", found.state, found.detail),
            None => "the kernel has not confirmed it".to_owned(),
        };
        let what = format!("the node policy requires the layer {}", layer.name());
        refusals.push(Error::new(Kind::Refused, what, why).fix("see require in the policy"));
    }
    Error::all("a required layer is not in force", refusals).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_has_not_confirmed_as_a_whole_is_refused() {
        let mut receipt = Receipt::default();
        receipt.add("seccomp", State::Partial, "when the program starts");
        receipt.add("landlock", State::Partial, "ABI 2, without something");
        receipt.add("cgroup", State::Absent, "no cgroup");
        receipt.add("no_new_privs", State::Enforced, "");
        let confirmed = |layers: &[Layer], started| {
            confirm(layers, &receipt, started).map_err(|error| (error.kind, error.to_string()))
        };
        assert_eq!(confirmed(&[Layer::NoNewPrivs, Layer::Seccomp], false), Ok(()));
        for layer in [Layer::Seccomp, Layer::Landlock, Layer::Cgroup, Layer::Devices] {
            let (kind, text) = confirmed(&[Layer::NoNewPrivs, layer], true).unwrap_err();
            assert!(kind == Kind::Refused && text.contains(layer.name()), "{text}");
        }
        let (_, text) = confirmed(&[Layer::Landlock, Layer::Cgroup], false).unwrap_err();
        assert!(text.contains("for 2 reasons"), "{text}");
    }
}
