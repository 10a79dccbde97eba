//! podman, which calls sandrun through conmon.

use std::fs;
use std::process::Command;

use super::daily::{AT_OCI, RUNS, compare};
use super::enclave::{Enclave, cgroups_named, installed, remove_cgroup};
use crate::support::bundle::unique;
use crate::support::terminal::{Running, Terminal};
use crate::support::{Output, is_root};

struct Podman {
    enclave: Enclave,
    cgroup: String,
}

/// What podman writes into a specification by itself is more than a machine without `CAP_SYS_RESOURCE` may give.
const CONFIGURATION: &str = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
                             [engine]\ninfra_image = \"localhost/probed\"\n";

impl Podman {
    /// None where it is not installed.
    fn start() -> Option<Podman> {
        if !installed(&["podman", "conmon"]) {
            return None;
        }
        let enclave = Enclave::new("podman");
        fs::write(enclave.home.path().join("containers.conf"), CONFIGURATION).unwrap();
        let podman = Podman { enclave, cgroup: unique("podman") };
        let mut import = podman.command(&["import", "--change", "CMD [\"sleep\",\"600\"]"]);
        import.arg(podman.enclave.layer()).arg("localhost/probed");
        podman.enclave.finish(import).ok();
        Some(podman)
    }

    fn command(&self, words: &[&str]) -> Command {
        self.command_with(&self.enclave.runtime.program().display().to_string(), words)
    }

    /// With this runtime, and perhaps flags of podman's own before the words.
    fn command_with(&self, runtime: &str, words: &[&str]) -> Command {
        let at = |name: &str| self.enclave.home.path().join(name);
        let mut command = self.enclave.command("podman");
        command.env("CONTAINERS_CONF", at("containers.conf")).env("TMPDIR", self.enclave.home.path());
        for (flag, dir) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            command.arg(flag).arg(at(dir));
        }
        command.args([
            "--storage-driver",
            "overlay",
            "--events-backend",
            "file",
            "--cgroup-manager",
            "cgroupfs",
        ]);
        command.arg("--runtime").arg(runtime).args(words);
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

    /// `podman run` without a network, with more words.
    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        let cgroup = format!("/{}", self.cgroup);
        self.ask(&[&["run", "--network", "none", "--cgroup-parent", &cgroup], words].concat())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.call(&["pod", "rm", "--all", "--force", "--time", "0"]);
        self.call(&["rm", "--all", "--force", "--time", "0"]);
        remove_cgroup(&self.cgroup);
        // Another podman may still be using these.
        for shared in ["libpod_parent/conmon", "libpod_parent"] {
            cgroups_named(shared).iter().for_each(|dir| drop(fs::remove_dir(dir)));
        }
    }
}

#[test]
fn a_container_lives_as_under_crun() {
    skip_unless!(is_root(), "needs root");
    let Some(podman) = Podman::start() else { skip!("podman is not installed") };
    assert!(podman.run(&["--rm", "localhost/probed", "cat", "/proc/self/status"]).contains("NoNewPrivs:\t1"));
    podman.run(&["--detach", "--name", "long", "--memory", "64m", "localhost/probed"]);
    assert!(podman.ask(&["exec", "long", "cat", "/proc/self/status"]).contains("Seccomp:\t2"));
    assert_eq!(podman.ask(&["exec", "--tty", "long", "tty"]), "/dev/pts/0");
    assert_eq!(podman.call(&["exec", "long", "/nowhere"]).code, 127);
    let limit = podman.ask(&["stats", "--no-stream", "--format", "{{.MemUsage}}", "long"]);
    assert!(limit.ends_with("67.11MB"), "{limit}");
    podman.ask(&["update", "--memory", "128m", "--memory-swap", "256m", "--cpus", "0.5", "long"]);
    let script = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2>/dev/null; true";
    assert_eq!(podman.ask(&["exec", "long", "sh", "-c", script]), (128 << 20).to_string());
    assert!(podman.ask(&["top", "long"]).contains("sleep 600"));
    podman.ask(&["update", "--memory", "32m", "--memory-swap", "64m", "long"]);
    // Its statistics go on with the limit of the start.
    let limits = podman.ask(&["exec", "long", "/probe", "cgroup"]);
    assert!(limits.contains("\"memory\":\"33554432\""), "{limits}");
    let status = || podman.ask(&["inspect", "--format", "{{.State.Status}}", "long"]);
    podman.ask(&["pause", "long"]);
    assert_eq!(status(), "paused");
    podman.ask(&["unpause", "long"]);
    assert_eq!(status(), "running");
    podman.ask(&["stop", "--time", "1", "long"]);
    assert_eq!(status(), "exited");
    podman.ask(&["rm", "long"]);
}

