//! The kernel's side: on this host's hierarchies, and on a pure v2 view of them in a private mount namespace.
//! As root; otherwise each test prints that it was skipped.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, geteuid};

use super::*;
use crate::error::Kind;
use crate::plan::cgroup::{self as plan, Cgroup, Layout, Request};

const SECRET_DEVICE: &str = "/dev/kmsg";

fn skipped(test: &str) -> bool {
    let skip = !geteuid().is_root();
    if skip {
        eprintln!("skipped: {test} needs root");
    }
    skip
}

/// A cgroup with a name of its own, gone at the end whatever happens.
struct Fixture {
    layout: Layout,
    cgroup: Cgroup,
    dirs: Dirs,
}

impl Fixture {
    fn new(name: &str, resources: serde_json::Value) -> Self {
        let layout = detect().expect("a layout");
        let path = format!("/sandrun-test-{}-{name}", std::process::id());
        let pids_limit = resources.pointer("/pids/limit").and_then(serde_json::Value::as_i64);
        let resources = serde_json::from_value(resources).expect("valid resources");
        let request =
            Request { path: Some(&path), resources: Some(&resources), pids_limit, ..Request::default() };
        let cgroup = plan::resolve(&request, &layout).expect("a plan");
        let dirs = create(&cgroup, &layout).expect("a cgroup");
        let fixture = Self { layout, cgroup, dirs };
        apply(&fixture.dirs, &fixture.cgroup.settings).expect("settings");
        fixture
    }

    /// A shell in the cgroup: on v1 by moving the thread that starts it, as init moves itself; on v2 by a
    /// write of its own, because a thread cannot move alone there.
    fn shell(&self, script: &str) -> Child {
        let unified =
            self.dirs.v2().map_or(String::new(), |dir| format!("{}/cgroup.procs", self.dirs.place(dir)));
        let tasks = self.dirs.tasks(true).expect("tasks");
        let script = format!("test -z '{unified}' || echo 0 > '{unified}' || exit 99; {script}");
        let start = move || {
            join(&tasks).expect("joined");
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(&script).env("S", &script).stdin(Stdio::null());
            shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell")
        };
        std::thread::spawn(start).join().expect("no panic")
    }

    fn pids(&self) -> Vec<i32> {
        pids(&self.dirs, true).expect("pids")
    }

