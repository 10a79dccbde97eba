//! What this host can do: a plain struct, one probe for each fact, so that a plan can be tested anywhere.

use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::cgroup;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::cgroup::Layout;
use crate::plan::namespaces::NamespaceKind;
use crate::plan::seccomp::known::FLAG_WAIT_KILLABLE_RECV;
use crate::sys;
use crate::sys::mount::{Attributes, set_attributes};

/// Whose rights a container is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Caller {
    /// The host's root: user 0 with `CAP_SYS_ADMIN` in the first user namespace.
    Root,
    /// Root of another user namespace, as `unshare -r` and an engine without root make one: everything of that
    /// namespace may be done, nothing of the host's, such as device nodes.
    NamespaceRoot,
    /// Anybody else: everything is done in a user namespace of the container's own.
    User,
}

/// Facts about the host and the caller, as the plan needs them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// Effective user id of the caller, in its own user namespace.
    pub euid: u32,
    /// Effective group id of the caller.
    pub egid: u32,
    /// Whose rights these are.
    pub caller: Caller,
    /// Whether the caller may mount, where it is: not with rights over a user namespace alone.
    pub may_mount: bool,
    /// `newuidmap(1)` and `newgidmap(1)`, for an ordinary user.
    pub id_mappers: [Option<String>; 2],
    /// What the caller is permitted: nothing beyond it can be given.
    pub capabilities: u64,
    /// Highest ABI of Landlock, 0 without it (`landlock_create_ruleset(2)`).
    pub landlock_abi: u32,
    /// How control groups are laid out.
    pub cgroup: Layout,
    /// The cgroup beneath which an ordinary caller may make others; absent for root, who may anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated_cgroup: Option<String>,
    /// Whether AppArmor is the kernel's and enabled.
    pub apparmor: bool,
    /// Whether SELinux is the kernel's and has a policy.
    pub selinux: bool,
    /// `vm.memfd_noexec` of the caller's pid namespace (Linux 6.3).
    pub memfd_noexec: Option<u8>,
    /// Whether memory can be kept from becoming executable (`PR_SET_MDWE`, Linux 6.3).
    pub mdwe: bool,
    /// Which filesystem of the container cannot be idmapped, and why, once that was tried and did not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmappable: Option<(String, String)>,
    /// Whether seccomp filters can have `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19).
    pub seccomp_wait_killable: bool,
}

impl Host {
    /// Asks the kernel.
    ///
    /// # Errors
    /// `Unsupported` on a kernel that is too old; else when `/sys/fs/cgroup` or the caller's own attributes
    /// cannot be read.
    pub fn probe() -> Result<Self> {
        let may_mount = probe_mount(set_attributes(CWD, Attributes::default(), false))?;
        let what = || "cannot find out what this host can do".to_owned();
        let euid = rustix::process::geteuid().as_raw();
        let capabilities = sys::capabilities::permitted_capabilities().context(what)?;
        let caller = caller(euid, capabilities);
        let id_mappers = match caller {
            Caller::User => ["newuidmap", "newgidmap"].map(find_program),
            Caller::Root | Caller::NamespaceRoot => [None, None],
        };
        let cgroup = cgroup::detect()?;
        let delegated_cgroup = if caller == Caller::Root { None } else { cgroup::delegated(&cgroup) };
        Ok(Self {
            euid,
            egid: rustix::process::getegid().as_raw(),
            caller,
            may_mount,
            id_mappers,
            capabilities,
            landlock_abi: sys::process::landlock_abi(),
            cgroup,
            delegated_cgroup,
            apparmor: Path::new("/sys/kernel/security/apparmor").exists(),
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            memfd_noexec: memfd_noexec(),
            mdwe: sys::process::mdwe().is_ok(),
            unmappable: None,
            seccomp_wait_killable: sys::seccomp::knows_flags(FLAG_WAIT_KILLABLE_RECV),
        })
    }
}

/// The number that the kernel gives the first user namespace (`PROC_USER_INIT_INO`, Linux 3.8).
const FIRST_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

fn caller(euid: u32, capabilities: u64) -> Caller {
    const SYS_ADMIN: u64 = 1 << 21;
    if euid != 0 || capabilities & SYS_ADMIN == 0 {
        return Caller::User;
    }
    if in_first_user_namespace() { Caller::Root } else { Caller::NamespaceRoot }
}

/// Whether the ids of this process are the host's. Without `/proc`, of which nothing else would work either, they
/// are taken for that.
fn in_first_user_namespace() -> bool {
    rustix::fs::stat("/proc/self/ns/user").map_or(true, |namespace| namespace.st_ino == FIRST_USER_NAMESPACE)
}

/// Whether the caller is root, and its ids the host's.
pub fn is_host_root() -> bool {
    rustix::process::geteuid().is_root() && in_first_user_namespace()
}

/// On the PATH, or where distributions have it.
fn find_program(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs = std::env::split_paths(&path).chain(["/usr/bin".into()]);
    let file =
        dirs.find_map(|dir| Some(dir.join(name)).filter(|file| dir.is_absolute() && file.is_file()))?;
    file.to_str().map(str::to_owned)
}

/// A kernel without it has no file for it.
fn memfd_noexec() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/vm/memfd_noexec").ok()?.trim().parse().ok()
}

/// The kinds of namespaces that this kernel was built with.
pub fn namespaces() -> Vec<NamespaceKind> {
    let has = |kind: &NamespaceKind| Path::new("/proc/self/ns").join(kind.file()).exists();
    NamespaceKind::ALL.into_iter().filter(has).collect()
}

/// The youngest call without which there is no container is `mount_setattr(2)` (Linux 5.12). It is tried with
/// nothing to do, which whoever may mount succeeds in; any other answer comes from a kernel that has the call too.
fn probe_mount(tried: Result<(), sys::CallError>) -> Result<bool> {
    match tried {
        Err(error) if error.errno == Errno::NOSYS => {
            let uname = rustix::system::uname();
            let why = format!("Linux {} has no mount_setattr(2)", uname.release().to_string_lossy());
            Err(Error::new(Kind::Unsupported, "this kernel is too old", why).fix(
                "sandrun needs Linux 5.14 or newer; where the kernel is, it runs under a seccomp profile that \
                 hides the call",
            ))
        }
        tried => Ok(tried.is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_is_named_with_the_one_that_is_needed() {
        let answer = |errno| probe_mount(Err(sys::CallError { call: String::new(), errno }));
        let error = answer(Errno::NOSYS).unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
        assert!(error.to_string().contains("needs Linux 5.14"), "{error}");
        assert_eq!(answer(Errno::PERM), Ok(false), "an ordinary user may not mount, but the kernel can");
    }
}
