//! Create, start, state, kill, delete, exec and the lists: statuses, exit codes and JSON are runc's.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root, leaks};

#[test]
fn from_created_to_deleted() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"]);
    let created = runtime.create(&bundle).ok();
    assert_eq!(created.stderr, "", "nothing is said on success");
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    assert_eq!(state["id"], bundle.id.as_str());
    assert_eq!(state["status"], "created");
    assert!(state["pid"].as_i64().is_some_and(|pid| pid > 0), "{state}");
    assert_eq!(state["bundle"], bundle.path().display().to_string());
    assert_eq!(state["rootfs"], bundle.rootfs().display().to_string());
    for member in ["ociVersion", "created", "owner"] {
        assert!(state[member].is_string(), "{member}: {state}");
    }
    runtime.call(&["start", &bundle.id]).ok();
    assert_eq!(runtime.status(&bundle), "running");
    assert_ne!(
        runtime.call(&["delete", &bundle.id]).code,
        0,
        "a running container was deleted without --force"
    );
    runtime.call(&["kill", &bundle.id, "KILL"]).ok();
    runtime.await_status(&bundle, "stopped");
    runtime.call(&["delete", &bundle.id]).ok();
    assert_ne!(runtime.call(&["state", &bundle.id]).code, 0);
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn the_exit_code_is_the_workloads() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    for (words, code) in
        [(["exit", "0"], 0), (["exit", "7"], 7), (["kill-self", "15"], 143), (["kill-self", "9"], 137)]
    {
        // A first process gets only signals that it handles, but always its own SIGKILL's exit code from a child.
        let script = format!("/probe {}; exit $?", words.join(" "));
        let bundle = Bundle::shell(&script);
        assert_eq!(runtime.run(&bundle).code, code, "{words:?}");
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn output_goes_where_it_belongs() {
    skip_unless!(is_root(), "needs root");
    let output = Runtime::sandrun().run(&Bundle::shell("echo to out; echo to err >&2")).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("to out\n", "to err\n"));
}

#[test]
fn environment_cwd_and_limits_are_those_of_the_configuration() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["report"]).edit(|config| {
        config["process"]["env"] = json!(["PATH=/bin", "ONE=1", "SPACED=a b=c"]);
        config["process"]["cwd"] = json!("/tmp");
        config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 77, "hard": 88 }]);
    });
    let seen = Runtime::sandrun().ask(&bundle);
    assert_eq!(seen["env"]["ONE"], "1");
    assert_eq!(seen["env"]["SPACED"], "a b=c");
    assert_eq!(seen["env"]["PATH"], "/bin");
    assert_eq!(seen["env"].get("CARGO"), None, "the caller's environment got in");
    assert_eq!(seen["cwd"], "/tmp");
    assert_eq!(seen["rlimits"]["RLIMIT_NOFILE"], json!({ "soft": 77, "hard": 88 }));
}

#[test]
fn detached_with_a_pid_file() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"]);
    let file = bundle.path().join("pid");
    runtime.run_with(&bundle, &["--detach", "--pid-file", &file.display().to_string()]).ok();
    let pid: i64 = fs::read_to_string(&file).expect("a pid file").trim().parse().expect("a number");
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    assert_eq!(state["pid"], pid);
    assert_eq!(state["status"], "running");
}

#[test]
fn a_pid_file_that_is_a_link_is_not_written_through() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["sleep", "60"]);
    let victim = bundle.path().join("victim");
    fs::write(&victim, "untouched").expect("cannot write the victim");
    let file = bundle.path().join("pid");
    std::os::unix::fs::symlink(&victim, &file).expect("cannot plant the link");
    Runtime::sandrun().run_with(&bundle, &["--detach", "--pid-file", &file.display().to_string()]);
    assert_eq!(fs::read_to_string(&victim).expect("still there"), "untouched");
}

#[test]
fn exec_runs_beside_and_returns_its_code() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::shell("sleep 60");
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let first = fs::read_link(format!("/proc/{}/ns/pid", runtime.call(&["state", &bundle.id]).json()["pid"]));
    let inside = runtime.call(&["exec", &bundle.id, "/probe", "namespaces"]).ok().json();
    assert_eq!(inside["pid"], first.expect("a namespace").to_string_lossy().as_ref());
    assert_eq!(runtime.call(&["exec", &bundle.id, "/bin/sh", "-c", "exit 9"]).code, 9);
    let seen =
        runtime.call(&["exec", "--env", "EXTRA=1", "--cwd", "/tmp", &bundle.id, "/probe", "env"]).ok().json();
    assert_eq!(seen["EXTRA"], "1");
    assert_ne!(runtime.call(&["exec", &bundle.id, "/no/such/program"]).code, 0);
}

/// The processes in a bundle's cgroup that have not ended: one that has, has no program.
fn members(bundle: &Bundle) -> Vec<String> {
    let inside = format!("/{}", bundle.id);
    let of = |pid: &String| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let entries = fs::read_dir("/proc").expect("the processes");
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let alive = |pid: &String| fs::read_link(format!("/proc/{pid}/exe")).is_ok();
    names.filter(|pid| pid.parse::<i32>().is_ok() && of(pid).contains(&inside) && alive(pid)).collect()
}

