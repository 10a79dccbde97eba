//! The container's own limits, as it can read them.

use std::fs;

use crate::errno::Errno;
use crate::json::Json;

/// Where each limit is, on v2 and on v1, when the container's own cgroup is mounted at `/sys/fs/cgroup`.
const LIMITS: &[(&str, &[&str])] = &[
    ("memory", &["memory.max", "memory/memory.limit_in_bytes"]),
    ("swap", &["memory.swap.max", "memory/memory.memsw.limit_in_bytes"]),
    ("pids", &["pids.max", "pids/pids.max"]),
    ("cpuWeight", &["cpu.weight", "cpu/cpu.shares", "cpu,cpuacct/cpu.shares"]),
    ("cpuMax", &["cpu.max", "cpu/cpu.cfs_quota_us", "cpu,cpuacct/cpu.cfs_quota_us"]),
    ("cpus", &["cpuset.cpus", "cpuset/cpuset.cpus"]),
    ("procs", &["cgroup.procs", "pids/cgroup.procs"]),
];

/// `/proc/self/cgroup` and the limits; null where none can be read.
pub fn own() -> Json {
    let membership = fs::read_to_string("/proc/self/cgroup");
    let lines: Json = membership.unwrap_or_default().lines().collect();
    let limits = LIMITS.iter().map(|(name, places)| (*name, first(places)));
    Json::object([("membership", lines), ("limits", Json::object(limits)), ("mounted", mounted())])
}

/// One limit by its name in the report.
pub fn limit(name: &str) -> Option<String> {
    let (_, places) = LIMITS.iter().find(|(known, _)| *known == name)?;
    let text = places.iter().find_map(|place| fs::read_to_string(format!("/sys/fs/cgroup/{place}")).ok())?;
    Some(match text.trim() {
        // What v1 shows where there is no limit.
        "9223372036854771712" | "max" => "without limit".to_owned(),
        limit => limit.to_owned(),
    })
}

fn first(places: &[&str]) -> Json {
    let text = places.iter().find_map(|place| fs::read_to_string(format!("/sys/fs/cgroup/{place}")).ok());
    text.map(|text| text.trim().to_owned()).into()
}

fn mounted() -> Json {
    match fs::read_dir("/sys/fs/cgroup") {
        Ok(entries) => {
            let mut names: Vec<String> =
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names.into_iter().collect()
        }
        Err(error) => Json::object([("errno", Errno::of(&error).to_string().into())]),
    }
}
