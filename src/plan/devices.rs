//! Device nodes (OCI config-linux, "Devices" and "Default Devices"; `mknod(2)`).

use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use serde::{Deserialize, Serialize};

use super::namespaces::Namespaces;
use super::{Input, Notes, cgroup};
use crate::error::{Error, Kind};
use crate::host::Caller;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
}

/// One node to be made in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Absolute path in the container.
    pub path: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The host's node is bound: in a user namespace nobody can make one that works (`mknod(2)`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub bound: bool,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Device {
    /// The node as the device rules of a cgroup name it; a pipe is no device.
    pub(super) fn as_cgroup_node(&self) -> Option<cgroup::DeviceNode> {
        let kind = match self.kind {
            DeviceKind::Char => cgroup::DeviceKind::Char,
            DeviceKind::Block => cgroup::DeviceKind::Block,
            DeviceKind::Fifo => return None,
        };
        Some(cgroup::DeviceNode { kind, major: self.major, minor: self.minor })
    }
}

/// Nodes every container has (OCI config-linux, "Default Devices"); `/dev/console` and `/dev/ptmx` are made
/// with the terminal.
pub const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

pub(super) fn resolve(input: &Input<'_>, namespaces: &Namespaces, notes: &mut Notes) -> Vec<Device> {
    let binds = namespaces.has_user() || input.host.caller != Caller::Root;
    let own = input.config.linux().as_ref().and_then(|linux| linux.devices().as_ref());
    let mut devices: Vec<Device> =
        DEFAULT.iter().map(|&(path, major, minor)| default(path, major, minor)).collect();
    for (i, device) in own.into_iter().flatten().enumerate() {
        let at = format!("linux.devices[{i}]");
        match one(device, &at) {
            Ok(node) => {
                let asked = device.file_mode().is_some() || device.uid().is_some() || device.gid().is_some();
                if asked && binds && node.kind != DeviceKind::Fifo {
                    notes.change(&at, "mode and owner stay those of the host's node, which is bound");
                }
                devices.retain(|other| other.path != node.path);
                devices.push(node);
            }
            Err(error) => notes.refusals.push(error),
        }
    }
    if binds {
        bind(&mut devices);
    }
    devices
}

fn bind(devices: &mut [Device]) {
    for device in devices.iter_mut().filter(|device| device.kind != DeviceKind::Fifo) {
        device.bound = true;
    }
}

fn default(path: &str, major: u32, minor: u32) -> Device {
    Device {
        path: path.to_owned(),
        kind: DeviceKind::Char,
        major,
        minor,
        mode: 0o666,
        uid: 0,
        gid: 0,
        bound: false,
    }
}

fn one(device: &LinuxDevice, at: &str) -> Result<Device, Error> {
    let invalid = |field: &str, what: String| Error::new(Kind::Invalid, what, "").at(format!("{at}.{field}"));
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => DeviceKind::Char,
        LinuxDeviceType::B => DeviceKind::Block,
        LinuxDeviceType::P => DeviceKind::Fifo,
        LinuxDeviceType::A => {
            return Err(
                invalid("type", "a device node cannot be of type a".to_owned()).fix("use c, b, u or p")
            );
        }
    };
    let number = |field: &str, value: i64| {
        u32::try_from(value).map_err(|_| invalid(field, format!("{value} is not a device number")))
    };
    let (major, minor) = match kind {
        DeviceKind::Fifo => (0, 0),
        _ => (number("major", device.major())?, number("minor", device.minor())?),
    };
    Ok(Device {
        path: path(device.path()).map_err(|why| invalid("path", why))?,
        kind,
        major,
        minor,
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
        bound: false,
    })
}

fn path(path: &Path) -> Result<String, String> {
    let plain = path.is_absolute()
        && path.file_name().is_some()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    match path.to_str() {
        // Without what says nothing, such as a slash at the end: the last name is that of the node.
        Some(text) if plain && !text.contains('\0') => {
            Ok(path.components().collect::<PathBuf>().to_string_lossy().into_owned())
        }
        _ => Err(format!("device path {path:?} is not absolute and plain")),
    }
}
