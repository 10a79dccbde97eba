//! The bundle that everyone runs: busybox, and what an engine would write for it.

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// A bundle on disk, removed when dropped. Its process sleeps; the one of `quick` ends at once.
pub struct Bundle {
    dir: PathBuf,
}

impl Bundle {
    pub fn make(seccomp: bool) -> Result<Bundle> {
        let dir = std::env::temp_dir().join(format!("sandrun-bench-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let bundle = Bundle { dir };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rootfs/busybox.sh");
        let made = Command::new(script).arg(bundle.dir.join("rootfs")).status()?;
        if !made.success() {
            return Err(Error::other(format!("busybox.sh: {made}")));
        }
        for (name, args) in [("quick", ["/bin/true"].as_slice()), ("long", &["/bin/sleep", "1000"])] {
            let dir = bundle.dir.join(name);
            fs::create_dir_all(&dir)?;
            fs::write(dir.join("config.json"), config(args, seccomp).to_string())?;
        }
        Ok(bundle)
    }

    /// The bundle whose process ends at once.
    pub fn quick(&self) -> String {
        self.dir.join("quick").display().to_string()
    }

    /// The bundle whose process goes on.
    pub fn long(&self) -> String {
        self.dir.join("long").display().to_string()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("left behind: {}: {error}", self.dir.display());
        }
    }
}

fn config(args: &[&str], seccomp: bool) -> Value {
    let caps = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
            "cwd": "/",
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
            "noNewPrivileges": true
        },
        "root": { "path": "../rootfs", "readonly": true },
        "hostname": "bench",
        "mounts": [
            mount("/proc", "proc", &[]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
        ],
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" },
                { "type": "uts" }, { "type": "mount" }, { "type": "cgroup" }
            ],
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    });
    if seccomp {
        config["linux"]["seccomp"] = profile();
    }
    config
}

/// Refused by name; a list as engines have it.
const REFUSED: &[&str] = &[
    "acct",
    "add_key",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "clone",
    "clone3",
    "create_module",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "personality",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "query_module",
    "quotactl",
    "reboot",
    "request_key",
    "setns",
    "settimeofday",
    "socket",
    "swapoff",
    "swapon",
    "sysfs",
    "_sysctl",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
];

/// As long and as wide as the engines' default: three architectures, every other call by name, three rules with
/// arguments.
fn profile() -> Value {
    let names: Vec<&str> = syscalls::x86_64::Sysno::iter()
        .map(|call| call.name())
        .filter(|name| !REFUSED.contains(name))
        .collect();
    let rule = |name: &str, index: u32, value: u64, op: &str, two: u64| {
        json!({ "names": [name], "action": "SCMP_ACT_ALLOW",
            "args": [{ "index": index, "value": value, "valueTwo": two, "op": op }] })
    };
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            { "names": names, "action": "SCMP_ACT_ALLOW" },
            rule("personality", 0, 0, "SCMP_CMP_EQ", 0),
            rule("personality", 0, 8, "SCMP_CMP_EQ", 0),
            rule("socket", 0, 40, "SCMP_CMP_NE", 0),
            rule("clone", 0, 2_114_060_288, "SCMP_CMP_MASKED_EQ", 0),
            { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }
        ]
    })
}
