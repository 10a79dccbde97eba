//! The scope that systemd makes for a container (`--systemd-cgroup`): its name, its slice, its properties.
//!
//! systemd writes files of a unit's cgroup itself, and again whenever it is reloaded. So it is told the limits:
//! each setting that it has a property for becomes one (systemd.resource-control(5), systemd 244 or later). All
//! settings are written by us too, after it: only that has every file, and exact values.

use serde::{Deserialize, Serialize};

use super::devices::{DeviceKind, DeviceRule, Devices, exceptions};
use super::{Layout, Otherwise, Setting, Version};
use crate::error::{Error, Kind};

const AT: &str = "linux.cgroupsPath";
const FORM: &str = "give it the form slice:prefix:name, such as system.slice:sandrun:web";
const PREFIX: &str = "sandrun";
/// What a unit's name may have (systemd.unit(5)); a directory's, too.
const LONGEST_NAME: usize = 255;
/// "No limit" in a property (`CGROUP_LIMIT_MAX`, `USEC_INFINITY`).
const INFINITY: u64 = u64::MAX;
const TASKS: &str = "TasksMax";

/// The systemd that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// Whether it is the one of the calling user; else the system's.
    pub user: bool,
    /// The cgroup that it manages, from the root of the hierarchy: empty for all of it, for a user's
    /// `/user.slice/user-1000.slice/user@1000.service`.
    pub cgroup: String,
}

/// A unit of systemd: all that is needed to find it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// `sandrun-web.scope`
    pub name: String,
    /// Whether the calling user's systemd has it; else the system's.
    pub user: bool,
}

impl Unit {
    /// Whether it is of the kind that containers have: what else a file names is not theirs to end.
    pub fn is_scope(&self) -> bool {
        self.name.ends_with(".scope")
    }
}

/// The transient unit of one container (systemd.scope(5)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Its name.
    pub unit: Unit,
    /// What it is made with, beside its first process.
    pub properties: Vec<Property>,
}

/// One property of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// As D-Bus has it: `CPUQuotaPerSecUSec`.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// The types of properties that are set here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// `b`
    Flag(bool),
    /// `t`: bytes, µs, a weight, a count; the greatest is "no limit".
    Number(u64),
    /// `s`
    Text(String),
    /// `ay`: a set of CPUs or memory nodes, one bit for each, the lowest first.
    Set(Vec<u8>),
    /// `a(ss)`: devices, each with its accesses.
    Devices(Vec<(String, String)>),
}

/// Where the scope of a container is.
pub(super) struct Place {
    pub unit: Unit,
    pub slice: String,
    /// Of its cgroup, from the root of the hierarchy.
    pub path: String,
}

/// The place that `linux.cgroupsPath` names: `slice:prefix:name`, each with a default.
pub(super) fn place(
    id: &str,
    path: Option<&str>,
    manager: &Manager,
    layout: &Layout,
) -> Result<Place, Error> {
    let path = path.unwrap_or_default();
    if manager.user && layout.version() == Version::V1 {
        let why = "cgroup v1 cannot be handed to an ordinary user";
        return Err(Error::new(Kind::Unsupported, "cannot use the user's systemd for the cgroup", why)
            .fix("leave --systemd-cgroup out, or boot the host with cgroup v2"));
    }
    let invalid = |why: String| {
        Error::new(Kind::Invalid, format!("cannot use the cgroup path {path:?} with systemd"), why)
            .at(AT)
            .fix(FORM)
    };
    let (slice, prefix, name) = match *path.split(':').collect::<Vec<_>>() {
        [""] => ("", PREFIX, id),
        [slice, prefix, name] => (slice, prefix, name),
        _ => return Err(invalid("it has not the form slice:prefix:name".to_owned())),
    };
    let slice = match (slice, manager.user) {
        ("", true) => "user.slice",
        ("", false) => "system.slice",
        (slice, _) => slice,
    };
    let slices = expand(slice).ok_or_else(|| invalid(format!("{slice:?} is no name of a slice")))?;
    let name = match (prefix, name) {
        (_, "") => return Err(invalid("it has no name".to_owned())),
        ("", name) => format!("{name}.scope"),
        (prefix, name) => format!("{prefix}-{name}.scope"),
    };
    if !is_unit_name(&name) {
        return Err(invalid(format!("{name:?} is no name of a unit")));
    }
    let path = format!("{}{slices}/{name}", manager.cgroup);
    Ok(Place { unit: Unit { name, user: manager.user }, slice: slice.to_owned(), path })
}

