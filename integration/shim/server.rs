//! What the server is: one process of one thread for a pod, with nothing of its own in a container.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use containerd_shim_protos::Client;
use containerd_shim_protos::api::*;
use containerd_shim_protos::protobuf::Message;
use serde_json::json;
use ttrpc::Request;

use super::driver::{Containerd, context, group, in_group, obedient, until};
use crate::support::bundle::unique;
use crate::support::is_root;

fn descriptors(pid: i32) -> BTreeSet<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is there").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn it_answers_by_the_old_name_and_by_the_new_one() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(obedient()).run();
    let client = Client::connect(&shim.address).unwrap();
    let asked = StateRequest { id: shim.id(), ..StateRequest::default() };
    let answers = ["containerd.task.v2.Task", "containerd.task.v3.Task"].map(|service| {
        let request = Request {
            service: service.to_owned(),
            method: "State".to_owned(),
            payload: asked.write_to_bytes().unwrap(),
            ..Request::default()
        };
        StateResponse::parse_from_bytes(&client.request(request).unwrap().payload).unwrap()
    });
    assert_eq!(answers[0].pid, shim.state("").pid);
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn it_has_one_thread_and_the_container_none_of_its_descriptors() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(obedient());
    let mut request = shim.request("");
    (request.stdin, request.stdout) = (shim.fifo("in"), shim.fifo("out"));
    let pid = shim.client.create(context(), &request).unwrap().pid as i32;
    shim.start();
    shim.exec("one", "while :; do sleep 0.02; done");
    let exec = shim.try_start("one").unwrap().pid as i32;
    assert_eq!(fs::read_dir(format!("/proc/{}/task", shim.pid)).unwrap().count(), 1);
    let standard: BTreeSet<String> = ["0", "1", "2"].map(str::to_owned).into();
    // A shell keeps one of its own for a moment.
    for pid in [pid, exec] {
        until("it has the standard streams and no other", || descriptors(pid) == standard);
    }
}

#[test]
fn it_keeps_nothing_of_what_has_ended() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(obedient()).run();
    let run = |name: &str| {
        let mut request = shim.exec_request(name, "echo output");
        (request.stdin, request.stdout) =
            (shim.fifo(&format!("{name}-in")), shim.fifo(&format!("{name}-out")));
        shim.client.exec(context(), &request).unwrap();
        shim.try_start(name).unwrap();
        assert_eq!(shim.wait(name), 0);
        shim.try_delete(name).unwrap();
    };
    run("first");
    let before = descriptors(shim.pid).len();
    for number in 0..10 {
        run(&format!("exec-{number}"));
    }
    until("it closes everything", || descriptors(shim.pid).len() == before);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", shim.pid)).unwrap();
    assert_eq!(children.split_whitespace().count(), 1, "{children}");
}

#[test]
fn a_pod_has_one_and_the_last_container_ends_it() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let group = group();
    let first = containerd.start(in_group(obedient(), &group)).run();
    let second = containerd.start(in_group(obedient(), &group)).run();
    assert_eq!((&first.address, first.pid), (&second.address, second.pid));
    // Where containerd 1.6 looks for the address when it is started again.
    let written = fs::read_to_string(second.bundle.path().join("address")).unwrap();
    assert_eq!(written, second.address);
    for shim in [&first, &second] {
        shim.kill(9);
        assert_eq!(shim.wait(""), 137);
        shim.shut_down();
        assert!(shim.alive(), "it ends with a container in it");
        shim.delete();
    }
    first.shut_down();
    until("the server ends", || !first.alive());
    first.assert_nothing_left();
    second.assert_nothing_left();
}

/// A container of another pod is not found there.
#[test]
fn another_pod_has_another() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let one = containerd.start(in_group(obedient(), &group()));
    let other = containerd.start(in_group(obedient(), &group()));
    assert_ne!((&one.address, one.pid), (&other.address, other.pid));
}

/// The directories of a cgroup, made for the test in each hierarchy of v1, and removed.
struct PodCgroup {
    dirs: Vec<PathBuf>,
}

impl PodCgroup {
    fn new(name: &str) -> PodCgroup {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
        let v1 = hierarchies.filter(|dir| dir.join("tasks").exists() && !dir.is_symlink());
        let dirs: Vec<PathBuf> = v1.map(|dir| dir.join(name)).collect();
        for dir in &dirs {
            fs::create_dir(dir).unwrap();
            // A cpuset takes nobody in before it has CPUs.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let above = dir.parent().unwrap().join(file);
                if let Ok(value) = fs::read_to_string(above) {
                    fs::write(dir.join(file), value).unwrap();
                }
            }
        }
        PodCgroup { dirs }
    }
}

impl Drop for PodCgroup {
    fn drop(&mut self) {
        for dir in &self.dirs {
            until("the cgroup is empty", || fs::remove_dir(dir).is_ok() || !dir.exists());
        }
    }
}

#[test]
fn the_pod_accounts_for_it_and_its_container_does_not() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(Path::new("/sys/fs/cgroup/memory/tasks").exists(), "needs cgroup v1");
    let pod = unique("pod");
    let cgroup = PodCgroup::new(&pod);
    assert!(!cgroup.dirs.is_empty());
    let containerd = Containerd::new();
    let bundle = in_group(obedient(), &group())
        .edit(|config| config["linux"]["cgroupsPath"] = json!(format!("/{pod}/container")));
    let shim = containerd.start(bundle).run();
    let memory = |pid: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let line = text.lines().find(|line| line.contains(":memory:")).expect("the memory controller");
        line.rsplit_once(':').unwrap().1.to_owned()
    };
    assert_eq!(memory(shim.pid), format!("/{pod}"));
    assert_eq!(memory(shim.state("").pid as i32), format!("/{pod}/container"));
    shim.kill(9);
    shim.wait("");
    shim.delete();
    shim.shut_down();
    until("the server ends", || !shim.alive());
}
