//! Who gets ids of its own, and what prevents it: refused on request, absent where a level wants it.

use super::*;
use crate::error::Kind;
use crate::plan::mounts::{Idmap, Mount};
use crate::plan::namespaces::NamespaceKind;
use crate::plan::namespaces::private_ids::{ANNOTATION, LAYER, WantedBy};

/// A container with all namespaces of its own, a volume to read and one to write.
fn alone() -> Value {
    let bind = |destination: &str, options: Value| json!({ "destination": destination, "type": "bind", "source": "/srv", "options": options });
    let config = with(
        good(),
        "/linux/namespaces",
        json!(["mount", "pid", "ipc", "network", "uts"].map(|kind| json!({ "type": kind }))),
    );
    with(config, "/mounts", json!([bind("/in", json!(["rbind", "ro"])), bind("/out", json!(["bind"]))]))
}

fn asking(config: Value) -> Value {
    with(config, "/annotations", json!({ ANNOTATION: "true" }))
}

fn planned(config: &Value, level: Level, host: &Host) -> Plan {
    plan(&config.to_string(), level, host).unwrap_or_else(|error| panic!("{error}: {config}"))
}

#[test]
fn strict_wants_them_and_the_others_when_asked() {
    let wanted = |config: &Value, level| {
        let plan = planned(config, level, &root(v2(), 7));
        assert_eq!(plan.namespaces.private_ids.is_some(), plan.namespaces.is_new(NamespaceKind::User));
        assert_eq!(plan.rootfs.idmap, plan.namespaces.private_ids.is_some());
        assert!(plan.namespaces.uid_mappings.is_empty(), "which ones is the pool's to say");
        plan.namespaces.private_ids
    };
    let (plain, asking) = (alone(), asking(alone()));
    let levels = [Level::Oci, Level::Baseline, Level::Strict];
    assert_eq!(levels.map(|level| wanted(&plain, level)), [None, None, Some(WantedBy::Level)]);
    assert_eq!(levels.map(|level| wanted(&asking, level)), [Some(WantedBy::Request); 3]);
}

#[test]
fn a_level_leaves_unmapped_only_what_nobody_writes_to() {
    let left = |config: &Value, level| {
        let mounts = planned(config, level, &root(v2(), 7)).mounts;
        let idmap = |mount: &Mount| mount.idmap.clone().unwrap();
        mounts.iter().map(|mount| (idmap(mount).recursive, idmap(mount).or_unmapped)).collect::<Vec<_>>()
    };
    assert_eq!(left(&alone(), Level::Strict), [(true, true), (false, false)]);
    assert_eq!(left(&asking(alone()), Level::Strict), [(true, true), (false, true)]);
    let own = json!([{ "containerID": 0, "hostID": 7, "size": 1 }]);
    let config = with(with(alone(), "/mounts/1/uidMappings", own.clone()), "/mounts/1/gidMappings", own);
    let mount = planned(&asking(config), Level::Oci, &root(v2(), 7)).mounts.remove(1);
    let Some(Idmap { uid_mappings, or_unmapped: false, .. }) = mount.idmap else { panic!("{mount:?}") };
    assert_eq!(uid_mappings[0].outside, 7, "config.json has said how");
}

/// What was edited, and the field that is named.
fn obstacles() -> Vec<(&'static str, Value, &'static str)> {
    let namespaces =
        |kinds: &[&str]| json!(kinds.iter().map(|kind| json!({ "type": kind })).collect::<Vec<_>>());
    let mut joined = namespaces(&["mount", "pid", "network"]);
    joined.as_array_mut().unwrap().push(json!({ "type": "ipc", "path": "/proc/7/ns/ipc" }));
    vec![
        ("/linux/namespaces", namespaces(&["mount", "pid", "ipc"]), "linux.namespaces"),
        ("/linux/namespaces", namespaces(&["mount", "pid", "network"]), "linux.namespaces"),
        ("/linux/namespaces", joined, "linux.namespaces[3].path"),
        ("/process/user", json!({ "uid": 65536, "gid": 0 }), "process.user.uid"),
        (
            "/process/user",
            json!({ "uid": 0, "gid": 0, "additionalGids": [1, 70000] }),
            "process.user.additionalGids[1]",
        ),
        (
            "/linux/resources/devices",
            json!([{ "allow": false, "access": "rwm" }, { "allow": true, "access": "rwm" }]),
            "linux.resources.devices[1]",
        ),
        (
            "/mounts",
            json!([{ "destination": "/huge", "type": "hugetlbfs", "source": "none" }]),
            "mounts[0].type",
        ),
        (
            "/mounts",
            json!([{ "destination": "/o", "type": "overlay", "source": "o", "options": ["lowerdir=/a:/b"] }]),
            "mounts[0].type",
        ),
    ]
}

