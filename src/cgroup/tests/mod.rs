//! The kernel's side: on this host's hierarchies, and on a pure v2 view of them in a private mount namespace.
//! As root; otherwise each test prints that it was skipped.

mod life;
mod limits;
mod processes;
mod pure_v2;
mod update;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, Uid, geteuid};
use rustix::thread::set_thread_res_uid;

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
        let top = self.cgroup.path.split('/').nth(1).unwrap_or_default();
        let deleted = delete(top, &self.layout);
        if !std::thread::panicking() {
            killed.expect("killed");
            deleted.expect("deleted");
        }
    }
}

fn reap(mut child: Child) -> std::process::ExitStatus {
    child.wait().expect("a status")
}

/// Runs something in a thread that has given up root.
fn as_nobody<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let nobody = Uid::from_raw(65534);
    let thread = || {
        set_thread_res_uid(nobody, nobody, nobody).expect("another user");
        run()
    };
    std::thread::scope(|scope| scope.spawn(thread).join()).expect("no panic")
}
