//! `linux.resources.devices`: which devices may be opened and made.
//!
//! The last rule that speaks of a device decides, for reading, writing and making it separately. Everything
//! starts refused; the devices every container has follow the rules of the configuration, so that none of
//! them can take those away (runtime-spec, config-linux, "default devices").

use std::fmt;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use serde::{Deserialize, Serialize};

use super::{Draft, Setting};
use crate::error::{Error, Kind};

const AT: &str = "linux.resources.devices";

/// What the kernel packs into a device number (`MAJOR`, `MINOR` of kdev_t.h).
const MAJOR_MAX: i64 = 0xfff;
const MINOR_MAX: i64 = 0xf_ffff;

/// null, zero, full, random, urandom, tty, console, ptmx; and every pts.
const DEFAULTS: [(u32, Option<u32>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// The rules and who enforces them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Devices {
    /// What enforces them on this host.
    pub gate: DeviceGate,
    /// In order; what none of them allows is refused.
    pub rules: Vec<DeviceRule>,
    /// The same as writes to the v1 list; empty for another gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<Setting>,
}

/// What keeps a container from a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeviceGate {
    /// `devices.allow` and `devices.deny` of cgroup v1.
    List,
    /// A BPF program attached to the v2 cgroup (Linux 4.15).
    Program,
    /// Nothing: no cgroup, or v1 without a devices controller.
    #[default]
    None,
}

/// Kinds of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// Both.
    #[serde(rename = "a")]
    All,
    /// Block devices.
    #[serde(rename = "b")]
    Block,
    /// Character devices.
    #[serde(rename = "c")]
    Char,
}

/// A set of `r` (read), `w` (write) and `m` (make with mknod).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Access(u8);

/// One device, as `linux.devices` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceNode {
    /// Block or character device.
    pub kind: DeviceKind,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Whether it allows or refuses.
    pub allow: bool,
    /// Which kind.
    pub kind: DeviceKind,
    /// Major number; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<u32>,
    /// Minor number; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<u32>,
    /// What it speaks of.
    pub access: Access,
    /// The field of `config.json`; absent for a default device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// The rules of the configuration, the nodes init makes, the default devices; and for v1 the list.
pub(super) fn plan(given: &[LinuxDeviceCgroup], nodes: &[DeviceNode], draft: &mut Draft<'_>) -> Devices {
    let mut rules = Vec::new();
    for (i, rule) in given.iter().enumerate() {
        match parse(rule, &format!("{AT}[{i}]")) {
            Ok(rule) => rules.push(rule),
            Err(error) => draft.errors.push(error),
        }
    }
    rules.extend(nodes.iter().map(|node| DeviceRule {
        allow: true,
        kind: node.kind,
        major: Some(node.major),
        minor: Some(node.minor),
        access: Access::MKNOD,
        at: None,
    }));
    rules.extend(DEFAULTS.iter().map(|&(major, minor)| DeviceRule {
        allow: true,
        kind: DeviceKind::Char,
        major: Some(major),
        minor,
        access: Access::ALL,
        at: None,
    }));
    let mut writes = Vec::new();
    let gate = if draft.layout.version_of("devices").is_some() {
        writes = list(&rules, draft);
        DeviceGate::List
    } else if draft.layout.unified().is_some() {
        DeviceGate::Program
    } else {
        if !given.is_empty() {
            draft.set("devices", "devices.allow", "", AT);
        }
        DeviceGate::None
    };
    Devices { gate, rules, list: writes }
}

/// Whether the rules of a plan are these of a configuration, and the ones that sandrun adds.
pub(super) fn are_given_by(rules: &[DeviceRule], given: &[LinuxDeviceCgroup]) -> bool {
    let parsed: Result<Vec<_>, _> =
        given.iter().enumerate().map(|(i, rule)| parse(rule, &format!("{AT}[{i}]"))).collect();
    parsed.is_ok_and(|parsed| rules.iter().filter(|rule| rule.at.is_some()).eq(&parsed))
}

fn parse(rule: &LinuxDeviceCgroup, at: &str) -> Result<DeviceRule, Error> {
    let invalid = |field: &str, why: String| {
        Error::new(Kind::Invalid, "cannot use a device rule", why).at(format!("{at}{field}"))
    };
    let kind = match rule.typ().unwrap_or(LinuxDeviceType::A) {
        LinuxDeviceType::A => DeviceKind::All,
        LinuxDeviceType::B => DeviceKind::Block,
        LinuxDeviceType::C | LinuxDeviceType::U => DeviceKind::Char,
        LinuxDeviceType::P => return Err(invalid(".type", "a FIFO is no device".to_owned())),
    };
    let number = |field: &str, value: Option<i64>, max: i64| match value {
        // −1 is how older specifications wrote "all".
        None | Some(-1) => Ok(None),
        Some(value) if value <= max => {
            u32::try_from(value).map(Some).map_err(|_| invalid(field, format!("{value} is negative")))
        }
        Some(value) => Err(invalid(field, format!("{value} is above {max}"))),
    };
    let access = match rule.access().as_deref() {
        None | Some("") => Access::ALL,
        Some(letters) => Access::try_from(letters.to_owned()).map_err(|why| invalid(".access", why))?,
    };
    Ok(DeviceRule {
        allow: rule.allow(),
        kind,
        major: number(".major", rule.major(), MAJOR_MAX)?,
        minor: number(".minor", rule.minor(), MINOR_MAX)?,
        access,
        at: Some(at.to_owned()),
    })
}

