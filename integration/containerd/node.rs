//! A node for pods: containerd with its CRI, in mount, network and pid namespaces that end with the test and take all
//! that runs on it along.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::image;
use crate::engines::enclave::{cgroups_named, installed, remove_cgroup};
use crate::support::bundle::unique;
use crate::support::{Output, Runtime, Scratch};

/// Longer than anything here should take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How containerd is told of sandrun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// containerd's shim, with sandrun in the place of runc.
    RuncShim,
    /// sandrun's own shim.
    OwnShim,
}

/// Which containerd it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// The one that is installed.
    Installed,
    /// The newest of a series that `fetch` has brought, such as `1.7`.
    Fetched(&'static str),
}

impl Way {
    /// The handler's name in containerd's configuration.
    pub fn handler(self) -> &'static str {
        match self {
            Way::RuncShim => "sandrun",
            Way::OwnShim => "sandrun-shim",
        }
    }
}

pub struct Node {
    holder: Child,
    /// The init of the namespaces, as the host counts.
    init: u32,
    daemon: Mutex<Option<Child>>,
    pub home: Scratch,
    pub runtime: Runtime,
    /// Where the pods' cgroups are.
    pub cgroup: String,
    pub way: Way,
    /// Before everything else on PATH.
    programs: PathBuf,
    /// What is there when no pod is.
    empty: BTreeSet<String>,
}

/// Ends the test where there is no such node.
macro_rules! node {
    ($way:expr) => {
        node!($way, $crate::containerd::node::Series::Installed)
    };
    ($way:expr, $series:expr) => {{
        skip_unless!($crate::support::is_root(), "needs root");
        match $crate::containerd::node::Node::start($way, $series) {
            Ok(node) => node,
            Err(why) => skip!("{why}"),
        }
    }};
}

