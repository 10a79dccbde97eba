//! dockerd, which reaches sandrun through containerd's runc shim and sets up networks by hooks.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::enclave::{Enclave, PATIENCE, installed, remove_cgroup};
use crate::support::bundle::unique;
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
        let config = json!({
            "data-root": at("data"), "exec-root": at("exec"), "pidfile": at("pid"),
            "hosts": [format!("unix://{}", at("socket").display())],
            "iptables": false, "ip6tables": false, "ip-masq": false, "storage-driver": "overlay2",
            "exec-opts": ["native.cgroupdriver=cgroupfs"], "cgroup-parent": format!("/{cgroup}"),
            "runtimes": { "sandrun": { "path": enclave.runtime.program() } }, "default-runtime": "sandrun"
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
