//! `io.containerd.cgroups.v1.Metrics`.

use std::collections::BTreeMap;

use containerd_shim_protos::cgroups::metrics::{
    BlkIOEntry, BlkIOStat, CPUStat, CPUUsage, HugetlbStat, MemoryEntry, MemoryOomControl, MemoryStat,
    Metrics, PidsStat, RdmaEntry, RdmaStat, Throttle,
};

use super::{pids_limit, some};
use crate::cgroup::stats::{self, BlkioEntry, MemoryUsage, Stats};
use crate::error::{Context, Result};

/// Paths of block devices by their numbers.
pub(super) type Devices = BTreeMap<(u64, u64), String>;

/// The names of the block devices that were used, from `/proc/partitions`.
pub(super) fn devices(stats: &Stats) -> Result<Devices> {
    let blkio = &stats.blkio;
    if blkio.io_serviced_recursive.is_empty() && blkio.io_service_bytes_recursive.is_empty() {
        return Ok(Devices::new());
    }
    let text = std::fs::read_to_string("/proc/partitions");
    Ok(partitions(&text.context(|| "cannot read /proc/partitions".to_owned())?))
}

/// `   8        0  262144000 sda`, below a title; the first of a device counts.
pub(super) fn partitions(text: &str) -> Devices {
    let line = |line: &str| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [major, minor, _, name] => Some(((major.parse().ok()?, minor.parse().ok()?), format!("/dev/{name}"))),
        _ => None,
    };
    let mut devices = Devices::new();
    for (numbers, path) in text.lines().filter_map(line) {
        devices.entry(numbers).or_insert(path);
    }
    devices
}

pub(super) fn metrics(stats: &Stats, devices: &Devices) -> Metrics {
    Metrics {
        hugetlb: hugetlb(stats),
        pids: some(PidsStat { current: stats.pids.current, limit: pids_limit(stats), ..PidsStat::default() }),
        cpu: some(cpu(stats)),
        memory: some(memory(&stats.memory)),
        blkio: some(blkio(&stats.blkio, devices)),
        rdma: some(RdmaStat {
            current: rdma(&stats.rdma.current),
            limit: rdma(&stats.rdma.limit),
            ..RdmaStat::default()
        }),
        memory_oom_control: some(oom_control(&stats.memory)),
        ..Metrics::default()
    }
}

fn hugetlb(stats: &Stats) -> Vec<HugetlbStat> {
    let size = |(size, pages): (&String, &stats::Hugetlb)| HugetlbStat {
        usage: pages.usage,
        max: pages.max,
        failcnt: pages.failcnt,
        pagesize: size.clone(),
        ..HugetlbStat::default()
    };
    stats.hugetlb.iter().map(size).collect()
}

fn cpu(stats: &Stats) -> CPUStat {
    let usage = &stats.cpu.usage;
    let throttling = &stats.cpu.throttling;
    CPUStat {
        usage: some(CPUUsage {
            total: usage.total,
            kernel: usage.kernel,
            user: usage.user,
            per_cpu: usage.percpu.clone(),
            ..CPUUsage::default()
        }),
        throttling: some(Throttle {
            periods: throttling.periods,
            throttled_periods: throttling.throttled_periods,
            throttled_time: throttling.throttled_time,
            ..Throttle::default()
        }),
        ..CPUStat::default()
    }
}

fn memory(memory: &stats::Memory) -> MemoryStat {
    let raw = |name: &str| memory.raw.get(name).copied().unwrap_or(0);
    MemoryStat {
        cache: raw("cache"),
        rss: raw("rss"),
        rss_huge: raw("rss_huge"),
        mapped_file: raw("mapped_file"),
        dirty: raw("dirty"),
        writeback: raw("writeback"),
        pg_pg_in: raw("pgpgin"),
        pg_pg_out: raw("pgpgout"),
        pg_fault: raw("pgfault"),
        pg_maj_fault: raw("pgmajfault"),
        inactive_anon: raw("inactive_anon"),
        active_anon: raw("active_anon"),
        inactive_file: raw("inactive_file"),
        active_file: raw("active_file"),
        unevictable: raw("unevictable"),
        hierarchical_memory_limit: raw("hierarchical_memory_limit"),
        hierarchical_swap_limit: raw("hierarchical_memsw_limit"),
        total_cache: raw("total_cache"),
        total_rss: raw("total_rss"),
        total_rss_huge: raw("total_rss_huge"),
        total_mapped_file: raw("total_mapped_file"),
        total_dirty: raw("total_dirty"),
        total_writeback: raw("total_writeback"),
        total_pg_pg_in: raw("total_pgpgin"),
        total_pg_pg_out: raw("total_pgpgout"),
        total_pg_fault: raw("total_pgfault"),
        total_pg_maj_fault: raw("total_pgmajfault"),
        total_inactive_anon: raw("total_inactive_anon"),
        total_active_anon: raw("total_active_anon"),
        total_inactive_file: raw("total_inactive_file"),
        total_active_file: raw("total_active_file"),
        total_unevictable: raw("total_unevictable"),
        usage: some(entry(&memory.usage)),
        swap: some(entry(&memory.swap)),
        kernel: some(entry(&memory.kernel)),
        kernel_tcp: some(entry(&memory.kernel_tcp)),
        ..MemoryStat::default()
    }
}

fn entry(usage: &MemoryUsage) -> MemoryEntry {
    MemoryEntry {
        limit: usage.limit,
        usage: usage.usage,
        max: usage.max,
        failcnt: usage.failcnt,
        ..MemoryEntry::default()
    }
}

fn oom_control(memory: &stats::Memory) -> MemoryOomControl {
    let event = |name: &str| memory.events.get(name).copied().unwrap_or(0);
    MemoryOomControl {
        oom_kill_disable: event("oom_kill_disable"),
        under_oom: event("under_oom"),
        oom_kill: event("oom_kill"),
        ..MemoryOomControl::default()
    }
}

fn blkio(blkio: &stats::Blkio, devices: &Devices) -> BlkIOStat {
    let list = |entries: &[BlkioEntry]| -> Vec<BlkIOEntry> {
        let entry = |entry: &BlkioEntry| BlkIOEntry {
            op: entry.op.clone(),
            device: devices.get(&(entry.major, entry.minor)).cloned().unwrap_or_default(),
            major: entry.major,
            minor: entry.minor,
            value: entry.value,
            ..BlkIOEntry::default()
        };
        entries.iter().map(entry).collect()
    };
    BlkIOStat {
        io_service_bytes_recursive: list(&blkio.io_service_bytes_recursive),
        io_serviced_recursive: list(&blkio.io_serviced_recursive),
        io_queued_recursive: list(&blkio.io_queued_recursive),
        io_service_time_recursive: list(&blkio.io_service_time_recursive),
        io_wait_time_recursive: list(&blkio.io_wait_time_recursive),
        io_merged_recursive: list(&blkio.io_merged_recursive),
        io_time_recursive: list(&blkio.io_time_recursive),
        sectors_recursive: list(&blkio.sectors_recursive),
        ..BlkIOStat::default()
    }
}

fn rdma(entries: &[stats::RdmaEntry]) -> Vec<RdmaEntry> {
    let entry = |entry: &stats::RdmaEntry| RdmaEntry {
        device: entry.device.clone(),
        hca_handles: entry.handles,
        hca_objects: entry.objects,
        ..RdmaEntry::default()
    };
    entries.iter().map(entry).collect()
}
