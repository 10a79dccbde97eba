//! A container with private ids in a network that was made before, as a pod's is: it belongs to the host's root, and what
//! takes rights over it is the host's side to do.

use std::collections::BTreeMap;

use super::mounts::{Mount, Source};
use super::namespaces::private_ids::RANGE;
use super::namespaces::{NamespaceKind, Namespaces};
use super::{Notes, Plan};

const FIRST_PORT: &str = "net.ipv4.ip_unprivileged_port_start";
const PING_GROUPS: &str = "net.ipv4.ping_group_range";

/// Takes the network's parameters from the others, and marks the mounts that only the host's root may make. Where the
/// network becomes a pod's with this container, all ports and pings are for everybody there: root of the pod has no
/// capability that counts for them.
pub(super) fn resolve(
    namespaces: &Namespaces,
    sysctl: &mut BTreeMap<String, String>,
    mounts: &mut [Mount],
    notes: &mut Notes,
) -> BTreeMap<String, String> {
    if !namespaces.has_others_network() {
        return BTreeMap::new();
    }
    for mount in mounts {
        if let Source::Filesystem { fstype, of_network, .. } = &mut mount.source {
            *of_network = fstype == "sysfs";
        }
    }
    let all = std::mem::take(sysctl).into_iter();
    let (mut parameters, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
        all.partition(|(name, _)| name.starts_with("net."));
    *sysctl = rest;
    if namespaces.is_new(NamespaceKind::User) {
        for (name, value) in [(FIRST_PORT, "0".to_owned()), (PING_GROUPS, format!("0 {}", RANGE - 1))] {
            if !parameters.contains_key(name) {
                notes.change(&format!("linux.sysctl[{name:?}]"), format!("set to {value:?} for the pod"));
                parameters.insert(name.to_owned(), value);
            }
        }
    }
    if let Some(own) = namespaces.gid_mappings.first() {
        number_groups(&mut parameters, own.outside);
    }
    parameters
}

/// Groups as the host numbers them, which sets the parameter.
fn number_groups(parameters: &mut BTreeMap<String, String>, first: u32) {
    let Some(value) = parameters.get_mut(PING_GROUPS) else { return };
    let numbers: Option<Vec<u32>> = value.split_whitespace().map(|number| number.parse().ok()).collect();
    if let Some([low, high]) = numbers.as_deref()
        && low <= high
        && *high < RANGE
    {
        *value = format!("{} {}", first + low, first + high);
    }
}

impl Plan {
    /// Makes the ids from `first` on those of the container.
    pub fn give_ids(&mut self, first: u32) {
        self.namespaces.give_ids(first);
        number_groups(&mut self.network_sysctl, first);
    }
}
