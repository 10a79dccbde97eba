//! At `oci` the workload sees what it sees under runc and crun, wherever those two agree.

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root};

/// What must agree, as paths into the probe's report.
const COMPARED: &[&str] = &[
    "/status/Uid",
    "/status/Gid",
    "/status/Groups",
    "/status/Umask",
    "/status/NoNewPrivs",
    "/status/Seccomp",
    "/caps",
    "/cwd",
    "/env",
    "/fds",
    "/rlimits/RLIMIT_NOFILE",
    "/rlimits/RLIMIT_CORE",
    "/devices/null",
    "/devices/zero",
    "/devices/full",
    "/devices/random",
    "/devices/urandom",
    "/devices/tty",
    "/devices/ptmx",
    "/devices/fd",
    "/devices/stdin",
    "/devices/stdout",
    "/devices/stderr",
    "/devices/core",
    "/devices/shm",
    "/devices/pts",
    "/devices/mqueue",
    "/masked",
];

/// The part of the report that does not depend on the container's id, the time or descriptors' numbers.
fn compared(report: &Value) -> Vec<(&'static str, Value)> {
    COMPARED
        .iter()
        .map(|path| {
            let mut value = report.pointer(path).cloned().unwrap_or(Value::Null);
            if *path == "/fds" {
                value = value.as_object().map(|fds| fds.keys().cloned().collect()).unwrap_or(Value::Null);
            }
            if *path == "/masked" {
                forget_writes(&mut value);
            }
            (*path, value)
        })
        .chain([("mounts", mounts(report))])
        .collect()
}

/// The peers mask a file with `/dev/null`, which swallows what is written; ours refuses.
fn forget_writes(masked: &mut Value) {
    for path in masked.as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
        path.as_object_mut().map(|state| state.remove("write"));
    }
}

/// Place, type and flags of the mounts that config.json asks for, sorted.
fn mounts(report: &Value) -> Value {
    const PLACES: &[&str] = &["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"];
    let all = report["mounts"].as_array().cloned().unwrap_or_default();
    let wanted = all.iter().filter(|mount| PLACES.iter().any(|place| mount["destination"] == *place));
    let mut lines: Vec<String> = wanted
        .map(|mount| format!("{} {} {}", mount["destination"], mount["type"], mount["options"]))
        .collect();
    lines.sort();
    lines.into()
}