#[test]
fn ids_are_mapped() {
    skip_unless!(is_root(), "needs root");
    let Some(podman) = Podman::start() else { skip!("podman is not installed") };
    let map = ["--rm", "--uidmap", "0:100000:65536", "localhost/probed", "cat", "/proc/self/uid_map"];
    let map = podman.run(&map);
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
}

#[test]
fn a_pod_shares_what_it_should() {
    skip_unless!(is_root(), "needs root");
    let Some(podman) = Podman::start() else { skip!("podman is not installed") };
    let cgroup = format!("/{}", podman.cgroup);
    podman.ask(&["pod", "create", "--name", "two", "--network", "none", "--cgroup-parent", &cgroup]);
    podman.ask(&["run", "--detach", "--pod", "two", "--name", "one", "localhost/probed"]);
    let seen = |kind: &str| {
        podman.ask(&[
            "run",
            "--rm",
            "--pod",
            "two",
            "localhost/probed",
            "readlink",
            &format!("/proc/self/ns/{kind}"),
        ])
    };
    let first = |kind: &str| podman.ask(&["exec", "one", "readlink", &format!("/proc/self/ns/{kind}")]);
    assert_eq!(seen("net"), first("net"));
    assert_eq!(seen("ipc"), first("ipc"));
    assert_ne!(seen("mnt"), first("mnt"));
    podman.ask(&["pod", "pause", "two"]);
    podman.ask(&["pod", "unpause", "two"]);
    podman.ask(&["pod", "stop", "--time", "1", "two"]);
    podman.ask(&["pod", "rm", "two"]);
}

#[test]
fn a_kubernetes_pod_is_played() {
    skip_unless!(is_root(), "needs root");
    let Some(podman) = Podman::start() else { skip!("podman is not installed") };
    let file = podman.enclave.home.path().join("pod.yaml");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: played}\nspec:\n  containers:\n  - name: only\n    \
               image: localhost/probed\n    command: [sh, -c, \"echo hello; sleep 600\"]\n    \
               securityContext: {readOnlyRootFilesystem: true}\n";
    fs::write(&file, pod).unwrap();
    let file = file.display().to_string();
    let played = podman.ask(&["play", "kube", "--network", "none", &file]);
    podman.enclave.until(|| podman.ask(&["logs", "played-only"]) == "hello");
    assert_ne!(podman.call(&["exec", "played-only", "touch", "/x"]).code, 0);
    podman.ask(&["play", "kube", "--down", &file]);
    assert_eq!(podman.ask(&["ps", "--all", "--quiet"]), "");
    // It takes no other parent, and leaves the pod's cgroup in hierarchies that have no controller.
    let pod = played.lines().nth(1).unwrap();
    remove_cgroup(&format!("libpod_parent/{pod}"));
}

#[test]
fn an_image_is_built() {
    skip_unless!(is_root(), "needs root");
    let Some(podman) = Podman::start() else { skip!("podman is not installed") };
    let dir = podman.enclave.home.path().join("context");
    fs::create_dir(&dir).unwrap();
    let file = "FROM localhost/probed\nRUN id -u > /built && grep Seccomp_filters /proc/self/status >> /built\nCMD cat /built\n";
    fs::write(dir.join("Containerfile"), file).unwrap();
    let cgroup = format!("/{}", podman.cgroup);
    podman.ask(&[
        "build",
        "--network",
        "none",
        "--cgroup-parent",
        &cgroup,
        "--tag",
        "built",
        &dir.display().to_string(),
    ]);
    let built = podman.run(&["--rm", "localhost/built"]);
    // Its own profile and ours: it was sandrun that ran the build.
    assert_eq!(built.split_whitespace().collect::<Vec<_>>(), ["0", "Seccomp_filters:", "2"]);
}

