//! Masked and read-only paths (OCI config-linux, "Masked Paths", "Readonly Paths").

use std::collections::BTreeSet;

use super::{Notes, Plan};

/// Absolute, as the specification wants them; others are written, and meant from the root.
pub(super) fn resolve(at: &str, list: Option<&Option<Vec<String>>>, notes: &mut Notes) -> Vec<String> {
    let mut paths = list.and_then(Clone::clone).unwrap_or_default();
    for path in paths.iter_mut().filter(|path| !path.is_empty() && !path.starts_with('/')) {
        path.insert(0, '/');
        notes.change(at, format!("taken as {path}, from the root"));
    }
    // A second mount on the first would hide nothing more.
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths
}

/// Paths of `/proc` and `/sys` that tell about or reach the host: what container engines hide, at least, and what tells
/// of the kernel's build, memory and start. Programs that look for these find an empty file, and go without.
const MASKED: [&str; 19] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/cmdline",
    "/proc/config.gz",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/slabinfo",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/notes",
];

/// Paths of `/proc` that change the host.
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(super) fn tighten(plan: &mut Plan, notes: &mut Notes) {
    let lists = [
        ("linux.maskedPaths", &mut plan.masked_paths, MASKED.as_slice()),
        ("linux.readonlyPaths", &mut plan.readonly_paths, READONLY.as_slice()),
    ];
    for (at, list, least) in lists {
        let missing: Vec<&str> =
            least.iter().copied().filter(|path| !list.iter().any(|own| own == path)).collect();
        if !missing.is_empty() {
            notes.change(at, format!("{} added", missing.join(", ")));
            list.extend(missing.into_iter().map(str::to_owned));
        }
    }
}
