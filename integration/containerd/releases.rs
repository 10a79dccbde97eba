//! The newer releases of containerd, where `fetch` has brought them: one shorter flow each.

use nix::sys::signal::Signal;
use serde_json::json;

use super::node::{Node, Series, Way};
use super::pod::number;

both_ways! {
    the_series_1_7
    the_series_2
}

fn the_series_1_7(way: Way) {
    let node = node!(way, Series::Fetched("1.7"));
    a_pod_lives(&node);
    node.assert_empty();
}

fn the_series_2(way: Way) {
    let node = node!(way, Series::Fetched("2"));
    a_pod_lives(&node);
    features_are_told(&node);
    a_pod_has_users_of_its_own(&node);
    node.assert_empty();
}

fn a_pod_lives(node: &Node) {
    let pod = node.pod();
    let container = pod.shell("echo out; exec sleep 1000");
    container.await_log("stdout F out");
    assert_eq!(container.exec(&["sh", "-c", "exit 3"]).code, 3);
    assert!(container.exec(&["/no/such/program"]).stderr.contains("cannot run \"/no/such/program\""));
    let mut stream = container.exec_stream(true, &["/probe", "tty", "--winch"]);
    stream.until_it_says("isatty");
    stream.resize(132, 43);
    assert!(stream.end().ok().stdout.contains("\"columns\":132"));
    assert_eq!(container.ask(&["status"])["Seccomp_filters"], "2");
    node.until("it is measured", || !container.stats()["memory"].is_null());
    assert!(number(&container.stats()["memory"]["working_set_bytes"]) > 0);
    container.update(json!({ "memory_limit_in_bytes": 48 << 20 }));
    let limit = ["memory.limit_in_bytes", "memory.max"].iter().find_map(|name| container.cgroup_file(name));
    assert_eq!(limit.as_deref(), Some("50331648"));
    let hungry = pod.run_with(&["/probe", "eat", "200"], |config| {
        config["linux"]["resources"]["memory_limit_in_bytes"] = json!(32 << 20);
    });
    assert_eq!(hungry.ended()["reason"], "OOMKilled");
    let wrong = pod.create(&["/no/such/program"], |_| {});
    assert_ne!(wrong.try_start().code, 0);
    assert_eq!(wrong.status()["reason"], "StartError");
    node.end_containerd(Signal::SIGKILL);
    node.start_containerd();
    assert_eq!(container.exec(&["sh", "-c", "exit 4"]).code, 4);
    container.stop(0);
    assert_eq!(container.ended()["exit_code"], 137);
    pod.remove();
}

/// What decides whether a kubelet lets `hostUsers: false` and recursively read-only mounts through. Before 2.2.7 and 2.3.4
/// containerd asks only handlers of its own shim; what ours would answer is tried in `shim::actions`.
fn features_are_told(node: &Node) {
    if node.way == Way::OwnShim {
        return;
    }
    let status = node.call("Status", &json!({}));
    let handlers = status["runtime_handlers"].as_array().cloned().unwrap_or_default();
    let ours = handlers.iter().find(|handler| handler["name"] == node.way.handler());
    let features = &ours.unwrap_or_else(|| panic!("not told of: {status}"))["features"];
    assert_eq!(
        (&features["user_namespaces"], &features["recursive_read_only_mounts"]),
        (&json!(true), &json!(true)),
        "{status}"
    );
}

/// hostUsers: false.
fn a_pod_has_users_of_its_own(node: &Node) {
    let ids = json!([{ "host_id": 300_000, "container_id": 0, "length": 65536 }]);
    let pod = node.pod_by(node.way.handler(), |config| {
        config["linux"]["security_context"]["namespace_options"]["userns_options"] =
            json!({ "mode": "POD", "uids": ids, "gids": ids });
    });
    // Where it does not know of a handler's features, containerd 2.1 panics over a mount with ids.
    let mounts = node.way == Way::RuncShim;
    let container = pod.run_with(&["/bin/sleep", "1000"], |config| {
        if !mounts {
            return;
        }
        config["mounts"] = json!([{
            "container_path": "/mnt", "host_path": "/etc", "readonly": true, "recursive_read_only": true,
            "uidMappings": ids, "gidMappings": ids
        }]);
    });
    let map = container.exec(&["cat", "/proc/self/uid_map"]).ok().stdout;
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "300000", "65536"]);
    assert_eq!(container.exec(&["stat", "-c", "%u", "/bin/busybox"]).ok().stdout, "0\n");
    container.exec(&["sh", "-c", "echo mine >/root/file"]).ok();
    if mounts {
        assert_eq!(container.exec(&["stat", "-c", "%u", "/mnt/passwd"]).ok().stdout, "0\n");
        assert!(container.exec(&["touch", "/mnt/new"]).stderr.contains("Read-only file system"));
    }
    pod.remove();
}
