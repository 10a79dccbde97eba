//! A network and a mount namespace for an engine, so that neither its bridges nor its mounts are the host's. Both
//! end with it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Bundle, Output, Runtime, Scratch};

/// Longer than anything here should take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Enclave {
    holder: Child,
    pub home: Scratch,
    pub runtime: Runtime,
}

impl Enclave {
    pub fn new(name: &str) -> Enclave {
        let mut holder = Command::new("unshare");
        holder.args(["--net", "--mount", "--propagation", "private", "sleep", "infinity"]);
        let holder = holder.stdin(Stdio::null()).spawn().expect("cannot start unshare");
        let enclave = Enclave { holder, home: Scratch::new(name), runtime: Runtime::sandrun() };
        // It is inside once it is no longer `unshare`.
        enclave.until(|| {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", enclave.holder.id()));
            name.is_ok_and(|name| name == "sleep\n")
        });
        enclave
    }

    #[track_caller]
    pub fn until(&self, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "it does not come to pass");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A command that runs inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.holder.id().to_string()).args(["--net", "--mount", program]);
        command
    }

    #[track_caller]
    pub fn finish(&self, command: Command) -> Output {
        self.runtime.finish(command, &self.home.path().join("said"))
    }

    /// An image's only layer: busybox and the probe.
    pub fn layer(&self) -> PathBuf {
        let (layer, bundle) = (self.home.path().join("layer.tar"), Bundle::shell(""));
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(bundle.rootfs()).arg("-cf").arg(&layer).arg(".");
        assert!(tar.status().expect("cannot start tar").success());
        layer
    }
}

impl Drop for Enclave {
    fn drop(&mut self) {
        // An error means that it has ended, which is what we want.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Whether all these programs are installed.
pub fn installed(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).collect();
    programs.iter().all(|name| dirs.iter().any(|dir| dir.join(name).is_file()))
}

/// The directories of a cgroup, in every hierarchy.
pub fn cgroups_named(name: &str) -> Vec<PathBuf> {
    let mut roots = vec![PathBuf::from("/sys/fs/cgroup")];
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    roots.extend(hierarchies.map(|entry| entry.path()));
    roots.iter().map(|root| root.join(name)).filter(|dir| dir.is_dir()).collect()
}

/// Removes the cgroup below which an engine made those of its containers, from every hierarchy.
pub fn remove_cgroup(name: &str) {
    cgroups_named(name).iter().for_each(|dir| remove_below(dir));
}

fn remove_below(dir: &Path) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.path().is_dir()) {
        remove_below(&entry.path());
    }
    if let Err(error) = std::fs::remove_dir(dir)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        eprintln!("left behind: {}: {error}", dir.display());
    }
}