    /// How many processes there are once `enough` holds, or after 3 s.
    fn settled(&self, enough: impl Fn(usize) -> bool) -> usize {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            let count = self.pids().len();
            if enough(count) || Instant::now() > deadline {
                return count;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn places(&self) -> Vec<String> {
        self.dirs.all.iter().map(|dir| self.dirs.place(dir)).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let killed = kill_all(&self.dirs);
        let deleted = delete(&self.cgroup.path, &self.layout);
        if !std::thread::panicking() {
            killed.expect("killed");
            deleted.expect("deleted");
        }
    }
}

fn reap(mut child: Child) -> std::process::ExitStatus {
    child.wait().expect("a status")
}

#[test]
fn what_is_written_is_read_back() {
    if skipped("what_is_written_is_read_back") {
        return;
    }
    let fixture = Fixture::new(
        "verify",
        serde_json::json!({
            "memory": { "limit": 33_556_000, "swap": 67_108_864, "reservation": 16_777_216,
                        "disableOOMKiller": false, "swappiness": 10 },
            "cpu": { "shares": 512, "quota": 50_000, "period": 100_000, "burst": 1000, "idle": 0,
                     "cpus": "0", "mems": "0" },
            "pids": { "limit": 5 },
            "devices": [{ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" }],
        }),
    );
    let outcomes = verify(&fixture.dirs, &fixture.cgroup.settings);
    assert!(outcomes.len() >= 10);
    for outcome in &outcomes {
        assert!(outcome.holds, "{outcome:?}");
    }
    let at = |outcome: &&Outcome| outcome.at.as_deref() == Some("linux.resources.cpu.quota");
    let quota = outcomes.iter().find(at).expect("a quota");
    let actual = quota.actual.as_deref();
    assert!(matches!(actual, Some("50000" | "50000 100000")), "{actual:?}");

    let other = plan::Setting { value: "6".to_owned(), ..pids_setting(&fixture.cgroup).clone() };
    assert!(!verify(&fixture.dirs, &[other])[0].holds);
}

fn pids_setting(cgroup: &Cgroup) -> &plan::Setting {
    cgroup.settings.iter().find(|setting| setting.file == "pids.max").expect("a process limit")
}

#[test]
fn limits_move_both_ways_and_errors_name_the_field() {
    if skipped("limits_move_both_ways_and_errors_name_the_field") {
        return;
    }
    let memory = |limit: i64| serde_json::json!({ "memory": { "limit": limit, "swap": limit } });
    let fixture = Fixture::new("update", memory(32 << 20));
    for limit in [64 << 20, 16 << 20] {
        let resources = serde_json::from_value(memory(limit)).expect("valid resources");
        let request = Request { path: Some("/x"), resources: Some(&resources), ..Request::default() };
        let update = plan::resolve(&request, &fixture.layout).expect("a plan").settings;
        let memory = |setting: &plan::Setting| setting.controller == "memory";
        let update: Vec<_> = update.into_iter().filter(memory).collect();
        assert_eq!(update.len(), 2);
        apply(&fixture.dirs, &update).expect("both limits");
        assert!(verify(&fixture.dirs, &update).iter().all(|outcome| outcome.holds));
    }
    let limit = |setting: &&plan::Setting| setting.at.as_deref() == Some("linux.resources.memory.limit");
    let limit = fixture.cgroup.settings.iter().find(limit).expect("a limit");
    let bad = plan::Setting { value: "many".to_owned(), ..limit.clone() };
    let error = apply(&fixture.dirs, &[bad]).expect_err("an error");
    assert_eq!(error.at.as_deref(), Some("linux.resources.memory.limit"));
    assert!(
        error.to_string().contains("EINVAL") || error.to_string().contains("Invalid argument"),
        "{error}"
    );
}

#[test]
fn a_process_limit_stops_what_would_start_otherwise() {
    if skipped("a_process_limit_stops_what_would_start_otherwise") {
        return;
    }
    let many = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done; wait";
    let free = Fixture::new("free", serde_json::json!({}));
    let shell = free.shell(many);
    assert_eq!(free.settled(|count| count == 13), 13, "without a limit all of them run");
    kill_all(&free.dirs).expect("killed");
    assert!(!reap(shell).success());

    let limited = Fixture::new("limited", serde_json::json!({ "pids": { "limit": 5 } }));
    let shell = limited.shell(many);
    let refused = || {
        let events = files::read(&limited.dirs.of("pids").expect("pids").fd, "pids.events").expect("events");
        files::keyed(&events, "max").expect("a count")
    };
    limited.settled(|_| refused() > 0);
    assert!(refused() > 0, "a fork was refused");
    let count = limited.pids().len();
    assert!((1..=5).contains(&count), "{count} processes");
    kill_all(&limited.dirs).expect("killed");
    assert_eq!(limited.pids(), [0; 0]);
    reap(shell);
}

/// Every shell starts others for as long as it lives; only all at once can they be ended.
const BOMB: &str = "while :; do sh -c \"$S\" & sleep 0.01; done";

#[test]
fn a_fork_bomb_is_killed_whole() {
    if skipped("a_fork_bomb_is_killed_whole") {
        return;
    }
    let fixture = Fixture::new("bomb", serde_json::json!({ "pids": { "limit": 60 } }));
    let shell = fixture.shell(BOMB);
    assert!(fixture.settled(|count| count > 20) > 20);
    let began = Instant::now();
    kill_all(&fixture.dirs).expect("killed");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(fixture.pids(), [0; 0]);
    assert!(!reap(shell).success());
}

#[test]
fn without_the_kernels_kill_a_fork_bomb_is_frozen_and_killed() {
    if skipped("without_the_kernels_kill_a_fork_bomb_is_frozen_and_killed") {
        return;
    }
    let mut fixture = Fixture::new("bomb-v1", serde_json::json!({ "pids": { "limit": 60 } }));
    if fixture.dirs.v1().next().is_none() {
        eprintln!("skipped: pure v2");
        return;
    }
    let shell = fixture.shell(BOMB);
    assert!(fixture.settled(|count| count > 20) > 20);
    let unified = fixture.dirs.all.iter().position(|dir| dir.version == plan::Version::V2);
    let unified = unified.map(|at| fixture.dirs.all.remove(at));
    let killed = kill_all(&fixture.dirs);
    fixture.dirs.all.extend(unified);
    killed.expect("killed");
    assert_eq!(fixture.pids(), [0; 0]);
    reap(shell);
}

#[test]
fn too_much_memory_is_killed_and_counted() {
    if skipped("too_much_memory_is_killed_and_counted") {
        return;
    }
    let memory = serde_json::json!({ "memory": { "limit": 33_554_432, "swap": 33_554_432 } });
    let fixture = Fixture::new("oom", memory);
    assert_eq!(oom_kills(&fixture.dirs), Ok(Some(0)));
    reap(fixture.shell("head -c 100000000 /dev/zero | tail"));
    assert!(oom_kills(&fixture.dirs).expect("a count") >= Some(1));
}

#[test]
fn a_device_outside_the_list_cannot_be_opened() {
    if skipped("a_device_outside_the_list_cannot_be_opened") {
        return;
    }
    std::fs::File::open(SECRET_DEVICE).expect("without rules it can be opened");
    let fixture = Fixture::new("devices", serde_json::json!({}));
    restrict(&fixture.dirs, &fixture.cgroup.devices).expect("a list or a program");
    denies_the_secret_device(&fixture);
}

fn denies_the_secret_device(fixture: &Fixture) {
    assert!(reap(fixture.shell(": < /dev/zero && : > /dev/null")).success());
    assert!(!reap(fixture.shell(&format!(": < {SECRET_DEVICE}"))).success());
}

#[test]
fn frozen_stands_still_until_thawed() {
    if skipped("frozen_stands_still_until_thawed") {
        return;
    }
    freezes_and_thaws(&Fixture::new("freeze", serde_json::json!({})));
}

fn freezes_and_thaws(fixture: &Fixture) {
    let shell = fixture.shell("while :; do :; done");
    assert_eq!(fixture.settled(|count| count == 1), 1);
    let pid = fixture.pids()[0];
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
        stat.split_whitespace().nth(13).and_then(|ticks| ticks.parse::<u64>().ok()).expect("user time")
    };
    let progress = || {
        let before = ticks();
        std::thread::sleep(Duration::from_millis(300));
        ticks() - before
    };
    assert_eq!(frozen(&fixture.dirs), Ok(false));
    assert!(progress() > 0, "it runs");
    freeze(&fixture.dirs).expect("frozen");
    assert_eq!(frozen(&fixture.dirs), Ok(true));
    assert_eq!(progress(), 0, "it stands still");
    thaw(&fixture.dirs).expect("thawed");
    assert_eq!(frozen(&fixture.dirs), Ok(false));
    assert!(progress() > 0, "it runs again");
    freeze(&fixture.dirs).expect("frozen");
    kill_all(&fixture.dirs).expect("a frozen one dies too");
    assert!(!reap(shell).success());
}

#[test]
fn a_signal_reaches_everyone() {
    if skipped("a_signal_reaches_everyone") {
        return;
    }
    let fixture = Fixture::new("signal", serde_json::json!({}));
    let shell = fixture.shell("sleep 100 & sleep 100 & wait");
    assert_eq!(fixture.settled(|count| count == 3), 3);
    signal(&fixture.dirs, Signal::TERM).expect("sent");
    reap(shell);
    assert_eq!(fixture.settled(|count| count == 0), 0);
}

#[test]
fn a_cgroup_in_use_is_not_taken_and_an_empty_one_is_made_anew() {
    if skipped("a_cgroup_in_use_is_not_taken_and_an_empty_one_is_made_anew") {
        return;
    }
    let fixture = Fixture::new("exists", serde_json::json!({ "pids": { "limit": 7 } }));
    let shell = fixture.shell("exec sleep 100");
    assert_eq!(fixture.settled(|count| count == 1), 1);
    let error = create(&fixture.cgroup, &fixture.layout).expect_err("taken");
    assert_eq!(error.kind, Kind::Exists);
    assert_eq!(fixture.settled(|count| count == 1), 1, "it is left alone");
    let refused = delete(&fixture.cgroup.path, &fixture.layout).expect_err("in use");
    assert!(refused.to_string().contains("kill the processes"), "{refused}");

    kill_all(&fixture.dirs).expect("killed");
    reap(shell);
    let again = create(&fixture.cgroup, &fixture.layout).expect("made anew");
    assert_eq!(again.created(), fixture.places());
    let limit = verify(&again, std::slice::from_ref(pids_setting(&fixture.cgroup)));
    assert_eq!(limit[0].actual.as_deref(), Some("max"));
}

#[test]
fn delete_needs_only_the_path_and_takes_what_is_beneath() {
    if skipped("delete_needs_only_the_path_and_takes_what_is_beneath") {
        return;
    }
    let fixture = Fixture::new("nested", serde_json::json!({}));
    for place in fixture.places() {
        let mut deep = std::path::PathBuf::from(place);
        std::fs::create_dir(deep.join("sibling")).expect("a cgroup beneath");
        for _ in 0..100 {
            deep.push("d");
            std::fs::create_dir(&deep).expect("a cgroup beneath");
        }
    }
    assert_eq!(fixture.pids(), [0; 0]);
    delete(&fixture.cgroup.path, &fixture.layout).expect("deleted");
    for place in fixture.places() {
        assert!(!std::path::Path::new(&place).exists(), "{place}");
    }
    delete(&fixture.cgroup.path, &fixture.layout).expect("nothing left is no error");
    let gone = Dirs::open(&fixture.cgroup.path, &fixture.layout).expect_err("gone");
    assert_eq!(gone.kind, Kind::NotFound);
}

#[test]
fn a_create_that_fails_leaves_nothing() {
    if skipped("a_create_that_fails_leaves_nothing") {
        return;
    }
    let layout = detect().expect("a layout");
    let hierarchies = layout.hierarchies();
    if hierarchies.is_empty() {
        eprintln!("skipped: pure v2");
        return;
    }
    let path = format!("/sandrun-test-{}-parent/leaf", std::process::id());
    let request = Request { path: Some(&path), ..Request::default() };
    let cgroup = plan::resolve(&request, &layout).expect("a plan");
    let mut broken = hierarchies.to_vec();
    broken.push(plan::Hierarchy {
        controllers: vec!["none".to_owned()],
        dir: "/sys/fs/cgroup/none".to_owned(),
    });
    create(&cgroup, &Layout::V1 { hierarchies: broken }).expect_err("the last hierarchy is missing");
    for hierarchy in hierarchies {
        let parent = format!("{}/sandrun-test-{}-parent", hierarchy.dir, std::process::id());
        assert!(!std::path::Path::new(&parent).exists(), "{parent}");
    }
}

#[test]
fn a_parent_with_processes_is_explained() {
    if skipped("a_parent_with_processes_is_explained") {
        return;
    }
    let fixture = Fixture::new("internal", serde_json::json!({ "memory": { "limit": 33_554_432 } }));
    let Layout::V2 { .. } = fixture.layout else {
        eprintln!("skipped: needs memory in cgroup v2");
        return;
    };
    let shell = fixture.shell("exec sleep 100");
    assert_eq!(fixture.settled(|count| count == 1), 1);
    let inner = Cgroup { path: format!("{}/inner", fixture.cgroup.path), ..fixture.cgroup.clone() };
    let error = create(&inner, &fixture.layout).expect_err("the parent has a process");
    assert!(error.to_string().contains("has processes of its own"), "{error}");
    kill_all(&fixture.dirs).expect("killed");
    reap(shell);
    create(&inner, &fixture.layout).expect("the parent is empty");
}

/// Runs `inside_v2` where `/sys/fs/cgroup` is a cgroup2, in a mount namespace that ends with it.
#[test]
fn pure_v2() {
    if skipped("pure_v2") {
        return;
    }
    let view = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", view])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "--ignored", "--nocapture", "cgroup::tests::inside_v2"])
        .output()
        .expect("unshare");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
}

#[test]
#[ignore = "run by pure_v2, in the view it makes"]
fn inside_v2() {
    let fixture = Fixture::new("v2", serde_json::json!({ "unified": { "cgroup.max.depth": "3" } }));
    assert!(matches!(fixture.layout, Layout::V2 { .. }));
    assert!(fixture.dirs.tasks(true).expect("none").is_empty());
    assert!(verify(&fixture.dirs, &fixture.cgroup.settings).iter().all(|outcome| outcome.holds));

    let secret = format!(": < {SECRET_DEVICE}");
    assert!(reap(fixture.shell(&secret)).success(), "without the program it can be opened");
    assert_eq!(restrict(&fixture.dirs, &fixture.cgroup.devices), Ok(Restricted::Program));
    denies_the_secret_device(&fixture);

    freezes_and_thaws(&fixture);

    let shell = fixture.shell("sleep 100 & sleep 100 & wait");
    assert_eq!(fixture.settled(|count| count == 3), 3);
    kill_all(&fixture.dirs).expect("killed");
    assert_eq!(fixture.pids(), [0; 0]);
    reap(shell);

    if fixture.layout.version_of("memory").is_some() {
        return;
    }
    let limit = serde_json::json!({ "memory": { "limit": 33_554_432 } });
    let resources = serde_json::from_value(limit).expect("valid resources");
    let request = Request { id: "x", resources: Some(&resources), ..Request::default() };
    let errors = plan::resolve(&request, &fixture.layout).expect_err("no memory controller here");
    assert_eq!(errors[0].at.as_deref(), Some("linux.resources.memory.limit"));
}
