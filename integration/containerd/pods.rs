//! What the containers of a pod share, and what a pod may have of its node.

use serde_json::json;

use super::node::{Node, Way};
use super::pod::Container;

both_ways! {
    containers_share_what_is_the_pods
    processes_are_shared_where_asked
    a_pod_of_the_nodes_namespaces
}

fn namespaces_are_shared(one: &Container, two: &Container, shared: &[&str], own: &[&str]) {
    let [first, second] = [one, two].map(|container| container.ask(&["namespaces"]));
    for kind in shared {
        assert_eq!(first[kind], second[kind], "{kind}");
    }
    for kind in own {
        assert_ne!(first[kind], second[kind], "{kind}");
    }
}

fn containers_share_what_is_the_pods(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    let [one, two] = [pod.shell("echo one; exec sleep 1000"), pod.shell("exec sleep 1000")];
    one.await_log("stdout F one");
    namespaces_are_shared(&one, &two, &["ipc", "uts", "net"], &["pid", "mnt"]);
    assert_eq!(two.exec(&["hostname"]).ok().stdout, "probed\n");
    let address = pod.status()["network"]["ip"].as_str().unwrap_or_default().to_owned();
    assert!(address.starts_with("10.88."), "{}", pod.status());
    assert!(two.exec(&["ip", "address"]).ok().stdout.contains(&address));
    one.exec(&["sh", "-c", "echo shared >/dev/shm/of-one"]).ok();
    assert_eq!(two.exec(&["cat", "/dev/shm/of-one"]).ok().stdout, "shared\n");
    // One ends, and another comes in its place, as after a crash.
    two.stop(0);
    assert_eq!(two.ended()["exit_code"], 137);
    two.remove();
    let three = pod.shell("exec sleep 1000");
    namespaces_are_shared(&one, &three, &["ipc", "uts", "net"], &["pid", "mnt"]);
    assert_eq!(pod.status()["state"], "SANDBOX_READY");
    pod.remove();
    node.assert_empty();
}

/// What outlives a container's program is killed with it though its pid namespace goes on.
fn processes_are_shared_where_asked(way: Way) {
    let node = node!(way);
    let pod = node.pod_by(way.handler(), |config| {
        config["linux"]["security_context"]["namespace_options"]["pid"] = json!("POD");
    });
    let [one, two] = [pod.shell("exec sleep 1001"), pod.shell("exec sleep 1002")];
    namespaces_are_shared(&one, &two, &["pid", "ipc", "uts", "net"], &["mnt"]);
    let seen = two.exec(&["ps"]).ok().stdout;
    assert!(seen.contains("sleep 1001") && seen.contains("/probe sleep"), "{seen}");
    let three = pod.shell("sleep 1003 & sleep 0.3; exit 4");
    assert_eq!(three.ended()["exit_code"], 4);
    assert!(!two.exec(&["ps"]).ok().stdout.contains("sleep 1003"), "it outlives its container");
    let signalled = pod.run(&["/probe", "kill-self", "10"]);
    assert_eq!(signalled.ended()["exit_code"], 128 + 10);
    two.stop(0);
    assert_eq!(two.ended()["exit_code"], 137);
    assert!(one.exec(&["ps"]).ok().stdout.contains("sleep 1001"), "the other goes on");
    pod.remove();
    node.assert_empty();
}

fn a_pod_of_the_nodes_namespaces(way: Way) {
    let node = node!(way);
    let pod = node.pod_by(way.handler(), |config| {
        config["linux"]["security_context"]["namespace_options"] =
            json!({ "network": "NODE", "pid": "NODE", "ipc": "NODE" });
    });
    let container = pod.run(&["/bin/sleep", "1000"]);
    let seen = container.ask(&["namespaces"]);
    for kind in ["net", "pid", "ipc"] {
        let of_node = namespace_of(&node, kind);
        assert_eq!(seen[kind], json!(of_node), "{kind}");
    }
    assert!(container.exec(&["ps"]).ok().stdout.contains("containerd"), "the node's processes are not seen");
    container.stop(0);
    assert_eq!(container.ended()["exit_code"], 137);
    pod.remove();
    node.assert_empty();
}

fn namespace_of(node: &Node, kind: &str) -> String {
    let link = node.file(&format!("/proc/1/ns/{kind}"));
    std::fs::read_link(link).expect("the node's init runs").display().to_string()
}