/// The same tests under both shims.
macro_rules! both_ways {
    ($($(#[$meta:meta])* $name:ident)*) => {
        mod under_runc_shim {
            $($(#[$meta])* #[test] fn $name() { super::$name($crate::containerd::node::Way::RuncShim) })*
        }
        mod under_own_shim {
            $($(#[$meta])* #[test] fn $name() { super::$name($crate::containerd::node::Way::OwnShim) })*
        }
    };
}

impl Node {
    /// Err says what is not there.
    pub fn start(way: Way, series: Series) -> Result<Node, String> {
        let needed = ["containerd", "ctr", "containerd-shim-runc-v2", "nsenter", "ip"];
        if !installed(&needed) || !Path::new("/usr/lib/cni/ptp").exists() {
            return Err("containerd or its network plugins are not installed".to_owned());
        }
        let programs = programs(series)?;
        let (home, runtime, cgroup) = (Scratch::new("node"), Runtime::sandrun(), unique("node"));
        write_configuration(home.path(), runtime.program(), way)?;
        let (holder, init) = hold(home.path());
        let daemon = Mutex::default();
        let empty = BTreeSet::new();
        let mut node = Node { holder, init, daemon, home, runtime, cgroup, way, programs, empty };
        node.start_containerd();
        let archive = image::archive().display().to_string();
        node.ctr(&["images", "import", "--all-platforms", &archive]).ok();
        node.empty = node.things();
        Ok(node)
    }

    /// Starts containerd, which must not run.
    pub fn start_containerd(&self) {
        let log = File::options().create(true).append(true).open(self.home.path().join("log")).unwrap();
        let mut daemon = self.command("containerd");
        daemon.arg("--config").arg(self.home.path().join("config.toml"));
        let daemon = daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        *self.daemon.lock().unwrap() = Some(daemon.expect("cannot start containerd"));
        self.until("containerd's CRI answers", || {
            let status = self.try_call("Status", "{}");
            let is_true = |kind: &str| {
                let conditions = status.json()["status"]["conditions"].clone();
                let conditions = conditions.as_array().cloned().unwrap_or_default();
                conditions.iter().any(|one| one["type"] == kind && one["status"] == true)
            };
            status.code == 0 && is_true("RuntimeReady") && is_true("NetworkReady")
        });
    }

    /// Ends containerd, and nothing else.
    pub fn end_containerd(&self, signal: Signal) {
        let of_daemon = |process: &&Process| process.name == "containerd";
        let daemon = self.processes().iter().find(of_daemon).map(|process| process.pid);
        kill(daemon.expect("containerd runs"), signal).expect("cannot end containerd");
        let daemon = self.daemon.lock().unwrap().take();
        daemon.expect("it was started").wait().expect("cannot wait for containerd");
    }

    #[track_caller]
    pub fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "never: {what}; {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> =
            log.lines().filter(|line| !line.contains("level=info") && !line.contains("devmapper")).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// A command that runs on the node.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.init.to_string()).args(["--net", "--mount", "--pid", program]);
        let path = std::env::var("PATH").unwrap_or_default();
        let shims = OWN_SHIM.and_then(|shim| Path::new(shim).parent()).unwrap_or(&self.programs);
        command.env("PATH", format!("{}:{}:{path}:/usr/sbin", self.programs.display(), shims.display()));
        command
    }

    #[track_caller]
    pub fn finish(&self, command: Command) -> Output {
        self.runtime.finish(command, &self.home.path().join(unique("said")))
    }

    #[track_caller]
    pub fn ctr(&self, words: &[&str]) -> Output {
        let mut command = self.command("ctr");
        command.args(["--namespace", "k8s.io"]).args(words);
        self.finish(command)
    }

    /// A command of the CRI client on this node.
    pub fn cri(&self, words: &[&str]) -> Command {
        let mut command = self.command(&client().display().to_string());
        command.args(words);
        command
    }

    /// A call of the CRI, which may fail.
    #[track_caller]
    pub fn try_call(&self, method: &str, request: &str) -> Output {
        self.finish(self.cri(&["call", SOCKET, method, request]))
    }

    /// A call of the CRI, which must succeed; its answer.
    #[track_caller]
    pub fn call(&self, method: &str, request: &Value) -> Value {
        let output = self.try_call(method, &request.to_string());
        assert_eq!(output.code, 0, "{method} {request}: {output}\n{}", self.log());
        output.json()
    }

    /// A file of the node.
    pub fn file(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(self.init.to_string()).join("root").join(path.trim_start_matches('/'))
    }

    /// What runs on the node, but for its init: containerd, the shims and whatever else serves the pods. Not what runs
    /// in them, which has other mounts.
    pub fn processes(&self) -> Vec<Process> {
        let own = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let (init, node) = (self.init, own(self.init).expect("the node's init runs"));
        let pids = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| *pid != init && own(*pid).as_ref() == Some(&node))
            .filter_map(Process::read)
            .collect()
    }

    /// The shim of a pod.
    #[track_caller]
    pub fn shim(&self, pod: &str) -> Process {
        let found = self.processes().into_iter().find(|process| {
            process.name.starts_with("containerd-shim") && process.words.iter().any(|word| word == pod)
        });
        found.unwrap_or_else(|| panic!("no shim of {pod} runs: {:#?}", self.processes()))
    }

    /// Fails if a pod has left anything, once whatever ends after it has ended.
    #[track_caller]
    pub fn assert_empty(&self) {
        self.assert_empty_but("nothing");
    }

    /// The same, but for files below a place.
    #[track_caller]
    pub fn assert_empty_but(&self, place: &str) {
        let except = format!("file {}", self.file(place).display());
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let things = self.things();
            let left = things.difference(&self.empty).filter(|thing| !thing.starts_with(&except));
            let left: Vec<&String> = left.collect();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind: {left:#?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Processes, mounts, cgroups of containers, and files of state.
    fn things(&self) -> BTreeSet<String> {
        let mut things = BTreeSet::new();
        let is_daemon = |process: &Process| process.words.iter().any(|word| word == "containerd");
        let running = self.processes().into_iter().filter(|process| !is_daemon(process));
        things.extend(running.map(|process| format!("process {} {:?}", process.pid, process.words)));
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", self.init)).unwrap();
        let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        things.extend(mounts.map(|place| format!("mount {place}")));
        for cgroup in cgroups_named(&self.cgroup) {
            // A pod's own is the kubelet's, who removes it.
            let pods = children(&cgroup);
            let containers = pods.iter().flat_map(|pod| children(pod)).filter(|dir| dir.is_dir());
            things.extend(containers.map(|dir| format!("cgroup {}", dir.display())));
        }
        let mut places = vec![self.file("/run")];
        while let Some(place) = places.pop() {
            if place.is_dir() && !place.is_symlink() {
                places.extend(children(&place));
            }
            // Directories stay, and so does what remembers which address was given last.
            let stays =
                place.is_dir() && !is_of_a_container(&place) || place.starts_with(self.file("/run/cni"));
            let is_address = place.file_name().is_some_and(|name| name.to_string_lossy().starts_with("10."));
            if !stays || is_address {
                things.insert(format!("file {}", place.display()));
            }
        }
        things
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Errors mean that it has ended, which is what we want. With the namespaces' init ends all that is in them.
        let _ = kill(Pid::from_raw(self.init as i32), Signal::SIGKILL);
        let _ = self.holder.wait();
        let _ = self.daemon.get_mut().map(|daemon| daemon.take().map(|mut daemon| daemon.wait()));
        let deadline = Instant::now() + PATIENCE;
        while !cgroups_named(&self.cgroup).is_empty() && Instant::now() < deadline {
            remove_cgroup(&self.cgroup);
        }
    }
}

/// A process of the node, by the host's pid.
#[derive(Debug)]
pub struct Process {
    pub pid: Pid,
    pub name: String,
    pub words: Vec<String>,
}

impl Process {
    /// None when it has ended.
    fn read(pid: u32) -> Option<Process> {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let line = fs::read_to_string(dir.join("cmdline")).ok().filter(|line| !line.is_empty())?;
        let words: Vec<String> = line.split_terminator('\0').map(str::to_owned).collect();
        let name = Path::new(words.first()?).file_name()?.to_str()?.to_owned();
        Some(Process { pid: Pid::from_raw(pid as i32), name, words })
    }
}

const SOCKET: &str = "/run/containerd/containerd.sock";

/// Makes the namespaces. `/run` and `/var/lib` are their own, so that containerd can have its usual paths, which policies
/// know. The init reaps what is left to it by ignoring that it ends.
fn hold(home: &Path) -> (Child, u32) {
    let root = home.join("root");
    fs::create_dir(&root).unwrap();
    let script = format!(
        "mount -t tmpfs run /run && mount -t tmpfs lib /var/lib && mkdir /var/lib/containerd && \
         mount --bind {} /var/lib/containerd && ip link set lo up && \
         trap '' CHLD && exec sleep infinity",
        root.display()
    );
    let mut holder = Command::new("unshare");
    holder.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    let holder = holder.args(["--propagation", "private", "sh", "-c", &script]).stdin(Stdio::null()).spawn();
    let mut holder = holder.expect("cannot start unshare");
    match await_init(holder.id()) {
        Some(init) => (holder, init),
        None => {
            holder.kill().expect("cannot end unshare");
            holder.wait().expect("cannot wait for unshare");
            panic!("the namespaces are not made");
        }
    }
}

/// The init of the namespaces that a process makes, once everything is there and it is no longer the shell.
fn await_init(holder: u32) -> Option<u32> {
    let deadline = Instant::now() + PATIENCE;
    let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    while Instant::now() < deadline {
        let children = fs::read_to_string(format!("/proc/{holder}/task/{holder}/children"));
        let init = children.unwrap_or_default().trim().parse().ok();
        if let Some(init) = init.filter(|init| name(*init) == "sleep\n") {
            return Some(init);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Where the programs of a series are.
fn programs(series: Series) -> Result<PathBuf, String> {
    let Series::Fetched(series) = series else { return Ok("/usr/bin".into()) };
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let found = children(&home.unwrap_or_default().join("sandrun")).into_iter().find(|dir| {
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(&format!("containerd-{series}."))
    });
    found.map(|dir| dir.join("usr/bin")).ok_or_else(|| format!("containerd {series} was not fetched"))
}

/// sandrun's own shim, where it is built.
const OWN_SHIM: Option<&str> = option_env!("CARGO_BIN_EXE_containerd-shim-sandrun-v2");

/// A network of each pod's own, in the namespace of the test.
const NETWORK: &str = r#"{"cniVersion":"0.4.0","name":"pods","plugins":[{"type":"ptp","ipMasq":false,
"ipam":{"type":"host-local","subnet":"10.88.0.0/16","dataDir":"/run/cni","routes":[{"dst":"0.0.0.0/0"}]}}]}"#;

fn write_configuration(home: &Path, sandrun: &Path, way: Way) -> Result<(), String> {
    let under_policy = home.join("sandrun-under-policy");
    let script = format!("#!/bin/sh\nexec {} --policy builtin:baseline \"$@\"\n", sandrun.display());
    fs::write(&under_policy, script).unwrap();
    fs::set_permissions(&under_policy, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let handlers = match way {
        Way::RuncShim => runc_handler("sandrun", sandrun) + &runc_handler("sandrun-policy", &under_policy),
        Way::OwnShim => {
            let shim = OWN_SHIM.ok_or("containerd-shim-sandrun-v2 is not built")?;
            let policy = "policy = \"builtin:baseline\"\n";
            own_handler(home, "sandrun-shim", shim, "")
                + &own_handler(home, "sandrun-shim-policy", shim, policy)
        }
    };
    let home = home.display();
    let cni = format!("{home}/cni");
    fs::create_dir(&cni).unwrap();
    fs::write(format!("{cni}/10-pods.conflist"), NETWORK).unwrap();
    let config = format!(
        r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
{handlers}"#,
        image::PAUSE
    );
    fs::write(format!("{home}/config.toml"), config).unwrap();
    Ok(())
}

fn runc_handler(name: &str, binary: &Path) -> String {
    let table = format!(r#"plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}"#);
    format!(
        "[{table}]\nruntime_type = \"io.containerd.runc.v2\"\n{ANNOTATIONS}\
         [{table}.options]\nBinaryName = \"{}\"\n",
        binary.display()
    )
}

/// A new containerd takes the shim's path, an old one finds it on PATH by the runtime's name. A table of options is only
/// there where something is said: with one, containerd 2.1 cannot start a pod that has user ids of the kubelet's.
fn own_handler(home: &Path, name: &str, shim: &str, config: &str) -> String {
    let table = format!(r#"plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}"#);
    let handler = format!(
        "[{table}]\nruntime_type = \"io.containerd.sandrun.v2\"\nruntime_path = \"{shim}\"\n{ANNOTATIONS}"
    );
    if config.is_empty() {
        return handler;
    }
    let file = home.join(format!("{name}.toml"));
    fs::write(&file, config).unwrap();
    format!(
        "{handler}[{table}.options]\nTypeUrl = \"io.containerd.sandrun.v2.options\"\nConfigPath = \"{}\"\n",
        file.display()
    )
}

const ANNOTATIONS: &str =
    "pod_annotations = [\"dev.sandrun.*\"]\ncontainer_annotations = [\"dev.sandrun.*\"]\n";

/// The CRI client, built once a run.
fn client() -> &'static Path {
    static CLIENT: OnceLock<PathBuf> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        // The whole workspace's features, and so the dependencies that are built already.
        build.args(["build", "--quiet", "--locked", "--workspace", "--bin", "cri"]);
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target directory");
        build.current_dir(env!("CARGO_MANIFEST_DIR")).arg("--target-dir").arg(target);
        assert!(build.status().expect("cannot start cargo").success(), "the CRI client is not built");
        target.join("debug/cri")
    })
}

/// Named by containerd's id of a container or of a pod's network.
fn is_of_a_container(place: &Path) -> bool {
    let name = place.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("cni-") || name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn children(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}
