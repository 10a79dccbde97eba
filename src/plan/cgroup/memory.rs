//! `linux.resources.memory`.

use oci_spec::runtime::LinuxMemory;

use super::{Draft, Setting, Version};

const LIMIT: &str = "linux.resources.memory.limit";
const RESERVATION: &str = "linux.resources.memory.reservation";
const SWAP: &str = "linux.resources.memory.swap";
const KERNEL: &str = "linux.resources.memory.kernel";
const KERNEL_TCP: &str = "linux.resources.memory.kernelTCP";
const SWAPPINESS: &str = "linux.resources.memory.swappiness";
const OOM: &str = "linux.resources.memory.disableOOMKiller";
const HIERARCHY: &str = "linux.resources.memory.useHierarchy";

/// v1's limit on memory plus swap.
const MEMSW: &str = "memory.memsw.limit_in_bytes";

/// Limits in bytes; 0 is "not set" and −1 "no limit", as every runtime reads them.
pub(super) fn plan(memory: &LinuxMemory, draft: &mut Draft<'_>) {
    let version = draft.version_of("memory");
    let limit = bytes(memory.limit(), LIMIT, draft);
    let swap = bytes(memory.swap(), SWAP, draft);
    if !swap_fits(limit.or(in_force(version, draft)), swap, draft) {
        return;
    }
    let reservation = bytes(memory.reservation(), RESERVATION, draft);
    let check = memory.check_before_update().unwrap_or(false);
    match version {
        Version::V1 => limits_v1(limit, swap, reservation, check, draft),
        Version::V2 => limits_v2(limit, swap, reservation, check, draft),
    }
    match version {
        Version::V1 => rest_v1(memory, draft),
        Version::V2 => rest_v2(memory, draft),
    }
    if memory.use_hierarchy().is_some() {
        draft.ignore(HIERARCHY, "cgroups are always hierarchical (v2, and v1 since Linux 5.11)");
    }
    if nonzero_kernel(memory) {
        draft.ignore(KERNEL, "kernel memory counts as memory (v2, and v1 since Linux 5.4)");
    }
}

/// The memory limit of a running container that is updated.
fn in_force(version: Version, draft: &Draft<'_>) -> Option<i64> {
    let limit = match version {
        Version::V1 => draft.in_force("memory.limit_in_bytes"),
        Version::V2 => draft.in_force("memory.max"),
    };
    limit.and_then(|value| value.parse().ok())
}

/// `swap` is memory plus swap, so it is never below `limit`, and says nothing without it.
fn swap_fits(limit: Option<i64>, swap: Option<i64>, draft: &mut Draft<'_>) -> bool {
    let reason = match (limit, swap) {
        (_, None | Some(-1)) => return true,
        (None | Some(-1), Some(_)) => "swap is memory plus swap, and there is no memory limit",
        (Some(limit), Some(swap)) if swap < limit => "swap is memory plus swap, and below the memory limit",
        _ => return true,
    };
    draft.invalid("cannot limit swap", SWAP, reason);
    false
}

fn limits_v1(
    limit: Option<i64>,
    swap: Option<i64>,
    reservation: Option<i64>,
    check: bool,
    draft: &mut Draft<'_>,
) {
    // A cgroup starts unlimited, so the smaller of the two comes first; where an update raises both, the
    // kernel refuses the first write and it is repeated after the second.
    if let Some(limit) = limit {
        let usage = check.then_some("memory.usage_in_bytes");
        draft.push(Setting::new("memory", "memory.limit_in_bytes", limit, LIMIT).not_below(usage));
    }
    let both = draft.in_force(MEMSW).and_then(|value| value.parse().ok()).filter(|both| *both != -1);
    match (limit, swap) {
        (_, Some(swap)) => draft.set("memory", MEMSW, swap, SWAP),
        (Some(limit), None) if both.is_some_and(|both| limit > both) => {
            draft.invalid("cannot limit memory", LIMIT, "it is above the limit on memory plus swap in force");
        }
        // No limit on memory means none on memory plus swap either, or the old one would still hold.
        (Some(-1), None) => {
            draft.push(Setting::new("memory", MEMSW, -1, LIMIT).or_skip());
        }
        _ => {}
    }
    if let Some(reservation) = reservation {
        draft.set("memory", "memory.soft_limit_in_bytes", reservation, RESERVATION);
    }
}

