//! Every reason why there is no plan: what was edited, where the error points, its kind, and words of it.
//!
//! Those of `linux.resources` are in the tests of `plan::cgroup`, those of `linux.seccomp` in its own.

mod files;
mod workload;

use super::*;
use crate::error::Kind::{Invalid, Refused, Unsupported};
use crate::error::{Error, Kind};

/// The refusal of a good configuration with one value changed, by root of a host with cgroup v2.
fn refused(pointer: &str, value: Value) -> Error {
    refused_by(&root(v2(), 7), Level::Oci, &with(good(), pointer, value))
}

fn refused_by(host: &Host, level: Level, config: &Value) -> Error {
    plan(&config.to_string(), level, host).err().unwrap_or_else(|| panic!("accepted: {config}"))
}

type Row = (&'static str, Value, &'static str, Kind, &'static str);

fn check(rows: impl IntoIterator<Item = Row>) {
    for (pointer, value, at, kind, words) in rows {
        let error = refused(pointer, value);
        assert_eq!((error.at.as_deref(), error.kind), (Some(at), kind), "{error}");
        assert!(error.to_string().contains(words), "{error:?} has no {words:?}");
    }
}

#[test]
fn the_base_of_the_table_is_accepted() {
    for level in [Level::Oci, Level::Baseline, Level::Strict] {
        plan(&good().to_string(), level, &root(v2(), 7)).unwrap();
    }
}

#[test]
fn namespaces() {
    let list = |more: Value| json!([{ "type": "mount" }, more]);
    let at = "/linux/namespaces";
    check([
        (
            at,
            list(json!({ "type": "mount" })),
            "linux.namespaces[1]",
            Invalid,
            "mount namespace is listed twice",
        ),
        (
            at,
            json!([{ "type": "mount" }, { "type": "pid" }, { "type": "pid", "path": "/proc/1/ns/pid" }]),
            "linux.namespaces[2]",
            Invalid,
            "pid namespace is listed twice",
        ),
        (
            at,
            list(json!({ "type": "network", "path": "ns/net" })),
            "linux.namespaces[1]",
            Invalid,
            "not absolute",
        ),
    ]);
    let joined = with(good(), at, json!([{ "type": "mount", "path": "/proc/1/ns/mnt" }]));
    let error = refused_by(&root(v2(), 7), Level::Baseline, &joined);
    assert_eq!((error.at.as_deref(), error.kind), (Some("linux.namespaces[0].path"), Refused), "{error}");
}

/// `mappings` for users, one good one for groups, in a configuration with a user namespace.
fn mapped(mappings: Value) -> Value {
    let config = with(good(), "/linux/namespaces", json!([{ "type": "mount" }, { "type": "user" }]));
    let config = with(config, "/linux/gidMappings", json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]));
    with(config, "/linux/uidMappings", mappings)
}

#[test]
fn id_mappings() {
    let map = |inside: u32, outside: u32, size: u32| json!({ "containerID": inside, "hostID": outside, "size": size });
    for (mappings, at, words) in [
        (json!([map(0, 1000, 10), map(9, 5000, 1)]), "linux.uidMappings[1]", "container ids overlap"),
        (json!([map(0, 1000, 10), map(10, 1009, 1)]), "linux.uidMappings[1]", "host ids overlap"),
        (json!([map(0, 1000, 1), map(1, 2000, 0)]), "linux.uidMappings[1]", "size is 0"),
        (json!([map(0, 1, u32::MAX)]), "linux.uidMappings[0]", "beyond the largest id"),
        (json!([map(1, 1000, 10)]), "linux.uidMappings", "no id 0"),
        (json!([]), "linux.uidMappings", "no id 0"),
    ] {
        let error = refused_by(&root(v2(), 7), Level::Oci, &mapped(mappings));
        assert_eq!((error.at.as_deref(), error.kind), (Some(at), Invalid), "{error}");
        assert!(error.to_string().contains(words), "{error:?} has no {words:?}");
    }
    let whole = mapped(json!([map(0, 0, u32::MAX)]));
    assert!(plan(&whole.to_string(), Level::Oci, &root(v2(), 7)).is_ok(), "every id there is");
    let one = json!([map(0, 1000, 1)]);
    check([
        ("/linux/uidMappings", one.clone(), "linux.uidMappings", Invalid, "without a user namespace"),
        ("/linux/gidMappings", one, "linux.gidMappings", Invalid, "without a user namespace"),
    ]);
}

#[test]
fn root_needs_mappings_for_a_user_namespace_and_a_user_does_not() {
    let config = with(good(), "/linux/namespaces", json!([{ "type": "mount" }, { "type": "user" }]));
    let error = refused_by(&root(v2(), 7), Level::Oci, &config);
    assert!(error.why.contains("a new user namespace without id mappings"), "{error}");
    let plan = plan(&config.to_string(), Level::Oci, &user(v2(), 7)).unwrap();
    assert_eq!(plan.namespaces.uid_mappings[0].outside, 1000);
    assert_eq!(plan.changes[0].at, "linux.uidMappings");
}