#[test]
fn an_obstacle_is_refused_on_request_and_absent_at_strict() {
    let host = root(v2(), 7);
    for (pointer, value, at) in obstacles() {
        let config = with(alone(), pointer, value);
        let error = plan(&asking(config.clone()).to_string(), Level::Baseline, &host).unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported, "{error}");
        assert!(error.to_string().contains(&format!("{at}: ")) && error.fix.is_some(), "{error}");
        let plan = planned(&config, Level::Strict, &host);
        let absent: Vec<_> = plan.absent.iter().filter(|absent| absent.layer == LAYER).collect();
        assert!(absent.len() == 1 && absent[0].why.contains(&format!("{at}: ")), "{absent:?}");
        assert!(plan.namespaces.private_ids.is_none() && !plan.rootfs.idmap);
        assert!(plan.mounts.iter().all(|mount| mount.idmap.is_none()));
    }
}

/// What works with the host's ids is not broken by a level; whoever asks for others has thought of it.
#[test]
fn what_is_made_for_the_hosts_root_stays_so_at_strict() {
    let own = json!([{ "containerID": 0, "hostID": 7, "size": 1 }]);
    let host = root(v2(), 7);
    for (pointer, value) in [
        ("/hooks", json!({ "createContainer": [{ "path": "/usr/bin/hook" }] })),
        ("/linux/sysctl", json!({ "kernel.shmmax": "1" })),
        ("/linux/devices", json!([{ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229 }])),
        (
            "/mounts",
            json!([{ "destination": "/in", "type": "bind", "source": "/srv", "options": ["bind"],
                "uidMappings": own, "gidMappings": own }]),
        ),
    ] {
        let config = with(alone(), pointer, value);
        assert!(planned(&config, Level::Strict, &host).namespaces.private_ids.is_none());
        assert!(planned(&asking(config), Level::Strict, &host).namespaces.private_ids.is_some());
    }
    let unmappable = Host { unmappable: Some(("root.path".to_owned(), "EINVAL".to_owned())), ..host };
    let plan = planned(&alone(), Level::Strict, &unmappable);
    assert_eq!(plan.absent[0].why, "the host's root is the container's: root.path: EINVAL");
}

