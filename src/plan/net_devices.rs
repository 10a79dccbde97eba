//! Network devices of the host that become the container's (OCI config-linux, "Network Devices").

use serde::{Deserialize, Serialize};

use super::namespaces::{NamespaceKind, Namespaces};
use super::{Input, Notes};
use crate::error::{Error, Kind};
use crate::host::Caller;

/// A device to move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetDevice {
    /// Its name in the network namespace of the caller.
    pub outside: String,
    /// Its name in the container; with `%d` in it a pattern, for which the kernel finds a number.
    pub inside: String,
    /// The field of `config.json`.
    pub at: String,
}

/// The longest name of a device (`IFNAMSIZ`, without the NUL byte).
const LONGEST: usize = 15;

const AT: &str = "linux.netDevices";

pub(super) fn resolve(input: &Input<'_>, namespaces: &Namespaces, notes: &mut Notes) -> Vec<NetDevice> {
    let asked = input.config.linux().as_ref().and_then(|linux| linux.net_devices().as_ref());
    let mut asked: Vec<_> = asked.into_iter().flatten().collect();
    asked.sort_by(|a, b| a.0.cmp(b.0));
    let mut refuse = |kind, what: String, why: &str, at: String, fix: &str| {
        notes.refusals.push(Error::new(kind, what, why).at(at).fix(fix));
    };
    if asked.is_empty() {
        return Vec::new();
    }
    if !namespaces.is_new(NamespaceKind::Network) && !namespaces.is_joined(NamespaceKind::Network) {
        let what = "network devices without a network namespace of the container's own".to_owned();
        refuse(Kind::Invalid, what, "", AT.to_owned(), "add {\"type\": \"network\"} to linux.namespaces");
    }
    if input.host.caller != Caller::Root {
        let why = "it needs CAP_NET_ADMIN over the host's network";
        refuse(
            Kind::Unsupported,
            "cannot move a network device".to_owned(),
            why,
            AT.to_owned(),
            "run as root",
        );
    }
    let mut devices: Vec<NetDevice> = Vec::new();
    for (outside, device) in asked {
        let inside = device.name().as_ref().filter(|name| !name.is_empty()).unwrap_or(outside);
        let at = format!("{AT}[{outside:?}]");
        if let Some(why) = fault(outside, false) {
            refuse(Kind::Invalid, format!("{outside:?} names no network device"), why, at.clone(), NAMES);
        }
        if let Some(why) = fault(inside, true).filter(|_| inside != outside) {
            refuse(
                Kind::Invalid,
                format!("no device can be named {inside:?}"),
                why,
                format!("{at}.name"),
                NAMES,
            );
        }
        if devices.iter().any(|other| other.inside == *inside) && !inside.contains('%') {
            let what = format!("two network devices named {inside:?}");
            refuse(Kind::Invalid, what, "", format!("{at}.name"), "give them different names");
        }
        devices.push(NetDevice { outside: outside.clone(), inside: inside.clone(), at });
    }
    devices
}

const NAMES: &str = "a name has 1 to 15 bytes, without spaces, / and :";

/// What the kernel would not take as a name (net/core/dev.c, `dev_valid_name`); in one for the container `%d`
/// stands for a number.
fn fault(name: &str, pattern: bool) -> Option<&'static str> {
    let rest = if pattern { name.replacen("%d", "", 1) } else { name.to_owned() };
    match name {
        "" => Some("it is empty"),
        "." | ".." => Some("it is a directory"),
        _ if name.len() > LONGEST => Some("it is too long"),
        _ if name
            .bytes()
            .any(|byte| byte == b'/' || byte == b':' || byte.is_ascii_whitespace() || byte == 0) =>
        {
            Some("it has a character that no name has")
        }
        _ if rest.contains('%') => Some("% is for one %d only, in a name inside"),
        _ => None,
    }
}