fn limits_v2(
    limit: Option<i64>,
    swap: Option<i64>,
    reservation: Option<i64>,
    check: bool,
    draft: &mut Draft<'_>,
) {
    let swap = match (limit.or(in_force(Version::V2, draft)), swap) {
        (_, Some(-1)) | (Some(-1), None) => Some("max".to_owned()),
        (Some(limit), Some(swap)) => Some((swap - limit).to_string()),
        _ => None,
    };
    if let Some(value) = swap {
        // A kernel without swap accounting has no such file; "none" and "no limit" hold without it only
        // where nothing is swapped at all, which is what such kernels are built for.
        let setting = Setting::new("memory", "memory.swap.max", &value, SWAP);
        draft.push(if value == "max" || value == "0" { setting.or_skip() } else { setting });
    }
    if let Some(limit) = limit {
        let usage = check.then_some("memory.current");
        draft.push(Setting::new("memory", "memory.max", max(limit), LIMIT).not_below(usage));
    }
    if let Some(reservation) = reservation {
        draft.set("memory", "memory.low", max(reservation), RESERVATION);
    }
}

fn rest_v1(memory: &LinuxMemory, draft: &mut Draft<'_>) {
    if let Some(bytes) = kernel_tcp(memory) {
        draft.set("memory", "memory.kmem.tcp.limit_in_bytes", bytes, KERNEL_TCP);
    }
    match memory.swappiness() {
        // The second is −1, as callers write "not set".
        None | Some(u64::MAX) => {}
        Some(percent @ 0..=100) => draft.set("memory", "memory.swappiness", percent, SWAPPINESS),
        Some(other) => {
            draft.invalid("cannot set the swappiness", SWAPPINESS, format!("{other} is not in 0..=100"));
        }
    }
    if let Some(disable) = memory.disable_oom_killer() {
        let setting = Setting::new("memory", "memory.oom_control", u8::from(disable), OOM);
        // `false` is where every cgroup starts: no host is refused for lacking what it would undo.
        if disable {
            draft.push(setting);
        } else if draft.layout.version_of("memory").is_some() {
            draft.push(setting.or_skip());
        }
    }
}

fn rest_v2(memory: &LinuxMemory, draft: &mut Draft<'_>) {
    if kernel_tcp(memory).is_some() {
        draft.ignore(KERNEL_TCP, "socket buffers count as memory in cgroup v2");
    }
    if memory.swappiness().is_some_and(|percent| percent != u64::MAX) {
        draft.ignore(SWAPPINESS, "cgroup v2 has no swappiness; limit swap instead");
    }
    if memory.disable_oom_killer() == Some(true) {
        draft.ignore(OOM, "cgroup v2 cannot switch the OOM killer off");
    }
}

/// The kernel's word for "no limit" in v2.
fn max(bytes: i64) -> String {
    if bytes == -1 { "max".to_owned() } else { bytes.to_string() }
}

fn bytes(field: Option<i64>, at: &str, draft: &mut Draft<'_>) -> Option<i64> {
    match field {
        None | Some(0) => None,
        Some(bytes) if bytes < -1 => {
            draft.invalid("cannot limit memory", at, format!("{bytes} is neither a size nor -1 (no limit)"));
            None
        }
        set => set,
    }
}

#[allow(deprecated)] // the field is, and is still in what engines send
fn nonzero_kernel(memory: &LinuxMemory) -> bool {
    memory.kernel().is_some_and(|bytes| bytes != 0)
}

fn kernel_tcp(memory: &LinuxMemory) -> Option<i64> {
    memory.kernel_tcp().filter(|bytes| *bytes != 0)
}