#[test]
fn whoever_has_ids_already_is_left_alone() {
    let mut own = alone();
    own["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
    let mapping = json!([{ "containerID": 0, "hostID": 100000, "size": 65536 }]);
    let own = with(with(own, "/linux/uidMappings", mapping.clone()), "/linux/gidMappings", mapping);
    let plan = planned(&own, Level::Strict, &root(v2(), 7));
    assert!(plan.namespaces.private_ids.is_none() && plan.absent.is_empty(), "{:?}", plan.absent);
    assert_eq!(plan.namespaces.uid_mappings[0].outside, 100_000);
    let plan = planned(&alone(), Level::Strict, &user(v2(), 7));
    assert!(plan.namespaces.private_ids.is_none() && plan.namespaces.is_new(NamespaceKind::User));
}

#[test]
fn a_container_cannot_loosen_strict() {
    let loosening = |value: &str| with(alone(), "/annotations", json!({ ANNOTATION: value })).to_string();
    let host = root(v2(), 7);
    let at = format!("annotations[{ANNOTATION:?}]");
    let refused = plan(&loosening("false"), Level::Strict, &host).unwrap_err();
    assert_eq!((refused.kind, refused.at.as_deref()), (Kind::Refused, Some(at.as_str())));
    assert!(plan(&loosening("false"), Level::Baseline, &host).unwrap().changes.iter().all(|it| it.at != at));
    let refused = plan(&loosening("yes"), Level::Oci, &host).unwrap_err();
    assert_eq!((refused.kind, refused.at.as_deref()), (Kind::Invalid, Some(at.as_str())));
}

/// A container of a pod, as containerd writes it: with the sandbox's namespaces, and a network that was there before.
fn of_pod(config: Value, sandbox: bool) -> Value {
    let own = ["mount", "pid"].map(|kind| json!({ "type": kind }));
    let mut namespaces = own.to_vec();
    for kind in ["ipc", "uts"] {
        let path = format!("/proc/4821/ns/{kind}");
        let joined = json!({ "type": kind, "path": path });
        namespaces.push(if sandbox { json!({ "type": kind }) } else { joined });
    }
    namespaces.push(json!({ "type": "network", "path": "/run/netns/cni-1" }));
    let sysfs = json!([{ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"] }]);
    with(with(config, "/linux/namespaces", json!(namespaces)), "/mounts", sysfs)
}

fn wanting(config: &Value, options: Options) -> Result<Plan> {
    plan_wanting(&config.to_string(), Level::Baseline, &root(v2(), 7), options)
}

fn preferring(pod: Option<Pod>) -> Options {
    Options { prefer_private_ids: true, pod, ..Options::default() }
}

#[test]
fn a_pods_sandbox_gets_ids_and_its_containers_join() {
    let mut sandbox = wanting(&of_pod(good(), true), preferring(None)).unwrap();
    assert!(sandbox.namespaces.is_new(NamespaceKind::User));
    sandbox.give_ids(1_000_000);
    let parameters: Vec<_> = sandbox.network_sysctl.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let ports = ("net.ipv4.ip_unprivileged_port_start", "0");
    assert_eq!(parameters, [ports, ("net.ipv4.ping_group_range", "1000000 1065535")]);
    let container = wanting(&of_pod(good(), false), preferring(Some(pod()))).unwrap();
    let joined = container.namespaces.join.iter().find(|joined| joined.kind == NamespaceKind::User).unwrap();
    assert_eq!(
        (joined.path.as_str(), joined.at.as_str()),
        ("/proc/4821/ns/user", "linux.namespaces[2].path")
    );
    assert_eq!(container.namespaces.uid_mappings, pod().uid_mappings);
    assert!(container.rootfs.idmap && container.network_sysctl.is_empty(), "the sandbox has set them");
    for plan in [&sandbox, &container] {
        let crate::plan::mounts::Source::Filesystem { of_network, .. } = plan.mounts[0].source else {
            panic!()
        };
        assert!(of_network, "root inside may not mount it");
    }
}

#[test]
fn a_pods_parameters_are_its_own() {
    let sysctl = json!({ "net.ipv4.ping_group_range": "5 100", "net.ipv4.ip_unprivileged_port_start": "80",
        "kernel.shm_rmid_forced": "1" });
    let config = with(of_pod(good(), true), "/linux/sysctl", sysctl);
    let asking = Options { private_ids: Some(true), ..Options::default() };
    let mut plan = wanting(&config, asking).unwrap();
    plan.give_ids(1_000_000);
    assert_eq!(plan.network_sysctl["net.ipv4.ping_group_range"], "1000005 1000100");
    assert_eq!(plan.network_sysctl["net.ipv4.ip_unprivileged_port_start"], "80");
    assert_eq!(plan.sysctl.keys().collect::<Vec<_>>(), ["kernel.shm_rmid_forced"], "root inside sets these");
}

/// What is preferred is left out with a reason, what is asked for is refused.
#[test]
fn a_pod_that_shares_more_keeps_it() {
    let host_network = Options { joins_callers_network: true, ..preferring(None) };
    let host_pids = with(of_pod(good(), true), "/linux/namespaces/1", json!({ "type": "cgroup" }));
    for (config, options, at) in [
        (of_pod(good(), true), host_network, "linux.namespaces[4].path"),
        (host_pids, preferring(None), "linux.namespaces"),
        // The sandbox has the host's ids.
        (of_pod(good(), false), preferring(None), "linux.namespaces[2].path"),
    ] {
        let plan = wanting(&config, options.clone()).unwrap();
        assert!(plan.namespaces.private_ids.is_none() && plan.network_sysctl.is_empty());
        assert!(plan.absent.iter().any(|it| it.layer == LAYER && it.why.contains(at)), "{:?}", plan.absent);
        let refused = wanting(&asking(config), options).unwrap_err();
        assert!(refused.kind == Kind::Unsupported && refused.to_string().contains(at), "{refused}");
    }
}
