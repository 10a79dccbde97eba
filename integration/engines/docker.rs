//! dockerd, which reaches sandrun through containerd's runc shim and sets up networks by hooks.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::daily::{AT_OCI, RUNS, compare};
use super::enclave::{Enclave, PATIENCE, installed, remove_cgroup};
use crate::support::bundle::unique;
use crate::support::terminal::{Running, Terminal};
use crate::support::{Output, is_root};

struct Docker {
    daemon: Child,
    enclave: Enclave,
    cgroup: String,
}

impl Docker {
    /// None where it is not installed.
    fn start() -> Option<Docker> {
        if !installed(&["dockerd", "docker", "containerd", "containerd-shim-runc-v2"]) {
            return None;
        }
        let enclave = Enclave::new("docker");
        let cgroup = unique("docker");
        let at = |name: &str| enclave.home.path().join(name);
        // The level of a runtime by the name that it is called by.
        symlink(enclave.runtime.program(), at("sandrun-oci")).unwrap();
        let config = json!({
            "data-root": at("data"), "exec-root": at("exec"), "pidfile": at("pid"),
            "hosts": [format!("unix://{}", at("socket").display())],
            "iptables": false, "ip6tables": false, "ip-masq": false, "storage-driver": "overlay2",
            "exec-opts": ["native.cgroupdriver=cgroupfs"], "cgroup-parent": format!("/{cgroup}"),
            "runtimes": {
                "sandrun": { "path": enclave.runtime.program() }, "sandrun-oci": { "path": at("sandrun-oci") }
            },
            "default-runtime": "sandrun"
        });
        fs::write(at("daemon.json"), config.to_string()).unwrap();
        let log = File::create(at("log")).unwrap();
        let mut daemon = enclave.command("dockerd");
        daemon.arg("--config-file").arg(at("daemon.json"));
        let daemon = daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let docker = Docker { daemon, enclave, cgroup };
        docker.enclave.until(|| docker.call(&["version"]).code == 0);
        let mut import = docker.command(&["import"]);
        import.arg(docker.enclave.layer()).arg("probed");
        docker.enclave.finish(import).ok();
        Some(docker)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", format!("unix://{}/socket", self.enclave.home.path().display()));
        command.env("DOCKER_CONFIG", self.enclave.home.path()).env("DOCKER_BUILDKIT", "0").args(words);
        command
    }

    #[track_caller]
    fn call(&self, words: &[&str]) -> Output {
        self.enclave.finish(self.command(words))
    }

