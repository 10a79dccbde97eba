//! A pod whose containers have the same private ids: a sandbox that gets them, and containers that join it, in a
//! network that was there before, as CNI makes it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{FLAG, POOL, host_ids, running};
use crate::support::{Bundle, Output, Runtime, Scratch, is_root, leaks};

/// A network namespace of the host's root, with an interface of its own.
struct Network(Child);

impl Network {
    fn new() -> Network {
        let script = "ip link add podlink type veth peer name podpeer && ip link set lo up && exec sleep 600";
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::null());
        let network = Network(command.spawn().expect("cannot make a network"));
        let comm = format!("/proc/{}/comm", network.0.id());
        for _ in 0..500 {
            if fs::read_to_string(&comm).is_ok_and(|comm| comm == "sleep\n") {
                return network;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the network is not ready");
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    /// What a file of its says, seen by the host's root.
    fn parameter(&self, name: &str) -> String {
        let namespace = format!("--net={}", self.path());
        let output =
            Command::new("nsenter").args([&namespace, "sysctl", "-n", name]).output().expect("nsenter");
        String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("cannot end the network");
    }
}

/// Names a namespace by path, or takes the path away.
fn join(bundle: Bundle, kind: &str, path: &str) -> Bundle {
    bundle.edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != kind);
        namespaces.push(json!({ "type": kind, "path": path }));
    })
}

fn annotated(bundle: Bundle, kind: &str) -> Bundle {
    bundle.edit(|config| config["annotations"] = json!({ "io.kubernetes.cri.container-type": kind }))
}

struct Pod {
    runtime: Runtime,
    network: Network,
    sandbox: Bundle,
    pid: i64,
}

impl Pod {
    fn new(runtime: Runtime, flags: &[&str]) -> Pod {
        let network = Network::new();
        let sandbox = annotated(Bundle::probe(&["sleep", "600"]), "sandbox");
        let sandbox = join(sandbox, "network", &network.path());
        let pid = running(&runtime, &sandbox, flags);
        Pod { runtime, network, sandbox, pid }
    }

    /// A container of the pod, as containerd writes it.
    fn container(&self, bundle: Bundle, kinds: &[(&str, &str)]) -> Bundle {
        let mut bundle = annotated(bundle, "container").edit(|config| {
            config.as_object_mut().expect("an object").remove("hostname");
        });
        for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")].iter().chain(kinds) {
            bundle = join(bundle, kind, &format!("/proc/{}/ns/{file}", self.pid));
        }
        bundle
    }

    fn says(&self, script: &str) -> Output {
        self.runtime.run_with(&self.container(Bundle::shell(script), &[]), FLAG).ok()
    }
}

fn user_namespace(pid: i64) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/ns/user")).expect("a namespace")
}

#[test]
fn all_of_a_pod_have_its_ids() {
    skip_unless!(is_root(), "needs root");
    let pod = Pod::new(Runtime::sandrun(), FLAG);
    let container = pod.container(Bundle::probe(&["sleep", "600"]), &[]);
    let pid = running(&pod.runtime, &container, FLAG);
    let ids = host_ids(pod.pid);
    assert!(ids.len() == 1 && ids.iter().all(|id| POOL.contains(id)), "{ids:?}");
    assert_eq!(host_ids(pid), ids);
    assert_eq!(user_namespace(pid), user_namespace(pod.pid));
    let exec = pod.runtime.call(&["exec", &container.id, "/probe", "report"]).ok().json();
    assert_eq!(exec["status"]["Uid"], "0 0 0 0", "{exec}");
    let state = pod.runtime.call(&["state", &container.id]).ok().json();
    let told = state["annotations"]["dev.sandrun.receipt.user-ids"].as_str().unwrap_or("nothing");
    assert!(told.starts_with("enforced: 0 to 65535 are ") && told.contains("as in all of its pod"), "{told}");
    for bundle in [&container, &pod.sandbox] {
        pod.runtime.call(&["delete", "--force", &bundle.id]).ok();
        leaks::assert_none(&pod.runtime, bundle);
    }
}

/// What containers of another pod's ids may not, and those of one pod may.
#[test]
fn processes_of_a_pod_signal_each_other() {
    skip_unless!(is_root(), "needs root");
    let pod = Pod::new(Runtime::sandrun(), FLAG);
    let script = "kill -0 1 && cat /proc/1/comm && mount -t proc proc /proc 2>&1 | grep -c denied";
    let container = pod.container(Bundle::shell(script), &[("pid", "pid")]);
    assert_eq!(pod.runtime.run_with(&container, FLAG).stdout, "probe\n1\n");
}

