//! What is written is not executed, and what is executed is not written (`strict`).
//!
//! Every mount is read-only or `noexec`. So is the root filesystem, in parts: the directories of programs stay
//! executable and become read-only, as the root itself does; every other top-level directory holds data, and is
//! bound over itself writable and `noexec`. Which those are only init knows, for the image has the names.

mod landlock;
pub mod memory;
mod mounts;
mod programs;

use serde::{Deserialize, Serialize};

pub(super) use self::landlock::grant;
pub use self::programs::{EXECUTABLE, WRITABLE};
use super::devices::Device;
use super::mounts::{Mount, Rootfs};
use super::{Input, Notes};
use crate::level::Level;

/// How a root filesystem is parted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WriteXorExecute {
    /// Whether there are data directories; none in a root filesystem that `config.json` wants read-only.
    pub has_data: bool,
    /// Top-level directories of programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// Those that are neither: mount points, and where the kernel's own files are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neither: Vec<String>,
    /// What stays executable in data directories, and becomes read-only; it need not be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executable: Vec<String>,
    /// What stays writable in directories of programs, and becomes `noexec`; made where it is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writable: Vec<String>,
}

pub(super) fn resolve(
    input: &Input<'_>,
    devices: &[Device],
    rootfs: &mut Rootfs,
    mounts: &mut [Mount],
    notes: &mut Notes,
) {
    if input.level < Level::Strict {
        programs::note_moot(input, notes);
        return;
    }
    mounts::part(mounts, devices, notes);
    rootfs.set_recursive |= mounts::harmless("/", mounts, devices);
    let mut parts = WriteXorExecute::default();
    let covered = mounts.iter().any(|mount| mount.destination == "/" && !mount.is_remount());
    if rootfs.readonly || covered {
        programs::refuse_writable(input, notes);
    } else {
        parts = programs::part(input, mounts, notes);
        let programs = parts.programs.join(", ");
        let what = format!("read-only but for data directories, which are noexec, and all but {programs}");
        notes.change("root.readonly", what);
    }
    rootfs.readonly = true;
    rootfs.write_xor_execute = Some(parts);
}

impl WriteXorExecute {
    /// Top-level directories that are no data directories.
    pub fn not_data(&self) -> Vec<String> {
        self.programs.iter().chain(&self.neither).cloned().collect()
    }
}

impl Rootfs {
    /// How its directories are parted, where there are data directories.
    pub fn parts(&self) -> Option<&WriteXorExecute> {
        self.write_xor_execute.as_ref().filter(|parts| parts.has_data)
    }
}
