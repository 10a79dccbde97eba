//! A runtime under test: sandrun, or a peer to compare with. Its state is in a directory of its own, and every
//! container that it started is deleted when it is dropped.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bundle::{Bundle, Scratch, unique};
use super::user::User;

/// Longer than anything here should take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Runtime {
    program: PathBuf,
    /// Words before the program: a wrapper that changes what it inherits.
    wrapper: Vec<String>,
    global: Vec<String>,
    patience: Duration,
    home: Scratch,
    started: Mutex<Vec<String>>,
}

/// What a finished command said.
pub struct Output {
    /// The exit code, or 128 + the signal that ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The answer of the probe, or of a runtime asked for JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self}"))
    }

    /// The same output, if the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Output {
        assert_eq!(self.code, 0, "{self}");
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}\nstdout: {}\nstderr: {}", self.code, self.stdout, self.stderr)
    }
}

impl Runtime {
    /// The sandrun of this build, or the program that SANDRUN names, at its default level.
    pub fn sandrun() -> Runtime {
        let program = std::env::var_os("SANDRUN").unwrap_or_else(|| env!("CARGO_BIN_EXE_sandrun").into());
        Runtime::new(program.into())
    }

    /// sandrun at a level.
    pub fn at_level(level: &str) -> Runtime {
        Runtime::sandrun().flags(&["--level", level])
    }

    /// Another runtime, if it is installed. crun up to 1.28 does not work on a hybrid cgroup layout, so it gets
    /// a mount namespace without the v2 part; it makes directories where that was, so they go with the namespace.
    pub fn peer(name: &str) -> Option<Runtime> {
        let program = find(name)?;
        let runtime = Runtime::new(program);
        let hybrid = Path::new("/sys/fs/cgroup/unified/cgroup.controllers").exists();
        Some(if name == "crun" && hybrid {
            runtime.wrapped(&[
                "unshare",
                "-m",
                "sh",
                "-c",
                "umount /sys/fs/cgroup/unified && mount -t tmpfs none /sys/fs/cgroup/unified && exec \"$@\"",
                "sh",
            ])
        } else {
            runtime
        })
    }

    fn new(program: PathBuf) -> Runtime {
        let home = Scratch::new("runtime");
        let started = Mutex::default();
        Runtime { program, wrapper: Vec::new(), global: Vec::new(), patience: PATIENCE, home, started }
    }

    /// Adds global flags.
    pub fn flags(mut self, flags: &[&str]) -> Runtime {
        self.global.extend(flags.iter().map(ToString::to_string));
        self
    }

    /// Gives every command this long to end.
    pub fn waiting(mut self, patience: Duration) -> Runtime {
        self.patience = patience;
        self
    }

    /// Runs everything in a mount namespace of its own, private, after a shell script that ends in `exec "$@"`.
    pub fn in_own_mounts(self, script: &str) -> Self {
        self.wrapped(&["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"])
    }

