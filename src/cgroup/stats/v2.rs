//! The files of cgroup v2 (`Documentation/admin-guide/cgroup-v2.rst`).

use super::read::{Files, entry, list, words};
use super::{Hugetlb, MemoryUsage, Stats};
use crate::sys::CallError;

/// The kernel counts in microseconds.
const MICROSECOND: u64 = 1000;

pub(super) fn cpu(files: &Files<'_>, stats: &mut Stats) -> Result<(), CallError> {
    let table = files.table("cpu.stat")?;
    let value = |name: &str| table.get(name).copied().unwrap_or(0);
    let usage = &mut stats.cpu.usage;
    usage.total = value("usage_usec").saturating_mul(MICROSECOND);
    usage.user = value("user_usec").saturating_mul(MICROSECOND);
    usage.kernel = value("system_usec").saturating_mul(MICROSECOND);
    let throttling = &mut stats.cpu.throttling;
    throttling.periods = value("nr_periods");
    throttling.throttled_periods = value("nr_throttled");
    throttling.throttled_time = value("throttled_usec").saturating_mul(MICROSECOND);
    throttling.bursts = value("nr_bursts");
    throttling.burst_time = value("burst_usec").saturating_mul(MICROSECOND);
    Ok(())
}

pub(super) fn cpuset(files: &Files<'_>, stats: &mut Stats) -> Result<(), CallError> {
    stats.cpuset.cpus = list(&files.text("cpuset.cpus.effective")?.unwrap_or_default());
    stats.cpuset.mems = list(&files.text("cpuset.mems.effective")?.unwrap_or_default());
    Ok(())
}

/// Swap is reported as v1 does, with the memory in it.
pub(super) fn memory(files: &Files<'_>, stats: &mut Stats) -> Result<(), CallError> {
    let value = |file: &str| -> Result<u64, CallError> { Ok(files.number(file)?.unwrap_or(0)) };
    let memory = &mut stats.memory;
    memory.raw = files.table("memory.stat")?;
    memory.cache = memory.raw.get("file").copied().unwrap_or(0);
    memory.events = files.table("memory.events")?;
    memory.usage = MemoryUsage {
        limit: value("memory.max")?,
        usage: value("memory.current")?,
        // Linux 5.19
        max: value("memory.peak")?,
        failcnt: memory.events.get("max").copied().unwrap_or(0),
    };
    memory.swap_alone = MemoryUsage {
        limit: value("memory.swap.max")?,
        usage: value("memory.swap.current")?,
        // Linux 6.5
        max: value("memory.swap.peak")?,
        failcnt: files.table("memory.swap.events")?.get("max").copied().unwrap_or(0),
    };
    let alone = &memory.swap_alone;
    memory.swap = MemoryUsage {
        limit: alone.limit.saturating_add(memory.usage.limit),
        usage: alone.usage.saturating_add(memory.usage.usage),
        max: 0,
        failcnt: alone.failcnt,
    };
    Ok(())
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`
pub(super) fn io(files: &Files<'_>, stats: &mut Stats) -> Result<(), CallError> {
    for line in files.text("io.stat")?.unwrap_or_default().lines() {
        let device = line.split_whitespace().next().unwrap_or_default();
        for (name, value) in words(line) {
            let (list, op) = match name {
                "rbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Write"),
                "dbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Discard"),
                "rios" => (&mut stats.blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut stats.blkio.io_serviced_recursive, "Write"),
                "dios" => (&mut stats.blkio.io_serviced_recursive, "Discard"),
                _ => continue,
            };
            list.extend(entry(device, op, value));
        }
    }
    Ok(())
}

pub(super) fn hugetlb(files: &Files<'_>, stats: &mut Stats) -> Result<(), CallError> {
    for size in files.page_sizes(".current")? {
        let reserved = files.number(&format!("hugetlb.{size}.rsvd.current"))?;
        let usage = match reserved {
            Some(usage) => usage,
            None => files.number(&format!("hugetlb.{size}.current"))?.unwrap_or(0),
        };
        let events = files.table(&format!("hugetlb.{size}.events"))?;
        let failcnt = events.get("max").copied().unwrap_or(0);
        let limit = files.number(&format!("hugetlb.{size}.max"))?.unwrap_or(0);
        stats.hugetlb.insert(size, Hugetlb { usage, max: 0, failcnt, limit });
    }
    Ok(())
}
