//! Capabilities (OCI config, "Linux Process", `capabilities`; `capabilities(7)`).

use std::str::FromStr;

use caps::Capability;
use oci_spec::runtime::{Capabilities, LinuxCapabilities, LinuxNamespaceType};

use serde::{Deserialize, Serialize};

use super::{Input, Notes};
use crate::level::Level;

/// The five capability sets as bit masks, bit *n* for capability number *n*.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityMasks {
    /// Capabilities that `execve` may gain from a file.
    pub bounding: u64,
    /// What the process has in force.
    pub effective: u64,
    /// What it may put in force.
    pub permitted: u64,
    /// What it hands on through a file's inheritable set.
    pub inheritable: u64,
    /// What it hands on to a program without file capabilities.
    pub ambient: u64,
}

/// What `baseline` leaves: a container engine's usual set without `NET_RAW`, `MKNOD`, `AUDIT_WRITE`, `SETFCAP`
/// and `SYS_CHROOT`, which ordinary images do not need and exploits do.
pub const BASELINE: [Capability; 9] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FSETID,
    Capability::CAP_FOWNER,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SETPCAP,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_KILL,
];

/// The bits of the baseline set.
pub fn baseline() -> u64 {
    BASELINE.iter().fold(0, |mask, capability| mask | capability.bitmask())
}

/// The names of the capabilities in a mask, `CAP_CHOWN` and so on; a number where no name is known.
pub fn names(mask: u64) -> Vec<String> {
    let name = |number: u8| {
        caps::all()
            .into_iter()
            .find(|capability| capability.index() == number)
            .map_or_else(|| format!("{number}"), |capability| capability.to_string())
    };
    (0..64).filter(|number| mask & (1 << number) != 0).map(name).collect()
}

/// Every capability that has a name here, whatever the kernel knows.
pub fn known() -> Vec<String> {
    names(caps::all().iter().fold(0, |mask, capability| mask | capability.bitmask()))
}

/// The masks that `config.json` asks for; absent sets are empty.
pub fn asked(capabilities: Option<&LinuxCapabilities>) -> CapabilityMasks {
    let set = |set: Option<&Option<Capabilities>>| mask(set.and_then(Option::as_ref));
    CapabilityMasks {
        bounding: set(capabilities.map(LinuxCapabilities::bounding)),
        effective: set(capabilities.map(LinuxCapabilities::effective)),
        permitted: set(capabilities.map(LinuxCapabilities::permitted)),
        inheritable: set(capabilities.map(LinuxCapabilities::inheritable)),
        ambient: set(capabilities.map(LinuxCapabilities::ambient)),
    }
}

/// The masks of a whole configuration.
pub fn asked_by(config: &oci_spec::runtime::Spec) -> CapabilityMasks {
    asked(config.process().as_ref().and_then(|process| process.capabilities().as_ref()))
}

fn mask(set: Option<&Capabilities>) -> u64 {
    set.into_iter().flatten().map(mask_of).fold(0, |all, mask| all | mask)
}

/// The bit of a capability of `config.json`; 0 for one that is not known.
pub fn mask_of(capability: &oci_spec::runtime::Capability) -> u64 {
    let name = format!("CAP_{}", trim(&capability.to_string()));
    Capability::from_str(&name).map_or(0, |capability| capability.bitmask())
}

fn trim(name: &str) -> &str {
    name.strip_prefix("CAP_").unwrap_or(name)
}

/// The final sets at a level, and what was taken away.
pub(super) fn resolve(input: &Input<'_>, asked: CapabilityMasks, notes: &mut Notes) -> CapabilityMasks {
    let callers = callers(input);
    let missing = sets(&asked, &asked).iter().fold(0, |all, (_, mask, _)| all | mask) & !callers;
    if missing != 0 {
        let what = format!("{} not given: the caller does not have them", names(missing).join(", "));
        notes.change("process.capabilities", what);
    }
    let ceiling = match input.level {
        Level::Oci => u64::MAX,
        Level::Baseline => baseline() | input.loosening.capabilities,
        Level::Strict => 0,
    };
    let given = limit(asked, ceiling & callers);
    for (name, before, after) in sets(&asked, &given) {
        let at = format!("process.capabilities.{name}");
        let before = before & callers;
        let (levels, kernels) = (before & !ceiling, before & ceiling & !after);
        if levels != 0 {
            notes.change(&at, format!("{} not given at level {}", names(levels).join(", "), input.level));
        }
        if kernels != 0 {
            let needs = if name == "ambient" { "permitted and inheritable" } else { "permitted" };
            notes.change(&at, format!("{} not given without being {needs} too", names(kernels).join(", ")));
        }
    }
    given
}

/// What the caller lacks nobody can be given, but for a user namespace, in which there is everything. That is
/// no reason to fail (OCI config, "Linux Process").
fn callers(input: &Input<'_>) -> u64 {
    let namespaces = input.config.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    match namespaces.into_iter().flatten().any(|it| it.typ() == LinuxNamespaceType::User) {
        true => u64::MAX,
        false => input.host.capabilities,
    }
}

/// No set beyond `ceiling`; and ambient only what is also permitted and inheritable, as the kernel wants it.
pub fn limit(masks: CapabilityMasks, ceiling: u64) -> CapabilityMasks {
    let permitted = masks.permitted & ceiling;
    let inheritable = masks.inheritable & ceiling;
    CapabilityMasks {
        bounding: masks.bounding & ceiling,
        effective: masks.effective & permitted,
        permitted,
        inheritable,
        ambient: masks.ambient & permitted & inheritable,
    }
}

fn sets(before: &CapabilityMasks, after: &CapabilityMasks) -> [(&'static str, u64, u64); 5] {
    [
        ("bounding", before.bounding, after.bounding),
        ("effective", before.effective, after.effective),
        ("permitted", before.permitted, after.permitted),
        ("inheritable", before.inheritable, after.inheritable),
        ("ambient", before.ambient, after.ambient),
    ]
}
