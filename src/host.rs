//! What this host can do: a plain struct, one probe for each fact, so that a plan can be tested anywhere.

use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::cgroup;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::cgroup::Layout;
use crate::plan::namespaces::NamespaceKind;
use crate::sys;
use crate::sys::mount::{Attributes, set_attributes};

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
    /// `Unsupported` on a kernel that is too old; else when `/sys/fs/cgroup` or the caller's own attributes
    /// cannot be read.
    pub fn probe() -> Result<Self> {
        check_kernel(set_attributes(CWD, Attributes::default(), false))?;
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

/// The kinds of namespaces that this kernel was built with.
pub fn namespaces() -> Vec<NamespaceKind> {
    let has = |kind: &NamespaceKind| Path::new("/proc/self/ns").join(kind.file()).exists();
    NamespaceKind::ALL.into_iter().filter(has).collect()
}

/// The youngest call without which there is no container is `mount_setattr(2)` (Linux 5.12). It is tried with
/// nothing to do: what else it answers, such as EPERM to an ordinary user, comes from a kernel that has it.
fn check_kernel(tried: Result<(), sys::CallError>) -> Result<()> {
    match tried {
        Err(error) if error.errno == Errno::NOSYS => {
            let uname = rustix::system::uname();
            let why = format!("Linux {} has no mount_setattr(2)", uname.release().to_string_lossy());
            Err(Error::new(Kind::Unsupported, "this kernel is too old", why).fix(
                "sandrun needs Linux 5.14 or newer; where the kernel is, it runs under a seccomp profile that \
                 hides the call",
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_is_named_with_the_one_that_is_needed() {
        let answer = |errno| check_kernel(Err(sys::CallError { call: String::new(), errno }));
        let error = answer(Errno::NOSYS).unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
        assert!(error.to_string().contains("needs Linux 5.14"), "{error}");
        assert!(answer(Errno::PERM).is_ok(), "an ordinary user may not mount, but the kernel can");
    }
}
