//! A container's life by the calls of containerd's runc shim, in both spellings of flags.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use serde_json::{Value, json};

use super::gorunc::{SPELLINGS, Shim, Spelling};
use crate::engines::enclave::remove_cgroup;
use crate::flags::receive;
use crate::support::{Bundle, Runtime, is_root, leaks};

const LOOP: &str = "trap 'exit 9' TERM; echo begun; while :; do sleep 0.05; done";

fn process_file(shim: &Shim, script: &str, terminal: bool) -> String {
    let file = shim.path("process.json");
    let process = json!({
        "terminal": terminal, "user": { "uid": 0, "gid": 0 }, "args": ["/bin/sh", "-c", script],
        "env": ["PATH=/bin"], "cwd": "/"
    });
    fs::write(&file, process.to_string()).expect("cannot write the process");
    file
}

fn status(shim: &mut Shim, bundle: &Bundle) -> String {
    let state: Value = serde_json::from_str(&shim.ask("state", &[], &[&bundle.id])).expect("JSON");
    assert_eq!((&state["id"], &state["bundle"]), (&json!(bundle.id), &json!(bundle.path())));
    let times = ["ociVersion", "rootfs", "created", "owner"].map(|name| state[name].is_string());
    assert_eq!(times, [true; 4], "{state}");
    state["status"].as_str().expect("a status").to_owned()
}

fn parent(pid: i64) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    line.trim().to_owned()
}

fn assert_in_its_cgroup(pid: i64, bundle: &Bundle) {
    let membership = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    let path = format!("/{}", bundle.id);
    let inside = membership.lines().filter(|line| line.ends_with(&path)).count();
    assert!(inside > 0, "{membership}");
}

#[test]
fn a_container_lives_by_the_calls_of_the_shim() {
    skip_unless!(is_root(), "needs root");
    for spelling in SPELLINGS {
        let mut shim = Shim::new(spelling, None);
        let bundle = Bundle::shell(LOOP);
        let pid = shim.create(&bundle);
        assert_eq!(parent(pid), shim.pid().to_string(), "the container's process is an orphan");
        assert_in_its_cgroup(pid, &bundle);
        assert_eq!(status(&mut shim, &bundle), "created");
        assert_eq!(shim.ask("start", &[], &[&bundle.id]), "");
        assert_eq!(status(&mut shim, &bundle), "running");
        assert_eq!(shim.ask("pause", &[], &[&bundle.id]), "");
        assert_eq!(status(&mut shim, &bundle), "paused");
        assert_eq!(shim.ask("resume", &[], &[&bundle.id]), "");
        assert_eq!(shim.ask("kill", &[], &[&bundle.id, "15"]), "");
        assert_eq!(shim.reap(pid), 9, "its own exit code");
        assert_eq!(shim.said(), "begun\n", "its streams, which nobody keeps");
        assert_eq!(status(&mut shim, &bundle), "stopped");
        assert_eq!(shim.log(), Vec::<Value>::new(), "nothing is logged when nothing fails");
        // As by the shim's clean-up: for all that may be left, and once more.
        assert_eq!(shim.ask("kill", &[("--all", "")], &[&bundle.id, "9"]), "");
        assert_eq!(shim.ask("delete", &[], &[&bundle.id]), "");
        assert_eq!(shim.ask("delete", &[("--force", "")], &[&bundle.id]), "");
        assert_ne!(shim.call("delete", &[], &[&bundle.id])["code"], 0);
        leaks::assert_none(&shim.runtime, &bundle);
    }
}

