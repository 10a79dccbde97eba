//! Every namespace is new, joined or the host's, exactly as config.json says.

use std::fs;

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root};

fn of_host(kind: &str) -> String {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).expect("cannot read a namespace link");
    link.to_string_lossy().into_owned()
}

#[test]
fn all_that_are_named_are_new() {
    skip_unless!(is_root(), "needs root");
    let seen = Runtime::sandrun().ask(&Bundle::probe(&["namespaces"]));
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "uts"] {
        assert_ne!(seen[kind], of_host(kind), "{kind} is the host's");
    }
}

#[test]
fn one_that_is_not_named_is_the_callers() {
    skip_unless!(is_root(), "needs root");
    for (name, link) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        let mut bundle = Bundle::probe(&["namespaces"]).without_namespace(name);
        if name == "uts" {
            bundle = bundle.edit(|config| config["hostname"] = json!(null));
        }
        let seen = Runtime::at_level("oci").ask(&bundle);
        assert_eq!(seen[link], of_host(link), "{name}");
    }
}

#[test]
fn one_with_a_path_is_joined() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let first = Bundle::probe(&["sleep", "60"]);
    runtime.create(&first).ok();
    let pid = runtime.call(&["state", &first.id]).ok().json()["pid"].clone();
    let path = format!("/proc/{pid}/ns/net");
    let expected = fs::read_link(&path).expect("cannot read the first container's namespace");
    let second = Bundle::probe(&["namespaces"]).without_namespace("network").edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces is a list");
        namespaces.push(json!({ "type": "network", "path": path }));
    });
    let seen = runtime.ask(&second);
    assert_eq!(seen["net"], expected.to_string_lossy().as_ref());
}

#[test]
fn the_first_process_is_pid_1_and_sees_no_other() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("echo $$; ls /proc | grep -c '^[0-9]'; hostname");
    let output = Runtime::sandrun().run(&bundle).ok();
    let lines: Vec<&str> = output.stdout.lines().collect();
    // The shell and ls; and grep, if it was there already.
    assert!(matches!(lines[..], ["1", "2" | "3", "probed"]), "{lines:?}");
}

#[test]
fn a_user_namespace_maps_root_to_the_range_given() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["sleep", "60"]).edit(|config| {
        config["linux"]["namespaces"]
            .as_array_mut()
            .expect("namespaces is a list")
            .push(json!({ "type": "user" }));
        let mapping = json!([{ "containerID": 0, "hostID": 300_000, "size": 65_536 }]);
        config["linux"]["uidMappings"] = mapping.clone();
        config["linux"]["gidMappings"] = mapping;
    });
    let runtime = Runtime::sandrun();
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let pid = runtime.call(&["state", &bundle.id]).ok().json()["pid"].clone();
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).expect("cannot read the container's status");
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap_or_default();
    assert_eq!(uid.split_whitespace().nth(1), Some("300000"), "the container's root on the host");
}
