//! `ctr`, with sandrun in the place of runc under its shim. containerd has a root, a state and a socket of its own,
//! and needs no network.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::terminal::{Running, Terminal};
use crate::support::{Bundle, Output, Runtime, Scratch, is_root, leaks};

/// Longer than anything here should take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A containerd of the test's own, ended with it.
pub struct Containerd {
    daemon: Child,
    home: Scratch,
    runtime: Runtime,
    /// What is in the place of runc: sandrun, or a program that calls it with more flags.
    binary: PathBuf,
}

/// A container of it; its files and its name are a bundle's, its configuration is containerd's.
struct Container<'a> {
    of: &'a Containerd,
    bundle: Bundle,
}

impl Containerd {
    /// None where it is not installed.
    pub fn start() -> Option<Containerd> {
        let found = |name: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
        };
        if !["containerd", "ctr", "containerd-shim-runc-v2"].into_iter().all(found) {
            return None;
        }
        let home = Scratch::new("containerd");
        let dir = home.path().display().to_string();
        let config = format!(
            "version = 2\nroot = \"{dir}/root\"\nstate = \"{dir}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{dir}/socket\"\n[ttrpc]\naddress = \"{dir}/ttrpc\"\n"
        );
        fs::write(home.path().join("config.toml"), config).expect("cannot write config.toml");
        let log = File::create(home.path().join("log")).expect("cannot make the log");
        let mut daemon = Command::new("containerd");
        daemon.arg("--config").arg(home.path().join("config.toml"));
        daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let daemon = daemon.spawn().expect("cannot start containerd");
        let runtime = Runtime::sandrun();
        let binary = runtime.program().to_owned();
        let containerd = Containerd { daemon, home, runtime, binary };
        let deadline = Instant::now() + PATIENCE;
        while containerd.ctr(&["version"]).code != 0 {
            assert!(Instant::now() < deadline, "containerd does not answer: {}", containerd.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(containerd)
    }

    /// Has a policy in force, which the node's file would be on a node of the test's own.
    fn under_policy(mut self, policy: &str) -> Containerd {
        self.binary = self.home.path().join("sandrun-under-policy");
        let script = format!("#!/bin/sh\nexec {} --policy {policy} \"$@\"\n", path(self.runtime.program()));
        fs::write(&self.binary, script).expect("cannot write the program");
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&self.binary, permissions).expect("cannot make it a program");
        self
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.home.path().join("socket")).args(words);
        command
    }

    pub fn ctr(&self, words: &[&str]) -> Output {
        self.runtime.finish(self.command(words), &self.home.path().join("ctr"))
    }

    /// The words of `ctr run` for a bundle's root filesystem, with more flags.
    fn run_words(&self, bundle: &Bundle, flags: &[&str], program: &[&str]) -> Vec<String> {
        let (sandrun, root) = (&self.binary, self.runtime.root());
        let (cgroup, rootfs) = (format!("/{}", bundle.id), bundle.rootfs());
        let mut words = vec!["run".to_owned()];
        words.extend(flags.iter().map(ToString::to_string));
        words.extend(["--runtime".to_owned(), "io.containerd.runc.v2".to_owned()]);
        words.extend(["--runc-binary".to_owned(), path(sandrun), "--runc-root".to_owned(), path(&root)]);
        words.extend(["--cgroup".to_owned(), cgroup, "--rootfs".to_owned(), path(&rootfs)]);
        words.push(bundle.id.clone());
        words.extend(program.iter().map(ToString::to_string));
        words
    }

    /// Runs a program in the root filesystem of a bundle.
    pub fn run(&self, bundle: &Bundle, flags: &[&str], program: &[&str]) -> Output {
        let words = self.run_words(bundle, flags, program);
        self.ctr(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A container with busybox and the probe.
    fn container(&self) -> Container<'_> {
        Container { of: self, bundle: Bundle::shell("") }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let tasks = self.ctr(&["task", "ls", "--quiet"]).stdout;
        for id in tasks.split_whitespace() {
            self.ctr(&["task", "delete", "--force", id]);
        }
        // An error means that it has ended, which is what we want.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Container<'_> {
    fn id(&self) -> &str {
        &self.bundle.id
    }

    fn run(&self, flags: &[&str], program: &[&str]) -> Output {
        self.of.run(&self.bundle, flags, program)
    }

    /// `ctr task VERB`, with words after the id.
    fn task(&self, verb: &[&str], words: &[&str]) -> Output {
        self.of.ctr(&[&["task"], verb, &[self.id()], words].concat())
    }

    fn status(&self) -> String {
        let list = self.of.ctr(&["task", "ls"]).ok().stdout;
        let line = list.lines().find(|line| line.starts_with(self.id())).unwrap_or_default().to_owned();
        line.split_whitespace().last().unwrap_or("GONE").to_owned()
    }

    #[track_caller]
    fn await_status(&self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.status() != wanted {
            assert!(
                Instant::now() < deadline,
                "{} does not become {wanted} but {}",
                self.id(),
                self.status()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Neither the container nor its shim has left anything. The shim ends after its last answer, and containerd
    /// removes what it kept for it after that.
    #[track_caller]
    fn assert_gone(&self) {
        let shims = || {
            let all = fs::read_dir("/proc").expect("cannot list processes").flatten();
            all.filter(|entry| {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                line.split(|byte| *byte == 0).any(|word| word == self.id().as_bytes())
            })
            .count()
        };
        let tasks = self.of.home.path().join("state/io.containerd.runtime.v2.task/default").join(self.id());
        let deadline = Instant::now() + PATIENCE;
        while shims() > 0 || tasks.exists() {
            assert!(Instant::now() < deadline, "{} shims and {} are left", shims(), tasks.display());
            std::thread::sleep(Duration::from_millis(20));
        }
        leaks::assert_none(&self.of.runtime, &self.bundle);
        let namespace = self.of.runtime.root().join("default");
        assert!(!namespace.join(self.id()).exists(), "state is left");
    }
}

fn path(path: &Path) -> String {
    PathBuf::from(path).display().to_string()
}

macro_rules! containerd {
    () => {{
        skip_unless!(is_root(), "needs root");
        let Some(containerd) = Containerd::start() else { skip!("containerd is not installed") };
        containerd
    }};
}

#[test]
fn a_container_in_the_foreground() {
    let containerd = containerd!();
    let container = containerd.container();
    let output = container.run(&["--rm"], &["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((output.code, output.stdout.as_str()), (3, "out\n"), "{output}");
    assert!(output.stderr.contains("err"), "{output}");
    container.assert_gone();
}

#[test]
fn what_is_enforced_under_it() {
    let containerd = containerd!();
    let container = containerd.container();
    let seen = container.run(&["--rm"], &["/probe", "report"]).ok().json();
    assert_eq!(seen["status"]["Seccomp"], "2", "the baseline has its own filter: {seen}");
    assert_eq!(seen["status"]["Seccomp_filters"], "1");
    assert_eq!(seen["status"]["NoNewPrivs"], "1");
    let both = containerd.container();
    let seen = both.run(&["--rm", "--seccomp"], &["/probe", "report"]).ok().json();
    assert_eq!(seen["status"]["Seccomp_filters"], "2", "containerd's profile, and ours");
    container.assert_gone();
    both.assert_gone();
}

#[test]
fn an_error_reaches_the_user() {
    let containerd = containerd!();
    let container = containerd.container();
    let output = container.run(&["--rm"], &["/no/such/program"]);
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("OCI runtime create failed: cannot run \"/no/such/program\""), "{output}");
    container.assert_gone();
}

/// In a pod it is what `kubectl describe` shows.
#[test]
fn a_refusal_of_the_policy_reaches_the_user_as_a_whole() {
    let containerd = containerd!().under_policy("builtin:baseline");
    let container = containerd.container();
    let bind = "type=bind,src=/etc,dst=/mnt,options=rbind:ro";
    let output = container.run(&["--rm", "--net-host", "--mount", bind, "--privileged"], &["/bin/true"]);
    assert_ne!(output.code, 0);
    for words in [
        "OCI runtime create failed: cannot run container",
        "the container is in the host's network namespace: linux.namespaces in config.json: namespaces.host of the policy",
        "/etc of the host is bound: mounts[",
        "in a pod without privileged: true",
        "CAP_SYS_ADMIN",
    ] {
        assert!(output.stderr.contains(words), "{output}");
    }
    container.assert_gone();
    let output = containerd.container().run(&["--rm"], &["/bin/echo", "allowed"]);
    assert_eq!(output.ok().stdout, "allowed\n", "an ordinary container breaks no rule");
    let container = containerd.container();
    container.run(&["--detach"], &["/bin/sleep", "60"]).ok();
    let exec = |program: &[&str]| container.task(&["exec", "--exec-id", program[0]], &program[1..]);
    exec(&["one", "/bin/true"]).ok();
    container.task(&["delete", "--force"], &[]).ok();
    containerd.ctr(&["container", "delete", container.id()]).ok();
    container.assert_gone();
}

#[test]
fn a_task_through_all_its_states() {
    let containerd = containerd!();
    let container = containerd.container();
    let script = "trap 'exit 9' TERM; while :; do sleep 0.1; done";
    container.run(&["--detach"], &["/bin/sh", "-c", script]).ok();
    assert_eq!(container.status(), "RUNNING");
    let exec = |id: &str, program: &[&str]| container.task(&["exec", "--exec-id", id], program);
    let output = exec("one", &["/bin/sh", "-c", "echo inside; exit 7"]);
    assert_eq!((output.code, output.stdout.as_str()), (7, "inside\n"), "{output}");
    let output = exec("two", &["/no/such/program"]);
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("OCI runtime exec failed: cannot run \"/no/such/program\""), "{output}");
    assert!(container.task(&["ps"], &[]).ok().stdout.lines().count() > 1, "no process is listed");
    assert!(container.task(&["metrics"], &[]).ok().stdout.contains("memory"));
    container.task(&["pause"], &[]).ok();
    assert_eq!(container.status(), "PAUSED");
    container.task(&["resume"], &[]).ok();
    assert_eq!(container.status(), "RUNNING");
    container.task(&["kill"], &[]).ok();
    container.await_status("STOPPED");
    assert!(container.task(&["kill"], &[]).stderr.contains("process already finished"));
    assert!(container.task(&["delete"], &[]).ok().stderr.contains("exit code 9"));
    containerd.ctr(&["container", "delete", container.id()]).ok();
    container.assert_gone();
}

#[test]
fn every_process_is_killed() {
    let containerd = containerd!();
    for words in [&["kill", "--all", "--signal", "KILL"][..], &["delete", "--force"]] {
        let container = containerd.container();
        container.run(&["--detach"], &["/bin/sh", "-c", "sleep 60 & sleep 60 & wait"]).ok();
        container.task(words, &[]).ok();
        if words[0] == "kill" {
            container.await_status("STOPPED");
            container.task(&["delete"], &[]).ok();
        }
        containerd.ctr(&["container", "delete", container.id()]).ok();
        container.assert_gone();
    }
}

/// What the shim does when its runtime was killed, or itself, must not need what the dead one knew.
#[test]
fn the_shim_is_killed() {
    let containerd = containerd!();
    let container = containerd.container();
    container.run(&["--detach"], &["/bin/sleep", "60"]).ok();
    let listed = containerd.ctr(&["task", "ls"]).ok().stdout;
    let line = listed.lines().find(|line| line.starts_with(container.id())).expect("it is listed");
    let pid = line.split_whitespace().nth(1).expect("a process id");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let shim = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)).expect("its parent");
    let shim: i32 = shim.parse().expect("a process id");
    let name = fs::read_to_string(format!("/proc/{shim}/comm")).expect("its parent runs");
    assert!(
        name.starts_with("containerd-shim"),
        "the container's process is not the shim's child but {name}"
    );
    let shim = nix::unistd::Pid::from_raw(shim);
    nix::sys::signal::kill(shim, nix::sys::signal::Signal::SIGKILL).expect("cannot kill the shim");
    container.await_status("GONE");
    containerd.ctr(&["container", "delete", container.id()]).ok();
    container.assert_gone();
}

#[test]
fn on_a_terminal() {
    let containerd = containerd!();
    let container = containerd.container();
    let script = "tty; stty size; [ -c /dev/console ] && echo done";
    let words = containerd.run_words(&container.bundle, &["--rm", "--tty"], &["/bin/sh", "-c", script]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut terminal = Terminal::new(91, 37);
    let running = Running(terminal.start(&containerd.command(&words)));
    assert!(terminal.read_until("done").contains("/dev/pts/0"));
    assert_eq!(running.finish(), Some(0));
    container.assert_gone();
}