/// The rules as v1 can say them: one default, then exceptions to it.
fn list(rules: &[DeviceRule], draft: &mut Draft<'_>) -> Vec<Setting> {
    let (default_allow, exceptions) = exceptions(rules, &mut draft.errors);
    let (first, then) = if default_allow { ("allow", "deny") } else { ("deny", "allow") };
    let mut writes = vec![Setting::new("devices", &format!("devices.{first}"), "a", AT)];
    writes.extend(exceptions.iter().map(|exception| Setting {
        at: exception.at.clone(),
        ..Setting::new("devices", &format!("devices.{then}"), exception, AT)
    }));
    writes
}

/// One default, whether everything is allowed, and the exceptions to it, none of which may cut a piece out of
/// another (the kernel would accept such a write and do nothing).
pub(super) fn exceptions(rules: &[DeviceRule], errors: &mut Vec<Error>) -> (bool, Vec<DeviceRule>) {
    let mut default_allow = false;
    let mut exceptions: Vec<DeviceRule> = Vec::new();
    for rule in rules.iter().flat_map(split) {
        if rule.is_everything() {
            default_allow = rule.allow;
            exceptions.clear();
        } else if rule.allow == default_allow {
            if let Err(error) = withdraw(&rule, &mut exceptions) {
                errors.push(error);
            }
        } else if let Some(same) = exceptions.iter_mut().find(|known| known.same_devices(&rule)) {
            same.access = same.access.and_also(rule.access);
        } else {
            exceptions.push(rule);
        }
    }
    (default_allow, exceptions)
}

/// v1 ignores the numbers of a rule for both kinds, so such a rule becomes two.
fn split(rule: &DeviceRule) -> Vec<DeviceRule> {
    if rule.kind != DeviceKind::All || rule.is_everything() {
        return vec![rule.clone()];
    }
    [DeviceKind::Block, DeviceKind::Char].map(|kind| DeviceRule { kind, ..rule.clone() }).to_vec()
}

/// Takes back what `rule` covers of the exceptions.
fn withdraw(rule: &DeviceRule, exceptions: &mut Vec<DeviceRule>) -> Result<(), Error> {
    for exception in exceptions.iter_mut() {
        if !rule.meets(exception) || !rule.access.meets(exception.access) {
            continue;
        }
        if !rule.covers(exception) {
            let why = format!("cgroup v1 cannot take {rule} out of {exception}");
            let error = Error::new(Kind::Unsupported, "cannot express a device rule", why)
                .fix("name the devices one by one, or use a host with cgroup v2");
            return Err(match rule.at.as_ref().or(exception.at.as_ref()) {
                Some(at) => error.at(at),
                None => error,
            });
        }
        exception.access = exception.access.without(rule.access);
    }
    exceptions.retain(|exception| !exception.access.is_empty());
    Ok(())
}

impl DeviceRule {
    /// Every device, every access.
    pub(super) fn is_everything(&self) -> bool {
        self.kind == DeviceKind::All
            && self.major.is_none()
            && self.minor.is_none()
            && self.access == Access::ALL
    }

    fn same_devices(&self, other: &Self) -> bool {
        (self.kind, self.major, self.minor) == (other.kind, other.major, other.minor)
    }

    /// Whether some device is in both (of one kind each).
    fn meets(&self, other: &Self) -> bool {
        let meet = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.kind == other.kind && meet(self.major, other.major) && meet(self.minor, other.minor)
    }

    /// Whether every device of the other is in this one.
    fn covers(&self, other: &Self) -> bool {
        let cover = |a: Option<u32>, b: Option<u32>| a.is_none() || a == b;
        cover(self.major, other.major) && cover(self.minor, other.minor)
    }
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::All => 'a',
            DeviceKind::Block => 'b',
            DeviceKind::Char => 'c',
        };
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        write!(f, "{kind} {}:{} {}", number(self.major), number(self.minor), String::from(self.access))
    }
}

impl Access {
    /// `m`
    pub const MKNOD: Access = Access(1);
    /// `rwm`
    pub const ALL: Access = Access(7);

    const LETTERS: [(char, u8); 3] = [('r', 2), ('w', 4), ('m', 1)];

    /// `BPF_DEVCG_ACC_*` of bpf.h: 1 mknod, 2 read, 4 write.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether it is every access there is.
    pub fn is_all(self) -> bool {
        self.0 == 7
    }

    fn and_also(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    fn without(self, other: Access) -> Access {
        Access(self.0 & !other.0)
    }

    fn meets(self, other: Access) -> bool {
        self.0 & other.0 != 0
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl From<Access> for String {
    fn from(access: Access) -> String {
        Access::LETTERS.iter().filter(|(_, bit)| access.0 & bit != 0).map(|(letter, _)| letter).collect()
    }
}

impl TryFrom<String> for Access {
    type Error = String;

    fn try_from(letters: String) -> Result<Self, String> {
        let mut bits = 0;
        for letter in letters.chars() {
            let known = Access::LETTERS.iter().find(|(known, _)| *known == letter);
            let Some((_, bit)) = known else {
                return Err(format!("{letters:?} has letters other than r, w and m"));
            };
            bits |= bit;
        }
        Ok(Access(bits))
    }
}
