//! What single fields come to, where that is more than a copy.

use super::*;
use crate::plan::mounts::{Propagation, Source};
use crate::plan::namespaces::NamespaceKind;

pub(super) fn planned(config: &Value, level: Level, host: &Host) -> Plan {
    plan(&config.to_string(), level, host).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn changed(plan: &Plan, at: &str) -> bool {
    plan.changes.iter().any(|change| change.at == at)
}

#[test]
fn every_propagation_of_the_root_is_taken() {
    for (text, propagation, recursive) in [
        ("shared", Propagation::Shared, false),
        ("rshared", Propagation::Shared, true),
        ("slave", Propagation::Slave, false),
        ("rslave", Propagation::Slave, true),
        ("private", Propagation::Private, false),
        ("rprivate", Propagation::Private, true),
        ("unbindable", Propagation::Unbindable, false),
        ("runbindable", Propagation::Unbindable, true),
        ("", Propagation::Slave, true),
    ] {
        let config = with(good(), "/linux/rootfsPropagation", json!(text));
        let rootfs = planned(&config, Level::Oci, &root(v2(), 7)).rootfs;
        assert_eq!((rootfs.propagation, rootfs.recursive), (propagation, recursive), "{text:?}");
    }
}

#[test]
fn relative_paths_start_at_the_bundle() {
    let config =
        with(good(), "/mounts", json!([{ "destination": "data", "type": "bind", "source": "data" }]));
    let plan = planned(&config, Level::Oci, &root(v2(), 7));
    assert_eq!(plan.rootfs.path, "/bundle/rootfs");
    assert_eq!(plan.mounts[0].destination, "/data");
    assert!(matches!(&plan.mounts[0].source, Source::Bind { path, .. } if path == "/bundle/data"));
}

#[test]
fn a_read_only_root_is_read_only_to_landlock_but_for_its_writable_mounts() {
    let mount = |destination: &str, options: Value| json!({ "destination": destination, "type": "bind", "source": "/src", "options": options });
    let config = with(good(), "/root/readonly", json!(true));
    let config = with(config, "/mounts", json!([mount("/rw", json!([])), mount("/ro", json!(["ro"]))]));
    let plan = planned(&config, Level::Baseline, &root(v2(), 7));
    let rules = &plan.workload.landlock[0].path_beneath;
    const WRITE: u64 = 1 << 1;
    let writable: Vec<_> =
        rules.iter().filter(|rule| rule.allowed_access & WRITE != 0).map(|rule| rule.path.as_str()).collect();
    assert_eq!(writable, ["/rw"]);
}

#[test]
fn abstract_sockets_are_scoped_where_the_network_is_the_hosts_and_at_strict() {
    let scoped = |config: &Value, level| planned(config, level, &root(v2(), 7)).workload.landlock[0].scoped;
    let host = good();
    let own = with(good(), "/linux/namespaces", json!([{ "type": "mount" }, { "type": "network" }]));
    let joined = json!([{ "type": "mount" }, { "type": "network", "path": "/run/netns/pod" }]);
    let joined = with(good(), "/linux/namespaces", joined);
    assert_eq!([&host, &own, &joined].map(|config| scoped(config, Level::Baseline)), [1, 0, 0]);
    assert_eq!([&host, &own, &joined].map(|config| scoped(config, Level::Strict)), [3, 3, 3]);
}

#[test]
fn the_hosts_network_by_its_path_is_the_hosts_network() {
    let namespaces = json!([{ "type": "mount" }, { "type": "network", "path": "/proc/1/ns/net" }]);
    let config = oci::parse(&with(good(), "/linux/namespaces", namespaces).to_string()).unwrap();
    let host = root(v2(), 7);
    let scoped = |joins_callers_network| {
        let input = Input {
            id: "web",
            config: &config.spec,
            options: Options { joins_callers_network, ..Options::default() },
            pids_limit: None,
            landlock: None,
            unknown: &[],
            bundle: Path::new("/bundle"),
            level: Level::Baseline,
            loosening: crate::plan::Loosening::default(),
            host: &host,
        };
        resolve(&input).unwrap().workload.landlock[0].scoped
    };
    assert_eq!([scoped(false), scoped(true)], [0, 1]);
}

#[test]
fn a_device_elsewhere_takes_ioctl_and_no_other_file_there_does() {
    let device = json!([{ "path": "/opt/null", "type": "c", "major": 1, "minor": 3 }]);
    let plan = planned(&with(good(), "/linux/devices", device), Level::Baseline, &root(v2(), 7));
    const IOCTL_DEV: u64 = 1 << 15;
    let rules = &plan.workload.landlock[0].path_beneath;
    let granted: Vec<_> = rules
        .iter()
        .filter(|rule| rule.allowed_access & IOCTL_DEV != 0)
        .map(|rule| rule.path.as_str())
        .collect();
    assert_eq!(granted, ["/opt/null"]);
}

#[test]
fn what_an_old_kernel_lacks_is_said() {
    let absent = |abi: u32, level| {
        let plan = planned(&good(), level, &root(v2(), abi));
        let lowest = if level == Level::Strict { 1 } else { 2 };
        assert_eq!(!plan.workload.landlock.is_empty(), level > Level::Oci && abi >= lowest);
        plan.absent.iter().filter(|absent| absent.layer == "landlock").count()
    };
    let baseline = [0, 1, 2, 4, 5, 6, 7].map(|abi| absent(abi, Level::Baseline));
    assert_eq!(baseline, [1, 1, 3, 2, 1, 0, 0]);
    assert_eq!(absent(5, Level::Strict), 2, "signals too");
    assert_eq!(absent(1, Level::Strict), 5, "and files stay in their directories");
    assert_eq!(absent(0, Level::Oci), 0, "level oci does not want it");
}

#[test]
fn the_cgroup_mount_is_read_only_from_baseline_on_and_that_is_said() {
    let config = |options: Value| {
        with(
            good(),
            "/mounts",
            json!([{ "destination": "/sys/fs/cgroup", "type": "cgroup", "options": options }]),
        )
    };
    for options in [json!([]), json!(["rw"]), json!(["rrw"])] {
        let plan = planned(&config(options), Level::Baseline, &root(v2(), 7));
        let mount = &plan.mounts[0];
        assert!(mount.is_readonly() && (mount.clear | mount.clear_recursive) & 1 == 0);
        assert!(changed(&plan, "mounts[0].options"));
    }
    assert!(!changed(&planned(&config(json!(["ro"])), Level::Baseline, &root(v2(), 7)), "mounts[0].options"));
    assert!(!planned(&config(json!([])), Level::Oci, &root(v2(), 7)).mounts[0].is_readonly());
}

#[test]
fn the_cgroup_mount_shows_what_the_host_has() {
    let config = with(good(), "/mounts", json!([{ "destination": "/sys/fs/cgroup", "type": "cgroup" }]));
    let views = |layout: Layout| match planned(&config, Level::Oci, &root(layout, 7)).mounts.remove(0).source
    {
        Source::Cgroup { views, .. } => {
            views.into_iter().map(|view| (view.name, view.path)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(views(v2()), [(String::new(), "/sys/fs/cgroup/sandrun-web".to_owned())]);
    let hybrid = views(hybrid());
    assert_eq!(hybrid.len(), CONTROLLERS.len() + 2);
    assert!(hybrid.contains(&("memory".to_owned(), "/sys/fs/cgroup/memory/sandrun-web".to_owned())));
    assert!(hybrid.contains(&("unified".to_owned(), "/sys/fs/cgroup/unified/sandrun-web".to_owned())));
}

#[test]
fn mappings_of_a_joined_user_namespace_are_listed_as_without_effect() {
    let namespaces = json!([{ "type": "mount" }, { "type": "user", "path": "/proc/4821/ns/user" }]);
    let config = with(good(), "/linux/namespaces", namespaces);
    let config = with(config, "/linux/gidMappings", json!([{ "containerID": 0, "hostID": 1, "size": 1 }]));
    let plan = planned(&config, Level::Oci, &root(v2(), 7));
    assert!(changed(&plan, "linux.gidMappings") && plan.namespaces.gid_mappings.is_empty());
}

#[test]
fn an_empty_path_makes_a_namespace() {
    let config = with(good(), "/linux/namespaces", json!([{ "type": "mount", "path": "" }]));
    assert_eq!(planned(&config, Level::Oci, &root(v2(), 7)).namespaces.new, [NamespaceKind::Mount]);
}

#[test]
fn a_node_of_the_configuration_replaces_the_default_one() {
    let config = with(
        good(),
        "/linux/devices",
        json!([{ "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o100_600 }]),
    );
    let devices = planned(&config, Level::Oci, &root(v2(), 7)).devices;
    let null: Vec<_> = devices.iter().filter(|device| device.path == "/dev/null").collect();
    assert_eq!((null.len(), null[0].mode), (1, 0o600));
    assert_eq!(devices.len(), 6);
}

#[test]
fn every_process_limit_default_is_marked_as_ours() {
    let limit = |level, config: &Value| {
        let settings = planned(config, level, &root(v2(), 7)).cgroup.settings;
        settings
            .into_iter()
            .find(|setting| setting.file == "pids.max")
            .map(|setting| (setting.value, setting.at))
    };
    assert_eq!(limit(Level::Oci, &good()), None);
    assert_eq!(limit(Level::Baseline, &good()), Some(("2048".to_owned(), None)));
    let own = with(good(), "/linux/resources", json!({ "pids": { "limit": 7 } }));
    assert_eq!(
        limit(Level::Baseline, &own),
        Some(("7".to_owned(), Some("linux.resources.pids.limit".to_owned())))
    );
}

#[test]
fn core_dumps_are_off_from_baseline_on() {
    let config = with(good(), "/process/rlimits", json!([{ "type": "RLIMIT_CORE", "soft": 5, "hard": 9 }]));
    let core = |level| {
        let plan = planned(&config, level, &root(v2(), 7));
        assert_eq!(plan.workload.rlimits.len(), 1);
        (plan.workload.rlimits[0].hard, changed(&plan, "process.rlimits"))
    };
    assert_eq!([core(Level::Oci), core(Level::Baseline)], [(9, false), (0, true)]);
}

#[test]
fn a_capability_that_the_kernel_would_not_take_is_listed_with_the_reason() {
    let capabilities =
        json!({ "permitted": ["CAP_KILL"], "effective": ["CAP_KILL", "CAP_CHOWN"], "ambient": ["CAP_KILL"] });
    let plan = planned(&with(good(), "/process/capabilities", capabilities), Level::Oci, &root(v2(), 7));
    let changes: Vec<_> =
        plan.changes.iter().map(|change| (change.at.as_str(), change.what.as_str())).collect();
    assert_eq!(
        changes,
        [
            ("process.capabilities.effective", "CAP_CHOWN not given without being permitted too"),
            (
                "process.capabilities.ambient",
                "CAP_KILL not given without being permitted and inheritable too"
            ),
        ]
    );
}

#[test]
fn capabilities_that_the_caller_lacks_are_listed_and_not_given() {
    let config =
        with(good(), "/process/capabilities", json!({ "permitted": ["CAP_CHOWN", "CAP_SYS_RESOURCE"] }));
    let host = Host { capabilities: 1, ..root(v2(), 7) };
    let plan = planned(&config, Level::Oci, &host);
    assert_eq!(plan.workload.capabilities.permitted, 1);
    assert_eq!(plan.changes.len(), 1, "{:?}", plan.changes);
    assert_eq!(plan.changes[0].what, "CAP_SYS_RESOURCE not given: the caller does not have them");
    let own = with(config, "/linux/namespaces", json!([{ "type": "mount" }, { "type": "user" }]));
    let plan = planned(&own, Level::Oci, &user(v2(), 7));
    assert_eq!(plan.workload.capabilities.permitted, 1 | 1 << 24, "a user namespace has its own");
}

#[test]
fn strict_gives_no_precedence_over_the_hosts_processes() {
    let config = |scheduler: Value, class: &str| {
        let config = with(good(), "/process/scheduler", scheduler);
        with(config, "/process/ioPriority", json!({ "class": class, "priority": 4 }))
    };
    let given = |config: &Value, level| {
        let plan = planned(config, level, &root(v2(), 7));
        let workload = plan.workload.clone();
        (
            workload.scheduler.is_some(),
            workload.io_priority.is_some(),
            [changed(&plan, "process.scheduler"), changed(&plan, "process.ioPriority")],
        )
    };
    let urgent = config(json!({ "policy": "SCHED_OTHER", "nice": -1 }), "IOPRIO_CLASS_RT");
    let modest = config(json!({ "policy": "SCHED_BATCH", "nice": 1 }), "IOPRIO_CLASS_IDLE");
    assert_eq!(given(&urgent, Level::Baseline), (true, true, [false, false]));
    assert_eq!(given(&urgent, Level::Strict), (false, false, [true, true]));
    assert_eq!(given(&modest, Level::Strict), (true, true, [false, false]));
}

#[test]
fn a_host_name_may_come_as_a_parameter() {
    let config = with(good(), "/linux/sysctl", json!({ "kernel.hostname": "web", "kernel/domainname": "x" }));
    // Both may be there, as long as they say the same.
    for config in [config.clone(), with(config, "/domainname", json!("x"))] {
        let plan = planned(&config, Level::Oci, &root(v2(), 7));
        assert_eq!((plan.hostname.as_deref(), plan.domainname.as_deref()), (Some("web"), Some("x")));
        assert!(plan.sysctl.is_empty(), "it is set once");
    }
}

#[test]
fn relative_paths_to_hide_start_at_the_root_and_are_told_and_each_is_hidden_once() {
    let config = with(good(), "/linux/readonlyPaths", json!(["proc/bus", "/proc/fs", "/proc/bus"]));
    let plan = planned(&config, Level::Oci, &root(v2(), 7));
    assert_eq!(plan.readonly_paths, ["/proc/bus", "/proc/fs"]);
    assert!(changed(&plan, "linux.readonlyPaths") && !changed(&plan, "linux.maskedPaths"));
}

#[test]
fn a_device_is_named_by_the_last_part_of_its_path() {
    let device = json!([{ "path": "/dev//net/tun/", "type": "c", "major": 10, "minor": 200 }]);
    let plan = planned(&with(good(), "/linux/devices", device), Level::Oci, &root(v2(), 7));
    assert_eq!(plan.devices.last().map(|device| device.path.as_str()), Some("/dev/net/tun"));
}

#[test]
fn a_value_for_a_filesystem_has_no_effect_on_a_bind_mount() {
    let bind =
        json!([{ "destination": "/a", "type": "bind", "source": "/b", "options": ["rbind", "mode=1777"] }]);
    assert!(changed(
        &planned(&with(good(), "/mounts", bind), Level::Oci, &root(v2(), 7)),
        "mounts[0].options"
    ));
}

#[test]
fn the_last_value_of_a_variable_counts() {
    let config = with(good(), "/process/env", json!(["A=1", "B=2", "A=3", "A"]));
    assert_eq!(planned(&config, Level::Oci, &root(v2(), 7)).workload.env, ["B=2", "A"]);
}

#[test]
fn a_container_needs_a_program_only_to_be_started() {
    let plan = planned(&without(good(), "/process"), Level::Baseline, &root(v2(), 7));
    assert!(
        plan.workload.args.is_empty() && plan.workload.no_new_privs && !plan.workload.landlock.is_empty()
    );
}

#[test]
fn without_a_mount_namespace_nothing_is_mounted_and_nothing_was_to_be_hidden() {
    let proc = json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]);
    let config = with(with(good(), "/linux/namespaces", json!([])), "/mounts", proc);
    let letter = planned(&config, Level::Oci, &root(v2(), 7));
    assert!(letter.rootfs.in_place && letter.mounts.is_empty() && letter.devices.is_empty());
    assert!(changed(&letter, "mounts") && !changed(&letter, "root.readonly"));
    let hiding = with(config.clone(), "/linux/maskedPaths", json!(["/proc/kcore"]));
    let error = plan(&hiding.to_string(), Level::Oci, &root(v2(), 7)).expect_err("masks the host's /proc");
    assert_eq!(error.at.as_deref(), Some("linux.maskedPaths"));
    let baseline = planned(&config, Level::Baseline, &root(v2(), 7));
    assert!(!baseline.rootfs.in_place && baseline.namespaces.is_new(NamespaceKind::Mount));
    assert!(changed(&baseline, "linux.namespaces"));
}
