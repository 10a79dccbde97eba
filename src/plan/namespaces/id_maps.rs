//! The ids of a new user namespace (OCI config-linux, "User namespace mappings"; `user_namespaces(7)`).

use oci_spec::runtime::LinuxIdMapping;

use super::{IdMapping, Mapper, NamespaceKind, Namespaces};
use crate::error::{Error, Kind};
use crate::host::Caller;
use crate::plan::{Input, Notes};

pub(super) fn resolve(input: &Input<'_>, namespaces: &mut Namespaces, notes: &mut Notes) {
    let linux = input.config.linux().as_ref();
    let uids = linux.and_then(|linux| linux.uid_mappings().as_ref());
    let gids = linux.and_then(|linux| linux.gid_mappings().as_ref());
    for (name, list) in [("uidMappings", uids), ("gidMappings", gids)] {
        notes.refusals.extend(check_mappings(name, list.map_or(&[], Vec::as_slice)));
    }
    let convert = |list: Option<&Vec<LinuxIdMapping>>| -> Vec<IdMapping> {
        list.into_iter().flatten().map(IdMapping::from).collect()
    };
    if !namespaces.is_new(NamespaceKind::User) || namespaces.private_ids.is_some() {
        for (name, list) in [("uidMappings", uids), ("gidMappings", gids)] {
            if list.is_some_and(|list| !list.is_empty()) {
                unused_mappings(&format!("linux.{name}"), namespaces.is_joined(NamespaceKind::User), notes);
            }
        }
        return;
    }
    namespaces.uid_mappings = convert(uids);
    namespaces.gid_mappings = convert(gids);
    if namespaces.uid_mappings.is_empty() && namespaces.gid_mappings.is_empty() {
        default_mappings(input, namespaces, notes);
    }
    for (name, list) in [("uidMappings", &namespaces.uid_mappings), ("gidMappings", &namespaces.gid_mappings)]
    {
        if !list.iter().any(|mapping| mapping.inside == 0 && mapping.size > 0) {
            notes.refusals.push(
                Error::new(
                    Kind::Invalid,
                    "the new user namespace has no id 0",
                    "container setup runs as root of its user namespace",
                )
                .at(format!("linux.{name}"))
                .fix("add a mapping with containerID 0"),
            );
        }
    }
    if input.host.caller == Caller::User {
        choose_mappers(input, namespaces, notes);
    }
}

/// What is more than the caller's own id is mapped by programs that know what else was given to the caller.
fn choose_mappers(input: &Input<'_>, namespaces: &mut Namespaces, notes: &mut Notes) {
    let Namespaces { uid_mappings, gid_mappings, uid_mapper, gid_mapper, .. } = namespaces;
    let [newuidmap, newgidmap] = &input.host.id_mappers;
    let kinds = [
        ("uidMappings", "newuidmap", "/etc/subuid", input.host.euid, uid_mappings, newuidmap, uid_mapper),
        ("gidMappings", "newgidmap", "/etc/subgid", input.host.egid, gid_mappings, newgidmap, gid_mapper),
    ];
    for (field, name, file, own, mappings, found, mapper) in kinds {
        *mapper = match (mappings.as_slice(), found) {
            ([only], _) if only.size == 1 && only.outside == own => Mapper::Own,
            (_, Some(path)) => Mapper::Program(path.clone()),
            (_, None) => {
                let why = format!("an ordinary user may map {own} only, and {name}(1) is not installed");
                let fix = format!(
                    "install {name} (uidmap or shadow-utils) and give the user a range in {file}, or map \
                     {own} only, with size 1"
                );
                notes.refusals.push(
                    Error::new(Kind::Unsupported, "these ids cannot be mapped", why)
                        .at(format!("linux.{field}"))
                        .fix(fix),
                );
                Mapper::Own
            }
        };
    }
}

/// Engines repeat the mappings of a namespace that they join; without any, they cannot be meant.
fn unused_mappings(at: &str, joined: bool, notes: &mut Notes) {
    if joined {
        return notes.change(at, "has no effect: the user namespace that is joined has its own");
    }
    notes.refusals.push(
        Error::new(Kind::Invalid, "id mappings without a user namespace", "")
            .at(at)
            .fix("add {\"type\": \"user\"} to linux.namespaces"),
    );
}

/// An ordinary caller may always map itself.
fn default_mappings(input: &Input<'_>, namespaces: &mut Namespaces, notes: &mut Notes) {
    let (euid, egid) = (input.host.euid, input.host.egid);
    if input.host.caller != Caller::User {
        notes.refusals.push(
            Error::new(Kind::Invalid, "a new user namespace without id mappings", "")
                .at("linux.namespaces")
                .fix("set linux.uidMappings and linux.gidMappings"),
        );
        return;
    }
    namespaces.uid_mappings = vec![IdMapping { inside: 0, outside: euid, size: 1 }];
    namespaces.gid_mappings = vec![IdMapping { inside: 0, outside: egid, size: 1 }];
    notes.change("linux.uidMappings", format!("the container's root is user {euid}"));
}

/// Lines in `uid_map` (Linux 4.15).
const MOST_MAPPINGS: usize = 340;

fn check_mappings(name: &str, list: &[LinuxIdMapping]) -> Vec<Error> {
    if list.len() > MOST_MAPPINGS {
        let why = format!("the kernel takes {MOST_MAPPINGS} (user_namespaces(7)), these are {}", list.len());
        return vec![Error::new(Kind::Invalid, "too many id mappings", why).at(format!("linux.{name}"))];
    }
    let mut errors = Vec::new();
    let end = |first: u32, size: u32| u64::from(first) + u64::from(size);
    for (i, mapping) in list.iter().enumerate() {
        let at = format!("linux.{name}[{i}]");
        let refuse = |why: &str| Error::new(Kind::Invalid, "impossible id mapping", why).at(at.clone());
        if mapping.size() == 0 {
            errors.push(refuse("size is 0"));
        }
        let last = u64::from(u32::MAX);
        if end(mapping.container_id(), mapping.size()) > last || end(mapping.host_id(), mapping.size()) > last
        {
            errors.push(refuse("the range goes beyond the largest id, 4294967294"));
        }
        for other in list.iter().take(i) {
            let overlap =
                |a: u32, b: u32| u64::from(a) < end(b, other.size()) && u64::from(b) < end(a, mapping.size());
            if overlap(mapping.container_id(), other.container_id()) {
                errors.push(refuse("its container ids overlap an earlier mapping"));
            } else if overlap(mapping.host_id(), other.host_id()) {
                errors.push(refuse("its host ids overlap an earlier mapping"));
            }
        }
    }
    errors
}
