//! Namespaces that exist already and become the container's.

use std::fs::{File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::error::{Context, Error, Kind, Result};
use crate::host::{Caller, Host};
use crate::plan::Plan;
use crate::plan::namespaces::private_ids::Pod;
use crate::plan::namespaces::{IdMapping, Joined, NamespaceKind};
use crate::sys::process::owner_of_namespace;

/// Opens what the plan joins, in the order in which the child joins it. The host's namespaces are joined with the
/// host's rights, so a user namespace comes last; for an ordinary caller, who only has rights inside it, first.
///
/// # Errors
/// When there is no such namespace, or it is the caller's and the plan changes something in it.
pub fn open(plan: &Plan, host: &Host) -> Result<Vec<(NamespaceKind, OwnedFd)>> {
    let mut join = Vec::new();
    for joined in &plan.namespaces.join {
        let file = open_one(joined)?;
        if let Some(changed) = changed(plan, joined.kind) {
            refuse_callers_own(&file, joined, changed)?;
        }
        if joined.foreign && is_hosts(&file, joined.kind)? {
            let what = format!("{} is the host's {} namespace now", joined.path, joined.kind);
            return Err(Error::new(Kind::Refused, what, "the node policy allowed it when it was another")
                .at(&joined.at));
        }
        join.push((joined.kind, OwnedFd::from(file)));
    }
    let last = host.caller != Caller::User;
    join.sort_by_key(|(kind, _)| (*kind == NamespaceKind::User) == last);
    Ok(join)
}

/// Whether the network namespace that a configuration names is the caller's own: then it is the host's network. What
/// cannot be found is told by whoever opens it.
pub(super) fn is_callers_network(config: &Spec) -> bool {
    let namespaces = config.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let network = namespaces.into_iter().flatten().find(|it| it.typ() == LinuxNamespaceType::Network);
    let Some(path) = network.and_then(|network| network.path().as_ref()) else { return false };
    let named = |path: &Path| std::fs::metadata(path).map(|file| identity(&file)).ok();
    let theirs = named(path);
    theirs.is_some() && theirs == named(Path::new("/proc/self/ns/net"))
}

/// The user namespace of those whose namespaces a configuration names, where all are of the same and it is not the
/// host's. A network is made by others, for whoever is in it.
pub(super) fn pod(config: &Spec) -> Option<Pod> {
    let namespaces = config.linux().as_ref()?.namespaces().as_ref()?;
    let shared =
        |kind| matches!(kind, LinuxNamespaceType::Ipc | LinuxNamespaceType::Uts | LinuxNamespaceType::Pid);
    let mut paths = namespaces.iter().filter(|it| shared(it.typ())).filter_map(|it| it.path().as_deref());
    let path = paths.next()?.to_str()?;
    let process = path.strip_prefix("/proc/")?.split('/').next()?.parse::<u32>().ok()?;
    let user = format!("/proc/{process}/ns/user");
    let theirs = identity(&std::fs::metadata(&user).ok()?);
    if theirs == identity(&std::fs::metadata("/proc/self/ns/user").ok()?) {
        return None;
    }
    let owner = |path: &Path| -> Option<(u64, u64)> {
        let owner = owner_of_namespace(File::open(path).ok()?).ok()?;
        Some(identity(&File::from(owner).metadata().ok()?))
    };
    let same = std::iter::once(Path::new(path)).chain(paths).all(|path| owner(path) == Some(theirs));
    let mappings = |file: &str| -> Option<Vec<IdMapping>> {
        IdMapping::read(&std::fs::read_to_string(format!("/proc/{process}/{file}")).ok()?)
    };
    let (uid_mappings, gid_mappings) = (mappings("uid_map")?, mappings("gid_map")?);
    same.then_some(Pod { path: user, uid_mappings, gid_mappings })
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Opens one of them.
///
/// # Errors
/// When it is not there, or is no namespace of that kind.
pub(super) fn open_one(joined: &Joined) -> Result<File> {
    let what = || format!("cannot join the {} namespace {}", joined.kind, joined.path);
    let file = File::open(&joined.path).context(what).map_err(|error| error.at(&joined.at))?;
    crate::sys::process::check_namespace(&file, joined.kind.flag()).context(what).map_err(|error| {
        error.at(&joined.at).fix(format!("name a file such as /proc/PID/ns/{}", joined.kind.file()))
    })?;
    Ok(file)
}

/// The field that changes a namespace of this kind.
fn changed(plan: &Plan, kind: NamespaceKind) -> Option<&'static str> {
    let set = |name: &Option<String>| name.as_ref().is_some_and(|name| !name.is_empty());
    let parameter = |prefixes: &[&str]| {
        plan.sysctl.keys().any(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
    };
    match kind {
        // Its mounts, and its root for all who are in it.
        NamespaceKind::Mount => Some("root"),
        NamespaceKind::Uts if set(&plan.hostname) => Some("hostname"),
        NamespaceKind::Uts if set(&plan.domainname) => Some("domainname"),
        NamespaceKind::Network if !plan.net_devices.is_empty() => Some("linux.netDevices"),
        NamespaceKind::Network if parameter(&["net."]) => Some("linux.sysctl"),
        NamespaceKind::Ipc if parameter(&["kernel.", "fs.mqueue."]) => Some("linux.sysctl"),
        NamespaceKind::User if parameter(&["user."]) => Some("linux.sysctl"),
        _ => None,
    }
}

fn is_callers(file: &File, kind: NamespaceKind) -> Result<bool> {
    is_of("thread-self", file, kind)
}

/// Whether a namespace is the caller's own, or that of the first process.
///
/// # Errors
/// When nobody can tell.
pub(crate) fn is_hosts(file: &File, kind: NamespaceKind) -> Result<bool> {
    match is_callers(file, kind)? {
        true => Ok(true),
        // Whoever may not look at the first process may not join its namespaces either.
        false => Ok(is_of("1", file, kind).unwrap_or(false)),
    }
}

fn is_of(process: &str, file: &File, kind: NamespaceKind) -> Result<bool> {
    let what = || format!("cannot tell whose the {kind} namespace is");
    let theirs = std::fs::metadata(format!("/proc/{process}/ns/{}", kind.file())).context(what)?;
    Ok(identity(&theirs) == identity(&file.metadata().context(what)?))
}

/// A path such as `/proc/1/ns/net` names the host's, which is not the container's to change.
fn refuse_callers_own(file: &File, joined: &Joined, field: &str) -> Result<()> {
    if !is_callers(file, joined.kind)? {
        return Ok(());
    }
    let why = format!("{} is the caller's {} namespace, which would be changed", joined.path, joined.kind);
    Err(Error::new(Kind::Invalid, format!("{field} is for a namespace of the container's own"), why)
        .at(field)
        .fix(format!("remove it, or the path at {}", joined.at)))
}
