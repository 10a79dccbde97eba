//! The image that workloads run in: one Debian tree that nobody writes to, and above it an overlay for each container.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use crate::support::Bundle;

/// A bundle with the image as its root filesystem, and what a container writes there kept apart.
pub struct Image {
    bundle: Bundle,
}

impl Image {
    /// None where the tree cannot be made.
    pub fn new() -> Option<Image> {
        let lower = tree()?;
        let bundle = Bundle::probe(&[]);
        let [upper, work] = ["upper", "work"].map(|name| bundle.path().join(name));
        for dir in [&upper, &work] {
            std::fs::create_dir(dir).expect("cannot make a layer");
        }
        let layers =
            format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        let mounted = mount(
            Some("overlay"),
            &bundle.rootfs(),
            Some("overlay"),
            MsFlags::empty(),
            Some(layers.as_str()),
        );
        mounted.unwrap_or_else(|error| panic!("cannot mount an overlay with {layers}: {error}"));
        Some(Image { bundle })
    }

    /// Runs this script as a user of the image's.
    pub fn script(mut self, script: &str, user: &str) -> Image {
        let (uid, gid) = ids(&self.bundle.rootfs(), user);
        let process = &mut self.bundle.config["process"];
        process["args"] = json!(words(script));
        process["user"] = json!({ "uid": uid, "gid": gid });
        process["env"] =
            json!(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp"]);
        self
    }
}

impl Deref for Image {
    type Target = Bundle;

    fn deref(&self) -> &Bundle {
        &self.bundle
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.bundle.rootfs(), MntFlags::MNT_DETACH) {
            eprintln!("left mounted: {}: {error}", self.bundle.rootfs().display());
        }
    }
}

/// The command line of a script.
pub fn words(script: &str) -> [String; 3] {
    ["bash".to_owned(), "-c".to_owned(), format!("{}\n{script}", include_str!("prelude.sh"))]
}

/// The tree, which the script makes once for all runs.
fn tree() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/rootfs/workloads.sh");
        let made = Command::new(script).output().expect("cannot run the script");
        if !made.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&made.stderr));
        }
        made.status.success().then(|| String::from_utf8_lossy(&made.stdout).trim().into())
    };
    MADE.get_or_init(make).as_deref()
}

/// The ids of a user of the image's.
fn ids(rootfs: &Path, user: &str) -> (u32, u32) {
    let all = std::fs::read_to_string(rootfs.join("etc/passwd")).expect("the image has users");
    let line = all.lines().find(|line| line.starts_with(&format!("{user}:")));
    let fields: Vec<&str> =
        line.unwrap_or_else(|| panic!("the image has no user {user}")).split(':').collect();
    (fields[2].parse().expect("a user id"), fields[3].parse().expect("a group id"))
}

/// The version of a package in the tree.
pub fn version(package: &str) -> String {
    let status = tree().expect("a tree").join("var/lib/dpkg/status");
    let status = std::fs::read_to_string(status).expect("dpkg's list of packages");
    let entry =
        status.split("\n\n").find(|entry| entry.lines().any(|line| line == format!("Package: {package}")));
    let entry = entry.unwrap_or_else(|| panic!("the image has no package {package}"));
    let version = entry.lines().find_map(|line| line.strip_prefix("Version: "));
    version.expect("a version").to_owned()
}
