//! Many pods at once, as after a node has started.

use serde_json::json;

use super::node::{Node, Way};

both_ways! { fifty_pods_at_once }

const PODS: usize = 50;
/// As many at a time as a kubelet would ask for.
const AT_A_TIME: usize = 10;

fn fifty_pods_at_once(way: Way) {
    let node = node!(way);
    let pods: Vec<_> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| (0..PODS / AT_A_TIME).map(|_| up(&node)).collect::<Vec<_>>());
        let threads: Vec<_> = (0..AT_A_TIME).map(|_| start()).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a pod is not up")).collect()
    });
    let listed = node.call("ListContainers", &json!({}));
    assert_eq!(listed.to_string().matches("CONTAINER_RUNNING").count(), PODS);
    std::thread::scope(|scope| {
        for some in pods.chunks(PODS / AT_A_TIME) {
            scope.spawn(|| some.iter().for_each(|pod| pod.remove()));
        }
    });
    node.assert_empty();
}

/// A pod with a container that runs; the node's network, since it is not the network that is tried.
fn up(node: &Node) -> super::pod::Pod<'_> {
    let pod = node.pod_by(node.way.handler(), |config| {
        config["linux"]["security_context"]["namespace_options"]["network"] = json!("NODE");
    });
    pod.run(&["/bin/sleep", "1000"]);
    pod
}
