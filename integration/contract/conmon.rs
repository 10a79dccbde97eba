//! CRI-O, as it calls conmon and the runtime (its `internal/oci/runtime_oci.go`): namespaces pinned by `pinns` and joined
//! by path, no sandbox container, `exec` attached, `state` around start and stop, signals by name. The containers'
//! monitor is the real conmon.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::engines::enclave::{Enclave, installed};
use crate::support::{Bundle, Output, is_root, leaks};

const NAMESPACES: [(&str, &str); 3] = [("network", "net"), ("ipc", "ipc"), ("uts", "uts")];

/// A pod's pinned namespaces, and where CRI-O keeps its things.
struct Pod {
    enclave: Enclave,
}

impl Pod {
    /// None where conmon is not installed.
    fn start() -> Option<Pod> {
        if !installed(&["conmon"]) {
            return None;
        }
        let pod = Pod { enclave: Enclave::new("crio") };
        for dir in ["exits", "sockets", "persist"] {
            fs::create_dir(pod.at(dir)).unwrap();
        }
        let mut pin = pod.enclave.command("unshare");
        for (kind, file) in NAMESPACES {
            File::create(pod.at(file)).unwrap();
            let flag = if kind == "network" { "net" } else { kind };
            pin.arg(format!("--{flag}={}", pod.at(file).display()));
        }
        pin.arg("true");
        pod.enclave.finish(pin).ok();
        Some(pod)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.enclave.home.path().join(name)
    }