#[test]
fn what_people_ask_for_every_day_is_as_under_runc() {
    skip_unless!(is_root(), "needs root");
    let Some(podman) = Podman::start() else { skip!("podman is not installed") };
    skip_unless!(installed(&["runc"]), "needs runc to compare with");
    let (cgroup, sandrun) =
        (format!("/{}", podman.cgroup), podman.enclave.runtime.program().display().to_string());
    let call = |runtime: &str, level: &[&str], words: &[&str]| {
        let program = if runtime == "sandrun" { &sandrun } else { "runc" };
        let words = [level, &["run", "--cgroup-parent", &cgroup], words].concat();
        podman.enclave.finish(podman.command_with(program, &words))
    };
    // There is no program for --init in every podman.
    let runs: Vec<_> = RUNS.iter().copied().filter(|(flags, _)| !flags.contains(&"--init")).collect();
    compare("localhost/probed", &runs, "sandrun", |runtime, words| call(runtime, &[], words));
    compare("localhost/probed", AT_OCI, "sandrun", |runtime, words| {
        let level = if runtime == "sandrun" { &["--runtime-flag", "level=oci"][..] } else { &[] };
        call(runtime, level, words)
    });
}

/// The only way to give a runtime more than a path.
#[test]
fn flags_for_the_runtime_choose_the_level() {
    skip_unless!(is_root(), "needs root");
    let Some(podman) = Podman::start() else { skip!("podman is not installed") };
    for (level, filters, bounding) in [("strict", "1", "0000000000000000"), ("oci", "0", "0000000000000800")]
    {
        let flag = format!("level={level}");
        let network =
            ["--runtime-flag", &flag, "run", "--rm", "--network", "none", "--cgroup-parent", &podman.cgroup];
        let words =
            ["--security-opt", "seccomp=unconfined", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"];
        let program = ["localhost/probed", "grep", "-E", "Seccomp_filters|CapBnd", "/proc/self/status"];
        let said = podman.ask(&[&network[..], &words, &program].concat());
        let said: Vec<&str> = said.split_whitespace().collect();
        let bounding = if level == "oci" { "0000000000000400" } else { bounding };
        assert_eq!(said, ["CapBnd:", bounding, "Seccomp_filters:", filters], "{level}");
    }
}

#[test]
fn a_person_at_a_terminal() {
    skip_unless!(is_root(), "needs root");
    let Some(podman) = Podman::start() else { skip!("podman is not installed") };
    let on_terminal = |words: &[&str]| {
        let inner = podman.command(words);
        let mut command = Command::new("env");
        for (name, value) in inner.get_envs() {
            command.arg(format!("{}={}", name.display(), value.unwrap_or_default().display()));
        }
        command.arg(inner.get_program()).args(inner.get_args());
        let terminal = Terminal::new(91, 37);
        (Running(terminal.start(&command)), terminal)
    };
    let cgroup = format!("/{}", podman.cgroup);
    let run = ["run", "-it", "--name", "typed", "--network", "none", "--cgroup-parent", &cgroup];
    let (run, mut terminal) = on_terminal(&[&run[..], &["localhost/probed", "sh"]].concat());
    terminal.press(b"until stty size 2>/dev/null | grep '37 91'; do sleep 0.1; done; tty\n");
    terminal.read_until("\n37 91");
    terminal.read_until("/dev/pts/0");
    let (exec, mut other) = on_terminal(&["exec", "-it", "typed", "sh"]);
    other.press(b"tty\n");
    other.read_until("/dev/pts/1");
    other.press(b"exit 4\n");
    assert_eq!(exec.finish(), Some(4));
    terminal.press(b"exit 6\n");
    assert_eq!(run.finish(), Some(6));
}

/// conmon calls podman back when a container has ended, by its `--exit-command`.
#[test]
fn a_service_is_restarted_watched_and_looked_into() {
    skip_unless!(is_root(), "needs root");
    let Some(podman) = Podman::start() else { skip!("podman is not installed") };
    let inspect = |name: &str, what: &str| podman.ask(&["inspect", "--format", what, name]);
    let start = |name: &str, flags: &[&str], script: &str| {
        let words =
            [&["--detach", "--name", name], flags, &["localhost/probed", "sh", "-c", script]].concat();
        podman.run(&words);
    };
    start("once", &["--rm"], "exit 0");
    podman.enclave.until(|| podman.call(&["container", "exists", "once"]).code == 1);
    start("failing", &["--restart", "on-failure:2"], "echo tried; exit 5");
    podman.enclave.until(|| inspect("failing", "{{.RestartCount}} {{.State.Status}}") == "2 exited");
    assert_eq!(podman.ask(&["logs", "failing"]), "tried\ntried\ntried");
    let health =
        ["--health-cmd", "test -e /healthy", "--health-interval", "disable", "--health-retries", "1"];
    start("service", &health, "trap 'echo heard' USR1; trap 'exit 8' TERM; while :; do sleep 0.1; done");
    assert_eq!(podman.call(&["healthcheck", "run", "service"]).code, 1);
    podman.ask(&["exec", "service", "touch", "/healthy"]);
    assert_eq!(podman.call(&["healthcheck", "run", "service"]).code, 0);
    podman.ask(&["kill", "--signal", "USR1", "service"]);
    podman.enclave.until(|| podman.ask(&["logs", "service"]) == "heard");
    let file = podman.enclave.home.path().join("file");
    fs::write(&file, "carried").unwrap();
    let file = file.display().to_string();
    podman.ask(&["cp", &file, "service:/carried"]);
    assert_eq!(podman.ask(&["exec", "service", "cat", "/carried"]), "carried");
    podman.ask(&[
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
    podman.enclave.until(|| podman.call(&["exec", "service", "cat", "/tmp/1"]).stdout == "1000\n");
    podman.ask(&["restart", "--time", "5", "service"]);
    podman.ask(&["stop", "--time", "5", "service"]);
    assert_eq!(podman.ask(&["wait", "service"]), "8", "it ended by itself");
    let gone = podman.call(&["kill", "service"]);
    assert!(gone.code != 0 && gone.stderr.contains("can only kill running containers"), "{gone}");
    podman.ask(&["commit", "--quiet", "service", "localhost/committed"]);
    assert_eq!(podman.run(&["--rm", "localhost/committed", "cat", "/carried"]), "carried");
}

#[test]
fn errors_are_told_in_words_that_podman_knows() {
    skip_unless!(is_root(), "needs root");
    let Some(podman) = Podman::start() else { skip!("podman is not installed") };
    let cgroup = format!("/{}", podman.cgroup);
    let run = |program: &str| {
        let words =
            ["run", "--rm", "--network", "none", "--cgroup-parent", &cgroup, "localhost/probed", program];
        podman.call(&words).code
    };
    assert_eq!((run("/nowhere"), run("nothing"), run("/etc"), run("/etc/passwd")), (127, 127, 126, 126));
    // conmon tells it on some layouts of cgroups only, whatever the runtime.
    let program = podman.enclave.runtime.program().display().to_string();
    let [ours, runcs] = [("greedy", program.as_str()), ("greedier", "runc")].map(|(name, runtime)| {
        let run = ["run", "--network", "none", "--cgroup-parent", &cgroup, "--name", name];
        let limits = ["--memory", "16m", "--memory-swap", "16m", "localhost/probed", "/probe", "eat", "64"];
        let ended = podman.enclave.finish(podman.command_with(runtime, &[&run[..], &limits].concat()));
        assert_eq!(ended.code, 137, "{runtime}: {ended}");
        podman.ask(&["inspect", "--format", "{{.State.OOMKilled}}", name])
    });
    assert_eq!(ours, runcs);
}
