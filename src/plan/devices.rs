//! Device nodes (OCI config-linux, "Devices" and "Default Devices"; `mknod(2)`).

use std::path::{Component, Path};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Spec};
use serde::{Deserialize, Serialize};

use super::cgroup;
use crate::error::{Error, Kind};

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

pub(super) fn resolve(config: &Spec) -> Result<Vec<Device>, Vec<Error>> {
    let own = config.linux().as_ref().and_then(|linux| linux.devices().as_ref());
    let mut devices: Vec<Device> =
        DEFAULT.iter().map(|&(path, major, minor)| default(path, major, minor)).collect();
    let mut refusals = Vec::new();
    for (i, device) in own.into_iter().flatten().enumerate() {
        match one(device, &format!("linux.devices[{i}]")) {
            Ok(device) => {
                devices.retain(|other| other.path != device.path);
                devices.push(device);
            }
            Err(error) => refusals.push(error),
        }
    }
    if refusals.is_empty() { Ok(devices) } else { Err(refusals) }
}

fn default(path: &str, major: u32, minor: u32) -> Device {
    Device { path: path.to_owned(), kind: DeviceKind::Char, major, minor, mode: 0o666, uid: 0, gid: 0 }
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
    })
}

fn path(path: &Path) -> Result<String, String> {
    let plain = path.is_absolute()
        && path.file_name().is_some()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    match path.to_str() {
        Some(text) if plain && !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(format!("device path {path:?} is not absolute and plain")),
    }
}
