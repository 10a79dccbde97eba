//! Paused containers, the cgroups that a workload makes beneath its own, and the list of processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root, leaks};

fn created(runtime: &Runtime, script: &str) -> Bundle {
    let bundle = Bundle::shell(script);
    runtime.create(&bundle).ok();
    bundle
}

fn running(runtime: &Runtime, script: &str) -> Bundle {
    let bundle = created(runtime, script);
    runtime.call(&["start", &bundle.id]).ok();
    bundle
}

/// The container's cgroup in every hierarchy.
fn cgroups(bundle: &Bundle) -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(top).expect("cgroups").flatten().map(|entry| entry.path());
    let places = hierarchies.chain([top.to_owned()]).map(|place| place.join(&bundle.id));
    places.filter(|place| place.is_dir()).collect()
}

/// Clock ticks that a process has used.
fn ticks(pid: i64) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields = stat.rsplit_once(')').expect("a name").1;
    fields.split_whitespace().nth(11).and_then(|ticks| ticks.parse().ok()).expect("user time")
}

#[test]
fn paused_before_its_program_runs_it_can_only_be_resumed() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = created(&runtime, "echo ran; sleep 60");
    runtime.call(&["pause", &bundle.id]).ok();
    assert_eq!(runtime.status(&bundle), "paused");
    let output = runtime.call(&["start", &bundle.id]);
    assert!(output.code == 125 && output.stderr.contains("paused"), "{output}");
    assert_ne!(runtime.call(&["pause", &bundle.id]).code, 0, "paused twice");
    runtime.call(&["resume", &bundle.id]).ok();
    assert_eq!(runtime.status(&bundle), "created");
    runtime.call(&["start", &bundle.id]).ok();
    assert_eq!(runtime.status(&bundle), "running");
    assert_ne!(runtime.call(&["resume", &bundle.id]).code, 0, "resumed without a pause");
}

#[test]
fn cgroups_beneath_stand_still_too() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime, "while :; do :; done");
    let pid = runtime.call(&["state", &bundle.id]).ok().json()["pid"].as_i64().expect("a pid");
    for cgroup in cgroups(&bundle) {
        let beneath = cgroup.join("beneath");
        fs::create_dir(&beneath).expect("a cgroup beneath");
        for file in ["cpus", "mems"].map(|list| format!("cpuset.{list}")) {
            if let Ok(list) = fs::read_to_string(cgroup.join(&file)) {
                let _ = fs::write(beneath.join(&file), list);
            }
        }
        fs::write(beneath.join("cgroup.procs"), pid.to_string()).expect("a member");
    }
    let moved = || {
        let before = ticks(pid);
        std::thread::sleep(Duration::from_millis(200));
        ticks(pid) - before
    };
    assert!(moved() > 0, "it runs");
    runtime.call(&["pause", &bundle.id]).ok();
    assert_eq!(moved(), 0, "it stands still");
    let output = runtime.call(&["exec", &bundle.id, "true"]);
    assert!(output.code == 125 && output.stderr.contains("--ignore-paused"), "{output}");
    runtime.call(&["resume", &bundle.id]).ok();
    assert!(moved() > 0, "it goes on");
    let pids = runtime.call(&["ps", "--format", "json", &bundle.id]).ok().json();
    assert!(pids.as_array().is_some_and(|pids| pids.contains(&json!(pid))), "{pids} lacks {pid}");
    runtime.call(&["delete", "--force", &bundle.id]).ok();
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn an_exec_that_ignores_the_pause_runs_when_it_is_over() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime, "sleep 60");
    runtime.call(&["pause", &bundle.id]).ok();
    let mut waiting = runtime
        .command(&["exec", "--ignore-paused", &bundle.id, "sh", "-c", "exit 9"])
        .spawn()
        .expect("an exec");
    std::thread::sleep(Duration::from_millis(500));
    assert!(waiting.try_wait().expect("a status").is_none(), "it ran in a container that is paused");
    runtime.call(&["resume", &bundle.id]).ok();
    assert_eq!(waiting.wait().expect("a status").code(), Some(9));
}

#[test]
fn what_is_paused_can_be_killed() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime, "sleep 60");
    runtime.call(&["pause", &bundle.id]).ok();
    runtime.call(&["kill", &bundle.id, "TERM"]).ok();
    assert_eq!(runtime.status(&bundle), "paused", "only KILL ends it");
    runtime.call(&["kill", &bundle.id, "KILL"]).ok();
    runtime.await_status(&bundle, "stopped");
}

#[test]
fn an_exec_goes_to_a_cgroup_beneath() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime, "sleep 60");
    let all = cgroups(&bundle);
    for cgroup in &all {
        fs::create_dir(cgroup.join("beneath")).expect("a cgroup beneath");
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(list) = fs::read_to_string(cgroup.join(file)) {
                let _ = fs::write(cgroup.join("beneath").join(file), list);
            }
        }
    }
    let member = |flags: &[&str]| {
        let mut words = vec!["exec"];
        words.extend(flags);
        words.extend([bundle.id.as_str(), "/probe", "cgroup"]);
        let output = runtime.call(&words);
        assert_eq!(output.code, 0, "{output}");
        let lines = output.json()["membership"].as_array().expect("a list").clone();
        lines.iter().filter(|line| line.as_str().is_some_and(|line| line.ends_with("/beneath"))).count()
    };
    assert_eq!(member(&[]), 0);
    assert_eq!(member(&["--cgroup", "beneath"]), all.len());
    let v1 = Path::new("/sys/fs/cgroup/pids").is_dir();
    if v1 {
        assert_eq!(member(&["--cgroup", "pids,freezer:/beneath"]), 2);
    }
    for bad in ["../..", "nothing", "nobody:beneath", ":beneath"] {
        let output = runtime.call(&["exec", "--cgroup", bad, &bundle.id, "true"]);
        assert_eq!(output.code, 125, "{bad}: {output}");
    }
    let output = runtime.call(&["exec", "--cgroup", "a", "--cgroup", "b", &bundle.id, "true"]);
    assert_eq!(output.code, 125, "{output}");
}

#[test]
fn ps_takes_the_options_of_ps() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime, "sleep 61 & sleep 60");
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut table = String::new();
    while table.matches("sleep").count() < 2 && Instant::now() < deadline {
        table = runtime.call(&["ps", &bundle.id, "-e", "-o", "pid,comm"]).ok().stdout;
    }
    let mut lines = table.lines();
    assert_eq!(
        lines.next().map(|line| line.split_whitespace().collect::<Vec<_>>()),
        Some(vec!["PID", "COMMAND"])
    );
    assert!(
        lines.clone().count() >= 2 && lines.all(|line| line.ends_with("sh") || line.ends_with("sleep")),
        "{table}"
    );
    let full = runtime.call(&["ps", &bundle.id]).ok().stdout;
    assert!(full.starts_with("UID") && full.contains("sleep 61"), "{full}");
}