#[test]
fn an_exec_is_the_shims_to_wait_for() {
    skip_unless!(is_root(), "needs root");
    for spelling in SPELLINGS {
        let mut shim = Shim::new(spelling, None);
        let bundle = Bundle::shell(LOOP);
        let init = shim.create(&bundle);
        shim.ask("start", &[], &[&bundle.id]);
        let (file, pid_file) =
            (process_file(&shim, "ls /proc/self/fd | wc -l; exit 7", false), shim.path("exec.pid"));
        let flags = [("--process", file.as_str()), ("--detach", ""), ("--pid-file", &pid_file)];
        assert_eq!(shim.give("exec", &flags, &[&bundle.id]), 0, "{:?}", shim.log());
        let pid = shim.pid_in("exec.pid");
        assert_eq!(shim.reap(pid), 7);
        // Its three streams, and the directory that ls reads.
        assert_eq!(shim.said().trim(), "4", "descriptors in the container");
        let missing = process_file(&shim, "", false);
        let process = fs::read_to_string(&missing).expect("it is there").replace("/bin/sh", "/no/such");
        fs::write(&missing, process).expect("cannot write the process");
        assert_ne!(shim.give("exec", &flags, &[&bundle.id]), 0);
        assert!(shim.last_error().contains("no such file or directory"), "{:?}", shim.log());
        let pids: Vec<i64> =
            serde_json::from_str(&shim.ask("ps", &[("--format", "json")], &[&bundle.id])).expect("pids");
        assert!(pids.contains(&init), "{pids:?}");
        shim.ask("kill", &[], &[&bundle.id, "KILL"]);
        assert_eq!(shim.reap(init), 128 + 9);
        shim.ask("delete", &[], &[&bundle.id]);
        leaks::assert_none(&shim.runtime, &bundle);
    }
}

/// With a terminal the shim reads what `create` and `exec` say to the end too.
#[test]
fn a_terminal_goes_over_the_socket_and_no_pipe_is_kept() {
    skip_unless!(is_root(), "needs root");
    let mut shim = Shim::new(Spelling::Apart, None);
    let bundle = Bundle::shell("tty; read line; echo got $line; exec sleep 60")
        .edit(|config| config["process"]["terminal"] = json!(true));
    bundle.write();
    shim.runtime.adopt(&bundle);
    let (dir, socket, pid_file) =
        (bundle.path().display().to_string(), shim.path("pty.sock"), shim.path("pid"));
    let listener = UnixListener::bind(&socket).expect("cannot listen");
    let create = [("--bundle", dir.as_str()), ("--console-socket", &socket), ("--pid-file", &pid_file)];
    shim.ask("create", &create, &[&bundle.id]);
    let mut master = fs::File::from(receive(&listener.accept().expect("somebody connected").0).1);
    let init = shim.pid_in("pid");
    shim.ask("start", &[], &[&bundle.id]);
    master.write_all(b"typed\n").expect("cannot type");
    read_until(&mut master, "got typed");

    let file = process_file(&shim, "tty; exit 5", true);
    let exec = [
        ("--process", file.as_str()),
        ("--console-socket", &socket),
        ("--detach", ""),
        ("--pid-file", &pid_file),
    ];
    shim.ask("exec", &exec, &[&bundle.id]);
    let mut master = fs::File::from(receive(&listener.accept().expect("somebody connected").0).1);
    let pid = shim.pid_in("pid");
    read_until(&mut master, "/dev/pts/1");
    assert_eq!(shim.reap(pid), 5);
    shim.ask("kill", &[], &[&bundle.id, "9"]);
    assert_eq!(shim.reap(init), 137);
    shim.ask("delete", &[], &[&bundle.id]);
}

