//! What will be true of the container's cgroup: its path, every file that is written with its value, and the
//! devices that may be opened.
//!
//! This folder alone knows `linux.resources`. The result is a list of file writes that `explain` prints and
//! the receipt compares with what the kernel says; `crate::cgroup` carries it out and knows no OCI type.
//! cgroup v1, v2 and the mixture of both differ only in which list comes out.

mod cpu;
mod device_program;
mod devices;
mod draft;
mod io;
mod layout;
mod memory;
mod other;
mod path;
mod systemd;
mod update;

use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use crate::error::Error;
pub use device_program::compile as device_program;
pub use devices::{Access, DeviceGate, DeviceKind, DeviceNode, DeviceRule, Devices};
use draft::Draft;
pub use layout::{Hierarchy, Layout, Unified, Version};
use other::Pids;
pub use path::{above, allowed, default_path};
pub use systemd::{Manager, Property, Scope, Unit, Value, limits as unit_properties};
pub use update::Update;

/// What the caller asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// The container's id; names the cgroup where `path` is absent.
    pub id: &'a str,
    /// `linux.cgroupsPath`. With a leading slash it starts at the root of each hierarchy; without, there too, or
    /// in `delegated`.
    pub path: Option<&'a str>,
    /// The cgroup beneath which the caller may make others, if that is not the root.
    pub delegated: Option<&'a str>,
    /// The systemd that makes the cgroup; else it is made directly.
    pub manager: Option<&'a Manager>,
    /// `linux.resources`.
    pub resources: Option<&'a LinuxResources>,
    /// `linux.resources.pids.limit` as it is written in the file, because the parsed type cannot tell an
    /// absent limit from 0. `None` also where 0 meant "not set" (runtime-spec before 1.3).
    pub pids_limit: Option<i64>,
    /// The process limit of a container that names none; `None` leaves it without.
    pub default_pids_limit: Option<i64>,
    /// The nodes of `linux.devices`: the container's init must be able to make them.
    pub nodes: &'a [DeviceNode],
}

/// The cgroup of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cgroup {
    /// From the root of each hierarchy, with a leading slash: `/sandrun-web`. Empty for a container without.
    pub path: String,
    /// The unit that systemd makes for it; absent where it is made directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The limits: the files to write, in order. Those of the devices are apart, because an update of a
    /// running container changes limits only.
    pub settings: Vec<Setting>,
    /// Which devices may be opened, and what sees to it.
    pub devices: Devices,
    /// What was asked for and has no effect on this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Ignored>,
}

/// One write to one file of the cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// Whose hierarchy holds the file: `memory`; `cgroup` for the files every v2 cgroup has.
    pub controller: String,
    /// `memory.max`
    pub file: String,
    /// What is written.
    pub value: String,
    /// The field of `config.json` that asks for it; absent for a default of sandrun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What happens where the kernel lacks the file; absent: an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
    /// A counter in the same directory that must not exceed the value when it is written
    /// (`linux.resources.memory.checkBeforeUpdate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_below: Option<String>,
}

/// The answer to a file that this kernel does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Otherwise {
    /// The value says what is true without the file.
    Skip,
    /// The same wish in the words of another file.
    Write {
        /// The other file.
        file: String,
        /// What is written there.
        value: String,
    },
}

/// A field that was read and has no effect here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// The field of `config.json`.
    pub at: String,
    /// Why it has none.
    pub why: String,
}

/// Decides the cgroup of one container.
///
/// # Errors
/// Everything that stands in the way, at once: a path that leaves the hierarchy, values no kernel takes, and
/// limits for which `layout` has no controller. A controller nobody asked for is never missed.
pub fn resolve(request: &Request<'_>, layout: &Layout) -> Result<Cgroup, Vec<Error>> {
    let mut draft = Draft::new(layout);
    let place = match request.manager {
        None => path::resolve(request).map(|path| (path, None)),
        Some(manager) => systemd::place(request.id, request.path, manager, layout)
            .map(|place| (place.path.clone(), Some(place))),
    };
    let (path, place) = place.unwrap_or_else(|error| {
        draft.errors.push(error);
        (String::new(), None)
    });
    let default = Pids { limit: request.pids_limit, default: request.default_pids_limit };
    limits(request.resources, default, &mut draft);
    let rules = request.resources.and_then(|all| all.devices().as_deref()).unwrap_or_default();
    let devices = devices::plan(rules, request.nodes, &mut draft);
    if draft.errors.is_empty() {
        let scope = place.map(|place| systemd::scope(place, request.id, &draft.settings, &devices, layout));
        Ok(Cgroup { path, scope, settings: draft.settings, devices, ignored: draft.ignored })
    } else {
        Err(draft.errors)
    }
}

/// Everything of `linux.resources` but the devices.
fn limits(resources: Option<&LinuxResources>, pids: Pids, draft: &mut Draft<'_>) {
    if let Some(memory) = resources.and_then(|all| all.memory().as_ref()) {
        memory::plan(memory, draft);
    }
    if let Some(cpu) = resources.and_then(|all| all.cpu().as_ref()) {
        cpu::plan(cpu, draft);
    }
    other::pids(pids, draft);
    if let Some(io) = resources.and_then(|all| all.block_io().as_ref()) {
        io::plan(io, draft);
    }
    if let Some(limits) = resources.and_then(|all| all.hugepage_limits().as_ref()) {
        other::hugepages(limits, draft);
    }
    if let Some(network) = resources.and_then(|all| all.network().as_ref()) {
        other::network(network, draft);
    }
    if let Some(limits) = resources.and_then(|all| all.rdma().as_ref()) {
        other::rdma(limits, draft);
    }
    // Last, because a file named here wins over the field that would write it.
    if let Some(files) = resources.and_then(|all| all.unified().as_ref()) {
        other::unified(files, draft);
    }
}

#[cfg(test)]
mod tests;