    /// The answer to a command that must succeed.
    #[track_caller]
    fn ask(&self, words: &[&str]) -> String {
        self.call(words).ok().stdout.trim().to_owned()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let all = self.call(&["ps", "--all", "--quiet"]).stdout;
        for id in all.split_whitespace() {
            self.call(&["rm", "--force", id]);
        }
        // An error means that it has ended, which is what we want; it ends its own containerd.
        let _ = kill(Pid::from_raw(self.daemon.id() as i32), Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while self.daemon.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > deadline {
                eprintln!(
                    "dockerd does not end: {}",
                    fs::read_to_string(self.enclave.home.path().join("log")).unwrap_or_default()
                );
                let _ = self.daemon.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        remove_cgroup(&self.cgroup);
    }
}

#[test]
fn a_container_lives_as_under_runc() {
    skip_unless!(is_root(), "needs root");
    let Some(docker) = Docker::start() else { skip!("docker is not installed") };
    docker.ask(&["run", "--detach", "--name", "long", "--memory", "64m", "probed", "sleep", "600"]);
    assert!(docker.ask(&["exec", "long", "cat", "/proc/self/status"]).contains("Seccomp:\t2"));
    assert_eq!(docker.ask(&["exec", "--tty", "long", "tty"]), "/dev/pts/0");
    let peer = [
        "run",
        "--detach",
        "--name",
        "peer",
        "--runtime",
        "runc",
        "--network",
        "none",
        "probed",
        "sleep",
        "600",
    ];
    docker.ask(&peer);
    for program in ["/nowhere", "nothing", "/etc", "/etc/passwd"] {
        let code = |container: &str| docker.call(&["exec", container, program]).code;
        assert_eq!(code("long"), code("peer"), "{program}");
    }
    assert!(docker.ask(&["stats", "--no-stream", "long"]).contains("64MiB"));
    docker.ask(&["update", "--memory", "128m", "--memory-swap", "256m", "--pids-limit", "99", "long"]);
    assert!(docker.ask(&["stats", "--no-stream", "long"]).contains("128MiB"));
    assert!(docker.ask(&["top", "long"]).contains("sleep 600"));
    docker.ask(&["update", "--memory", "32m", "--memory-swap", "64m", "--pids-limit", "9", "long"]);
    assert!(docker.ask(&["stats", "--no-stream", "long"]).contains("32MiB"));
    let status = || docker.ask(&["inspect", "--format", "{{.State.Status}} {{.HostConfig.Runtime}}", "long"]);
    docker.ask(&["pause", "long"]);
    assert_eq!(status(), "paused sandrun");
    docker.ask(&["unpause", "long"]);
    docker.ask(&["stop", "--time", "1", "long"]);
    assert_eq!(status(), "exited sandrun");
    docker.ask(&["start", "long"]);
    docker.ask(&["rm", "--force", "long"]);
}

/// Its bridge comes by a prestart hook, after which parameters of the new interface can be set.
#[test]
fn its_network_is_set_up_by_a_hook() {
    skip_unless!(is_root(), "needs root");
    let Some(docker) = Docker::start() else { skip!("docker is not installed") };
    let links = docker.ask(&["run", "--rm", "probed", "ip", "address"]);
    assert!(links.contains("eth0") && links.contains("inet 172."), "{links}");
    assert!(!docker.ask(&["run", "--rm", "--network", "none", "probed", "ip", "address"]).contains("eth0"));
    let forwarding = "/proc/sys/net/ipv4/conf/eth0/forwarding";
    let sysctl = ["run", "--rm", "--sysctl", "net.ipv4.conf.eth0.forwarding=0", "probed", "cat", forwarding];
    assert_eq!(docker.ask(&sysctl), "0");
}

#[test]
fn options_are_honoured() {
    skip_unless!(is_root(), "needs root");
    let Some(docker) = Docker::start() else { skip!("docker is not installed") };
    let volume = docker.enclave.home.path().join("volume");
    fs::create_dir(&volume).unwrap();
    symlink("/etc/passwd", volume.join("link")).unwrap();
    let bind = format!("{}:/v:ro", volume.display());
    let script = "id -u; cat /proc/sys/net/core/somaxconn; touch /t/x && echo tmpfs; \
                  touch /v/x || echo volume; touch /x || echo root; ls -d /v/link; hostname; ulimit -n";
    let said = docker.ask(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--user",
        "1000:1000",
        "--read-only",
        "--tmpfs",
        "/t",
        "--volume",
        &bind,
        "--sysctl",
        "net.core.somaxconn=1000",
        "--hostname",
        "named",
        "--ulimit",
        "nofile=512:512",
        "probed",
        "sh",
        "-c",
        script,
    ]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines, ["1000", "1000", "tmpfs", "volume", "root", "/v/link", "named", "512"]);
}

#[test]
fn errors_are_told_in_words_that_docker_knows() {
    skip_unless!(is_root(), "needs root");
    let Some(docker) = Docker::start() else { skip!("docker is not installed") };
    let missing = docker.call(&["run", "--rm", "--network", "none", "probed", "/nowhere"]);
    assert_eq!(missing.code, 127, "{missing}");
    let directory = docker.call(&["run", "--rm", "--network", "none", "probed", "/etc"]);
    assert_eq!(directory.code, 126, "{directory}");
    let greedy = "x=a; while true; do x=$x$x; done";
    docker.call(&[
        "run",
        "--name",
        "greedy",
        "--network",
        "none",
        "--memory",
        "16m",
        "probed",
        "sh",
        "-c",
        greedy,
    ]);
    assert_eq!(docker.ask(&["inspect", "--format", "{{.State.OOMKilled}}", "greedy"]), "true");
}

#[test]
fn an_image_is_built() {
    skip_unless!(is_root(), "needs root");
    let Some(docker) = Docker::start() else { skip!("docker is not installed") };
    let dir: PathBuf = docker.enclave.home.path().join("context");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("Dockerfile"), "FROM probed\nRUN id -u > /built\nCMD cat /built\n").unwrap();
    docker.ask(&["build", "--network", "none", "--tag", "built", &dir.display().to_string()]);
    assert_eq!(docker.ask(&["run", "--rm", "--network", "none", "built"]), "0");
}

#[test]
fn what_people_ask_for_every_day_is_as_under_runc() {
    skip_unless!(is_root(), "needs root");
    let Some(docker) = Docker::start() else { skip!("docker is not installed") };
    let run = |runtime: &str, words: &[&str]| docker.call(&[&["run", "--runtime", runtime], words].concat());
    compare("probed", RUNS, "sandrun", run);
    compare("probed", AT_OCI, "sandrun-oci", run);
    let profile = docker.enclave.home.path().join("profile.json");
    let denied = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }]
    });
    fs::write(&profile, denied.to_string()).unwrap();
    let option = format!("seccomp={}", profile.display());
    let own: &[(&[&str], &str)] = &[(&["--security-opt", &option], "mkdir /x")];
    compare("probed", own, "sandrun", run);
    compare("probed", own, "sandrun-oci", run);
}

