//! Keeping a cgroup from devices: by the list of v1, or by a program on v2.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::dirs::Dirs;
use super::{apply, failure};
use crate::error::{Error, Kind, Result};
use crate::plan::cgroup::{DeviceGate, Devices, device_program};
use crate::sys::{CallError, bpf};

/// What became of the device rules: a line of the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Restricted {
    /// By the v1 list, which `verify` reads back.
    List,
    /// By a program that is attached.
    Program,
    /// Not at all, for this reason: the host has nothing for it, or an unprivileged caller may not use it.
    Not(String),
}

/// Writes the device list of a plan or attaches its program, before the first process is in the cgroup. Not
/// for one that is running: its list would be empty for a moment, a second program would only add refusals.
///
/// # Errors
/// Those of [`apply`] for the list. `Failed` if the kernel refuses the program for another reason than
/// permission, which is an outcome and no error: the caller decides what its level demands.
pub fn restrict(dirs: &Dirs, devices: &Devices) -> Result<Restricted> {
    match devices.gate {
        DeviceGate::List => return apply(dirs, &devices.list).map(|()| Restricted::List),
        DeviceGate::None => return Ok(Restricted::Not("this host has no devices controller".to_owned())),
        DeviceGate::Program => {}
    }
    let what = format!("cannot restrict the devices of the cgroup {}", dirs.path);
    let Some(dir) = dirs.unified() else {
        return Err(Error::new(Kind::NotFound, what, "it has no cgroup v2 directory"));
    };
    let attach = || -> Result<(), CallError> {
        let program = bpf::load_device_program(&device_program(&devices.rules))?;
        bpf::attach_device_program(program, dir)
    };
    match attach() {
        Ok(()) => Ok(Restricted::Program),
        Err(error) if matches!(error.errno, Errno::PERM | Errno::NOSYS) => {
            Ok(Restricted::Not(error.to_string()))
        }
        Err(error) => Err(failure(what, &error)),
    }
}