#[test]
fn ports_below_1024_and_pings_are_the_pods() {
    skip_unless!(is_root(), "needs root");
    let before = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("a number");
    let serve = "(sleep 0.3; echo there | nc 127.0.0.1 80) & timeout 5 nc -l -p 80";
    // The attack on our own design: with rights that do not count in the pod's network it is refused.
    let namespaces_only = Network::new();
    let bare = format!(
        "nsenter --net={} unshare --user --map-root-user timeout 2 nc -l -p 80 2>&1 || echo refused",
        namespaces_only.path()
    );
    let bare = Command::new("sh").args(["-c", &bare]).output().expect("sh");
    assert!(String::from_utf8_lossy(&bare.stdout).contains("refused"), "{bare:?}");
    let pod = Pod::new(Runtime::sandrun(), FLAG);
    assert_eq!(pod.says(serve).stdout, "there\n");
    // A socket for pings (icmp(7)), which needs no capability.
    let ping = pod.container(Bundle::probe(&["syscall", "socket", "2", "2", "1"]), &[]);
    assert_eq!(pod.runtime.run_with(&ping, FLAG).ok().json()["errno"], Value::Null);
    let first = *host_ids(pod.pid).first().expect("an id");
    assert_eq!(pod.network.parameter("net.ipv4.ip_unprivileged_port_start"), "0");
    let range = format!("{first} {}", first + 65535);
    assert_eq!(pod.network.parameter("net.ipv4.ping_group_range"), range);
    let after = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("a number");
    assert_eq!(before, after, "the host's own");
}

/// A new sysfs shows the network of whoever mounts it, and the container's root may mount none there.
#[test]
fn the_sysfs_of_a_pod_shows_its_network_only() {
    skip_unless!(is_root(), "needs root");
    let pod = Pod::new(Runtime::sandrun(), FLAG);
    let shown = pod.says("ls /sys/class/net; grep ' /sys ' /proc/mounts | cut -d' ' -f4").stdout;
    let (names, options) = shown.rsplit_once("\nro,").unwrap_or_else(|| panic!("{shown}"));
    let names: Vec<&str> = names.split_whitespace().collect();
    assert_eq!(names, ["lo", "podlink", "podpeer"]);
    assert!(["nosuid", "nodev", "noexec"].iter().all(|option| options.contains(option)), "{options}");
    let host = fs::read_dir("/sys/class/net").expect("a sysfs").count();
    assert!(host > 0 && !Path::new("/sys/class/net/podlink").exists());
}

#[test]
fn everything_that_containerd_binds_works() {
    skip_unless!(is_root(), "needs root");
    let pod = Pod::new(Runtime::sandrun(), FLAG);
    let shared = Scratch::new("pod");
    let file = |name: &str, text: &str| {
        let path = shared.path().join(name);
        fs::write(&path, text).expect("cannot write");
        path
    };
    let shm = Shm::new(shared.path().join("shm"));
    let bind = |destination: &str, source: &Path, options: Value| {
        json!({ "destination": destination, "type": "bind",
        "source": source, "options": options })
    };
    let script = "cat /etc/hosts; echo more >> /etc/hosts; touch /dev/shm/x; stat -c %u /etc/hosts /dev/shm/x /dev/shm
        ls /dev/mqueue && touch /dev/mqueue/q && stat -c %u:%g /dev/pts/ptmx /dev/mqueue/q; cat /proc/1/comm; hostname";
    let mut bundle = pod.container(Bundle::shell(script), &[]);
    let mounts = bundle.config["mounts"].as_array_mut().expect("a list");
    mounts.retain(|mount| mount["destination"] != "/dev/shm");
    mounts.push(bind(
        "/etc/hosts",
        &file("hosts", "127.0.0.1 localhost\n"),
        json!(["rbind", "rprivate", "rw"]),
    ));
    mounts.push(bind("/dev/shm", &shm.0, json!(["rbind", "rw"])));
    let output = pod.runtime.run_with(&bundle, FLAG).ok();
    assert_eq!(output.stdout, "127.0.0.1 localhost\n0\n0\n0\n0:0\n0:0\nsh\nprobed\n", "{output}");
    assert_eq!(fs::metadata(shm.0.join("x")).expect("it is there").uid(), 0);
    assert_eq!(fs::read_to_string(shared.path().join("hosts")).expect("it"), "127.0.0.1 localhost\nmore\n");
}

/// A pod's shared memory, as containerd mounts it on the host.
struct Shm(PathBuf);

impl Shm {
    fn new(path: PathBuf) -> Shm {
        fs::create_dir(&path).expect("cannot make the directory");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "mode=1777", "shm"]).arg(&path).status();
        assert!(mounted.expect("cannot start mount").success());
        Shm(path)
    }
}

impl Drop for Shm {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(unmounted.expect("cannot start umount").success());
    }
}

/// Where the level wants them, a pod that shares more with the host goes without, and says why.
#[test]
fn a_pod_of_the_hosts_network_keeps_it() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("strict");
    let bundle = annotated(Bundle::probe(&["sleep", "600"]), "sandbox").without_namespace("network");
    running(&runtime, &bundle, &[]);
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let told = state["annotations"]["dev.sandrun.receipt.user-ids"].as_str().unwrap_or("nothing");
    assert!(told.starts_with("absent: ") && told.contains("the network namespace is the host's"), "{told}");
}
