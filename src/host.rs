//! What this host can do: a plain struct, one probe for each fact, so that a plan can be tested anywhere.

use serde::{Deserialize, Serialize};

use crate::plan::cgroup::Layout;

/// Facts about the host and the caller, as the plan needs them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Effective user id of the caller, in its own user namespace.
    pub euid: u32,
    /// Effective group id of the caller.
    pub egid: u32,
    /// The caller's bounding set: nothing beyond it can be given.
    pub bounding: u64,
    /// Highest ABI of Landlock, 0 without it (`landlock_create_ruleset(2)`).
    pub landlock_abi: u32,
    /// How control groups are laid out.
    pub cgroup: Layout,
    /// Whether AppArmor is the kernel's and enabled.
    pub apparmor: bool,
    /// Whether SELinux is the kernel's and has a policy.
    pub selinux: bool,
}

impl Host {
    /// Whether the caller may set things up on the host's side (mounts, cgroups) by being its root.
    pub fn is_privileged(&self) -> bool {
        const SYS_ADMIN: u64 = 1 << 21;
        self.euid == 0 && self.bounding & SYS_ADMIN != 0
    }
}
