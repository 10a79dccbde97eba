//! What confines a pod, seen from inside, and what is refused.

use serde_json::{Value, json};

use super::node::{Node, Way};
use super::pod::Container;

both_ways! {
    a_pod_is_confined
    a_pod_asks_for_more
    the_policy_refuses_with_all_reasons
}

/// What sandrun tells of a container on the node.
#[track_caller]
fn receipt(node: &Node, id: &str, layer: &str) -> String {
    let root = match node.way {
        Way::RuncShim => "/run/containerd/runc/k8s.io",
        Way::OwnShim => "/run/containerd/sandrun/k8s.io",
    };
    let mut command = node.command(&node.runtime.program().display().to_string());
    command.args(["--root", root, "state", id]);
    let state = node.finish(command).ok().json();
    assert_eq!(state["status"], "running", "{state}");
    let told = state["annotations"][format!("dev.sandrun.receipt.{layer}")].as_str();
    told.unwrap_or_else(|| panic!("no {layer}: {state}")).to_owned()
}

fn capabilities(container: &Container) -> Value {
    container.ask(&["caps"])["effective"].clone()
}

fn a_pod_is_confined(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    for seccomp in ["RuntimeDefault", "Unconfined"] {
        let container = pod.run_with(&["/bin/sleep", "1000"], |config| {
            config["linux"]["security_context"]["seccomp"]["profile_type"] = json!(seccomp);
            config["linux"]["security_context"]["readonly_rootfs"] = json!(true);
        });
        let filters = if seccomp == "RuntimeDefault" { "2" } else { "1" };
        let status = container.ask(&["status"]);
        assert_eq!(status["Seccomp_filters"], filters, "{seccomp}: {status}");
        assert_eq!((&status["Seccomp"], &status["NoNewPrivs"]), (&json!("2"), &json!("1")), "{status}");
        assert!(capabilities(&container).as_array().is_some_and(|names| names.len() <= 9));
        assert!(container.exec(&["touch", "/new"]).stderr.contains("Read-only file system"));
        assert_eq!(receipt(&node, &container.id, "level"), "baseline");
        for layer in ["seccomp", "landlock"] {
            let told = receipt(&node, &container.id, layer);
            assert!(told.starts_with("enforced: "), "{layer}: {told}");
        }
    }
    assert_eq!(receipt(&node, &pod.id, "level"), "baseline", "of what holds the pod together");
    pod.remove();
    node.assert_empty();
}

fn a_pod_asks_for_more(way: Way) {
    let node = node!(way);
    let pod = node.pod_by(way.handler(), |config| {
        config["annotations"] = json!({ "dev.sandrun.level": "strict" });
    });
    let container = pod.run(&["/bin/sleep", "1000"]);
    assert_eq!(receipt(&node, &container.id, "level"), "strict");
    assert_eq!(capabilities(&container), json!([]));
    let written = container.exec(&["sh", "-c", "cp /bin/busybox /tmp/b && /tmp/b true"]);
    assert!(written.stderr.contains("Permission denied"), "what was written is executed: {written}");
    pod.remove();
    let refused = node.refused_pod(way.handler(), |config| {
        config["annotations"] = json!({ "dev.sandrun.level": "oci" });
    });
    assert!(refused.contains("dev.sandrun.level"), "{refused}");
    node.assert_empty();
}

/// In a pod it is what `kubectl describe` shows.
fn the_policy_refuses_with_all_reasons(way: Way) {
    let node = node!(way);
    let handler = format!("{}-policy", way.handler());
    let refused = node.refused_pod(&handler, |config| {
        let context = &mut config["linux"]["security_context"];
        context["namespace_options"] = json!({ "network": "NODE", "pid": "NODE", "ipc": "NODE" });
        context["privileged"] = json!(true);
    });
    for words in ["the host's network namespace", "the host's pid namespace", "namespaces.host of the policy"]
    {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    let pod = node.pod_by(&handler, |config| config["linux"]["security_context"]["privileged"] = json!(true));
    let container = pod.create(&["/bin/true"], |config| {
        config["linux"]["security_context"]["privileged"] = json!(true);
        config["mounts"] = json!([{ "container_path": "/mnt", "host_path": "/etc", "readonly": true }]);
    });
    let output = container.try_start();
    assert_ne!(output.code, 0, "a privileged container runs");
    for words in ["CAP_SYS_ADMIN", "/etc of the host is bound"] {
        assert!(output.stderr.contains(words), "{words}: {output}");
        let message = container.status()["message"].clone();
        assert!(message.as_str().is_some_and(|message| message.contains(words)), "{words}: {message}");
    }
    assert_eq!(pod.shell("exit 3").ended()["exit_code"], 3, "an ordinary container breaks no rule");
    pod.remove();
    node.assert_empty();
}
