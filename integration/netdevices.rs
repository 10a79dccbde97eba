//! Network devices that move into a container. The host that they leave is a network namespace of the test's own.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::{Bundle, Output, Runtime, is_root, leaks};

/// A network namespace with a pair of devices, `eth0` and `peer0`.
struct Host(String);

impl Host {
    fn new() -> Host {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sandrun-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        must(Command::new("ip").args(["netns", "add", &name]));
        let host = Host(name);
        host.ip("link add eth0 type veth peer name peer0");
        host
    }

    /// The network namespace needs `ip`, which is not everywhere.
    fn is_possible() -> bool {
        is_root() && Command::new("ip").arg("-V").output().is_ok()
    }

    fn ip(&self, words: &str) -> String {
        must(Command::new("ip").args(["-n", &self.0]).args(words.split(' ')))
    }

    /// sandrun, started in this namespace, with the host's own mounts.
    fn runtime(&self, level: &str) -> Runtime {
        let namespace = format!("--net=/run/netns/{}", self.0);
        Runtime::at_level(level).wrapped(&["nsenter", &namespace])
    }

    fn has(&self, device: &str) -> bool {
        Command::new("ip")
            .args(["-n", &self.0, "link", "show", device])
            .output()
            .expect("cannot ask")
            .status
            .success()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Its devices go with it.
        if let Err(error) = Command::new("ip").args(["netns", "del", &self.0]).status() {
            eprintln!("left behind: network namespace {}: {error}", self.0);
        }
    }
}

#[track_caller]
fn must(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn moving(script: &str, devices: &Value) -> Bundle {
    Bundle::shell(script).edit(|config| config["linux"]["netDevices"] = devices.clone())
}

#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    assert_eq!(output.code, 125, "{output}");
    for word in words {
        assert!(output.stderr.contains(word), "does not name {word:?}: {output}");
    }
}

#[test]
fn a_device_keeps_its_lasting_addresses_and_what_it_is() {
    skip_unless!(Host::is_possible(), "needs root and ip(8)");
    for level in ["oci", "baseline"] {
        let host = Host::new();
        for words in [
            "link set eth0 mtu 1400 address 02:00:00:00:00:07 up",
            "link set peer0 up",
            "addr add 10.9.0.2/24 broadcast 10.9.0.255 dev eth0",
            "addr add 10.9.1.2/32 dev eth0 scope link",
            "addr add 10.9.2.2/24 dev eth0 valid_lft 900 preferred_lft 900",
            "addr add fd00:9::2/64 dev eth0 nodad",
        ] {
            host.ip(words);
        }
        let script = "ip -o addr show data0; ip link show data0; ip route show dev data0";
        let bundle = moving(script, &json!({ "eth0": { "name": "data0" } }));
        let runtime = host.runtime(level);
        let said = runtime.run(&bundle).ok().stdout;
        for seen in
            ["inet 10.9.0.2/24 brd 10.9.0.255", "inet6 fd00:9::2/64", "mtu 1400", "02:00:00:00:00:07", ",UP"]
        {
            assert!(said.contains(seen), "{level}: no {seen:?} in {said}");
        }
        assert!(said.contains("10.9.0.0/24"), "{level}: no route to its network: {said}");
        for gone in ["10.9.1.2", "10.9.2.2"] {
            assert!(!said.contains(gone), "{level}: {gone} is not of the container: {said}");
        }
        assert!(!host.has("eth0"), "it is on the host as well");
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn traffic_flows_through_it() {
    skip_unless!(Host::is_possible(), "needs root and ip(8)");
    let host = Host::new();
    for words in ["addr add 10.9.0.2/24 dev eth0", "addr add 10.9.0.1/24 dev peer0", "link set peer0 up"] {
        host.ip(words);
    }
    let bundle = moving("sleep 60", &json!({ "eth0": {} }));
    let runtime = host.runtime("baseline");
    runtime.create(&bundle).ok();
    must(
        Command::new("ip")
            .args(["netns", "exec", &host.0, "busybox", "ping", "-c", "1", "-W", "5", "10.9.0.2"]),
    );
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let layers = state["sandrun"]["receipt"]["layers"].to_string();
    assert!(layers.contains("eth0 as eth0, up, 1 addresses"), "{layers}");
}

#[test]
fn a_pattern_gets_a_number_and_a_parameter_finds_the_device() {
    skip_unless!(Host::is_possible(), "needs root and ip(8)");
    let host = Host::new();
    let script = "ip -o link | grep -c net[01]@; cat /proc/sys/net/ipv4/conf/net0/forwarding";
    let bundle = moving(script, &json!({ "eth0": { "name": "net%d" }, "peer0": { "name": "net%d" } })).edit(
        |config| {
            config["linux"]["sysctl"] = json!({ "net.ipv4.conf.net0.forwarding": "1" });
        },
    );
    assert_eq!(host.runtime("baseline").run(&bundle).ok().stdout, "2\n1\n");
}

#[test]
fn a_container_in_a_user_namespace_gets_it_too() {
    skip_unless!(Host::is_possible(), "needs root and ip(8)");
    let host = Host::new();
    host.ip("addr add 10.9.0.2/24 dev eth0");
    let bundle = moving("ip -o addr show eth0", &json!({ "eth0": {} })).in_user_namespace();
    let said = host.runtime("oci").run(&bundle).ok().stdout;
    assert!(said.contains("10.9.0.2/24"), "{said}");
}

#[test]
fn what_cannot_be_moved_is_refused_by_name() {
    skip_unless!(Host::is_possible(), "needs root and ip(8)");
    let host = Host::new();
    let pod = Host::new();
    let run = |devices: Value, pod: Option<&Host>| {
        let bundle = moving("true", &devices).edit(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
            if let Some(Host(name)) = pod {
                namespaces.retain(|namespace| namespace["type"] != "network");
                namespaces.push(json!({ "type": "network", "path": format!("/run/netns/{name}") }));
            }
        });
        let runtime = host.runtime("baseline");
        let output = runtime.run(&bundle);
        leaks::assert_none(&runtime, &bundle);
        output
    };
    assert_refused(&run(json!({ "eth7": {} }), None), &["linux.netDevices[\"eth7\"]", "none of that name"]);
    assert_refused(
        &run(json!({ "lo": { "name": "other" } }), None),
        &["linux.netDevices[\"lo\"]", "belongs to"],
    );
    assert_refused(
        &run(json!({ "eth0": { "name": "lo" } }), None),
        &["netDevices[\"eth0\"]", "a device lo already"],
    );
    let taken = run(json!({ "eth0": { "name": "peer0" } }), Some(&pod));
    assert_refused(&taken, &["linux.netDevices[\"eth0\"]", "a device peer0 already"]);
    assert_refused(
        &run(json!({ "eth0": {} }), Some(&host)),
        &["linux.netDevices", "is the caller's network namespace"],
    );
    assert!(host.has("eth0"), "what is refused stays where it is");
}

#[test]
fn a_pod_keeps_it_when_the_container_is_gone() {
    skip_unless!(Host::is_possible(), "needs root and ip(8)");
    let (host, pod) = (Host::new(), Host::new());
    let bundle = moving("ip -o link show data0", &json!({ "eth0": { "name": "data0" } })).edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({ "type": "network", "path": format!("/run/netns/{}", pod.0) }));
    });
    let said = host.runtime("baseline").run(&bundle).ok().stdout;
    assert!(said.contains("data0"), "{said}");
    assert!(pod.has("data0") && !host.has("eth0"), "the namespace is the pod's, and so is what is in it");
}
