//! Code in memory: none that was written there, neither in pages of the process nor in files without a name.

use serde::{Deserialize, Serialize};

use crate::host::Caller;
use crate::level::Level;
use crate::plan::namespaces::{NamespaceKind, Namespaces};
use crate::plan::{Input, Notes};

/// The value of `vm.memfd_noexec` that makes `memfd_create(2)` refuse files that can be executed (Linux 6.3).
pub const ENFORCED: u8 = 2;

/// Who sees to it that the container's pid namespace has [`ENFORCED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemfdNoexec {
    /// The runtime, in a new namespace.
    Set,
    /// Whoever made the namespace, or the host, below whose value none can be.
    Inherited,
}

/// No file without a name (`memfd_create(2)`) that can be executed.
pub(in crate::plan) fn files(input: &Input<'_>, namespaces: &mut Namespaces, notes: &mut Notes) {
    if input.level < Level::Strict {
        return;
    }
    let pid = NamespaceKind::Pid;
    namespaces.memfd_noexec = match input.host.memfd_noexec {
        Some(ENFORCED..) => Some(MemfdNoexec::Inherited),
        Some(_) if namespaces.is_joined(pid) => Some(MemfdNoexec::Inherited),
        Some(_) if namespaces.is_new(pid) && input.host.caller == Caller::Root => Some(MemfdNoexec::Set),
        _ => None,
    };
    let why = match input.host.memfd_noexec {
        None => "vm.memfd_noexec: Linux 6.3",
        Some(_) if namespaces.is_new(pid) => {
            "vm.memfd_noexec, which only root of the host may set; set it to 2 for the host"
        }
        Some(_) => {
            "vm.memfd_noexec, which belongs to the host's pid namespace; give the container one of its own"
        }
    };
    if namespaces.memfd_noexec.is_none() {
        notes.absent("memfd", why);
    }
}

/// Whether pages never become executable, and never are while they can be written (`PR_SET_MDWE`, Linux 6.3).
pub(in crate::plan) fn pages(input: &Input<'_>, notes: &mut Notes) -> bool {
    let wanted = input.level == Level::Strict;
    if wanted && !input.host.mdwe {
        notes.absent("mdwe", "memory-deny-write-execute: Linux 6.3");
    }
    wanted && input.host.mdwe
}
