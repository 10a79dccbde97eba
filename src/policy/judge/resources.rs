//! `[devices]` and `[sysctl]`.

use super::{Breach, Verdict};
use crate::plan::cgroup::{Access, DeviceKind, DeviceRule};
use crate::plan::devices::DEFAULT;
use crate::plan::{Plan, devices};
use crate::policy::words::Device;

/// Terminals, which every container has beside [`DEFAULT`].
const TERMINALS: [(u32, Option<u32>); 3] = [(5, Some(1)), (5, Some(2)), (136, None)];

/// Nodes that are made, and rules by which others could be opened.
pub(super) fn devices(plan: &Plan, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.devices;
    let (Some(allowed), mode) = (rules.allow.clone(), rules.mode) else { return };
    let mut breach = |at: String, what: String| {
        let fix = "leave it out, in a pod without privileged: true, or have the device listed in the policy";
        verdict.breach(Breach { rule: "devices.allow", mode, at, what, fix });
    };
    for node in &plan.devices {
        let kind = match node.kind {
            devices::DeviceKind::Char => DeviceKind::Char,
            devices::DeviceKind::Block => DeviceKind::Block,
            devices::DeviceKind::Fifo => continue,
        };
        if !is_allowed(&allowed, kind, node.major, Some(node.minor)) {
            breach(
                "linux.devices".to_owned(),
                format!("device {} is {}:{}", node.path, node.major, node.minor),
            );
        }
    }
    for rule in opening(&plan.cgroup.devices.rules) {
        let allowed = rule.major.is_some_and(|major| is_allowed(&allowed, rule.kind, major, rule.minor));
        if let (Some(at), false) = (&rule.at, allowed) {
            breach(at.clone(), format!("the container may open {}", described(rule)));
        }
    }
}

/// Rules that let a device be opened; to make a node of it alone opens nothing.
fn opening(rules: &[DeviceRule]) -> impl Iterator<Item = &DeviceRule> {
    let forgets = |rule: &DeviceRule| {
        !rule.allow
            && rule.kind == DeviceKind::All
            && rule.major.is_none()
            && rule.minor.is_none()
            && rule.access.is_all()
    };
    let last = rules.iter().rposition(forgets).map_or(0, |index| index + 1);
    rules.iter().skip(last).filter(|rule| rule.allow && rule.access != Access::MKNOD)
}

fn is_allowed(allowed: &[Device], kind: DeviceKind, major: u32, minor: Option<u32>) -> bool {
    let everywhere = kind == DeviceKind::Char
        && (DEFAULT.iter().any(|device| (device.1, Some(device.2)) == (major, minor))
            || TERMINALS
                .iter()
                .any(|terminal| terminal.0 == major && (terminal.1.is_none() || terminal.1 == minor)));
    everywhere || allowed.iter().any(|device| device.matches(kind, major, minor))
}

fn described(rule: &DeviceRule) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    let kind = match rule.kind {
        DeviceKind::All => "every device",
        DeviceKind::Block => "block device",
        DeviceKind::Char => "character device",
    };
    format!("{kind} {}:{}", number(rule.major), number(rule.minor))
}

pub(super) fn sysctl(plan: &Plan, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.sysctl;
    let (Some(allowed), mode) = (rules.allow.clone(), rules.mode) else { return };
    for name in plan.sysctl.keys().filter(|name| !allowed.iter().any(|pattern| pattern.matches(name))) {
        verdict.breach(Breach {
            rule: "sysctl.allow",
            mode,
            at: format!("linux.sysctl[{name:?}]"),
            what: format!("kernel parameter {name} is set"),
            fix: "leave it out, or have it listed in the policy",
        });
    }
}
