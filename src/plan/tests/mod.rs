//! Plans without root: what comes of whole configurations, what is refused, and what is never lost.

mod checkpoint;
mod fields;
mod golden;
mod loading;
mod mounts;
mod private_ids;
mod refusals;
mod write_xor_execute;

use std::path::Path;

use serde_json::{Value, json};

use super::cgroup::{Hierarchy, Layout, Manager, Unified};
use super::mounts::stack::Asked;
use super::namespaces::IdMapping;
use super::namespaces::private_ids::Pod;
use super::{Input, Loosening, Options, Plan, resolve};
use crate::error::Result;
use crate::host::{Caller, Host};
use crate::level::Level;
use crate::oci;

const CONTROLLERS: [&str; 10] =
    ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "net_cls", "rdma", "devices", "freezer"];
const UNIFIED: [&str; 7] = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb", "rdma"];

fn unified(controllers: &[&str], dir: &str) -> Unified {
    Unified { controllers: controllers.iter().map(|&name| name.to_owned()).collect(), dir: dir.to_owned() }
}

fn hierarchies() -> Vec<Hierarchy> {
    let hierarchy = |name: &str| Hierarchy {
        controllers: vec![name.to_owned()],
        dir: format!("/sys/fs/cgroup/{}", name.trim_start_matches("name=")),
    };
    CONTROLLERS.into_iter().chain(["name=systemd"]).map(hierarchy).collect()
}

pub(crate) fn v1() -> Layout {
    Layout::V1 { hierarchies: hierarchies() }
}

fn hybrid() -> Layout {
    Layout::Hybrid { hierarchies: hierarchies(), unified: unified(&[], "/sys/fs/cgroup/unified") }
}

pub(crate) fn v2() -> Layout {
    Layout::V2 { unified: unified(&UNIFIED, "/sys/fs/cgroup") }
}

/// Root of a host with everything but a security module with labels.
pub(crate) fn root(cgroup: Layout, landlock_abi: u32) -> Host {
    let capabilities = (1 << 41) - 1;
    Host {
        euid: 0,
        egid: 0,
        caller: Caller::Root,
        may_mount: true,
        id_mappers: [None, None],
        capabilities,
        landlock_abi,
        cgroup,
        delegated_cgroup: None,
        apparmor: false,
        selinux: false,
        memfd_noexec: Some(0),
        mdwe: true,
        unmappable: None,
        seccomp_wait_killable: true,
    }
}

/// An ordinary user of the same host.
pub(crate) fn user(cgroup: Layout, landlock_abi: u32) -> Host {
    let host = root(cgroup, landlock_abi);
    let id_mappers = ["newuidmap", "newgidmap"].map(|name| Some(format!("/usr/bin/{name}")));
    Host {
        euid: 1000,
        egid: 1000,
        caller: Caller::User,
        may_mount: false,
        id_mappers,
        capabilities: 0,
        ..host
    }
}

/// The plan of a configuration given as text.
pub(crate) fn plan(text: &str, level: Level, host: &Host) -> Result<Plan> {
    plan_with(text, level, host, None)
}

fn plan_with(text: &str, level: Level, host: &Host, manager: Option<Manager>) -> Result<Plan> {
    plan_wanting(text, level, host, Options { manager, ..Options::default() })
}

fn plan_wanting(text: &str, level: Level, host: &Host, options: Options) -> Result<Plan> {
    let config = oci::parse(text)?;
    resolve(&Input {
        id: "web",
        config: &config.spec,
        options,
        pids_limit: config.pids_limit,
        landlock: config.landlock.as_ref(),
        unknown: &config.unknown,
        bundle: Path::new("/bundle"),
        level,
        loosening: Loosening::default(),
        host,
    })
}

/// What containerd's overlayfs snapshotter describes.
fn layers() -> Asked {
    let dir = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots";
    let options = [
        "index=off".to_owned(),
        format!("workdir={dir}/3/work"),
        format!("upperdir={dir}/3/fs"),
        format!("lowerdir={dir}/2/fs:{dir}/1/fs"),
    ];
    Asked {
        fstype: "overlay".to_owned(),
        source: "overlay".to_owned(),
        options: options.into(),
        ..Asked::default()
    }
}

/// The sandbox of a pod, whose process is 4821.
fn pod() -> Pod {
    let ids = vec![IdMapping { inside: 0, outside: 0x7800_0000, size: 65536 }];
    Pod { path: "/proc/4821/ns/user".to_owned(), uid_mappings: ids.clone(), gid_mappings: ids }
}

/// A configuration that nothing is wrong with, to be spoilt.
pub(crate) fn good() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "process": { "args": ["true"], "cwd": "/" },
        "root": { "path": "rootfs" },
        "linux": { "namespaces": [{ "type": "mount" }, { "type": "pid" }, { "type": "uts" }] },
    })
}

/// `config` with `value` at a JSON pointer; parents that are not there are made.
pub(crate) fn with(mut config: Value, pointer: &str, value: Value) -> Value {
    let place = pointer.split('/').skip(1).fold(&mut config, |parent, part| match parent {
        Value::Array(list) => &mut list[part.parse::<usize>().unwrap()],
        parent => &mut parent[part],
    });
    *place = value;
    config
}

fn without(mut config: Value, pointer: &str) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field).unwrap();
    config
}
