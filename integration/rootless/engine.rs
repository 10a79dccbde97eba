//! podman of an ordinary user: it is root of a user namespace of its own, and runs the runtime there.

use std::path::Path;
use std::process::Command;

use crate::support::{Bundle, Output, Runtime, User, is_root};

struct Podman {
    runtime: Runtime,
    bundle: Bundle,
    user: User,
}

/// A host whose network device for user networks is everybody's, as udev makes it.
const HOST: &[&str] = &[
    "unshare",
    "-m",
    "sh",
    "-c",
    "mkdir -p /dev/net && mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec \"$@\"",
    "sh",
];

impl Podman {
    /// None where the host does not have what it takes.
    fn new() -> Option<Podman> {
        if !["/usr/bin/podman", "/usr/bin/slirp4netns"].iter().all(|path| Path::new(path).exists()) {
            return None;
        }
        let user = User::new()?;
        let bundle = Bundle::shell("");
        let owner = format!("{}:{}", user.id, user.group);
        let given = Command::new("chown").args(["-R", &owner]).arg(bundle.rootfs()).status();
        assert!(given.expect("cannot run chown").success(), "cannot give the root filesystem away");
        Some(Podman { runtime: Runtime::sandrun(), bundle, user })
    }

    fn call(&self, words: &[&str]) -> Output {
        let (first, rest) = HOST.split_first().expect("words");
        let mut command = Command::new(first);
        command.args(rest).args(self.user.words()).args(["podman", "--storage-driver", "vfs"]);
        command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime"]);
        command.arg(self.runtime.program()).args(words);
        self.runtime.finish(command, &self.user.home.path().join("podman"))
    }

    /// A container of the bundle's root filesystem.
    fn run(&self, flags: &[&str], script: &str) -> Output {
        let rootfs = self.bundle.rootfs().display().to_string();
        let program = ["--rootfs", &rootfs, "/bin/sh", "-c", script];
        let words: Vec<&str> = ["run"].iter().chain(flags).chain(&program).copied().collect();
        self.call(&words)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.call(&["rm", "--all", "--force", "--time", "0"]);
        // Ends the process that keeps podman's namespaces.
        self.call(&["system", "migrate"]);
    }
}

fn podman() -> Option<Podman> {
    if is_root() { Podman::new() } else { None }
}

#[test]
fn runs_containers_with_its_own_mappings_or_none() {
    let Some(podman) = podman() else { skip!("needs root, podman, slirp4netns and newuidmap") };
    let script = "id -u; cat /proc/self/uid_map; cat /sys/class/net/*/address; exit 7";
    let output = podman.run(&["--rm", "--network", "none"], script);
    assert_eq!(output.code, 7, "{output}");
    let said: Vec<&str> = output.stdout.split_whitespace().collect();
    assert_eq!(said[..4], ["0", "0", &podman.user.id.to_string(), "1"], "{output}");
    assert_eq!(said.last(), Some(&"00:00:00:00:00:00"), "{output}");
    let output = podman.run(&["--rm", "--network", "none", "--userns", "keep-id"], "id -u").ok();
    assert_eq!(output.stdout.trim(), podman.user.id.to_string());
    let output =
        podman.run(&["--rm", "--network", "none", "--user", "5:6", "--group-add", "7"], "id -u; id -G").ok();
    assert_eq!(output.stdout, "5\n6 7\n");
}

#[test]
fn gives_them_its_network() {
    let Some(podman) = podman() else { skip!("needs root, podman, slirp4netns and newuidmap") };
    let output = podman.run(&["--rm"], "while [ ! -e /sys/class/net/tap0 ]; do sleep 0.1; done; ip -4 addr");
    assert!(output.code == 0 && output.stdout.contains("10.0.2.100"), "{output}");
}

#[test]
fn keeps_them_enters_them_and_ends_them() {
    let Some(podman) = podman() else { skip!("needs root, podman, slirp4netns and newuidmap") };
    let volume = podman.user.home.path().join("volume");
    std::fs::create_dir(&volume).expect("cannot make a volume");
    let volume = format!("{}:/volume:ro", volume.display());
    let flags = [
        "-d",
        "--name",
        "kept",
        "--network",
        "none",
        "-v",
        &volume,
        "--tmpfs",
        "/scratch",
        "--device",
        "/dev/net/tun",
    ];
    podman.run(&flags, "trap 'exit 9' TERM; echo started; while :; do sleep 0.1; done").ok();
    let script = "touch /scratch/x && ls /scratch /dev/net/tun; touch /volume/x";
    let output = podman.call(&["exec", "kept", "/bin/sh", "-c", script]);
    assert!(output.code == 1 && output.stderr.contains("Read-only"), "{output}");
    assert_eq!(output.stdout, "/dev/net/tun\n\n/scratch:\nx\n");
    podman.call(&["stop", "kept"]).ok();
    assert_eq!(podman.call(&["wait", "kept"]).ok().stdout, "9\n");
    assert_eq!(podman.call(&["logs", "kept"]).ok().stdout, "started\n");
    podman.call(&["rm", "kept"]).ok();
}