    /// A container of the pod, with what CRI-O writes into its configuration.
    fn container(&self, script: &str) -> Bundle {
        let annotations = json!({
            "io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.SandboxID": "c0ffee",
            "io.kubernetes.cri-o.ContainerID": "f00", "io.kubernetes.cri-o.TTY": "false",
            "io.kubernetes.cri-o.Stdin": "false", "io.kubernetes.container.name": "only",
            "io.kubernetes.pod.uid": "1-2-3", "io.kubernetes.pod.namespace": "default",
            "io.container.manager": "cri-o"
        });
        let bundle = Bundle::shell(script).edit(|config| {
            config["annotations"] = annotations;
            config.as_object_mut().unwrap().remove("hostname");
            for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
                let pinned = NAMESPACES.iter().find(|(kind, _)| namespace["type"] == *kind);
                if let Some((_, file)) = pinned {
                    namespace["path"] = json!(self.at(file));
                }
            }
        });
        bundle.write();
        self.enclave.runtime.adopt(&bundle);
        bundle
    }

    /// conmon with the pipes of CRI-O: one that it writes to, and one that lets it begin.
    #[track_caller]
    fn conmon(&self, bundle: &Bundle, words: &[String]) -> Value {
        let (sync, start) = (bundle.path().join("sync"), bundle.path().join("begin"));
        fs::write(&start, [0]).unwrap();
        let mut command = self.enclave.command("sh");
        let script = "cd \"$0\"; exec 3>sync 4<begin; \
                      exec env CRI_O_EXTERNAL=1 _OCI_SYNCPIPE=3 _OCI_STARTPIPE=4 conmon \"$@\"";
        command.args(["-c", script]).arg(bundle.path()).args(words);
        self.enclave.finish(command);
        let told = || fs::read(&sync).ok().and_then(|text| serde_json::from_slice(&text).ok());
        self.enclave.until(|| told().is_some());
        told().unwrap()
    }

    fn common(&self, bundle: &Bundle) -> Vec<String> {
        let root = self.enclave.runtime.root().display().to_string();
        let runtime = self.enclave.runtime.program().display().to_string();
        let sockets = self.at("sockets").display().to_string();
        let argument = format!("--root={root}");
        let words = ["-c", &bundle.id, "-n", "k8s_only", "-r", &runtime, "--runtime-arg", &argument];
        let words = words.into_iter().chain(["--socket-dir-path", &sockets, "--log-level", "info"]);
        words.map(str::to_owned).collect()
    }

    /// What conmon tells of a container that it has made.
    #[track_caller]
    fn create(&self, bundle: &Bundle) -> Value {
        let at = |name: &str| bundle.path().join(name).display().to_string();
        let (exits, persist) =
            (self.at("exits").display().to_string(), self.at("persist").display().to_string());
        let dir = bundle.path().display().to_string();
        let (log, monitor, pid_file) = (at("log"), at("conmon-pidfile"), at("pidfile"));
        let words = ["-b", &dir, "--exit-dir", &exits, "-l", &log, "-P", &monitor, "-p", &pid_file];
        let words = words.into_iter().chain(["--persist-dir", &persist, "--syslog", "-u", &bundle.id]);
        let words: Vec<String> = words.map(str::to_owned).collect();
        self.conmon(bundle, &[words, self.common(bundle)].concat())
    }

    /// A call of CRI-O's own, whose output it reads to the end.
    #[track_caller]
    fn call(&self, words: &[&str], input: &str) -> Output {
        let mut command = self.enclave.command(&self.enclave.runtime.program().display().to_string());
        command.arg("--root").arg(self.enclave.runtime.root()).args(words);
        let mut child = piped(command).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap_or_default();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap();
        Output { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    fn status(&self, bundle: &Bundle) -> String {
        self.call(&["state", &bundle.id], "").ok().json()["status"].as_str().unwrap().to_owned()
    }

    fn log(&self, bundle: &Bundle) -> String {
        fs::read_to_string(bundle.path().join("log")).unwrap_or_default()
    }

    /// The exit code that conmon has written, once it has.
    #[track_caller]
    fn exit(&self, bundle: &Bundle) -> String {
        let file = self.at("exits").join(&bundle.id);
        self.enclave.until(|| file.exists());
        fs::read_to_string(file).unwrap()
    }
}

fn piped(mut command: Command) -> Command {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn process_file(bundle: &Bundle, script: &str) -> String {
    let file = bundle.path().join("exec-process");
    let process = json!({
        "user": { "uid": 0, "gid": 0 }, "args": ["/bin/sh", "-c", script], "env": ["PATH=/bin"], "cwd": "/"
    });
    fs::write(&file, process.to_string()).unwrap();
    file.display().to_string()
}

macro_rules! pod {
    () => {{
        skip_unless!(is_root(), "needs root");
        let Some(pod) = Pod::start() else { skip!("conmon is not installed") };
        pod
    }};
}

#[test]
fn a_container_of_crio_lives_from_create_to_delete() {
    let pod = pod!();
    let script = "trap 'exit 9' TERM; readlink /proc/self/ns/net; while :; do sleep 0.05; done";
    let bundle = pod.container(script);
    let told = pod.create(&bundle);
    let pid = told["pid"].as_i64().unwrap_or_default();
    assert!(pid > 0, "{told}");
    assert_eq!(fs::read_to_string(bundle.path().join("pidfile")).unwrap(), pid.to_string());
    assert_eq!(pod.status(&bundle), "created");
    pod.call(&["start", &bundle.id], "").ok();
    assert_eq!(pod.status(&bundle), "running");
    pod.enclave.until(|| pod.log(&bundle).contains("net:["));
    let mut pinned = pod.enclave.command("stat");
    pinned.args(["--format", "net:[%i]"]).arg(pod.at("net"));
    let pinned = pod.enclave.finish(pinned).ok().stdout;
    assert!(pod.log(&bundle).contains(&format!(" stdout F {pinned}")), "{pinned}: {}", pod.log(&bundle));
    pod.call(&["update", "--resources", "-", &bundle.id], "{\"pids\":{\"limit\":77}}").ok();
    let state = pod.call(&["state", &bundle.id], "").ok().json();
    assert_eq!(state["annotations"]["io.kubernetes.cri-o.ContainerType"], "container");
    pod.call(&["pause", &bundle.id], "").ok();
    assert_eq!(pod.status(&bundle), "paused");
    pod.call(&["resume", &bundle.id], "").ok();
    pod.call(&["kill", &bundle.id, "TERM"], "").ok();
    assert_eq!(pod.exit(&bundle), "9");
    assert_eq!(pod.status(&bundle), "stopped");
    let again = pod.call(&["kill", &bundle.id, "KILL"], "");
    assert!(again.code != 0 && again.stderr.contains("container not running"), "{again}");
    pod.call(&["kill", "-a", &bundle.id, "9"], "").ok();
    pod.call(&["delete", "--force", &bundle.id], "").ok();
    pod.call(&["delete", "--force", &bundle.id], "").ok();
    leaks::assert_none(&pod.enclave.runtime, &bundle);
}

#[test]
fn an_exec_of_crio_is_attached_or_conmons() {
    let pod = pod!();
    let bundle = pod.container("exec sleep 60");
    assert!(pod.create(&bundle)["pid"].as_i64().is_some_and(|pid| pid > 0));
    pod.call(&["start", &bundle.id], "").ok();
    let file = process_file(&bundle, "cat; echo err >&2; exit 7");
    let attached = pod.call(&["exec", "--process", &file, &bundle.id], "typed");
    assert_eq!((attached.code, attached.stdout.as_str(), attached.stderr.as_str()), (7, "typed", "err\n"));
    let at = |name: &str| bundle.path().join(name).display().to_string();
    let words = [
        "-e",
        "-p",
        &at("exec-pidfile"),
        "-l",
        &at("exec-log"),
        "--sync",
        "-T",
        "20",
        "--exec-process-spec",
        &file,
    ];
    let words = words.map(str::to_owned).to_vec();
    let told = pod.conmon(&bundle, &[pod.common(&bundle), words].concat());
    assert_eq!(told["exit_code"], 7, "{told}");
    assert!(fs::read_to_string(at("exec-log")).unwrap().contains(" stderr F err"));
    pod.call(&["kill", &bundle.id, "KILL"], "").ok();
    assert_eq!(pod.exit(&bundle), "137");
}

/// conmon finds the cgroup by the process that `create` has left, and watches it.
#[test]
fn conmon_tells_of_too_little_memory() {
    let pod = pod!();
    let bundle = pod.container("").edit(|config| {
        config["process"]["args"] = json!(["/probe", "eat", "64"]);
        config["linux"]["resources"]["memory"] = json!({ "limit": 16 << 20, "swap": 16 << 20 });
    });
    bundle.write();
    assert!(pod.create(&bundle)["pid"].as_i64().is_some_and(|pid| pid > 0));
    pod.call(&["start", &bundle.id], "").ok();
    assert_eq!(pod.exit(&bundle), "137");
    pod.enclave.until(|| bundle.path().join("oom").exists());
}

/// What conmon tells of a container that cannot be made is what the runtime said.
#[test]
fn conmon_hands_an_error_on() {
    let pod = pod!();
    let bundle = pod.container("").edit(|config| config["process"]["args"] = json!(["/no/such"]));
    bundle.write();
    let told = pod.create(&bundle);
    assert_eq!(told["pid"], -1, "{told}");
    assert!(
        told["message"].as_str().is_some_and(|text| text.contains("no such file or directory")),
        "{told}"
    );
    leaks::assert_none(&pod.enclave.runtime, &bundle);
}
