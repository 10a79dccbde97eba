//! Landlock domains (`landlock(7)`, Linux 5.13): what no process of the container reaches, whatever it gets hold of.
//!
//! A process is in every domain of the list, and does what all of them allow: a further one only takes away.
//! `derived` follows from the container at `baseline` and `strict`. The others are asked for, and hold at every
//! level: `ports` (TCP by port), `config` (LandlockConfig, by annotation or file), `block` (`process.landlock`). What
//! is asked for and cannot be enforced is refused; what the level wants by itself and the kernel lacks is absent.
//!
//! A rule names a path and holds for what is there when a process enters the domain: an exec enters it anew.

mod block;
mod config;
mod derived;
mod origin;
mod ports;
pub mod rights;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::mounts::{Mount, Rootfs};
use super::namespaces::Namespaces;
use super::{Input, Notes, Workload};
use crate::error::Error;
use crate::level::Level;
use origin::Origin;

pub use config::LARGEST;
pub(super) use derived::{READ, on_mount};
pub use ports::{BIND as TCP_BIND, CONNECT as TCP_CONNECT, shut_ways_round};

/// The annotation that holds rules of its own, as LandlockConfig JSON.
pub const ANNOTATION: &str = "dev.sandrun.landlock";

/// A ruleset, in the bits of `linux/landlock.h`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Landlock {
    /// Where it comes from: `derived`, a field, an annotation or a flag.
    pub origin: String,
    /// The ABI the ruleset was made for.
    pub abi: u32,
    /// Rights to files that are denied unless a rule grants them.
    pub handled_access_fs: u64,
    /// The same of ports.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub handled_access_net: u64,
    /// Scopes that end at the domain's border.
    pub scoped: u64,
    /// What is granted beneath which path.
    pub path_beneath: Vec<PathBeneath>,
    /// What is granted beneath directories whose names only the image knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_level: Option<TopLevel>,
    /// What is granted on which port, each port once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub net_port: Vec<NetPort>,
}

/// Rights beneath one path of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathBeneath {
    /// Absolute, in the container.
    pub path: String,
    /// The rights.
    pub allowed_access: u64,
    /// Grants nothing where the path is not there; otherwise that is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// Rights by what is in the root itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopLevel {
    /// Directories of programs.
    pub programs: Vec<String>,
    /// Directories that get no right.
    pub neither: Vec<String>,
    /// The rights beneath directories of programs, and of files.
    pub execute: u64,
    /// The rights beneath all other directories.
    pub write: u64,
}

/// Rights to one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetPort {
    /// The port; to bind to 0 is to let the kernel choose.
    pub port: u16,
    /// The rights.
    pub allowed_access: u64,
}

fn is_zero(bits: &u64) -> bool {
    *bits == 0
}

/// The domains of a container's own process, and what has to go with them.
pub(super) fn resolve(
    input: &Input<'_>,
    namespaces: &Namespaces,
    rootfs: &Rootfs,
    mounts: &[Mount],
    workload: &mut Workload,
    notes: &mut Notes,
) {
    if input.level >= Level::Baseline {
        workload.landlock.extend(derived::derive(input, namespaces, rootfs, mounts, notes));
    }
    workload.landlock.extend(asked(input, notes));
    let_files_move(&mut workload.landlock);
    let filters = std::mem::take(&mut workload.seccomp);
    workload.seccomp = notes.collect(shut_ways_round(filters, &workload.landlock));
}

/// Once some domain is about files, the kernel lets none be moved between directories unless every domain grants it,
/// those too that are about ports alone: these grant it everywhere.
pub fn let_files_move(domains: &mut [Landlock]) {
    if domains.iter().all(|domain| domain.handled_access_fs == 0) {
        return;
    }
    for domain in domains.iter_mut().filter(|domain| domain.handled_access_fs == 0) {
        let refer = rights::REFER & rights::all(rights::Kind::Fs, domain.abi);
        domain.handled_access_fs = refer;
        domain.path_beneath.push(PathBeneath {
            path: "/".to_owned(),
            allowed_access: refer,
            optional: false,
        });
    }
}

/// The domains that somebody asked for.
fn asked(input: &Input<'_>, notes: &mut Notes) -> Vec<Landlock> {
    let abi = input.host.landlock_abi.min(rights::NEWEST_ABI);
    let mut domains: Vec<Landlock> = notes.collect(ports::resolve(input, abi)).into_iter().collect();
    let annotation = input.annotation(ANNOTATION).map(|text| (Origin::annotation(ANNOTATION), text));
    let file = input.options.landlock.as_deref().map(|text| (Origin::flag("--landlock"), text));
    for (origin, text) in annotation.into_iter().chain(file) {
        domains
            .extend(notes.collect(config::read(text, &origin, abi).map(Some).map_err(|error| vec![error])));
    }
    if let Some(block) = input.landlock {
        match of_process(block, abi) {
            Ok((domain, dropped)) => {
                domains.extend(domain);
                for what in dropped {
                    notes.absent("landlock", format!("{}: {what}", block::FIELD));
                    notes.change(block::FIELD, what);
                }
            }
            Err(refusal) => notes.refusals.push(refusal),
        }
    }
    domains
}

/// The domain of a `process.landlock`, of a container or an exec, and what of it this kernel cannot enforce, if
/// it says that it may be dropped.
///
/// # Errors
/// What is not valid, or not known to this kernel.
pub fn of_process(block: &Value, abi: u32) -> Result<(Option<Landlock>, Vec<String>), Error> {
    block::read(block, abi.min(rights::NEWEST_ABI))
}

#[cfg(test)]
mod tests;