/// What `--privileged` gives is what the level gives.
#[test]
fn a_privileged_container_is_confined_by_the_level() {
    skip_unless!(is_root(), "needs root");
    let Some(docker) = Docker::start() else { skip!("docker is not installed") };
    let run = |runtime: &str| {
        let words =
            ["run", "--rm", "--network", "none", "--privileged", "--runtime", runtime, "probed", "sh", "-c"];
        let script = "mount -t tmpfs none /tmp && echo mounts";
        docker.call(&[&words[..], &[script]].concat()).stdout
    };
    assert_eq!((run("sandrun-oci").as_str(), run("sandrun").as_str()), ("mounts\n", ""));
}

#[test]
fn a_person_at_a_terminal() {
    skip_unless!(is_root(), "needs root");
    let Some(docker) = Docker::start() else { skip!("docker is not installed") };
    let on_terminal = |words: &[&str]| {
        let mut command = Command::new("env");
        command.arg(format!("DOCKER_HOST=unix://{}/socket", docker.enclave.home.path().display()));
        command.arg("docker").args(words);
        let terminal = Terminal::new(91, 37);
        (Running(terminal.start(&command)), terminal)
    };
    let (run, mut terminal) =
        on_terminal(&["run", "-it", "--name", "typed", "--network", "none", "probed", "sh"]);
    // The size comes after the start.
    terminal.press(b"until stty size 2>/dev/null | grep '37 91'; do sleep 0.1; done; tty\n");
    terminal.read_until("\n37 91");
    terminal.read_until("/dev/pts/0");
    let (exec, mut other) = on_terminal(&["exec", "-it", "typed", "sh"]);
    other.press(b"tty; exit 4\n");
    other.read_until("/dev/pts/1");
    assert_eq!(exec.finish(), Some(4));
    // Ctrl-C is for the shell, not for the container; then the keys that leave it running.
    terminal.press(b"\x03");
    terminal.press(b"echo al''ive\n");
    terminal.read_until("alive");
    terminal.press(b"\x10\x11");
    assert_eq!(run.finish(), Some(0));
    let (attached, mut terminal) = on_terminal(&["attach", "typed"]);
    terminal.press(b"exit 6\n");
    assert_eq!(attached.finish(), Some(6));
}

#[test]
fn a_service_is_restarted_watched_and_looked_into() {
    skip_unless!(is_root(), "needs root");
    let Some(docker) = Docker::start() else { skip!("docker is not installed") };
    let inspect = |name: &str, what: &str| docker.ask(&["inspect", "--format", what, name]);
    let start = |name: &str, flags: &[&str], script: &str| {
        let words = ["run", "--detach", "--network", "none", "--name", name];
        docker.ask(&[&words[..], flags, &["probed", "sh", "-c", script]].concat());
    };
    start("failing", &["--restart", "on-failure:2"], "echo tried; exit 5");
    docker.enclave.until(|| inspect("failing", "{{.RestartCount}} {{.State.Status}}") == "2 exited");
    assert_eq!(docker.ask(&["logs", "failing"]), "tried\ntried\ntried");
    assert_eq!(inspect("failing", "{{.State.ExitCode}}"), "5");
    let healthy = ["--health-cmd", "test -e /healthy", "--health-interval", "1s", "--health-retries", "1"];
    start("service", &healthy, "trap 'echo heard' USR1; trap 'exit 8' TERM; while :; do sleep 0.1; done");
    docker.enclave.until(|| inspect("service", "{{.State.Health.Status}}") == "unhealthy");
    docker.ask(&["exec", "service", "touch", "/healthy"]);
    docker.enclave.until(|| inspect("service", "{{.State.Health.Status}}") == "healthy");
    docker.ask(&["kill", "--signal", "USR1", "service"]);
    docker.enclave.until(|| docker.ask(&["logs", "service"]) == "heard");
    let file = docker.enclave.home.path().join("file");
    fs::write(&file, "carried").unwrap();
    let file = file.display().to_string();
    docker.ask(&["cp", &file, "service:/carried"]);
    assert_eq!(docker.ask(&["exec", "service", "cat", "/carried"]), "carried");
    docker.ask(&["cp", "service:/carried", &format!("{file}.back")]);
    assert_eq!(fs::read_to_string(format!("{file}.back")).unwrap(), "carried");
    assert!(docker.ask(&["diff", "service"]).contains("A /carried"));
    docker.ask(&[
        "exec",
        "--detach",
        "--user",
        "1000",
        "--env",
        "A=1",
        "service",
        "sh",
        "-c",
        "id -u > /tmp/$A",
    ]);
    docker.enclave.until(|| docker.call(&["exec", "service", "cat", "/tmp/1"]).stdout == "1000\n");
    docker.ask(&["rename", "service", "renamed"]);
    docker.ask(&["restart", "--time", "5", "renamed"]);
    docker.ask(&["stop", "--time", "5", "renamed"]);
    assert_eq!(docker.ask(&["wait", "renamed"]), "8", "it ended by itself");
    docker.ask(&["commit", "renamed", "committed"]);
    assert_eq!(docker.ask(&["run", "--rm", "--network", "none", "committed", "cat", "/carried"]), "carried");
}
