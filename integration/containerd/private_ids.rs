//! Pods with user ids of their own, on layers that containerd's snapshotter describes and sandrun's shim mounts.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use super::image::BUSYBOX;
use super::node::{Node, Series, Way};
use super::pod::{Container, Pod};

/// Ids of the default pool.
const POOL: std::ops::Range<u32> = 0x7800_0000..0x7ffe_0000;

fn asking(config: &mut Value) {
    config["annotations"] = json!({ "dev.sandrun.private-ids": "true" });
}

fn on_host_network(config: &mut Value) {
    config["linux"]["security_context"]["namespace_options"] =
        json!({ "network": "NODE", "pid": "CONTAINER" });
    config["hostname"] = json!("");
}

impl Node {
    /// What sandrun knows of a container.
    #[track_caller]
    fn state(&self, id: &str) -> Value {
        let mut command = self.command(&self.runtime.program().display().to_string());
        command.args(["--root", "/run/containerd/sandrun/k8s.io", "state", id]);
        self.finish(command).ok().json()
    }

    /// User and group ids of a container's first process, as the host sees them.
    #[track_caller]
    fn host_ids(&self, id: &str) -> BTreeSet<u32> {
        let status = self.file(&format!("/proc/{}/status", self.state(id)["pid"]));
        let status = fs::read_to_string(status).expect("the process is there");
        let lines = status.lines().filter_map(|line| line.strip_prefix("Uid:").or(line.strip_prefix("Gid:")));
        lines.flat_map(str::split_whitespace).map(|id| id.parse().expect("a number")).collect()
    }

    fn user_ids(&self, id: &str) -> String {
        let told = self.state(id)["annotations"]["dev.sandrun.receipt.user-ids"].clone();
        told.as_str().unwrap_or("nothing").to_owned()
    }

    /// Ranges that are taken.
    fn taken(&self) -> usize {
        fs::read_dir(self.file("/run/sandrun-ids")).map_or(0, Iterator::count)
    }

    /// Where the writable layers have a file.
    fn written(&self, name: &str) -> Vec<PathBuf> {
        let snapshots = self.file("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots");
        let snapshots = fs::read_dir(snapshots).expect("there are snapshots").flatten();
        snapshots.map(|snapshot| snapshot.path().join("fs").join(name)).filter(|path| path.exists()).collect()
    }
}

#[track_caller]
fn says(container: &Container, script: &str) -> String {
    container.exec(&["/bin/sh", "-c", script]).ok().stdout
}

fn sleeping<'a>(pod: &'a Pod<'_>) -> Container<'a> {
    pod.run(&["/bin/sleep", "1000"])
}

#[test]
fn nobody_in_a_pod_is_the_hosts_root() {
    let node = node!(Way::OwnShim);
    let plain = node.pod();
    assert_eq!(node.host_ids(&sleeping(&plain).id), [0].into(), "what it is otherwise");
    plain.remove();
    let pod = node.pod_by(node.way.handler(), asking);
    let [first, second] = [(); 2].map(|()| sleeping(&pod));
    let ids = node.host_ids(&first.id);
    assert!(ids.len() == 1 && ids.iter().all(|id| POOL.contains(id)), "{ids:?}");
    assert_eq!(node.host_ids(&second.id), ids);
    // What holds the pod together runs as 65535.
    assert_eq!(node.host_ids(&pod.id), ids.iter().map(|id| id + 65535).collect());
    for id in [&pod.id, &first.id] {
        let told = node.user_ids(id);
        assert!(told.starts_with("enforced: 0 to 65535 are ") && !told.contains("nobody"), "{told}");
    }
    assert_eq!(node.taken(), 1);
    pod.remove();
    node.assert_empty();
    assert_eq!(node.taken(), 0);
}