/// The cgroup of a slice: each dash is one level, `a-b.slice` is at `/a.slice/a-b.slice` (systemd.slice(5)).
pub(super) fn expand(slice: &str) -> Option<String> {
    let stem = slice.strip_suffix(".slice").filter(|_| is_unit_name(slice))?;
    if stem == "-" {
        return Some(String::new());
    }
    let mut path = String::new();
    let mut above = String::new();
    for part in stem.split('-') {
        if part.is_empty() {
            return None;
        }
        above = if above.is_empty() { part.to_owned() } else { format!("{above}-{part}") };
        path = format!("{path}/{above}.slice");
    }
    Some(path)
}

fn is_unit_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    name.len() <= LONGEST_NAME && name.bytes().all(plain)
}

/// The scope with all of its properties.
pub(super) fn scope(
    place: Place,
    id: &str,
    settings: &[Setting],
    devices: &Devices,
    layout: &Layout,
) -> Scope {
    let version = layout.version();
    let io = match version {
        Version::V1 => "BlockIOAccounting",
        Version::V2 => "IOAccounting",
    };
    let flag = |name: &str, value| Property { name: name.to_owned(), value: Value::Flag(value) };
    let mut properties = vec![
        Property::text("Description", format!("sandrun container {id}")),
        Property::text("Slice", place.slice),
        // The cgroups beneath are the container's.
        flag("Delegate", true),
        // It ends when its processes do, not when the host's services do.
        flag("DefaultDependencies", false),
        // Nobody has to reset it when it failed.
        Property::text("CollectMode", "inactive-or-failed"),
        flag("CPUAccounting", true),
        flag(io, true),
        flag("MemoryAccounting", true),
        flag("TasksAccounting", true),
    ];
    properties.extend(limits(settings, version));
    if !properties.iter().any(|property| property.name == TASKS) {
        // Else it would be the host's default for services.
        properties.push(Property { name: TASKS.to_owned(), value: Value::Number(INFINITY) });
    }
    properties.extend(device_list(devices));
    Scope { unit: place.unit, properties }
}

/// The properties that say the same as settings; those of an update, too.
pub fn limits(settings: &[Setting], version: Version) -> Vec<Property> {
    let mut properties: Vec<Property> = settings.iter().filter_map(|it| limit(it, version)).collect();
    properties.extend(match version {
        Version::V1 => {
            let find = |file| settings.iter().find(|setting| setting.file == file).map(|it| &*it.value);
            quota(find("cpu.cfs_quota_us"), find("cpu.cfs_period_us"))
        }
        Version::V2 => match settings.iter().find(|setting| setting.file == "cpu.max") {
            Some(setting) => {
                let mut words = setting.value.split_whitespace();
                quota(words.next(), words.next())
            }
            None => Vec::new(),
        },
    });
    properties
}

