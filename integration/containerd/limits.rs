//! Limits and what is told of them: statistics, updates, memory that runs out.

use serde_json::json;

use super::node::{Node, Way};
use super::pod::{Container, number};

both_ways! {
    what_is_used_is_told
    limits_change_while_it_runs
    memory_runs_out
}

fn what_is_used_is_told(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    let busy = pod.shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exec sleep 1000");
    let idle = pod.run(&["/bin/sleep", "1000"]);
    node.until("it has worked", || used(&busy) > 50_000_000);
    assert!(used(&idle) < used(&busy), "one's are the other's");
    for container in [&busy, &idle] {
        let memory = &container.stats()["memory"];
        assert!((1 << 12..1 << 28).contains(&number(&memory["working_set_bytes"])), "{memory}");
    }
    let stats = pod.stats()["linux"].clone();
    assert!(number(&stats["cpu"]["usage_core_nano_seconds"]) > 50_000_000, "{stats}");
    assert!(number(&stats["memory"]["working_set_bytes"]) > 0, "{stats}");
    assert_eq!(stats["containers"].as_array().map(Vec::len), Some(2), "{stats}");
    if !stats["process"].is_null() {
        assert!(number(&stats["process"]["process_count"]) >= 2, "{stats}");
    }
    pod.remove();
    node.assert_empty();
}

fn used(container: &Container) -> u64 {
    let stats = container.stats();
    // It takes a moment until there are any.
    if stats["cpu"].is_null() { 0 } else { number(&stats["cpu"]["usage_core_nano_seconds"]) }
}

/// The first of the files that is there, of cgroup v1 or of v2.
#[track_caller]
fn limit(container: &Container, files: [&str; 2]) -> String {
    let found = files.iter().find_map(|name| container.cgroup_file(name));
    found.unwrap_or_else(|| panic!("no {files:?} of {}", container.id))
}

fn limits_change_while_it_runs(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    let container = pod.run_with(&["/bin/sleep", "1000"], |config| {
        let resources = &mut config["linux"]["resources"];
        resources["memory_limit_in_bytes"] = json!(64 << 20);
        resources["cpu_quota"] = json!(20_000);
    });
    let memory = || limit(&container, ["memory.limit_in_bytes", "memory.max"]);
    let quota = || limit(&container, ["cpu.cfs_quota_us", "cpu.max"]);
    assert_eq!((memory().as_str(), quota().split(' ').next()), ("67108864", Some("20000")));
    container
        .update(json!({ "memory_limit_in_bytes": 96 << 20, "cpu_quota": 30_000, "cpu_period": 100_000 }));
    assert_eq!((memory().as_str(), quota().split(' ').next()), ("100663296", Some("30000")));
    container.update(json!({ "memory_limit_in_bytes": 48 << 20 }));
    assert_eq!(memory(), "50331648");
    pod.remove();
    node.assert_empty();
}

/// Kubernetes tells by the order of events what it was.
fn memory_runs_out(way: Way) {
    let node = node!(way);
    let events = Events::watch(&node);
    let pod = node.pod();
    let container = pod.run_with(&["/probe", "eat", "200"], |config| {
        config["linux"]["resources"]["memory_limit_in_bytes"] = json!(32 << 20);
    });
    let status = container.ended();
    assert_eq!((&status["exit_code"], &status["reason"]), (&json!(137), &json!("OOMKilled")), "{status}");
    let of_it = events.until(&container.id, "/tasks/exit");
    let at = |topic: &str| of_it.iter().position(|seen| seen == topic);
    assert!(at("/tasks/create") < at("/tasks/start"), "{of_it:?}");
    assert!(at("/tasks/start") < at("/tasks/exit"), "{of_it:?}");
    assert!(at("/tasks/oom").is_some() && at("/tasks/oom") < at("/tasks/exit"), "{of_it:?}");
    pod.remove();
    node.assert_empty();
}

/// `ctr events`, as it goes on.
struct Events<'a> {
    node: &'a Node,
    watching: std::process::Child,
    file: std::path::PathBuf,
}

impl Events<'_> {
    fn watch(node: &Node) -> Events<'_> {
        let file = node.home.path().join("events");
        // Not on the node, where it would be left.
        let mut command = std::process::Command::new("ctr");
        command.arg("--address").arg(node.file("/run/containerd/containerd.sock"));
        command.args(["--namespace", "k8s.io", "events"]).stdin(std::process::Stdio::null());
        command.stdout(std::fs::File::create(&file).unwrap());
        let watching = command.spawn().expect("cannot start ctr");
        let events = Events { node, watching, file };
        // It tells nothing until there is an event.
        let mut number = 0;
        node.until("events are seen", || {
            number += 1;
            let name = format!("seen-{number}");
            node.ctr(&["snapshots", "prepare", &name]).ok();
            node.ctr(&["snapshots", "rm", &name]).ok();
            events.read().contains("/snapshot/")
        });
        events
    }

    fn read(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap_or_default()
    }

    /// The topics of a container's events, in order, until this one.
    #[track_caller]
    fn until(&self, container: &str, topic: &str) -> Vec<String> {
        let mut topics = Vec::new();
        self.node.until(&format!("{topic} of {container}"), || {
            let log = self.read();
            let of_it = log.lines().filter(|line| line.contains(container));
            let topic_of = |line: &str| line.split(' ').find(|word| word.starts_with('/')).map(str::to_owned);
            topics = of_it.filter_map(topic_of).collect();
            topics.iter().any(|seen| seen == topic)
        });
        topics
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        // An error means that it has ended, which is what we want.
        let _ = self.watching.kill();
        let _ = self.watching.wait();
    }
}
