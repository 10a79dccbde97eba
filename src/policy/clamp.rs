//! Mode `clamp`: tightens a configuration before its plan is made, where that leaves its meaning; and `[defaults]`,
//! which any mode fills in. What cannot be tightened so, such as a host's namespace, is left for `judge` to refuse.

use oci_spec::runtime::{Capabilities, Linux, LinuxResources, Process};

use super::form::{Mode, Policy};
use super::judge::{LEAST_MASKED, LEAST_READONLY};
use super::words::CapabilityName;
use super::{Loaded, ceilings};
use crate::oci::Config;
use crate::plan::{Change, caps};

/// The configuration as the policy has it, and what is not as it was.
pub fn clamp(policy: &Loaded, config: &mut Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let rules = &policy.policy;
    if let Some(process) = config.spec.process_mut() {
        capabilities(rules, process, &mut changes);
        no_new_privs(rules, process, &mut changes);
    }
    let mut linux = config.spec.linux().clone().unwrap_or_else(empty);
    sysctl(rules, &mut linux, &mut changes);
    masks(rules, &mut linux, &mut changes);
    let mut resources = linux.resources().clone().unwrap_or_else(no_limits);
    let mut limits = ceilings::Limits { resources: &mut resources, pids: &mut config.pids_limit };
    let before = changes.len();
    ceilings::tighten(policy, &mut limits, &mut changes);
    if changes.len() > before {
        linux.set_resources(Some(resources));
    }
    if !changes.is_empty() {
        config.spec.set_linux(Some(linux));
    }
    changes
}

/// The type's own default is not empty.
fn empty() -> Linux {
    serde_json::from_str("{}").unwrap_or_default()
}

fn no_limits() -> LinuxResources {
    serde_json::from_str("{}").unwrap_or_default()
}

fn clamps(rules: &Policy, mode: Option<Mode>) -> bool {
    rules.mode(mode) == Mode::Clamp
}

fn note(changes: &mut Vec<Change>, at: impl Into<String>, what: String) {
    changes.push(Change { at: at.into(), what: format!("{what} by the node policy") });
}

fn capabilities(rules: &Policy, process: &mut Process, changes: &mut Vec<Change>) {
    let table = &rules.capabilities;
    let (Some(allowed), true) = (&table.allow, clamps(rules, table.mode)) else { return };
    let allowed = CapabilityName::mask(allowed);
    let Some(given) = process.capabilities().clone() else { return };
    let asked = caps::asked(Some(&given));
    let all = asked.bounding | asked.effective | asked.permitted | asked.inheritable | asked.ambient;
    if all & !allowed == 0 {
        return;
    }
    let keep = |set: &Option<Capabilities>| -> Option<Capabilities> {
        let mut set = set.clone()?;
        set.retain(|capability| caps::mask_of(capability) & !allowed == 0);
        Some(set)
    };
    let mut left = given.clone();
    left.set_bounding(keep(given.bounding()));
    left.set_effective(keep(given.effective()));
    left.set_permitted(keep(given.permitted()));
    left.set_inheritable(keep(given.inheritable()));
    left.set_ambient(keep(given.ambient()));
    process.set_capabilities(Some(left));
    note(changes, "process.capabilities", format!("{} dropped", caps::names(all & !allowed).join(", ")));
}

fn no_new_privs(rules: &Policy, process: &mut Process, changes: &mut Vec<Change>) {
    let table = &rules.process;
    let forbidden = table.privilege_escalation == Some(false) && clamps(rules, table.mode);
    if forbidden && process.no_new_privileges() != Some(true) {
        process.set_no_new_privileges(Some(true));
        note(changes, "process.noNewPrivileges", "set".to_owned());
    }
}

fn sysctl(rules: &Policy, linux: &mut Linux, changes: &mut Vec<Change>) {
    let table = &rules.sysctl;
    let (Some(allowed), true) = (&table.allow, clamps(rules, table.mode)) else { return };
    let Some(mut given) = linux.sysctl().clone() else { return };
    let name = |given: &str| crate::plan::sysctl::with_dots(given);
    let mut dropped: Vec<String> = given.keys().cloned().collect();
    dropped.retain(|given| !allowed.iter().any(|pattern| pattern.matches(&name(given))));
    dropped.sort();
    for name in dropped {
        given.remove(&name);
        note(changes, format!("linux.sysctl[{name:?}]"), "left out".to_owned());
    }
    linux.set_sysctl(Some(given));
}

fn masks(rules: &Policy, linux: &mut Linux, changes: &mut Vec<Change>) {
    let table = &rules.process;
    if table.unmasked != Some(false) || !clamps(rules, table.mode) {
        return;
    }
    let mut complete = |at: &str, list: Option<Vec<String>>, least: &[&str]| -> Vec<String> {
        let mut list = list.unwrap_or_default();
        for path in least.iter().filter(|path| !list.iter().any(|own| own == *path)).collect::<Vec<_>>() {
            list.push((*path).to_string());
            note(changes, at, format!("{path} added"));
        }
        list
    };
    let masked = complete("linux.maskedPaths", linux.masked_paths().clone(), &LEAST_MASKED);
    let readonly = complete("linux.readonlyPaths", linux.readonly_paths().clone(), &LEAST_READONLY);
    linux.set_masked_paths(Some(masked));
    linux.set_readonly_paths(Some(readonly));
}
