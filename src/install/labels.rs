//! What a node is labelled with, so that pods find the nodes that can confine them.

use std::collections::BTreeMap;

use crate::host::Host;
use crate::plan::cgroup::Layout;

/// The labels of a node on which the handlers are there, or are not.
///
/// A value has at most 63 letters, digits, `-`, `_` and `.`, and ends as it begins, with a letter or digit (Kubernetes,
/// "Labels and Selectors").
pub fn labels(host: &Host, ready: bool) -> BTreeMap<String, String> {
    let cgroup = match host.cgroup {
        Layout::V1 { .. } => "v1",
        Layout::Hybrid { .. } => "hybrid",
        Layout::V2 { .. } => "v2",
    };
    let values = [
        ("ready", ready.to_string()),
        ("version", value(env!("CARGO_PKG_VERSION"))),
        ("landlock-abi", host.landlock_abi.to_string()),
        ("layers", value(&layers(host).join("."))),
        ("cgroup", cgroup.to_owned()),
    ];
    values.into_iter().map(|(name, value)| (format!("sandrun.dev/{name}"), value)).collect()
}

/// What a container on this host has around it, beside namespaces, capabilities and cgroups, which every host has.
fn layers(host: &Host) -> Vec<&'static str> {
    let layers = [
        ("seccomp", true),
        ("landlock", host.landlock_abi > 0),
        ("mdwe", host.mdwe),
        ("memfd-noexec", host.memfd_noexec.is_some()),
        ("apparmor", host.apparmor),
        ("selinux", host.selinux),
    ];
    layers.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

/// A text as a label can have it.
fn value(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let value: String = text.chars().map(allowed).take(63).collect();
    value.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_obeys_the_rules() {
        assert_eq!(value("0.1.0+dirty~1"), "0.1.0-dirty-1");
        assert_eq!(value(&"ab.".repeat(40)).len(), 62, "63 would end with a dot");
        assert_eq!(value("--"), "");
    }
}
