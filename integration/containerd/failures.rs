//! What dies at a bad time: the shim, containerd.

use nix::sys::signal::{Signal, kill};

use super::node::{Node, Way};
use super::pod::{Container, Pod};

both_ways! {
    the_shim_is_killed
    containerd_is_restarted
    containerd_is_killed
}

fn the_shim_is_killed(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    let container = pod.shell("sleep 1000 & exec sleep 1000");
    let shim = node.shim(&pod.id);
    kill(shim.pid, Signal::SIGKILL).expect("cannot kill the shim");
    let status = container.ended();
    assert_ne!(status["exit_code"], 0, "{status}");
    node.until("the pod is not ready", || pod.status()["state"] == "SANDBOX_NOTREADY");
    let another = node.pod();
    assert_eq!(another.shell("exit 3").ended()["exit_code"], 3, "other pods go on");
    pod.remove();
    another.remove();
    match way {
        // containerd's own leaves its socket.
        Way::RuncShim => node.assert_empty_but("/run/containerd/s"),
        Way::OwnShim => node.assert_empty(),
    }
}

/// A container that says each tick what it is, and one that ends when a file is there.
fn busy<'a>(pod: &'a Pod<'a>) -> (Container<'a>, Container<'a>) {
    let ticking = pod.shell("n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.1; done");
    let waiting = pod.shell("until [ -e /dev/shm/end ]; do sleep 0.1; done; echo bye; exit 7");
    ticking.await_log("stdout F tick 3");
    (ticking, waiting)
}

fn goes_on(node: &Node, pod: &Pod, ticking: &Container, waiting: &Container) {
    assert_eq!(pod.status()["state"], "SANDBOX_READY");
    assert_eq!(ticking.status()["state"], "CONTAINER_RUNNING");
    let already = ticking.log().len();
    node.until("what it says is logged again", || ticking.log().len() > already + 5);
    assert_eq!(ticking.exec(&["sh", "-c", "exit 6"]).code, 6);
    ticking.exec(&["touch", "/dev/shm/end"]).ok();
    assert_eq!(waiting.ended()["exit_code"], 7);
    waiting.await_log("stdout F bye");
    let started = pod.shell("exit 8");
    assert_eq!(started.ended()["exit_code"], 8);
    ticking.stop(0);
    assert_eq!(ticking.ended()["exit_code"], 137);
}

fn containerd_is_restarted(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    let (ticking, waiting) = busy(&pod);
    node.end_containerd(Signal::SIGTERM);
    node.start_containerd();
    goes_on(&node, &pod, &ticking, &waiting);
    pod.remove();
    node.assert_empty();
}

/// One container ends while nobody listens.
fn containerd_is_killed(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    let (ticking, waiting) = busy(&pod);
    let ending = pod.shell("sleep 1; exit 4");
    node.end_containerd(Signal::SIGKILL);
    std::thread::sleep(std::time::Duration::from_secs(2));
    node.start_containerd();
    assert_eq!(ending.ended()["exit_code"], 4);
    goes_on(&node, &pod, &ticking, &waiting);
    pod.remove();
    node.assert_empty();
}
