//! containerd, in namespaces that end with the measuring.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::image;
use crate::options::{Options, own_handler};

pub const SOCKET: &str = "/run/containerd/containerd.sock";

/// How long containerd may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a copy of this program in new namespaces, and removes what it has left. The shell that waits for it is the pid
/// namespace's init: it reaps what is left to it, and all ends with it.
pub fn enter(words: impl Iterator<Item = OsString>) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let dir = std::env::temp_dir().join(format!("sandrun-pods-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let script = "mount -t tmpfs run /run && mount -t tmpfs lib /var/lib && ip link set lo up && \
        if [ -e /sys/fs/cgroup/unified/cgroup.controllers ]; then \
            umount /sys/fs/cgroup/unified && mount -t tmpfs none /sys/fs/cgroup/unified; fi && \
        \"$@\"; exit $?";
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    unshare.args(["--propagation", "private", "sh", "-c", script, "sh"]);
    unshare.arg(own).args(words).arg("--inside").arg(&dir);
    let status = unshare.status().map_err(|error| format!("unshare: {error}"));
    let removed = remove_cgroups(&name(&dir)).and(fs::remove_dir_all(&dir));
    let status = status?;
    removed.map_err(|error| format!("left behind: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("in namespaces of its own: {status}")) }
}

/// Of the cgroup with all pods.
fn name(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn remove_cgroups(name: &str) -> std::io::Result<()> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup")?.flatten().map(|entry| entry.path());
    hierarchies
        .chain([PathBuf::from("/sys/fs/cgroup")])
        .map(|root| root.join(name))
        .try_for_each(|dir| remove(&dir))
}

fn remove(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    if dir.is_dir() { fs::remove_dir(dir) } else { Ok(()) }
}

pub struct Node {
    daemon: Child,
    /// Of the cgroup with all pods.
    pub name: String,
    programs: PathBuf,
}

impl Node {
    pub fn start(options: &Options) -> Result<Node, String> {
        let dir = options.inside.clone().unwrap_or_default();
        fs::write(dir.join("config.toml"), configuration(&dir, options)?)
            .map_err(|error| error.to_string())?;
        let log = File::create(dir.join("log")).map_err(|error| error.to_string())?;
        let programs = options.containerd.clone();
        // An old containerd finds shims on PATH only.
        let shims = options.shim.parent().unwrap_or(Path::new("/")).display();
        let path = format!("{}:{shims}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
        let mut daemon = Command::new(programs.join("containerd"));
        daemon.arg("--config").arg(dir.join("config.toml")).env("PATH", path);
        let daemon = daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let daemon = daemon.map_err(|error| format!("{}/containerd: {error}", programs.display()))?;
        let node = Node { daemon, name: name(&dir), programs };
        let archive = image::archive(&dir)?;
        node.wait()?;
        let mut import = node.ctr();
        image::finish(
            import.args(["--namespace", "k8s.io", "images", "import", "--all-platforms"]).arg(archive),
        )?;
        Ok(node)
    }

    fn ctr(&self) -> Command {
        Command::new(self.programs.join("ctr"))
    }

    fn wait(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match image::finish(self.ctr().arg("version")) {
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
                result => return result,
            }
        }
    }

    pub fn version(&self) -> Result<String, String> {
        let output = Command::new(self.programs.join("containerd")).arg("--version").output();
        let output = output.map_err(|error| error.to_string())?.stdout;
        Ok(String::from_utf8_lossy(&output).split_whitespace().nth(2).unwrap_or_default().to_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = self.daemon.kill().and_then(|()| self.daemon.wait()) {
            eprintln!("containerd: {error}");
        }
    }
}

fn configuration(dir: &Path, options: &Options) -> Result<String, String> {
    let mut handlers = String::new();
    let table = |name: &str| format!(r#"plugins."io.containerd.grpc.v1.cri".containerd.runtimes."{name}""#);
    for level in &options.levels {
        let (file, table) = (dir.join(format!("{level}.toml")), table(&own_handler(level)));
        fs::write(&file, format!("level = {level:?}\n")).map_err(|error| error.to_string())?;
        handlers += &format!(
            "[{table}]\nruntime_type = \"io.containerd.sandrun.v2\"\nruntime_path = {:?}\n\
             [{table}.options]\nTypeUrl = \"io.containerd.sandrun.v2.options\"\nConfigPath = {file:?}\n",
            options.shim
        );
    }
    for (name, path) in &options.runtimes {
        let table = table(name);
        handlers += &format!(
            "[{table}]\nruntime_type = \"io.containerd.runc.v2\"\n[{table}.options]\nBinaryName = {path:?}\n"
        );
    }
    Ok(format!(
        r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
{handlers}"#,
        image::PAUSE
    ))
}
