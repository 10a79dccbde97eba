//! How containers end, and what is told of it.

use std::time::{Duration, Instant};

use super::node::Way;

both_ways! {
    a_container_is_stopped
    a_command_that_cannot_run
}

fn a_container_is_stopped(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    let polite = pod.shell("trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done");
    let stubborn = pod.shell("trap '' TERM; echo ready; while :; do sleep 0.1; done");
    for container in [&polite, &stubborn] {
        container.await_log("stdout F ready");
    }
    let started = Instant::now();
    polite.stop(20);
    assert_eq!(polite.ended()["exit_code"], 9);
    assert!(started.elapsed() < Duration::from_secs(15), "it waited for nothing");
    let started = Instant::now();
    stubborn.stop(2);
    assert_eq!(stubborn.ended()["exit_code"], 137);
    assert!(started.elapsed() >= Duration::from_secs(2), "it was not given its time");
    // Once more, as a kubelet does.
    stubborn.stop(2);
    for (script, code) in [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$; exit 7", 7)] {
        let status = pod.shell(script).ended();
        assert_eq!(status["exit_code"], code, "{status}");
        let reason = if code == 0 { "Completed" } else { "Error" };
        assert_eq!(status["reason"], reason);
    }
    // What it does not start is killed with it.
    let parent = pod.shell("sleep 1006 & sleep 1007 & exit 2");
    assert_eq!(parent.ended()["exit_code"], 2);
    polite.remove();
    pod.remove();
    node.assert_empty();
}

/// `kubectl describe` shows the reason and the message.
fn a_command_that_cannot_run(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    for command in ["/no/such/program", "/etc/passwd", "/etc"] {
        let container = pod.create(&[command], |_| {});
        let output = container.try_start();
        assert_ne!(output.code, 0, "{command} runs");
        let status = container.status();
        assert_eq!(status["state"], "CONTAINER_EXITED", "{status}");
        assert_eq!(status["reason"], "StartError", "{status}");
        assert_eq!(status["exit_code"], 128, "{status}");
        let told = status["message"].as_str().unwrap_or_default();
        assert!(told.contains(&format!("cannot run \"{command}\"")), "{status}");
        container.remove();
    }
    assert_eq!(pod.shell("exit 5").ended()["exit_code"], 5, "the pod goes on");
    pod.remove();
    node.assert_empty();
}