/// A container in the host's pid namespace, with a program beside its own.
fn in_the_hosts_pid_namespace(runtime: &Runtime) -> Bundle {
    let bundle = Bundle::probe(&["sleep", "60"]).without_namespace("pid");
    runtime.run_with(&bundle, &["--detach"]).ok();
    runtime.call(&["exec", "--detach", &bundle.id, "/probe", "sleep", "60"]).ok();
    assert_eq!(members(&bundle).len(), 2);
    bundle
}

fn await_nobody(bundle: &Bundle) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !members(bundle).is_empty() {
        assert!(Instant::now() < deadline, "{:?} are left", members(bundle));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn kill_ends_all_where_no_pid_namespace_does() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("oci");
    for first_is_gone in [false, true] {
        let bundle = in_the_hosts_pid_namespace(&runtime);
        if first_is_gone {
            let state = runtime.call(&["state", &bundle.id]).ok().json();
            let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
            let pid = pid.and_then(rustix::process::Pid::from_raw).expect("a process");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("cannot kill it");
            runtime.await_status(&bundle, "stopped");
            assert_eq!(members(&bundle).len(), 1, "the other goes on");
            assert_ne!(runtime.call(&["kill", &bundle.id, "TERM"]).code, 0, "there is no first process");
        }
        runtime.call(&["kill", &bundle.id, "KILL"]).ok();
        await_nobody(&bundle);
        runtime.await_status(&bundle, "stopped");
        runtime.call(&["delete", &bundle.id]).ok();
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn what_waits_for_its_start_ends_when_it_is_asked_to() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    for signal in ["TERM", "QUIT"] {
        let bundle = Bundle::probe(&["sleep", "60"]);
        runtime.create(&bundle).ok();
        runtime.call(&["kill", &bundle.id, signal]).ok();
        runtime.await_status(&bundle, "stopped");
        runtime.call(&["delete", &bundle.id]).ok();
        leaks::assert_none(&runtime, &bundle);
    }
    // The program itself is not touched by it: the first process of a namespace hears what it handles.
    let bundle = Bundle::probe(&["sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    runtime.call(&["kill", &bundle.id, "TERM"]).ok();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(runtime.status(&bundle), "running");
}

#[test]
fn all_are_signalled_by_any_signal_and_may_be_none() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::shell("trap 'exit 0' 40; while true; do sleep 0.05; done");
    runtime.run_with(&bundle, &["--detach"]).ok();
    runtime.call(&["kill", "--all", &bundle.id, "0"]).ok();
    assert_eq!(runtime.status(&bundle), "running", "0 only asks");
    runtime.call(&["kill", "--all", &bundle.id, "40"]).ok();
    runtime.await_status(&bundle, "stopped");
    runtime.call(&["kill", "--all", &bundle.id, "0"]).ok();
    assert!(runtime.call(&["kill", &bundle.id, "0"]).stderr.contains("container not running"));
}

#[test]
fn pause_stops_and_resume_goes_on() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::shell("while true; do echo tick; sleep 0.05; done");
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    std::thread::sleep(Duration::from_millis(200));
    runtime.call(&["pause", &bundle.id]).ok();
    assert_eq!(runtime.status(&bundle), "paused");
    let before = runtime.said(&bundle).len();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(runtime.said(&bundle).len(), before, "it ticks while it is paused");
    runtime.call(&["resume", &bundle.id]).ok();
    std::thread::sleep(Duration::from_millis(300));
    assert!(runtime.said(&bundle).len() > before, "it does not tick again");
}

#[test]
fn list_and_ps_are_json_when_asked() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let list = runtime.call(&["list", "--format", "json"]).ok().json();
    assert_eq!(list[0]["id"], bundle.id.as_str(), "{list}");
    assert_eq!(list[0]["status"], "running", "{list}");
    assert_eq!(runtime.call(&["list", "--quiet"]).ok().stdout.trim(), bundle.id);
    let pids = runtime.call(&["ps", "--format", "json", &bundle.id]).ok().json();
    assert_eq!(pids, json!([runtime.call(&["state", &bundle.id]).json()["pid"]]));
}

#[test]
fn a_directory_that_is_not_there_has_no_list() {
    let runtime = Runtime::sandrun();
    let output = runtime.call(&["list"]);
    assert!(output.code == 125 && output.stderr.contains("no such directory"), "{output}");
    fs::create_dir(runtime.root()).expect("cannot make the state directory");
    assert_eq!(runtime.call(&["list", "--quiet"]).ok().stdout, "");
}

#[test]
fn annotations_are_in_the_state() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"])
        .edit(|config| config["annotations"] = json!({ "org.example.key": "value" }));
    runtime.create(&bundle).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    assert_eq!(state["annotations"]["org.example.key"], "value", "{state}");
}

#[test]
fn delete_with_force_forgives_what_is_not_there() {
    let runtime = Runtime::sandrun();
    assert_eq!(runtime.call(&["delete", "--force", "never-existed"]).code, 0);
    assert_ne!(runtime.call(&["delete", "never-existed"]).code, 0);
}