#[test]
fn the_workload_sees_the_same_as_under_runc_and_crun() {
    skip_unless!(is_root(), "needs root");
    let bundle = || Bundle::probe(&["report"]);
    let (Some(runc), Some(crun)) = (Runtime::peer("runc"), Runtime::peer("crun")) else {
        skip!("needs runc and crun to compare with");
    };
    let of_crun = crun.run(&bundle());
    skip_unless!(of_crun.code == 0, "crun does not work here: {}", of_crun.stderr.trim());
    let (of_runc, of_crun) = (compared(&runc.ask(&bundle())), compared(&of_crun.json()));
    let ours = compared(&Runtime::at_level("oci").ask(&bundle()));
    let agreed = of_runc.iter().zip(&of_crun).filter(|(one, other)| one == other);
    assert!(agreed.clone().count() > COMPARED.len() / 2, "the peers hardly agree: {of_runc:#?} {of_crun:#?}");
    let differences: Vec<String> = agreed
        .filter_map(|(theirs, _)| {
            let own = ours.iter().find(|own| own.0 == theirs.0)?;
            (own != theirs).then(|| format!("{}: {} instead of {}", own.0, own.1, theirs.1))
        })
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Files of cgroup v1 and v2 that hold limits. Not the devices: runc lets every container make any node, and use tun.
const LIMITS: &[&str] = &[
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "memory.swappiness",
    "memory.oom_control",
    "memory.max",
    "memory.swap.max",
    "memory.low",
    "cpu.shares",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.cfs_burst_us",
    "cpu.idle",
    "cpu.max",
    "cpu.weight",
    "cpuset.cpus",
    "cpuset.mems",
    "pids.max",
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_iops_device",
    "io.max",
];

/// What is in force of a container.
fn limits(bundle: &Bundle) -> Vec<(String, String)> {
    let top = std::path::Path::new("/sys/fs/cgroup");
    let places = std::fs::read_dir(top).expect("cgroups").flatten().map(|entry| entry.path());
    let mut found = Vec::new();
    for place in places.chain([top.to_owned()]) {
        for file in LIMITS {
            if let Ok(text) = std::fs::read_to_string(place.join(&bundle.id).join(file)) {
                let mut lines: Vec<&str> =
                    text.lines().filter(|line| !line.starts_with("oom_kill ")).collect();
                lines.sort_unstable();
                found.push(((*file).to_owned(), lines.join("\n")));
            }
        }
    }
    found.sort();
    found
}

/// Numbers of a disk.
fn block_device() -> Option<(i64, i64)> {
    let disks = std::fs::read_dir("/sys/block").ok()?.flatten();
    let numbers = disks.filter_map(|disk| std::fs::read_to_string(disk.path().join("dev")).ok()).next()?;
    let (major, minor) = numbers.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[test]
fn limits_and_updates_end_where_they_end_with_runc() {
    skip_unless!(is_root(), "needs root");
    let Some(runc) = Runtime::peer("runc") else { skip!("needs runc to compare with") };
    let Some((major, minor)) = block_device() else { skip!("needs a block device") };
    let mib = |count: i64| count << 20;
    let steps: [(Value, &[&[&str]]); 5] = [
        (json!({}), &[&["--memory=64M", "--memory-swap=-1"], &["--pids-limit=-1"], &["--cpu-share=0"]]),
        (
            json!({ "memory": { "limit": mib(64), "swap": mib(128), "reservation": mib(32), "swappiness": 0 },
                    "cpu": { "shares": 2, "quota": 0, "period": 50_000, "cpus": "0", "mems": "0" } }),
            &[
                &["--memory=256m", "--memory-swap=512m"],
                &["--memory=32M", "--memory-swap=32M", "--memory-reservation=16M"],
                &["--memory=-1"],
                &["--cpu-quota=20000"],
                &["--cpu-period=40000"],
                &["--cpu-quota=-1", "--cpu-share=262144"],
            ],
        ),
        (
            json!({ "memory": { "limit": -1, "swap": -1, "disableOOMKiller": true }, "cpu": { "quota": -1 } }),
            &[],
        ),
        (
            json!({ "pids": { "limit": 0 }, "memory": { "limit": 0, "swap": 0 }, "cpu": { "shares": 0, "cpus": "" } }),
            &[],
        ),
        (
            json!({ "pids": { "limit": 10 },
                    "blockIO": { "weight": 0, "throttleReadBpsDevice": [{ "major": major, "minor": minor, "rate": 4096 }],
                                 "throttleWriteIOPSDevice": [{ "major": major, "minor": minor, "rate": 0 }] },
                    "devices": [{ "allow": false, "access": "rwm" },
                                { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" }] }),
            &[&["--pids-limit=20", "--cpuset-cpus=0-1"]],
        ),
    ];
    let ours = Runtime::at_level("oci");
    for (resources, updates) in steps {
        let pair = [&runc, &ours].map(|runtime| {
            let mut bundle = Bundle::probe(&["sleep", "60"]);
            bundle.config["linux"]["resources"] = resources.clone();
            runtime.create(&bundle).ok();
            (runtime, bundle)
        });
        let compare = |what: &str| {
            let [theirs, own] = [&pair[0].1, &pair[1].1].map(limits);
            assert!(theirs.len() > 3, "nothing to compare: {theirs:?}");
            assert_eq!(own, theirs, "{what}");
        };
        compare(&resources.to_string());
        for flags in updates {
            for (runtime, bundle) in &pair {
                let words: Vec<&str> =
                    std::iter::once("update").chain(flags.iter().copied()).chain([&*bundle.id]).collect();
                runtime.call(&words).ok();
            }
            compare(&format!("{resources} and then {flags:?}"));
        }
    }
}
