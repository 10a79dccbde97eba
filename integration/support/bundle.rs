//! Bundles: a root filesystem with the probe, and a config.json that a test edits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

/// A directory of the test's own, removed with all it holds when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(unique(name));
        fs::create_dir(&path).expect("cannot make a scratch directory");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("left behind: {}: {error}", self.0.display());
        }
    }
}

/// A name that no other test of any run on this machine has at this time.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("sandrun-test-{}-{}-{name}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An OCI bundle whose process is the probe.
pub struct Bundle {
    dir: Scratch,
    pub id: String,
    pub config: Value,
}

impl Bundle {
    /// A bundle that runs `/probe` with these words.
    pub fn probe(words: &[&str]) -> Bundle {
        let dir = Scratch::new("bundle");
        let id = unique("c");
        let rootfs = dir.path().join("rootfs");
        for place in ["proc", "dev", "sys", "tmp", "etc"] {
            fs::create_dir_all(rootfs.join(place)).expect("cannot make the root filesystem");
        }
        fs::copy(probe(), rootfs.join("probe")).expect("cannot copy the probe");
        let args: Vec<&str> = std::iter::once("/probe").chain(words.iter().copied()).collect();
        let config = base_config(&args, &id);
        Bundle { dir, id, config }
    }

    /// A bundle that runs a busybox shell script; the probe is there too.
    pub fn shell(script: &str) -> Bundle {
        let bundle =
            Bundle::probe(&[]).edit(|config| config["process"]["args"] = json!(["/bin/sh", "-c", script]));
        let mut copy = Command::new("cp");
        must_succeed(copy.arg("-a").arg(format!("{}/.", busybox().display())).arg(bundle.rootfs()));
        bundle
    }

    /// Changes config.json.
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Bundle {
        change(&mut self.config);
        self
    }

    /// Adds a mount.
    pub fn mount(self, mount: Value) -> Bundle {
        self.edit(|config| config["mounts"].as_array_mut().expect("mounts is a list").push(mount))
    }

    /// Takes a namespace away, so that the host's is used.
    pub fn without_namespace(self, kind: &str) -> Bundle {
        self.edit(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces is a list");
            namespaces.retain(|namespace| namespace["type"] != kind);
        })
    }

    /// Adds a user namespace in which ids are the host's, so that root reads its root filesystem.
    pub fn in_user_namespace(self) -> Bundle {
        self.edit(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces is a list");
            namespaces.push(json!({ "type": "user" }));
            for name in ["uidMappings", "gidMappings"] {
                config["linux"][name] = json!([{ "containerID": 0, "hostID": 0, "size": 65536 }]);
            }
        })
    }

    /// What engines call privileged: every capability that we have, every device, and nothing hidden or read-only.
    pub fn privileged(self) -> Bundle {
        self.edit(|config| {
            let names = held_capabilities();
            config["process"]["capabilities"] =
                json!({ "bounding": names, "effective": names, "permitted": names });
            config["process"]["noNewPrivileges"] = json!(false);
            config["linux"]["resources"]["devices"] = json!([{ "allow": true, "access": "rwm" }]);
            config["linux"]["maskedPaths"] = json!([]);
            config["linux"]["readonlyPaths"] = json!([]);
            for mount in config["mounts"].as_array_mut().expect("mounts is a list") {
                let options = mount["options"].as_array_mut().expect("options is a list");
                options.retain(|option| option != "ro");
            }
        })
    }

    /// For an ordinary user: root inside is that user, and nothing needs a right of the host's root.
    pub fn rootless(self, id: u32) -> Bundle {
        self.edit(|config| {
            let linux = config["linux"].as_object_mut().expect("linux is an object");
            linux.remove("cgroupsPath");
            linux.remove("resources");
            for name in ["uidMappings", "gidMappings"] {
                linux.insert(name.to_owned(), json!([{ "containerID": 0, "hostID": id, "size": 1 }]));
            }
            linux["namespaces"].as_array_mut().expect("namespaces is a list").push(json!({ "type": "user" }));
            // Group 5 is not mapped.
            for mount in config["mounts"].as_array_mut().expect("mounts is a list") {
                mount["options"]
                    .as_array_mut()
                    .expect("options is a list")
                    .retain(|option| option != "gid=5");
            }
        })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// Writes config.json as it is now.
    pub fn write(&self) {
        fs::write(self.path().join("config.json"), self.config.to_string())
            .expect("cannot write config.json");
    }
}

/// The capabilities that container engines give by default.
pub const ENGINE_CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The names of the capabilities that this process may have and that the kernel knows.
fn held_capabilities() -> Vec<String> {
    let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").expect("cannot read the last capability");
    let last: u64 = last.trim().parse().expect("a number");
    let held = caps::read(None, caps::CapSet::Bounding).expect("cannot read our capabilities");
    held.iter().filter(|cap| u64::from(cap.index()) <= last).map(ToString::to_string).collect()
}

/// What an engine would write for a plain image.
fn base_config(args: &[&str], id: &str) -> Value {
    let caps = json!(ENGINE_CAPABILITIES);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs", "readonly": false },
        "hostname": "probed",
        "mounts": [
            mount("/proc", "proc", &[]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"])
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" },
                { "type": "uts" }, { "type": "mount" }, { "type": "cgroup" }
            ],
            "maskedPaths": MASKED,
            "readonlyPaths": READONLY
        }
    })
}

/// What engines ask to mask.
pub const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];

/// What engines ask to make read-only.
pub const READONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn mount(destination: &str, kind: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": kind, "options": options })
}

/// The probe, built once a run unless PROBE names one. It is static, for it runs in an empty root filesystem.
pub fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        if let Some(path) = std::env::var_os("PROBE") {
            return path.into();
        }
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe");
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--release", "--locked", "-p", "probe", "--target", &target]);
        build.arg("--target-dir").arg(&out).current_dir(env!("CARGO_MANIFEST_DIR"));
        must_succeed(build.env("RUSTFLAGS", "-C target-feature=+crt-static"));
        out.join(target).join("release/probe")
    })
}

/// A root filesystem of busybox, made once a run.
fn busybox() -> &'static Path {
    static BUSYBOX: OnceLock<PathBuf> = OnceLock::new();
    BUSYBOX.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("busybox");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/rootfs/busybox.sh");
        must_succeed(Command::new(script).arg(&dir));
        dir
    })
}

fn must_succeed(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