#[test]
fn clocks() {
    check([(
        "/linux/timeOffsets",
        json!({ "boottime": { "secs": 1 } }),
        "linux.timeOffsets",
        Invalid,
        "without a new time namespace",
    )]);
    let timed = with(good(), "/linux/namespaces", json!([{ "type": "mount" }, { "type": "time" }]));
    for (offsets, at, words) in [
        (json!({ "realtime": { "secs": 1 } }), "linux.timeOffsets.realtime", "no clock \"realtime\""),
        (
            json!({ "monotonic": { "nanosecs": 1_000_000_000 } }),
            "linux.timeOffsets.monotonic.nanosecs",
            "a second or more",
        ),
    ] {
        let error =
            refused_by(&root(v2(), 7), Level::Oci, &with(timed.clone(), "/linux/timeOffsets", offsets));
        assert_eq!((error.at.as_deref(), error.kind), (Some(at), Invalid));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn names_and_kernel_parameters() {
    let sysctl = |name: &str| json!({ name: "1" });
    let at = "/linux/sysctl";
    check([
        (at, sysctl("vm.swappiness"), "linux.sysctl[\"vm.swappiness\"]", Invalid, "would change the host"),
        (
            at,
            sysctl("kernel.core_pattern"),
            "linux.sysctl[\"kernel.core_pattern\"]",
            Invalid,
            "would change the host",
        ),
        (at, sysctl("net..ip"), "linux.sysctl[\"net..ip\"]", Invalid, "would change the host"),
        (at, sysctl("net/../vm/x"), "linux.sysctl[\"net/../vm/x\"]", Invalid, "would change the host"),
        (
            at,
            sysctl("net.ipv4.ip_forward"),
            "linux.sysctl[\"net.ipv4.ip_forward\"]",
            Invalid,
            "no network namespace",
        ),
        (at, sysctl("kernel.shmmax"), "linux.sysctl[\"kernel.shmmax\"]", Invalid, "no ipc namespace"),
        (at, sysctl("fs.mqueue.msg_max"), "linux.sysctl[\"fs.mqueue.msg_max\"]", Invalid, "no ipc namespace"),
        (
            at,
            sysctl("user.max_user_namespaces"),
            "linux.sysctl[\"user.max_user_namespaces\"]",
            Invalid,
            "no user namespace",
        ),
        (
            at,
            json!({ "kernel.domainname": "a", "kernel/domainname": "b" }),
            "linux.sysctl[\"kernel/domainname\"]",
            Invalid,
            "listed twice",
        ),
    ]);
    let bare = with(good(), "/linux/namespaces", json!([{ "type": "mount" }]));
    for (field, value) in [("hostname", "web"), ("domainname", "example.org")] {
        let error =
            refused_by(&root(v2(), 7), Level::Oci, &with(bare.clone(), &format!("/{field}"), json!(value)));
        assert_eq!((error.at.as_deref(), error.kind), (Some(field), Invalid));
        assert!(error.to_string().contains("without a UTS namespace"), "{error}");
    }
    let error = refused_by(&root(v2(), 7), Level::Oci, &with(bare, at, sysctl("kernel.hostname")));
    assert!(error.to_string().contains("no uts namespace"), "{error}");
}

#[test]
fn processes() {
    check([
        ("/process/args", json!([]), "process.args", Invalid, "no program to run"),
        ("/process/args", json!([""]), "process.args", Invalid, "no program to run"),
        ("/process/args", json!(["sh", "a\0b"]), "process.args[1]", Invalid, "NUL byte"),
        ("/process/env", json!(["A=b", "C=\0"]), "process.env[1]", Invalid, "NUL byte"),
        ("/process/cwd", json!("srv"), "process.cwd", Invalid, "not absolute"),
        ("/process/cwd", json!(""), "process.cwd", Invalid, "not absolute"),
        ("/process/cwd", json!("/a\0"), "process.cwd", Invalid, "NUL byte"),
        ("/process/user", json!({ "uid": u32::MAX }), "process.user.uid", Invalid, "is no id"),
        ("/process/user", json!({ "gid": u32::MAX }), "process.user.gid", Invalid, "is no id"),
        ("/process/user", json!({ "umask": 512 }), "process.user.umask", Invalid, "above 511"),
        ("/process/oomScoreAdj", json!(1001), "process.oomScoreAdj", Invalid, "from -1000 to 1000"),
        (
            "/linux/mountLabel",
            json!("system_u:object_r:container_file_t:s0"),
            "linux.mountLabel",
            Unsupported,
            "SELinux is not enabled",
        ),
        (
            "/process/apparmorProfile",
            json!("docker-default"),
            "process.apparmorProfile",
            Unsupported,
            "AppArmor is not enabled",
        ),
        (
            "/process/selinuxLabel",
            json!("system_u:system_r:container_t:s0"),
            "process.selinuxLabel",
            Unsupported,
            "SELinux is not enabled",
        ),
    ]);
    for (config, at, words) in [
        (without(good(), "/process/args"), "process.args", "no program to run"),
        (without(good(), "/process/cwd"), "process.cwd", "not absolute"),
    ] {
        let error = refused_by(&root(v2(), 7), Level::Oci, &config);
        assert_eq!((error.at.as_deref(), error.kind), (Some(at), Invalid));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn resource_limits() {
    let limit = |soft: u64, hard: u64| json!({ "type": "RLIMIT_NOFILE", "soft": soft, "hard": hard });
    check([
        (
            "/process/rlimits",
            json!([limit(1, 2), limit(1, 2)]),
            "process.rlimits[1]",
            Invalid,
            "RLIMIT_NOFILE is listed twice",
        ),
        ("/process/rlimits", json!([limit(3, 2)]), "process.rlimits[0]", Invalid, "soft 3 is above hard 2"),
    ]);
}

#[test]
fn hooks() {
    let hook = |hook: Value| json!({ "createRuntime": [{ "path": "/bin/true" }, hook] });
    check([
        (
            "/hooks",
            hook(json!({ "path": "bin/true" })),
            "hooks.createRuntime[1].path",
            Invalid,
            "is not absolute",
        ),
        (
            "/hooks",
            hook(json!({ "path": "/bin/true", "timeout": 0 })),
            "hooks.createRuntime[1].timeout",
            Invalid,
            "is not above zero",
        ),
        (
            "/hooks",
            hook(json!({ "path": "/bin/true", "args": ["true", "a\0b"] })),
            "hooks.createRuntime[1].args",
            Invalid,
            "a NUL byte",
        ),
        (
            "/hooks",
            hook(json!({ "path": "/bin/true", "env": ["A=\0"] })),
            "hooks.createRuntime[1].env",
            Invalid,
            "a NUL byte",
        ),
    ]);
}

#[test]
fn empty_lists_of_hooks_are_none() {
    let empty = with(good(), "/hooks", json!({ "prestart": [], "poststop": [] }));
    assert!(plan(&empty.to_string(), Level::Oci, &root(v2(), 7)).is_ok(), "no hook at all");
}

#[test]
fn hooks_inside_have_no_agent() {
    let rule = json!([{ "names": ["mount"], "action": "SCMP_ACT_NOTIFY" }]);
    let seccomp =
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rule, "listenerPath": "/run/agent" });
    let notified = |hook: &str| {
        let config = with(good(), "/hooks", json!({ hook: [{ "path": "/hook" }] }));
        plan(&with(config, "/linux/seccomp", seccomp.clone()).to_string(), Level::Baseline, &root(v2(), 7))
    };
    let error = notified("startContainer").err().unwrap();
    assert_eq!((error.at.as_deref(), error.kind), (Some("hooks.startContainer"), Unsupported), "{error}");
    assert!(notified("createContainer").is_ok(), "they run before the filters are loaded");
}

#[test]
fn a_seccomp_flag_that_the_kernel_lacks() {
    let rule = json!([{ "names": ["mount"], "action": "SCMP_ACT_NOTIFY" }]);
    let config = with(
        good(),
        "/linux/seccomp",
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rule, "listenerPath": "/run/agent",
                "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] }),
    );
    let old = Host { seccomp_wait_killable: false, ..root(v2(), 7) };
    for level in [Level::Oci, Level::Baseline] {
        let error = refused_by(&old, level, &config);
        assert_eq!((error.at.as_deref(), error.kind), (Some("linux.seccomp.flags"), Unsupported), "{error}");
        assert!(error.to_string().contains("Linux 5.19"), "{error}");
        plan(&config.to_string(), level, &root(v2(), 7)).unwrap();
    }
}

#[test]
fn all_refusals_come_at_once() {
    let mut config = good();
    config["process"] =
        json!({ "args": [], "cwd": "srv", "ioPriority": { "class": "IOPRIO_CLASS_RT", "priority": 9 } });
    config["hooks"] = json!({ "poststop": [{ "path": "true" }] });
    config["root"] = json!({});
    config["hostname"] = json!("web");
    config["mounts"] =
        json!([{ "destination": "/a/..", "type": "tmpfs" }, { "destination": "/b", "type": "bind" }]);
    config["linux"] = json!({
        "namespaces": [{ "type": "pid" }, { "type": "pid" }],
        "devices": [{ "path": "x", "type": "c", "major": 1, "minor": 1 }],
        "resources": { "pids": { "limit": 10 }, "cpu": { "cpus": "all" } },
    });
    let error = refused_by(&root(v2(), 7), Level::Oci, &config);
    assert_eq!(error.kind, Invalid, "that of the first");
    let text = error.to_string();
    for at in [
        "hooks.poststop[0].path",
        "process.ioPriority.priority",
        "linux.namespaces[1]",
        "root.path",
        "mounts[0].destination",
        "mounts[1].source",
        "linux.devices[0].path",
        "process.args",
        "process.cwd",
        "linux.resources.cpu.cpus",
        "hostname",
    ] {
        assert!(text.contains(&format!(": {at} in config.json")), "{at} is not in {text}");
    }
}