fn limit(setting: &Setting, version: Version) -> Option<Property> {
    let value = &*setting.value;
    match (version, &*setting.file) {
        (Version::V2, "memory.max") => number("MemoryMax", value),
        (Version::V2, "memory.high") => number("MemoryHigh", value),
        (Version::V2, "memory.low") => number("MemoryLow", value),
        (Version::V2, "memory.min") => number("MemoryMin", value),
        (Version::V2, "memory.swap.max") => number("MemorySwapMax", value),
        (Version::V2, "cpu.weight") => number("CPUWeight", value),
        (Version::V2, "cpuset.cpus") => set("AllowedCPUs", value),
        (Version::V2, "cpuset.mems") => set("AllowedMemoryNodes", value),
        (Version::V2, "io.weight") => number("IOWeight", value.strip_prefix("default ").unwrap_or(value)),
        // systemd converts in the other direction, from `io.weight` to what BFQ takes.
        (Version::V2, "io.bfq.weight") => match &setting.otherwise {
            Some(Otherwise::Write { value, .. }) => number("IOWeight", value),
            _ => None,
        },
        (Version::V1, "memory.limit_in_bytes") => number("MemoryLimit", value),
        (Version::V1, "cpu.shares") => number("CPUShares", value),
        (Version::V1, "blkio.weight") => number("BlockIOWeight", value),
        (_, "pids.max") => number(TASKS, value),
        _ => None,
    }
}

/// What is no number (a weight of one device) has no property.
fn number(name: &str, text: &str) -> Option<Property> {
    let value = match text {
        "max" | "-1" => INFINITY,
        text => text.parse().ok()?,
    };
    Some(Property { name: name.to_owned(), value: Value::Number(value) })
}

/// `0-2,5` as bits.
fn set(name: &str, list: &str) -> Option<Property> {
    const HIGHEST: usize = 8191;
    let mut bits: Vec<u8> = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last > HIGHEST {
            return None;
        }
        for bit in first..=last {
            if bits.len() <= bit / 8 {
                bits.resize(bit / 8 + 1, 0);
            }
            *bits.get_mut(bit / 8)? |= 1 << (bit % 8);
        }
    }
    Some(Property { name: name.to_owned(), value: Value::Set(bits) })
}

/// systemd counts in whole percents of a CPU: the next greater one, so that ours, written after it, fits in.
fn quota(quota: Option<&str>, period: Option<&str>) -> Vec<Property> {
    const DEFAULT_PERIOD: u64 = 100_000;
    const PERCENT: u64 = 10_000;
    let period = period.and_then(|text| text.parse::<u64>().ok()).filter(|period| *period != 0);
    let each_second = quota.and_then(|text| match text.parse::<u64>() {
        Ok(quota) => {
            let exact = quota.saturating_mul(1_000_000) / period.unwrap_or(DEFAULT_PERIOD);
            Some(exact.div_ceil(PERCENT).saturating_mul(PERCENT))
        }
        Err(_) => matches!(text, "max" | "-1").then_some(INFINITY),
    });
    let property = |name: &str, value: u64| Property { name: name.to_owned(), value: Value::Number(value) };
    let quota = each_second.map(|value| property("CPUQuotaPerSecUSec", value));
    quota.into_iter().chain(period.map(|value| property("CPUQuotaPeriodUSec", value))).collect()
}

/// The device rules, where systemd can say them: a list of what is allowed. What it would allow on top does no
/// harm, as our own gate holds; what it would refuse on top would.
fn device_list(devices: &Devices) -> Vec<Property> {
    let mut inexpressible = Vec::new();
    let (open, allowed) = exceptions(&devices.rules, &mut inexpressible);
    let list: Option<Vec<(String, String)>> = allowed.iter().map(device).collect();
    match list {
        Some(list) if !open && inexpressible.is_empty() => vec![
            Property::text("DevicePolicy", "strict"),
            Property { name: "DeviceAllow".to_owned(), value: Value::Devices(list) },
        ],
        _ => vec![Property::text("DevicePolicy", "auto")],
    }
}

fn device(rule: &DeviceRule) -> Option<(String, String)> {
    let kind = match rule.kind {
        DeviceKind::Block => "block",
        DeviceKind::Char => "char",
        DeviceKind::All => return None,
    };
    let path = match (rule.major, rule.minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        (None, None) => format!("{kind}-*"),
        (None, Some(_)) => return None,
    };
    Some((path, rule.access.into()))
}

impl Property {
    fn text(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: Value::Text(value.into()) }
    }
}

#[cfg(test)]
mod tests;