#[test]
fn files_keep_their_owners_on_every_layer() {
    let node = node!(Way::OwnShim);
    let pod = node.pod_by(node.way.handler(), asking);
    let container = sleeping(&pod);
    let script = "stat -c %u /bin/busybox / && touch /made && chown 33:44 /made && stat -c %u:%g /made
        mkdir /tmp/dir && echo changed >> /etc/passwd && stat -c %u /tmp/dir /etc/passwd && rm /probe && ls /probe";
    let said = container.exec(&["/bin/sh", "-c", script]);
    assert_eq!(said.stdout, "0\n0\n33:44\n0\n0\n", "{said}");
    assert!(said.stderr.contains("/probe"), "what was removed is hidden: {said}");
    for (name, owner) in [("made", (33, 44)), ("tmp/dir", (0, 0)), ("etc/passwd", (0, 0)), ("probe", (0, 0))]
    {
        let written = node.written(name);
        // The image has one of its own of all but the new ones.
        assert!(!written.is_empty(), "{name}");
        for path in written {
            let file = fs::symlink_metadata(&path).unwrap();
            assert_eq!((file.uid(), file.gid()), owner, "{}", path.display());
        }
    }
    pod.remove();
    node.assert_empty();
}

#[test]
fn what_a_pod_does_works_as_before() {
    let node = node!(Way::OwnShim);
    for edit in [(|_| {}) as fn(&mut Value), asking] {
        let pod = node.pod_by(node.way.handler(), edit);
        let container = pod.shell("echo started > /dev/stdout; exec sleep 1000");
        container.await_log("stdout F started");
        let port = "(sleep 0.3; echo there | nc 127.0.0.1 80) & timeout 5 nc -l -p 80";
        assert_eq!(says(&container, port), "there\n");
        assert_eq!(says(&container, "ls /sys/class/net | sort"), "eth0\nlo\n");
        assert_eq!(
            says(&container, "hostname; cat /etc/hostname; cat /proc/1/comm"),
            "probed\nprobed\nsleep\n"
        );
        assert!(says(&container, "cat /etc/hosts /etc/resolv.conf").contains("localhost"));
        let made = "for dir in /dev/shm /dev/mqueue /tmp /run; do mkdir -p $dir; touch $dir/x; stat -c %u $dir/x; done";
        assert_eq!(says(&container, made), "0\n0\n0\n0\n");
        assert_eq!(says(&container, "echo x > /dev/null && head -c 1 /dev/zero | wc -c"), "1\n");
        assert!(says(&container, "ls /sys/fs/cgroup; stat -c %a /dev/pts/ptmx").ends_with("666\n"));
        let terminal = container.exec_stream(true, &["/bin/sh", "-c", "stty size; tty"]).end();
        assert!(terminal.stdout.contains("/dev/pts/"), "{terminal}");
        assert_eq!(container.exec(&["/bin/sh", "-c", "exit 7"]).code, 7);
        pod.remove();
    }
    node.assert_empty();
}

#[test]
fn volumes_belong_to_the_same_inside_and_outside() {
    let node = node!(Way::OwnShim);
    let pod = node.pod_by(node.way.handler(), asking);
    let volume = node.home.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("of-33"), "theirs").unwrap();
    std::os::unix::fs::chown(volume.join("of-33"), Some(33), Some(44)).unwrap();
    let container = pod.run_with(&["/bin/sleep", "1000"], |config| {
        config["mounts"] = json!([{ "container_path": "/data", "host_path": volume }]);
    });
    assert_eq!(
        says(&container, "stat -c %u:%g /data/of-33; touch /data/new; stat -c %u /data/new"),
        "33:44\n0\n"
    );
    assert_eq!(fs::metadata(volume.join("new")).unwrap().uid(), 0);
    pod.remove();
    node.assert_empty();
}

#[test]
fn containers_of_a_pod_that_share_processes_signal_each_other() {
    let node = node!(Way::OwnShim);
    let pod = node.pod_by(node.way.handler(), |config| {
        asking(config);
        config["linux"]["security_context"]["namespace_options"]["pid"] = json!("POD");
    });
    let first = pod.run(&["/bin/sleep", "4321"]);
    let second = sleeping(&pod);
    let pid = says(
        &second,
        "cd /proc; for pid in [0-9]*; do grep -q ^.bin.sleep.4321 $pid/cmdline && echo $pid; done; true",
    );
    assert_eq!(says(&second, &format!("kill -9 {} && echo killed", pid.trim())), "killed\n");
    assert_eq!(first.ended()["exit_code"], 137);
    pod.remove();
    node.assert_empty();
}

