//! A systemd of the test's own, in namespaces: with its buses, scopes and users' trees, on a pure cgroup v2. What
//! controllers it has is the machine's to say; limits are tested in a VM (integration/vm).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::bundle::{Scratch, unique};
use super::runtime::{Output, Runtime, find};

/// Longer than it takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// The ordinary user it knows.
pub const USER: u32 = 1000;

/// Ended, with all that runs under it, when dropped.
pub struct Systemd {
    leader: Child,
    pid: u32,
    cgroup: PathBuf,
    home: Scratch,
}

impl Systemd {
    /// Starts one, or says why this machine cannot.
    pub fn start() -> Result<Systemd, String> {
        for program in ["systemctl", "dbus-daemon", "nsenter", "unshare"] {
            find(program).ok_or_else(|| format!("{program} is not installed"))?;
        }
        let unified = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        let unified = unified.into_iter().find(|dir| dir.join("cgroup.controllers").exists());
        let home = Scratch::new("systemd");
        let cgroup = unified.ok_or("cgroup2 is not mounted")?.join(unique("systemd"));
        // One that only holds the other: the root that systemd sees is not to be the one we remove.
        fs::create_dir_all(cgroup.join("root")).expect("cannot make a cgroup for systemd");
        let log = File::create(home.path().join("log")).expect("cannot make the log");
        fs::create_dir(home.path().join("root")).expect("cannot make a root for systemd");
        let runtime = Runtime::sandrun();
        let mut boot = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/systemd/boot"));
        boot.arg(cgroup.join("root")).arg(home.path().join("root")).arg(std::env::temp_dir());
        boot.arg(runtime.program().parent().expect("the program is in a directory"));
        boot.stdin(Stdio::null()).stdout(log.try_clone().expect("the log")).stderr(log);
        let leader = boot.spawn().expect("cannot start systemd");
        let mut systemd = Systemd { leader, pid: 0, cgroup, home };
        systemd.await_bus();
        Ok(systemd)
    }

    fn await_bus(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let children = format!("/proc/{0}/task/{0}/children", self.leader.id());
        loop {
            let child = fs::read_to_string(&children).unwrap_or_default();
            self.pid = child.trim().parse().unwrap_or(0);
            let root = format!("/proc/{}/root", self.pid);
            if self.pid != 0
                && Path::new(&format!("{root}/run/dbus/system_bus_socket")).exists()
                && self.call(&["busctl", "status", "org.freedesktop.systemd1"]).code == 0
            {
                return;
            }
            assert!(Instant::now() < deadline, "systemd does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Words in front of a command that runs under it, as root.
    pub fn inside(&self) -> Vec<String> {
        let scope = self.cgroup.join("root/init.scope/cgroup.procs");
        let enter = "echo $$ >\"$0\" && exec nsenter --all --target \"$@\"";
        ["sh", "-c", enter, &scope.display().to_string(), &self.pid.to_string()].map(str::to_owned).to_vec()
    }

    /// sandrun under it.
    pub fn runtime(&self) -> Runtime {
        self.wrap(Runtime::sandrun(), &[]).flags(&["--systemd-cgroup"])
    }

    /// A runtime whose commands run under it, behind more words.
    pub fn wrap(&self, runtime: Runtime, words: &[&str]) -> Runtime {
        let mut all = self.inside();
        all.extend(words.iter().map(ToString::to_string));
        runtime.wrapped(&all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Runs a command under it to its end.
    #[track_caller]
    pub fn call(&self, words: &[&str]) -> Output {
        let inside = self.inside();
        let (first, rest) = inside.split_first().expect("words");
        let mut command = Command::new(first);
        command.args(rest).args(words);
        Runtime::sandrun().finish(command, &self.home.path().join(unique("call")))
    }

    /// Properties of a unit, `NAME=VALUE` each, as the system's systemd has them.
    #[track_caller]
    pub fn show(&self, unit: &str) -> Vec<String> {
        self.call(&["systemctl", "show", unit]).ok().stdout.lines().map(str::to_owned).collect()
    }

    /// Whether it knows a unit, in whatever state.
    #[track_caller]
    pub fn knows(&self, unit: &str) -> bool {
        !self.call(&["systemctl", "show", "--property=LoadState", unit]).ok().stdout.contains("not-found")
    }

    /// A directory of the unified hierarchy, by the path that a container's plan has.
    pub fn cgroup(&self, path: &str) -> PathBuf {
        self.cgroup.join("root").join(path.trim_start_matches('/'))
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // Killing the first process of the pid namespace ends all the others. An error means that it has ended.
        let pid = nix::unistd::Pid::from_raw(self.pid.try_into().unwrap_or(0));
        if self.pid != 0 {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        } else {
            let _ = self.leader.kill();
        }
        let _ = self.leader.wait();
        remove_tree(&self.cgroup);
    }
}

/// Cgroups go from the lowest up, and some moments after their last process.
fn remove_tree(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let deadline = Instant::now() + Duration::from_secs(2);
    while let Err(error) = fs::remove_dir(dir) {
        if Instant::now() > deadline {
            eprintln!("left behind: {}: {error}", dir.display());
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
