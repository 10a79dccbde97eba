//! Who the workload is: ids, capabilities, namespaces, limits.

use std::fs;
use std::process::ExitCode;

use crate::json::Json;
use crate::sys;

/// The members of `/proc/self/status` that say what the process may do.
pub fn status() -> Json {
    const WANTED: &[&str] = &[
        "Umask",
        "Uid",
        "Gid",
        "Groups",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NSpid",
        "Cpus_allowed_list",
        "CoreDumping",
    ];
    let text = match fs::read_to_string("/proc/self/status") {
        Ok(text) => text,
        Err(error) => return Json::object([("error", error.to_string().into())]),
    };
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let wanted = lines.filter(|(key, _)| WANTED.contains(key));
    Json::object(
        wanted.map(|(key, value)| (key, value.split_whitespace().collect::<Vec<_>>().join(" ").into())),
    )
}

/// The names of the capabilities, by number (capabilities(7)).
const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// All five sets by name, read from `/proc/self/status`; the bounding set once more as `prctl(2)` tells it.
pub fn capabilities() -> Json {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = |key: &str| -> Json {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let mask = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(u64::MAX);
        named(|number| mask >> number & 1 == 1)
    };
    let bounding_by_prctl =
        named(|number| sys::prctl(libc::PR_CAPBSET_READ, number).is_ok_and(|held| held == 1));
    Json::object([
        ("inheritable", set("CapInh:")),
        ("permitted", set("CapPrm:")),
        ("effective", set("CapEff:")),
        ("bounding", set("CapBnd:")),
        ("ambient", set("CapAmb:")),
        ("boundingByPrctl", bounding_by_prctl),
    ])
}

/// How many capabilities are in force, and which.
pub fn effective() -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(u64::MAX);
    let names: Vec<String> = (0_u64..)
        .zip(CAPABILITIES)
        .filter(|(number, _)| mask >> number & 1 == 1)
        .map(|(_, name)| name.trim_start_matches("CAP_").to_lowercase())
        .collect();
    match names.len() {
        0 => "none".to_owned(),
        1..13 => names.join(" "),
        many => format!("{many} of {}", CAPABILITIES.len()),
    }
}

fn named(holds: impl Fn(u64) -> bool) -> Json {
    (0_u64..).zip(CAPABILITIES).filter(|(number, _)| holds(*number)).map(|(_, name)| *name).collect()
}

/// The namespaces of this process, as `readlink` of `/proc/self/ns/*` tells them.
pub fn namespaces() -> Json {
    const KINDS: &[&str] = &["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    Json::object(KINDS.iter().map(|kind| {
        let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok();
        (*kind, link.map(|link| link.to_string_lossy().into_owned()).into())
    }))
}

/// Soft and hard limits; −1 is "unlimited".
pub fn rlimits() -> Json {
    const LIMITS: &[(&str, u32)] = &[
        ("RLIMIT_CPU", 0),
        ("RLIMIT_FSIZE", 1),
        ("RLIMIT_DATA", 2),
        ("RLIMIT_STACK", 3),
        ("RLIMIT_CORE", 4),
        ("RLIMIT_RSS", 5),
        ("RLIMIT_NPROC", 6),
        ("RLIMIT_NOFILE", 7),
        ("RLIMIT_MEMLOCK", 8),
        ("RLIMIT_AS", 9),
        ("RLIMIT_LOCKS", 10),
        ("RLIMIT_SIGPENDING", 11),
        ("RLIMIT_MSGQUEUE", 12),
        ("RLIMIT_NICE", 13),
        ("RLIMIT_RTPRIO", 14),
        ("RLIMIT_RTTIME", 15),
    ];
    Json::object(LIMITS.iter().map(|(name, number)| {
        let value = sys::limit(*number).map(|(soft, hard)| {
            Json::object([("soft", soft), ("hard", hard)].map(|(key, value)| (key, Json::Int(value))))
        });
        (*name, value.unwrap_or(Json::Null))
    }))
}

/// Asked of a set-user-ID copy of the probe: exit code 0 if it has become root, else EPERM.
pub fn gained_root() -> ExitCode {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = text.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    let root = uids.split_whitespace().nth(1) == Some("0");
    ExitCode::from(if root { 0 } else { libc::EPERM as u8 })
}
