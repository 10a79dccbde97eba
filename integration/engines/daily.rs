//! What people ask docker and podman for every day: the same words under runc and under sandrun.

use crate::support::Output;

/// Flags of `run`, and a script that shows whether they hold. What comes out of it under runc has to come out under sandrun.
pub const RUNS: &[(&[&str], &str)] = &[
    (&["--env", "A=b c", "--workdir", "/tmp"], "echo $A; pwd; exit 3"),
    (&["--hostname", "named", "--add-host", "other:10.0.0.9"], "hostname; grep other /etc/hosts"),
    (&["--user", "1000:1001", "--group-add", "44"], "id; touch /x"),
    (&["--read-only", "--tmpfs", "/t"], "touch /x || echo root; touch /t/x && echo tmpfs"),
    (&["--mount", "type=tmpfs,destination=/t,tmpfs-mode=700"], "stat -c '%a %n' /t; touch /t/x"),
    (&["--volume", "kept:/v"], "echo once >> /v/file; test -s /v/file && echo volume"),
    (&["--shm-size", "5m"], "df -k /dev/shm | tail -1 | awk '{ print $2 }'"),
    (
        &["--ulimit", "nofile=111:222", "--ulimit", "nproc=1000:1000", "--ulimit", "core=0:0"],
        "ulimit -n; ulimit -Hn; ulimit -c",
    ),
    (&["--sysctl", "net.core.somaxconn=77"], "cat /proc/sys/net/core/somaxconn"),
    (&["--oom-score-adj", "333"], "cat /proc/self/oom_score_adj"),
    (&["--pids-limit", "20", "--memory", "32m", "--memory-swap", "32m"], LIMITS),
    (
        &[
            "--cpu-shares",
            "512",
            "--cpu-quota",
            "20000",
            "--cpu-period",
            "50000",
            "--cpuset-cpus",
            "0",
            "--pids-limit",
            "99",
        ],
        LIMITS,
    ),
    (&["--cap-drop", "ALL"], CAPABILITIES),
    (&["--cap-drop", "ALL", "--cap-add", "CHOWN"], CAPABILITIES),
    (&["--security-opt", "no-new-privileges"], "grep NoNewPrivs /proc/self/status"),
    (&["--ipc", "host", "--uts", "host"], "readlink /proc/self/ns/ipc /proc/self/ns/uts"),
    (&["--network", "host"], "readlink /proc/self/ns/net; ls /sys/class/net"),
    (&["--pid", "host"], "readlink /proc/self/ns/pid; test -d /proc/2 && echo others"),
    (&["--device", "/dev/fuse:/dev/mine"], "stat -c '%F %t %T' /dev/mine"),
    (&["--init"], "cat /proc/1/cmdline | tr '\\0' ' ' | cut -c1-17"),
    (&["--entrypoint", "/bin/echo"], "said"),
    (&[], "echo out; echo err >&2; kill -KILL $$"),
    (&[], "ls -1 /proc/self/fd | wc -l; ls /dev | sort | tr '\\n' ' '"),
    (&[], "cut -d' ' -f2-3 /proc/self/mounts | grep -E '^/(dev|proc|sys) |^/dev/(pts|shm|mqueue)' | sort"),
];

/// On cgroup v1 and v2.
const LIMITS: &str = "cd /sys/fs/cgroup; cat pids.max pids/pids.max memory.max memory/memory.limit_in_bytes \
                      cpu.weight cpu/cpu.shares cpu.max cpu/cpu.cfs_quota_us cpuset.cpus cpuset/cpuset.cpus 2>/dev/null; true";

const CAPABILITIES: &str = "grep Cap /proc/self/status";

/// The same of what only level `oci` gives. runc gives no `--privileged` where a capability is missing, as in most sandboxes.
pub const AT_OCI: &[(&[&str], &str)] = &[
    (&["--cap-add", "NET_ADMIN"], "ip link set lo mtu 1400 && echo 1400"),
    (&["--cap-add", "SYS_ADMIN"], CAPABILITIES),
    (
        &["--security-opt", "seccomp=unconfined"],
        "grep Seccomp: /proc/self/status; unshare -U true && echo unshared",
    ),
];

/// Runs everything under runc and under another runtime; `run` takes the runtime and the words after `run`.
#[track_caller]
pub fn compare(image: &str, runs: &[(&[&str], &str)], runtime: &str, run: impl Fn(&str, &[&str]) -> Output) {
    let mut different = Vec::new();
    for (flags, script) in runs {
        let shell = ["sh", "-c", script];
        let program = if flags.contains(&"--entrypoint") { &shell[2..] } else { &shell[..] };
        let network = if flags.contains(&"--network") { &[][..] } else { &["--network", "none"] };
        let words = [&["--rm"], network, flags, &[image], program].concat();
        let said = |output: Output| (output.code, output.stdout, output.stderr);
        let (theirs, ours) = (said(run("runc", &words)), said(run(runtime, &words)));
        if theirs != ours {
            different.push(format!("{flags:?} {script}\n  runc: {theirs:?}\n  {runtime}: {ours:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