#[test]
fn what_a_killed_shim_had_is_given_back() {
    let node = node!(Way::OwnShim);
    let pod = node.pod_by(node.way.handler(), asking);
    let containers = [(); 2].map(|()| sleeping(&pod));
    assert_eq!(node.taken(), 1);
    kill(node.shim(&pod.id).pid, Signal::SIGKILL).unwrap();
    for container in &containers {
        container.ended();
    }
    pod.remove();
    node.assert_empty();
    assert_eq!(node.taken(), 0);
}

/// What cannot have them is refused where it asked, in words that `kubectl describe` shows.
#[test]
fn a_pod_that_shares_more_with_the_host_is_refused_if_it_asks() {
    let node = node!(Way::OwnShim);
    let refused = node.refused_pod(node.way.handler(), |config| {
        asking(config);
        on_host_network(config);
    });
    assert!(refused.contains("cannot have private ids") && refused.contains("linux.namespaces"), "{refused}");
    let strict = node.pod_by(node.way.handler(), |config| {
        config["annotations"] = json!({ "dev.sandrun.level": "strict" });
        on_host_network(config);
    });
    let told = node.user_ids(&strict.id);
    assert!(told.starts_with("absent: ") && told.contains("network namespace"), "{told}");
    let told = node.user_ids(&sleeping(&strict).id);
    assert!(told.starts_with("absent: "), "{told}");
    strict.remove();
    let pod = node.pod_by(node.way.handler(), |config| {
        config["annotations"] = json!({ "dev.sandrun.level": "strict" });
    });
    let told = node.user_ids(&sleeping(&pod).id);
    assert!(told.starts_with("enforced: "), "the level wants them: {told}");
    pod.remove();
    node.assert_empty();
}

/// With `hostUsers: false` containerd has the layers that are read mapped, and gives what is written to these ids.
#[test]
fn a_pod_that_the_kubelet_gave_ids_keeps_those() {
    let node = node!(Way::OwnShim, Series::Fetched("2"));
    let ids = json!([{ "host_id": 1_000_000, "container_id": 0, "length": 65536 }]);
    let pod = node.pod_by(node.way.handler(), |config| {
        config["annotations"] = json!({ "dev.sandrun.level": "strict" });
        config["linux"]["security_context"]["namespace_options"]["userns_options"] =
            json!({ "mode": "POD", "uids": ids, "gids": ids });
    });
    let container = sleeping(&pod);
    assert_eq!(node.host_ids(&container.id), [1_000_000].into());
    assert_eq!(says(&container, "stat -c %u /bin/busybox; touch /tmp/made; stat -c %u /tmp/made"), "0\n0\n");
    let written = node.written("tmp/made");
    assert!(!written.is_empty());
    for path in written {
        assert_eq!(fs::metadata(&path).unwrap().uid(), 1_000_000, "{}", path.display());
    }
    assert_eq!(node.taken(), 0);
    pod.remove();
    node.assert_empty();
}

/// Directories are bound, and mapped as a whole; so are those that are only read.
#[test]
fn a_root_filesystem_need_not_be_an_overlay() {
    let node = node!(Way::OwnShim);
    let script = "cat /proc/self/uid_map; stat -c %u /bin/busybox; touch /made && stat -c %u /made";
    for (readonly, made) in [(false, "0\n"), (true, "")] {
        for snapshotter in ["native", "overlayfs"] {
            let mut words =
                vec!["run", "--rm", "--snapshotter", snapshotter, "--runtime", "io.containerd.sandrun.v2"];
            words.extend(["--annotation", "dev.sandrun.private-ids=true"]);
            words.extend(readonly.then_some("--read-only"));
            let said = node.ctr(&[&words[..], &[BUSYBOX, "plain", "/bin/sh", "-c", script]].concat());
            let lines: Vec<&str> = said.stdout.splitn(2, '\n').collect();
            let numbers: Vec<u32> = lines[0].split_whitespace().flat_map(str::parse).collect();
            assert!(
                matches!(numbers[..], [0, first, 65536] if POOL.contains(&first)),
                "{snapshotter}: {said}"
            );
            assert_eq!(lines[1], format!("0\n{made}"), "{snapshotter}: {said}");
        }
    }
    node.assert_empty();
}
