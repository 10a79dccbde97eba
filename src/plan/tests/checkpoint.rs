//! What is not checkpointed, and which plan a checkpoint is not restored with.

use serde_json::json;

use super::{good, plan, root, v2, with};
use crate::level::Level;
use crate::plan::checkpoint::{differences, refusals};

#[test]
fn landlock_is_refused_and_config_json_alone_is_not() {
    let text = good().to_string();
    let confined = plan(&text, Level::Baseline, &root(v2(), 7)).unwrap();
    let refused: Vec<String> = refusals(&confined).iter().map(ToString::to_string).collect();
    assert!(matches!(refused.as_slice(), [one] if one.contains("Landlock")), "{refused:?}");
    let plain = plan(&text, Level::Oci, &root(v2(), 7)).unwrap();
    assert!(refusals(&plain).is_empty());
    let without = plan(&text, Level::Baseline, &root(v2(), 0)).unwrap();
    assert!(refusals(&without).is_empty(), "a kernel without Landlock has nothing to lose");
}

#[test]
fn joined_namespaces_that_criu_does_not_know_are_refused() {
    let config =
        with(good(), "/linux/namespaces/2", json!({ "type": "cgroup", "path": "/proc/1/ns/cgroup" }));
    let plan = plan(&config.to_string(), Level::Oci, &root(v2(), 0)).unwrap();
    let refused: Vec<String> = refusals(&plan).iter().map(ToString::to_string).collect();
    assert!(matches!(refused.as_slice(), [one] if one.contains("linux.namespaces[2]")), "{refused:?}");
}

#[test]
fn names_and_paths_may_differ_and_confinement_may_not() {
    let of = |config: &serde_json::Value| plan(&config.to_string(), Level::Oci, &root(v2(), 0)).unwrap();
    let recorded = of(&good());
    let differs =
        |pointer: &str, value: serde_json::Value| differences(&recorded, &of(&with(good(), pointer, value)));
    assert!(differences(&recorded, &recorded).is_empty());
    for (pointer, value) in [
        ("/root/path", json!("elsewhere")),
        ("/annotations", json!({ "a": "b" })),
        ("/process/args", json!(["false"])),
        ("/linux/cgroupsPath", json!("/elsewhere")),
        ("/hooks", json!({ "poststop": [{ "path": "/hook" }] })),
    ] {
        assert!(differs(pointer, value).is_empty(), "{pointer}");
    }
    for (pointer, value, part) in [
        ("/process/noNewPrivileges", json!(true), "workload"),
        ("/process/capabilities", json!({ "bounding": ["CAP_KILL"] }), "workload"),
        ("/linux/maskedPaths", json!(["/proc/kcore"]), "maskedPaths"),
        ("/linux/resources", json!({ "pids": { "limit": 7 } }), "cgroup"),
        ("/root/readonly", json!(true), "rootfs"),
        ("/mounts", json!([{ "destination": "/tmp", "type": "tmpfs" }]), "mounts"),
    ] {
        assert!(differs(pointer, value).iter().any(|name| name == part), "{pointer}");
    }
}
