//! The root filesystem (OCI config, "Root"; config-linux, "Rootfs Mount Propagation").

use serde::{Deserialize, Serialize};

use super::stack::{self, Stacked};
use super::{Propagation, options};
use crate::error::{Error, Kind};
use crate::plan::Input;
use crate::plan::write_xor_execute::WriteXorExecute;

/// The root filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rootfs {
    /// Absolute path on the host.
    pub path: String,
    /// What is mounted there first, in order; nothing where somebody else has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Stacked>,
    /// Mounted read-only once everything is in place.
    pub readonly: bool,
    /// `MOUNT_ATTR_*` set on it and everything mounted below it, before the mounts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub set_recursive: u64,
    /// How it is parted where what is written is not executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_xor_execute: Option<WriteXorExecute>,
    /// Its owners are those of the container's user namespace, on the host who they were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idmap: bool,
    /// Propagation of the container's root mount.
    pub propagation: Propagation,
    /// Whether the propagation reaches the mounts below the root.
    pub recursive: bool,
    /// Change the root with `pivot_root(2)`; else by moving the mount and `chroot(2)`.
    pub pivot: bool,
    /// The mount namespace is the caller's: nothing is mounted, and the root is changed with `chroot(2)` alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_place: bool,
}

fn is_zero(attributes: &u64) -> bool {
    *attributes == 0
}

impl Default for Rootfs {
    fn default() -> Self {
        Self {
            path: String::new(),
            stack: Vec::new(),
            readonly: false,
            set_recursive: 0,
            write_xor_execute: None,
            idmap: false,
            propagation: Propagation::Slave,
            recursive: true,
            pivot: true,
            in_place: false,
        }
    }
}

pub(in crate::plan) fn rootfs(input: &Input<'_>) -> Result<Rootfs, Vec<Error>> {
    let root = input.config.root().as_ref().filter(|root| !root.path().as_os_str().is_empty());
    let Some(root) = root else {
        return Err(vec![
            Error::new(Kind::Invalid, "no root filesystem is given", "")
                .at("root.path")
                .fix("set it to the directory of the root filesystem, relative to the bundle"),
        ]);
    };
    let linux = input.config.linux().as_ref();
    let (propagation, recursive) = match linux.and_then(|linux| linux.rootfs_propagation().as_deref()) {
        None | Some("") => (Propagation::Slave, true),
        Some(text) => options::propagation(text).ok_or_else(|| {
            vec![
                Error::new(Kind::Invalid, format!("unknown propagation {text:?}"), "")
                    .at("linux.rootfsPropagation")
                    .fix("use shared, slave, private or unbindable, or one of them with an r in front"),
            ]
        })?,
    };
    Ok(Rootfs {
        path: input.bundle.join(root.path()).to_string_lossy().into_owned(),
        stack: stack::resolve(input)?,
        readonly: root.readonly().unwrap_or(false) || input.options.sealed_root,
        set_recursive: if input.options.sealed_root { options::SEALED } else { 0 },
        write_xor_execute: None,
        idmap: false,
        propagation,
        recursive,
        pivot: !input.options.no_pivot,
        in_place: false,
    })
}
