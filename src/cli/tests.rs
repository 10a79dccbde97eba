//! What the tests of several verbs need.

use std::path::Path;

use serde_json::Value;

use crate::error::Result;
use crate::host::{Caller, Host};
use crate::level::Level;
use crate::plan::cgroup::{Layout, Unified};
use crate::plan::{self, Plan};

/// The plan that a configuration gets on a host with everything a current kernel has.
pub fn plan(config: Value, level: Level, euid: u32, sealed_root: bool) -> Result<Plan> {
    let config = crate::oci::parse(&config.to_string())?;
    let controllers = ["cpu", "io", "memory", "pids"].map(str::to_owned).to_vec();
    let host = Host {
        euid,
        egid: euid,
        caller: if euid == 0 { Caller::Root } else { Caller::User },
        may_mount: euid == 0,
        id_mappers: ["newuidmap", "newgidmap"].map(|name| Some(format!("/usr/bin/{name}"))),
        capabilities: if euid == 0 { u64::MAX } else { 0 },
        landlock_abi: 7,
        cgroup: Layout::V2 { unified: Unified { controllers, dir: "/sys/fs/cgroup".to_owned() } },
        delegated_cgroup: None,
        apparmor: false,
        selinux: false,
        memfd_noexec: Some(0),
        mdwe: true,
        unmappable: None,
        seccomp_wait_killable: true,
    };
    plan::resolve(&plan::Input {
        id: "test",
        config: &config.spec,
        options: plan::Options { sealed_root, ..plan::Options::default() },
        pids_limit: config.pids_limit,
        landlock: config.landlock.as_ref(),
        unknown: &config.unknown,
        bundle: Path::new("/bundle"),
        level,
        loosening: plan::Loosening::default(),
        host: &host,
    })
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    super::definition().debug_assert();
}
