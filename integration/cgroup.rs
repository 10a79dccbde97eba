//! Limits are set, can be read inside, and hold.

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root, leaks};

const MIB: i64 = 1 << 20;

#[test]
fn the_container_reads_its_own_limits() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["cgroup"]).edit(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 64 * MIB });
        config["linux"]["resources"]["pids"] = json!({ "limit": 33 });
    });
    let seen = Runtime::sandrun().ask(&bundle);
    assert_eq!(seen["limits"]["memory"], (64 * MIB).to_string(), "{seen}");
    assert_eq!(seen["limits"]["pids"], "33", "{seen}");
}

#[test]
fn the_path_of_the_cgroup_is_hidden() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["cgroup"]);
    let seen = Runtime::sandrun().ask(&bundle);
    for line in seen["membership"].as_array().expect("a list") {
        let line = line.as_str().expect("a line");
        assert!(line.ends_with(":/"), "its own cgroup is not its root: {line}");
    }
}

#[test]
fn processes_are_limited_even_if_nobody_asked() {
    skip_unless!(is_root(), "needs root");
    let seen = Runtime::sandrun().ask(&Bundle::probe(&["cgroup"]));
    let limit: i64 = seen["limits"]["pids"].as_str().and_then(|text| text.parse().ok()).unwrap_or(i64::MAX);
    assert!(limit <= 8192, "no default limit of processes: {}", seen["limits"]);
}

#[test]
fn a_fork_bomb_is_stopped() {
    skip_unless!(is_root(), "needs root");
    let bomb = |limit: i64| {
        Bundle::probe(&["forkbomb", "64"])
            .edit(|config| config["linux"]["resources"]["pids"] = json!({ "limit": limit }))
    };
    let runtime = Runtime::sandrun();
    let seen = runtime.ask(&bomb(200));
    assert_eq!(seen["forked"], 64, "the bomb does not go off at all: {seen}");
    let bundle = bomb(16);
    let seen = runtime.ask(&bundle);
    assert_eq!(seen["errno"], "EAGAIN", "{seen}");
    assert!(seen["forked"].as_i64().is_some_and(|forked| forked < 16), "{seen}");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn too_much_memory_ends_the_container_and_is_named() {
    skip_unless!(is_root(), "needs root");
    let eat = |limit: i64| {
        Bundle::probe(&["eat", "64"]).edit(|config| {
            config["linux"]["resources"]["memory"] = json!({ "limit": limit * MIB, "swap": limit * MIB });
        })
    };
    let runtime = Runtime::sandrun();
    assert_eq!(runtime.ask(&eat(128))["touchedMib"], 64);
    let bundle = eat(16);
    let output = runtime.run(&bundle);
    assert_eq!(output.code, 137, "{output}");
    assert!(output.stderr.contains("out of memory"), "{output}");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn a_path_that_climbs_makes_no_cgroup_outside() {
    skip_unless!(is_root(), "needs root");
    let name = crate::support::bundle::unique("climbed");
    let bundle = Bundle::probe(&["cgroup"]).edit(|config| {
        config["linux"]["cgroupsPath"] = json!(format!("/a/../../../../../../tmp/{name}"));
    });
    Runtime::sandrun().run(&bundle);
    let outside = std::path::Path::new("/tmp").join(&name);
    let made = outside.exists();
    if made {
        std::fs::remove_dir_all(&outside).expect("cannot remove what was made outside");
    }
    assert!(!made, "a directory was made outside of the cgroup filesystem");
}

#[test]
fn on_pure_v2_the_container_sees_one_hierarchy_and_is_kept_from_devices() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun().on_pure_v2();
    let without_limits = |bundle: Bundle| {
        bundle.edit(|config| {
            config["linux"].as_object_mut().expect("an object").remove("resources");
        })
    };
    let seen = runtime.ask(&without_limits(Bundle::probe(&["cgroup"])));
    let membership = seen["membership"].as_array().expect("a list");
    assert!(membership.iter().any(|line| line == "0::/"), "its own cgroup is not its root: {seen}");
    let bundle = without_limits(Bundle::shell("sleep 60"));
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let layers = state["sandrun"]["receipt"]["layers"].as_array().expect("a receipt has layers");
    let devices = layers.iter().find(|layer| layer["layer"] == "devices").expect("devices are in it");
    assert_eq!(devices["state"], "enforced", "{state}");
    assert!(devices["detail"].as_str().is_some_and(|detail| detail.contains("BPF")), "{devices}");
    runtime.call(&["pause", &bundle.id]).ok();
    assert_eq!(runtime.status(&bundle), "paused");
    runtime.call(&["resume", &bundle.id]).ok();
    runtime.call(&["delete", "--force", &bundle.id]).ok();
    leaks::assert_none(&runtime, &bundle);
}