    /// Runs every command through a wrapper, given as its words.
    pub fn wrapped(mut self, words: &[&str]) -> Runtime {
        self.wrapper = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Runs every command where `/sys/fs/cgroup` is a cgroup2 and nothing else, in a mount namespace that ends with
    /// it. It has the controllers that no hierarchy of v1 has.
    pub fn on_pure_v2(self) -> Runtime {
        let view = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
        self.in_own_mounts(view)
    }

    /// Runs every command as an ordinary user, who owns the state directory.
    pub fn of_user(self, id: u32) -> Runtime {
        fs::create_dir(self.root()).expect("cannot make the state directory");
        std::os::unix::fs::chown(self.root(), Some(id), Some(id))
            .expect("cannot give the state directory away");
        let flags = [format!("--reuid={id}"), format!("--regid={id}"), "--clear-groups".to_owned()];
        let mut words = vec!["setpriv"];
        words.extend(flags.iter().map(String::as_str));
        self.wrapped(&words)
    }

    /// Runs every command as a user of the host's files, who owns the state directory, behind further words.
    pub fn of(self, user: &User, before: &[&str], after: &[&str]) -> Runtime {
        fs::create_dir(self.root()).expect("cannot make the state directory");
        std::os::unix::fs::chown(self.root(), Some(user.id), Some(user.group))
            .expect("cannot give the state directory away");
        let own = user.words();
        let words = before.iter().copied().chain(own.iter().map(String::as_str)).chain(after.iter().copied());
        self.wrapped(&words.collect::<Vec<_>>())
    }

    /// Leaves descriptor 3 open on a directory, as a careless caller would.
    pub fn inheriting(mut self, dir: &Path) -> Runtime {
        let leak = ["sh", "-c", "exec 3<\"$0\"; exec \"$@\"", &dir.display().to_string()];
        self.wrapper.splice(..0, leak.map(str::to_owned));
        self
    }

    /// Where it keeps its state.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The command line for these words.
    pub fn command(&self, words: &[&str]) -> Command {
        let program = self.program.display().to_string();
        let mut line: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        line.push(&program);
        let (first, rest) = line.split_first().expect("a command line has a program");
        let mut command = Command::new(first);
        command.args(rest).arg("--root").arg(self.root()).args(&self.global).args(words);
        command
    }

    /// Runs a command to its end. Output goes through files, since a container may hold a pipe open.
    #[track_caller]
    pub fn call(&self, words: &[&str]) -> Output {
        let capture = self.home.path().join(unique("output"));
        self.call_into(words, &capture)
    }

    #[track_caller]
    fn call_into(&self, words: &[&str], capture: &Path) -> Output {
        self.finish(self.command(words), capture)
    }

    /// Runs any command to its end, with its output in files of this name.
    #[track_caller]
    pub fn finish(&self, mut command: Command, capture: &Path) -> Output {
        let (out, err) = (capture.with_extension("out"), capture.with_extension("err"));
        command.stdin(Stdio::null());
        command.stdout(File::create(&out).expect("cannot capture stdout"));
        command.stderr(File::create(&err).expect("cannot capture stderr"));
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let deadline = Instant::now() + self.patience;
        let status = loop {
            match child.try_wait().expect("cannot wait for the runtime") {
                Some(status) => break status,
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                None => {
                    child.kill().expect("cannot end the runtime");
                    panic!("{command:?} does not end; it said: {}", text(&err));
                }
            }
        };
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Output { code, stdout: text(&out), stderr: text(&err) }
    }

    /// Runs the bundle in the foreground, with further flags of `run`.
    #[track_caller]
    pub fn run_with(&self, bundle: &Bundle, flags: &[&str]) -> Output {
        self.launch("run", bundle, flags)
    }

    /// Runs the bundle in the foreground.
    #[track_caller]
    pub fn run(&self, bundle: &Bundle) -> Output {
        self.run_with(bundle, &[])
    }

    /// Runs the bundle, which must succeed, and returns the probe's answer.
    #[track_caller]
    pub fn ask(&self, bundle: &Bundle) -> Value {
        self.run(bundle).ok().json()
    }

    /// Creates the container without starting it. What it says later is in `said`.
    #[track_caller]
    pub fn create(&self, bundle: &Bundle) -> Output {
        self.launch("create", bundle, &[])
    }

    /// What the container of the bundle has written to its standard output.
    pub fn said(&self, bundle: &Bundle) -> String {
        text(&self.home.path().join(&bundle.id).with_extension("out"))
    }

    /// What it has written to its standard error.
    pub fn complained(&self, bundle: &Bundle) -> String {
        text(&self.home.path().join(&bundle.id).with_extension("err"))
    }

    #[track_caller]
    fn launch(&self, verb: &str, bundle: &Bundle, flags: &[&str]) -> Output {
        bundle.write();
        self.adopt(bundle);
        let path = bundle.path().display().to_string();
        let mut words = vec![verb, "--bundle", &path];
        words.extend(flags);
        words.push(&bundle.id);
        self.call_into(&words, &self.home.path().join(&bundle.id))
    }

    /// Takes over a container that was started past this struct, so that it is deleted in the end.
    pub fn adopt(&self, bundle: &Bundle) {
        self.started.lock().expect("no test panics while it holds the list").push(bundle.id.clone());
    }

    /// The status in the state of a container.
    #[track_caller]
    pub fn status(&self, bundle: &Bundle) -> String {
        let state = self.call(&["state", &bundle.id]).ok().json();
        state["status"].as_str().unwrap_or_else(|| panic!("no status in {state}")).to_owned()
    }

    /// Waits until the container has this status.
    #[track_caller]
    pub fn await_status(&self, bundle: &Bundle, wanted: &str) {
        let deadline = Instant::now() + self.patience;
        while self.status(bundle) != wanted {
            assert!(Instant::now() < deadline, "{} does not become {wanted}", bundle.id);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        for id in self.started.lock().iter().flat_map(|ids| ids.iter()) {
            // Most are gone already, which is an error or not by runtime; what stays shows in the leak checks.
            if let Err(why) = end(self.command(&["delete", "--force", id]).stderr(Stdio::null())) {
                eprintln!("cannot delete {id}: {why}");
            }
            super::leaks::remove_cgroups(id);
        }
    }
}

/// Runs a command that may hang, and that cannot be waited for longer.
fn end(command: &mut Command) -> std::io::Result<()> {
    let mut child = command.spawn()?;
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            return Err(std::io::Error::other("it does not end"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Where a program is installed.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}
