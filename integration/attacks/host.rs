//! Things of the host's that an attack is after.

use std::fs;
use std::os::linux::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command};

use crate::support::Scratch;

/// A disk, made of a file that says SECRET, and gone when dropped.
pub struct Disk {
    device: String,
    _file: Scratch,
}

impl Disk {
    /// None where loop devices cannot be had.
    pub fn new() -> Option<Disk> {
        let dir = Scratch::new("disk");
        let file = dir.path().join("file");
        fs::write(&file, "SECRET".repeat(512)).expect("cannot write the disk");
        let output = Command::new("losetup").args(["--find", "--show"]).arg(&file).output().ok()?;
        let device = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        output.status.success().then_some(Disk { device, _file: dir })
    }

    /// Its numbers, as mknod(1) takes them.
    pub fn numbers(&self) -> String {
        let device = fs::metadata(&self.device).expect("the device is there").st_rdev();
        format!("{} {}", libc::major(device), libc::minor(device))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let detached = Command::new("losetup").arg("--detach").arg(&self.device).status();
        if !detached.is_ok_and(|status| status.success()) {
            eprintln!("left behind: {}", self.device);
        }
    }
}

/// A process, ended when dropped.
pub struct Sleeper(Child);

impl Sleeper {
    pub fn new() -> Sleeper {
        Sleeper(Command::new("sleep").arg("60").spawn().expect("cannot start sleep"))
    }

    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have been killed by then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether cgroup v1 has this controller in a hierarchy of its own.
pub fn has_hierarchy(controller: &str) -> bool {
    Path::new("/sys/fs/cgroup").join(controller).join("release_agent").exists()
}