fn read_until(master: &mut fs::File, text: &str) {
    let (mut seen, mut buffer) = (String::new(), [0; 256]);
    while !seen.contains(text) {
        let count = master.read(&mut buffer).unwrap_or_else(|error| panic!("{error}: {seen:?}"));
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

/// Everything in its three forms: containerd 1.6 and CRI-O, containerd from 1.7 on, podman.
#[test]
fn limits_are_changed_from_standard_input_and_from_a_file() {
    skip_unless!(is_root(), "needs root");
    let mut shim = Shim::new(Spelling::Apart, None);
    let bundle = Bundle::shell(LOOP);
    shim.create(&bundle);
    shim.ask("start", &[], &[&bundle.id]);
    let file = shim.path("resources.json");
    for (limit, flag) in [(11, vec!["--resources", "-"]), (12, vec!["--resources=-"]), (13, vec![])] {
        let resources = json!({ "pids": { "limit": limit } }).to_string();
        fs::write(&file, &resources).expect("cannot write the resources");
        let from_file = format!("--resources={file}");
        let flag = if flag.is_empty() { vec![from_file.as_str()] } else { flag };
        let answer = shim.feed(&resources, "update", &[], &[&flag[..], &[&bundle.id]].concat());
        assert_eq!((&answer["code"], &answer["stderr"]), (&json!(0), &json!("")), "{answer}");
        let stats: Value =
            serde_json::from_str(&shim.ask("events", &[("--stats", "")], &[&bundle.id])).expect("JSON");
        assert_eq!(stats["data"]["pids"]["limit"], limit, "{flag:?}");
    }
}

/// `kill --all` reaches what the first process left, in the namespace of the pod's processes, and nobody else.
#[test]
fn all_are_killed_in_a_shared_pid_namespace() {
    skip_unless!(is_root(), "needs root");
    let mut shim = Shim::new(Spelling::Apart, None);
    let sandbox = Bundle::shell("exec sleep 60");
    let pause = shim.create(&sandbox);
    shim.ask("start", &[], &[&sandbox.id]);
    let container = Bundle::shell("sleep 61 & exec sleep 60").edit(|config| {
        for namespace in config["linux"]["namespaces"].as_array_mut().expect("a list") {
            if namespace["type"] == "pid" {
                namespace["path"] = json!(format!("/proc/{pause}/ns/pid"));
            }
        }
    });
    let pid = shim.create(&container);
    shim.ask("start", &[], &[&container.id]);
    let members = |shim: &mut Shim| -> Vec<i64> {
        serde_json::from_str(&shim.ask("ps", &[("--format", "json")], &[&container.id])).expect("pids")
    };
    while members(&mut shim).len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // SIGKILL by its number, as somebody from outside: sandrun knows nothing of it.
    let process = rustix::process::Pid::from_raw(pid as i32).expect("a process");
    rustix::process::kill_process(process, rustix::process::Signal::KILL).expect("cannot kill it");
    assert_eq!(shim.reap(pid), 137);
    assert_eq!(members(&mut shim).len(), 1, "its child goes on");
    shim.ask("kill", &[("--all", "")], &[&container.id, "9"]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !members(&mut shim).is_empty() {
        assert!(std::time::Instant::now() < deadline, "it is not killed");
    }
    shim.ask("delete", &[], &[&container.id]);
    assert_eq!(status(&mut shim, &sandbox), "running");
}

#[test]
fn the_bundle_may_be_relative_and_the_current_directory() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let there = |bundle: &Bundle, words: &[&str], dir: &std::path::Path| {
        bundle.write();
        runtime.adopt(bundle);
        let mut command = runtime.command(&[words, &[bundle.id.as_str()]].concat());
        command.current_dir(dir);
        runtime.finish(command, &bundle.path().join("said")).ok();
        let state = runtime.call(&["state", &bundle.id]).ok().json();
        assert_eq!(state["bundle"], json!(bundle.path()), "an absolute path");
        assert_eq!(state["rootfs"], json!(bundle.rootfs()));
    };
    let bundle = Bundle::probe(&["sleep", "60"]);
    there(&bundle, &["create"], bundle.path());
    let bundle = Bundle::probe(&["sleep", "60"]);
    let parent = bundle.path().parent().expect("it is below the temporary directory");
    let name = bundle.path().file_name().expect("a name").to_string_lossy().into_owned();
    there(&bundle, &["create", "--bundle", &name], parent);
}

/// What containerd and CRI-O write by their age, and by their cgroup driver. A path of systemd's form without
/// `--systemd-cgroup` is a path.
#[test]
fn versions_and_cgroup_paths_of_every_engine_are_taken() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    for version in ["1.0.0", "1.0.2-dev", "1.0.2", "1.1.0", "1.2.0", "1.2.1", "1.3.0", "1.3.1"] {
        let bundle = Bundle::shell("true").edit(|config| config["ociVersion"] = json!(version));
        assert_eq!(runtime.run(&bundle).code, 0, "{version}");
    }
    let paths: [fn(&str) -> String; 4] = [
        |id| format!("/{id}"),
        |id| id.to_owned(),
        |id| format!("/{id}/pod1/ctr"),
        |id| format!("{id}.slice:cri-containerd:{id}"),
    ];
    for path in paths {
        let bundle = Bundle::probe(&["sleep", "60"]);
        let path = path(&bundle.id);
        let bundle = bundle.edit(|config| config["linux"]["cgroupsPath"] = json!(path));
        runtime.create(&bundle).ok();
        let pid = &runtime.call(&["state", &bundle.id]).ok().json()["pid"];
        let membership = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
        assert!(membership.lines().any(|line| line.ends_with(&path)), "{path}: {membership}");
        runtime.call(&["delete", "--force", &bundle.id]).ok();
        // Those above the container's own are the engine's.
        remove_cgroup(&bundle.id);
        leaks::assert_none(&runtime, &bundle);
    }
}
