//! The container's cgroup: made, filled in, joined, frozen, killed and removed.
//!
//! The only folder that touches cgroupfs. What is written comes from [`crate::plan::cgroup`]; here it is
//! carried out on v1, v2 and hybrid hosts alike, every file through a descriptor of the cgroup's directory.
//!
//! ```text
//! detect ─► create ─► restrict ─► apply ─► (clone into, or join) ─► verify
//!                                 update · freeze · thaw · signal · kill_all ─► delete
//! ```
//!
//! [`systemd`] makes the cgroup first where that is asked for.
//!
//! Nobody writes a process id to `cgroup.procs` here: that waits 5 to 10 ms for an RCU grace period. A child
//! is born inside ([`Dirs::unified`] for `CLONE_INTO_CGROUP`, Linux 5.7) or moves itself ([`join`]).

mod beneath;
mod compare;
mod create;
mod devices;
mod dirs;
mod files;
mod freezer;
mod host;
mod oom;
mod overhead;
mod processes;
mod remove;
mod settings;
pub mod stats;
pub mod systemd;
mod update;

pub use create::create;
pub use devices::{Restricted, restrict};
pub use dirs::{Dirs, join, place};
pub use freezer::{freeze, frozen, thaw};
pub use host::{delegated, detect};
pub use oom::{OomWatch, oom_kills};
pub use overhead::{enter, leave, remove_leaf};
pub use processes::{kill_all, pids, signal};
pub use remove::{delete, delete_empty};
pub use settings::{Outcome, apply, verify};
pub use update::{restore, update};

use crate::error::{Error, Kind};
use crate::sys::CallError;
use rustix::io::Errno;

/// A failed call on a cgroup, with what to do where the caller may not touch it.
fn failure(what: String, error: &CallError) -> Error {
    match error.errno {
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Error::new(Kind::Unsupported, what, error.to_string())
            .fix("run as root, or in a cgroup delegated to this user with its path in linux.cgroupsPath"),
        Errno::NOENT => Error::new(Kind::NotFound, what, error.to_string()),
        _ => Error::new(Kind::Failed, what, error.to_string()),
    }
}

#[cfg(test)]
mod tests;
