//! What this host can do: a plain struct, one probe for each fact, so that a plan can be tested anywhere.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cgroup;
use crate::error::{Context, Result};
use crate::plan::cgroup::Layout;
use crate::sys;

/// Facts about the host and the caller, as the plan needs them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// Effective user id of the caller, in its own user namespace.
    pub euid: u32,
    /// Effective group id of the caller.
    pub egid: u32,
    /// What the caller is permitted: nothing beyond it can be given.
    pub capabilities: u64,
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
    /// Asks the kernel.
    ///
    /// # Errors
    /// When `/sys/fs/cgroup` or the caller's own attributes cannot be read.
    pub fn probe() -> Result<Self> {
        let what = || "cannot find out what this host can do".to_owned();
        Ok(Self {
            euid: rustix::process::geteuid().as_raw(),
            egid: rustix::process::getegid().as_raw(),
            capabilities: sys::process::permitted_capabilities().context(what)?,
            landlock_abi: sys::process::landlock_abi(),
            cgroup: cgroup::detect()?,
            apparmor: Path::new("/sys/kernel/security/apparmor").exists(),
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        })
    }

    /// Whether the caller may mount on the host's side.
    pub fn is_privileged(&self) -> bool {
        const SYS_ADMIN: u64 = 1 << 21;
        self.euid == 0 && self.capabilities & SYS_ADMIN != 0
    }
}
