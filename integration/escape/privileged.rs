//! What a privileged container does to its host, as attack kits do it (CDK's mount-disk, mount-cgroup,
//! rewrite-cgroup-devices, check-ptrace): it works at `oci`, and with the same configuration nowhere else.

use std::fs;
use std::os::linux::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command};

use super::Outside;
use crate::support::{Bundle, Runtime, Scratch, is_root};

/// The script says ESCAPED at `oci`, and at no other level.
fn assert_escapes_at_oci_only(bundle: impl Fn() -> Bundle) {
    let weak = Runtime::at_level("oci").run(&bundle());
    assert!(weak.stdout.contains("ESCAPED"), "the attack does not work at all: {weak}");
    for level in ["baseline", "strict"] {
        let output = Runtime::at_level(level).run(&bundle());
        assert!(!output.stdout.contains("ESCAPED") && output.code != 0, "{level}: {output}");
    }
}

/// A disk of the host's, made of a file, and gone when dropped.
struct Disk {
    device: String,
    _file: Scratch,
}

impl Disk {
    /// None where loop devices cannot be had.
    fn new() -> Option<Disk> {
        let dir = Scratch::new("disk");
        let file = dir.path().join("file");
        fs::write(&file, "SECRET".repeat(512)).expect("cannot write the disk");
        let output = Command::new("losetup").args(["--find", "--show"]).arg(&file).output().ok()?;
        let device = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        output.status.success().then_some(Disk { device, _file: dir })
    }

    /// Its numbers, as mknod(1) takes them.
    fn numbers(&self) -> String {
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

#[test]
fn the_hosts_disk_is_out_of_reach() {
    skip_unless!(is_root(), "needs root");
    let Some(disk) = Disk::new() else { skip!("needs loop devices") };
    let numbers = disk.numbers();
    let script = format!("mknod /tmp/disk b {numbers} && grep -q SECRET /tmp/disk && echo ESCAPED");
    assert_escapes_at_oci_only(|| Bundle::shell(&script).privileged());
}

/// Whether cgroup v1 has this controller in a hierarchy of its own.
fn has_hierarchy(controller: &str) -> bool {
    Path::new("/sys/fs/cgroup").join(controller).join("release_agent").exists()
}

/// The agent is set to what it is already.
#[test]
fn no_release_agent_can_be_set() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(has_hierarchy("freezer"), "needs cgroup v1");
    let script = "
        mkdir -p /tmp/cgroup && mount -t cgroup -o freezer cgroup /tmp/cgroup || exit 1
        cp /tmp/cgroup/release_agent /tmp/agent && cat /tmp/agent > /tmp/cgroup/release_agent && echo ESCAPED";
    assert_escapes_at_oci_only(|| Bundle::shell(script).privileged().without_namespace("cgroup"));
}

/// Character device 1:11 is /dev/kmsg, which the configuration does not allow.
#[test]
fn the_list_of_devices_cannot_be_rewritten() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(has_hierarchy("devices"), "needs cgroup v1");
    let script = "
        mkdir -p /tmp/cgroup && mount -t cgroup -o devices cgroup /tmp/cgroup || exit 1
        mknod /tmp/kmsg c 1 11 && dd if=/tmp/kmsg of=/dev/null bs=1k count=1 && exit 2
        echo 'c 1:11 rwm' > /tmp/cgroup/devices.allow || exit 3
        mknod /tmp/kmsg c 1 11; dd if=/tmp/kmsg of=/dev/null bs=8k count=1 && echo ESCAPED";
    assert_escapes_at_oci_only(|| {
        Bundle::shell(script).privileged().edit(|config| {
            config["linux"]["resources"]["devices"] =
                serde_json::json!([{ "allow": false, "access": "rwm" }]);
        })
    });
}

/// A process of the host's, ended when dropped.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have been killed by then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// With the host's process ids: by ptrace(2), and through what /proc shows of it.
#[test]
fn a_process_of_the_host_is_out_of_reach() {
    skip_unless!(is_root(), "needs root");
    let outside = Outside::new();
    let mut sleep = Command::new("sleep");
    let sleeper = Sleeper(sleep.arg("60").env("SECRET", "SECRET").spawn().expect("cannot start sleep"));
    let pid = sleeper.0.id().to_string();
    let seize = (libc::PTRACE_SEIZE as i64).to_string();
    let beyond = |way: &str| Path::new("/proc").join(&pid).join(way).display().to_string();
    let file = beyond(&format!("root{}", outside.canary()));
    let attacks: [&[&str]; 4] = [
        &["syscall", "ptrace", &seize, &pid, "0", "0"],
        &["read", &file],
        &["read", &beyond("environ")],
        &["read", &beyond("maps")],
    ];
    for words in attacks {
        let bundle = || Bundle::probe(words).privileged().without_namespace("pid");
        let weak = Runtime::at_level("oci").ask(&bundle());
        assert!(weak["errno"].is_null(), "the attack does not work at all: {words:?}: {weak}");
        for level in ["baseline", "strict"] {
            let seen = Runtime::at_level(level).ask(&bundle());
            assert!(seen["errno"].is_string(), "{level}: {words:?}: {seen}");
        }
    }
}
