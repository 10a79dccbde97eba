//! Kernel parameters of the container's namespaces (OCI config-linux, "Sysctl"; `sysctl(8)`).

use std::collections::BTreeMap;

use super::namespaces::private_ids::RANGE;
use super::namespaces::{
    NamespaceKind::{self, Ipc, Network, User, Uts},
    Namespaces,
};
use super::{Input, Notes};
use crate::error::{Error, Kind};

/// Parameters by name, parts separated by dots; a dot inside of a part is a slash.
pub(super) fn resolve(
    input: &Input<'_>,
    namespaces: &Namespaces,
    notes: &mut Notes,
) -> BTreeMap<String, String> {
    let asked = input.config.linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
    let mut asked: Vec<_> = asked.into_iter().flatten().collect();
    asked.sort();
    let mut parameters = BTreeMap::new();
    for (given, value) in asked {
        let name = with_dots(given);
        let at = format!("linux.sysctl[{given:?}]");
        notes.refusals.extend(check(&name, namespaces).map(|error| error.at(&at)));
        let value = if namespaces.private_ids.is_some() {
            within_private_ids(&name, value, &at, notes)
        } else {
            value.clone()
        };
        if parameters.insert(name, value).is_some() {
            let what = format!("sysctl {given} is listed twice");
            notes.refusals.push(Error::new(Kind::Invalid, what, "").at(&at));
        }
    }
    parameters
}

/// Engines let every group there is send pings, and the kernel takes only those that the user namespace has.
fn within_private_ids(name: &str, value: &str, at: &str, notes: &mut Notes) -> String {
    let range = value.split_once([' ', '\t']).filter(|_| name == "net.ipv4.ping_group_range");
    let range = range.map(|(first, last)| (first.trim(), last.trim().parse::<u32>()));
    match range {
        Some((first, Ok(last))) if last >= RANGE => {
            let last = RANGE - 1;
            notes.change(at, format!("ends at {last}, the container's last group"));
            format!("{first} {last}")
        }
        _ => value.to_owned(),
    }
}

/// The name of the container's host or domain, which is a parameter as well: it is set by its own call, which
/// works in a user namespace too.
pub(super) fn uts_name(
    field: &str,
    value: Option<&String>,
    namespaces: &Namespaces,
    parameters: &mut BTreeMap<String, String>,
    notes: &mut Notes,
) -> Option<String> {
    let parameter = format!("kernel.{field}");
    let given = value.filter(|name| !name.is_empty());
    if given.is_some() && parameters.get(&parameter).is_some_and(|other| Some(other) != given) {
        let what = format!("{field} and the sysctl {parameter} differ");
        let at = format!("linux.sysctl[{parameter:?}]");
        notes.refusals.push(Error::new(Kind::Invalid, what, "").at(at).fix("remove one of them"));
    }
    let own = owns(namespaces, Uts);
    if given.is_some() && !own {
        notes.refusals.push(
            Error::new(Kind::Invalid, format!("a {field} without a UTS namespace"), "it would be the host's")
                .at(field)
                .fix("add {\"type\": \"uts\"} to linux.namespaces, or remove the name"),
        );
    }
    let name = if own { parameters.remove(&parameter).or_else(|| value.cloned()) } else { value.cloned() };
    if let Some(name) = name.as_ref().filter(|name| name.len() > LONGEST_UTS_NAME || name.contains('\0')) {
        let why =
            format!("the kernel keeps {LONGEST_UTS_NAME} bytes, without NUL, and it has {}", name.len());
        notes.refusals.push(Error::new(Kind::Invalid, format!("the {field} is not possible"), why).at(field));
    }
    name
}

/// `__NEW_UTS_LEN`.
const LONGEST_UTS_NAME: usize = 64;

/// `/` separates as well as `.`; whichever comes first does, and the other one is part of a name
/// (`net/ipv4/conf/eth0.100/forwarding`).
pub fn with_dots(name: &str) -> String {
    match name.find(['.', '/']).and_then(|at| name.as_bytes().get(at)) {
        Some(b'/') => swap(name),
        _ => name.to_owned(),
    }
}

/// Dots for slashes and slashes for dots: from a name to its path below `/proc/sys`.
pub fn swap(name: &str) -> String {
    let other = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    name.chars().map(other).collect()
}

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

fn owns(namespaces: &Namespaces, kind: NamespaceKind) -> bool {
    namespaces.is_new(kind) || namespaces.is_joined(kind)
}

/// Only parameters that belong to a namespace of the container; any other would change the host.
fn check(name: &str, namespaces: &Namespaces) -> Option<Error> {
    // What would be `.` and `..` in the path has slashes here.
    let plain = |part: &str| !matches!(part, "" | "/" | "//") && !part.contains('\0');
    let needed = match name {
        _ if !name.split('.').all(plain) => None,
        _ if IPC.contains(&name) || name.starts_with("fs.mqueue.") => Some(Ipc),
        _ if name.starts_with("net.") => Some(Network),
        _ if name.starts_with("user.") => Some(User),
        "kernel.domainname" | "kernel.hostname" => Some(Uts),
        _ => None,
    };
    let error = |why: String| Error::new(Kind::Invalid, format!("sysctl {name} cannot be set"), why);
    match needed {
        None => Some(error("it is not one of a namespace, so it would change the host".to_owned())),
        Some(kind) if !owns(namespaces, kind) => Some(
            error(format!("the container has no {kind} namespace of its own"))
                .fix(format!("add {{\"type\": \"{kind}\"}} to linux.namespaces")),
        ),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_separates() {
        for (given, name, path) in [
            ("net.ipv4.ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            (
                "net/ipv4/conf/eth0.5/forwarding",
                "net.ipv4.conf.eth0/5.forwarding",
                "net/ipv4/conf/eth0.5/forwarding",
            ),
            (
                "net.ipv4.conf.eth0/5.forwarding",
                "net.ipv4.conf.eth0/5.forwarding",
                "net/ipv4/conf/eth0.5/forwarding",
            ),
            ("plain", "plain", "plain"),
        ] {
            assert_eq!(
                (with_dots(given).as_str(), swap(&with_dots(given)).as_str()),
                (name, path),
                "{given}"
            );
        }
    }
}
