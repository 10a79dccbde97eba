//! Ids that are the container's alone: taken from the pool before anything is made, and what follows for that which
//! is shared with the host.

use std::os::fd::{AsFd, AsRawFd};
use std::path::absolute;

use rustix::fs::{FileType, Uid, fchown, fstat};

use super::create::{Decided, Streams, Wish, decide};
use super::host_objects::{self, Trees};
use super::state::StateDir;
use crate::enforce::receipt::{Receipt, State};
use crate::enforce::steps::verify::differs;
use crate::error::{Context, Kind, Result};
use crate::host::Host;
use crate::id_pool::IdPool;
use crate::plan::namespaces::private_ids::{LAYER, RANGE, WantedBy};
use crate::plan::namespaces::{IdMapping, NamespaceKind, Namespaces};
use crate::plan::{Plan, Workload};
use crate::sys::Syscall;
use crate::sys::process::stdio;

/// What a container with private ids starts with.
pub(super) struct Given {
    /// The first of its ids on the host, where they are its own and not its pod's.
    pub first: Option<u32>,
    /// Its part of the host's filesystems, with these ids.
    pub trees: Trees,
}

/// Takes ids for a plan that wants some. Whether filesystems can have them only shows when it is tried: if they
/// cannot, and it is the level that wants it, the plan is made anew without.
///
/// # Errors
/// Why there are none; none are taken then.
pub(super) fn take(wish: &Wish, host: &mut Host, decided: &mut Decided, dir: &StateDir) -> Result<()> {
    let Some(wanted_by) = decided.plan.namespaces.private_ids else { return Ok(()) };
    match give(wish, host, &mut decided.plan, dir) {
        Err(error) if error.kind == Kind::Unsupported && wanted_by == WantedBy::Level => {
            host.unmappable = Some((error.at.unwrap_or(error.what), error.why));
            *decided = decide(wish, host)?;
        }
        given => decided.given = Some(given?),
    }
    Ok(())
}

fn give(wish: &Wish, host: &Host, plan: &mut Plan, dir: &StateDir) -> Result<Given> {
    if !plan.namespaces.is_new(NamespaceKind::User) {
        return host_objects::trees(plan, host).map(|trees| Given { first: None, trees });
    }
    let owner =
        absolute(wish.root.join(&wish.id)).context(|| "cannot name the state directory".to_owned())?;
    let first = IdPool::lock()?.take(&owner)?;
    plan.give_ids(first);
    match host_objects::trees(plan, host) {
        Ok(trees) => Ok(Given { first: Some(first), trees }),
        Err(error) => Err(match give_back(Some(first), dir) {
            Ok(()) => error,
            Err(second) => error.and_then(second),
        }),
    }
}

/// Gives back what a container has by its record.
///
/// # Errors
/// The failed call.
pub(super) fn give_back(first: Option<u32>, dir: &StateDir) -> Result<()> {
    match first {
        None => Ok(()),
        Some(first) => IdPool::lock()?.give_back(first, dir.as_fd()),
    }
}

/// Gives back whatever the pool says it has.
///
/// # Errors
/// The failed call.
pub(super) fn give_all_back(dir: &StateDir) -> Result<()> {
    IdPool::lock()?.give_all_back(dir.as_fd())
}

/// Lets the process open its own output again (`/dev/stdout`): a pipe belongs to whoever made it, which is an id that
/// the container does not have, so that only the host's side can give it away. Files and terminals are the host's, and
/// stay whose they are.
///
/// # Errors
/// The failed call.
pub(super) fn give_pipes(
    namespaces: &Namespaces,
    workload: &Workload,
    streams: Option<&Streams>,
) -> Result<()> {
    let own = namespaces.uid_mappings.first().filter(|_| namespaces.private_ids.is_some());
    let Some(own) = own.filter(|own| workload.user.uid < own.size) else { return Ok(()) };
    let uid = Uid::from_raw(own.outside + workload.user.uid);
    let streams = match streams {
        Some(streams) => streams.each_ref().map(AsFd::as_fd),
        None => stdio(),
    };
    for fd in streams {
        let Ok(stat) = fstat(fd) else { continue };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo {
            fchown(fd, Some(uid), None)
                .call(|| format!("fchown({})", fd.as_raw_fd()))
                .context(|| "cannot give the container its standard streams".to_owned())?;
        }
    }
    Ok(())
}

/// Reads back whose ids the container has.
///
/// # Errors
/// `Failed` if the kernel shows others.
pub(super) fn confirm(plan: &Plan, pid: i32, unmapped: &[String], receipt: &mut Receipt) -> Result<()> {
    if plan.namespaces.private_ids.is_none() {
        return Ok(());
    }
    let maps = [("uid_map", &plan.namespaces.uid_mappings), ("gid_map", &plan.namespaces.gid_mappings)];
    for (file, planned) in maps {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"))
            .context(|| format!("cannot read {file} back"))?;
        let found: Vec<&str> = text.split_whitespace().collect();
        let planned = IdMapping::table(planned);
        if found != planned.split_whitespace().collect::<Vec<_>>() {
            return Err(differs(file, planned, text));
        }
    }
    let first = plan.namespaces.uid_mappings.first().map_or(0, |own| own.outside);
    let mut detail = format!("0 to {} are {first} to {} of the host", RANGE - 1, first + (RANGE - 1));
    if !plan.namespaces.is_new(NamespaceKind::User) {
        detail += ", as in all of its pod";
    }
    if !unmapped.is_empty() {
        detail += &format!("; owners show as nobody on {}", unmapped.join(", "));
    }
    receipt.add(LAYER, State::Enforced, detail);
    Ok(())
}
