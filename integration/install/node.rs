//! A node's files, and its containerd where a test wants it to run.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::runtime::find;
use crate::support::{Output, Runtime, Scratch};

const PATIENCE: Duration = Duration::from_secs(60);
const TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/install/tree");
/// Has the daemon's keeper restart it, and returns when it has.
pub const RESTART: &str = "touch /run/restart; while [ -e /run/restart ]; do sleep 0.05; done";

pub struct Node {
    home: Scratch,
    runtime: Runtime,
    /// The tree of another containerd than the installed one.
    containerd: Option<PathBuf>,
    keeper: Option<Child>,
}

/// Files, links and directories with their bytes, permissions and owners.
pub type Picture = BTreeMap<PathBuf, (u32, u32, Vec<u8>)>;

impl Node {
    /// With a containerd of this series; an error says what is not there.
    pub fn new(series: &str) -> Result<Node, String> {
        if find("containerd").is_none() || find("unshare").is_none() {
            return Err("containerd is not installed".to_owned());
        }
        let (home, runtime) = (Scratch::new("node"), Runtime::sandrun());
        let node = Node { home, runtime, containerd: None, keeper: None }.with_series(series)?;
        for dir in ["etc", "run", "var", "local/bin"] {
            fs::create_dir_all(node.path(dir)).unwrap();
        }
        Ok(node)
    }

    /// The same node after its containerd was replaced.
    pub fn with_series(mut self, series: &str) -> Result<Node, String> {
        self.containerd = match series {
            "1.6" => None,
            newer => Some(fetched(newer).ok_or_else(|| format!("containerd {newer} is not there"))?),
        };
        Ok(self)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path.trim_start_matches('/'))
    }

    /// Writes a file of the node.
    pub fn with(self, path: &str, text: &str) -> Node {
        self.write(path, text);
        self
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn tree(&self, verb: &str) -> Command {
        let mut command = Command::new(TREE);
        command.arg(self.home.path()).arg(verb);
        if let Some(containerd) = &self.containerd {
            command.env("CONTAINERD", containerd);
        }
        command
    }

    /// A command beside the node.
    pub fn beside(&self, words: &[&str]) -> Command {
        let mut command = self.tree("enter");
        command.args(words);
        command
    }

    /// A command of sandrun's for this node.
    pub fn sandrun(&self, words: &[&str]) -> Command {
        let (program, root) = (programs().join("sandrun"), self.home.path().display().to_string());
        let mut command = self.beside(&[&program.display().to_string()]);
        command.args(words).args(["--host-root", &root]);
        command
    }

    #[track_caller]
    pub fn finish(&self, command: Command) -> Output {
        self.runtime.finish(command, &self.home.path().join("said"))
    }

    /// Runs `sandrun install` or `uninstall`; containerd is not restarted.
    #[track_caller]
    pub fn call(&self, words: &[&str]) -> Output {
        self.finish(self.sandrun(&[words, &["--no-restart"]].concat()))
    }

    /// The same with a restart.
    #[track_caller]
    pub fn call_restarting(&self, words: &[&str]) -> Output {
        let command = self.sandrun(&[words, &["--restart-command", RESTART, "--timeout", "40"]].concat());
        self.finish(command)
    }

    /// A program in the root of the node.
    #[track_caller]
    pub fn chrooted(&self, words: &[&str]) -> Output {
        let root = self.home.path().display().to_string();
        self.finish(self.beside(&[&["chroot", &root], words].concat()))
    }

    /// What containerd makes of its configuration.
    #[track_caller]
    pub fn dump(&self) -> toml::Table {
        let shown = if self.path(super::MAIN).symlink_metadata().is_ok() { "dump" } else { "default" };
        self.chrooted(&["containerd", "config", shown]).ok().stdout.parse().expect("TOML")
    }

    /// The handlers in it.
    #[track_caller]
    pub fn handlers(&self) -> Vec<String> {
        let dump = self.dump();
        let plugins = &dump["plugins"];
        let cri = ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"];
        let cri =
            cri.into_iter().find_map(|name| plugins.get(name)?.get("containerd")).expect("a CRI plugin");
        cri["runtimes"].as_table().unwrap().keys().cloned().collect()
    }

    /// Everything that an installation may touch.
    pub fn picture(&self) -> Picture {
        let mut picture = Picture::new();
        let mut places = vec![self.path("etc"), self.path("local"), self.path("var/lib/rancher")];
        while let Some(place) = places.pop() {
            let Ok(metadata) = fs::symlink_metadata(&place) else { continue };
            let bytes = if metadata.is_dir() {
                places.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&place).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&place).unwrap()
            };
            picture.insert(place, (metadata.mode(), metadata.uid(), bytes));
        }
        picture
    }

    /// Starts containerd as the node's daemon, and waits until it answers.
    pub fn start(&mut self) {
        fs::write(self.path("run/restart"), "").unwrap();
        let keeper = self.tree("daemon").stdin(Stdio::null()).spawn();
        self.keeper = Some(keeper.expect("cannot start the node"));
        let deadline = Instant::now() + PATIENCE;
        while self.in_daemon(&["ctr", "version"]).code != 0 {
            assert!(Instant::now() < deadline, "containerd does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.path("run/log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains("level=info")).collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// A command where containerd runs.
    #[track_caller]
    pub fn in_daemon(&self, words: &[&str]) -> Output {
        let keeper = self.keeper.as_ref().expect("it was started").id();
        // The namespaces' first process is the only child of what made them.
        let children =
            fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap_or_default();
        let mut command = Command::new("nsenter");
        command.args(["--target", children.trim(), "--mount", "--pid"]).args(words);
        self.finish(command)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // An error means that it has ended, which is what we want; all in its pid namespace ends with it.
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
    }
}

/// The tree that integration/containerd/fetch has brought.
fn fetched(series: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
        PathBuf::from,
    );
    let prefix = format!("containerd-{series}.");
    let trees = fs::read_dir(cache.join("sandrun")).ok()?.flatten().map(|entry| entry.path());
    trees
        .filter(|tree| tree.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .max()
}

/// The programs of this build, without what debuggers read: they are copied to many nodes.
pub fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("install-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let built = [env!("CARGO_BIN_EXE_sandrun"), env!("CARGO_BIN_EXE_containerd-shim-sandrun-v2")];
        for program in built.map(Path::new) {
            let to = dir.join(program.file_name().unwrap());
            let stripped = Command::new("strip").arg("-o").arg(&to).arg(program).status();
            if !stripped.is_ok_and(|status| status.success()) {
                fs::copy(program, &to).unwrap();
            }
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        }
        dir
    })
}
