//! `io.containerd.cgroups.v2.Metrics`.

use std::collections::BTreeMap;

use containerd_shim_protos::cgroups_v2::metrics::{
    CPUStat, HugeTlbStat, IOEntry, IOStat, MemoryEvents, MemoryStat, Metrics, PSIData, PSIStats, PidsStat,
    RdmaEntry, RdmaStat,
};
use containerd_shim_protos::protobuf::MessageField;

use super::{pids_limit, some};
use crate::cgroup::stats::{self, Pressure, Stall, Stats};

/// What is kept in nanoseconds is told in microseconds.
const MICROSECOND: u64 = 1000;

pub(super) fn metrics(stats: &Stats) -> Metrics {
    Metrics {
        pids: some(PidsStat { current: stats.pids.current, limit: pids_limit(stats), ..PidsStat::default() }),
        cpu: some(cpu(&stats.cpu)),
        memory: some(memory(&stats.memory)),
        rdma: some(RdmaStat {
            current: rdma(&stats.rdma.current),
            limit: rdma(&stats.rdma.limit),
            ..RdmaStat::default()
        }),
        io: some(IOStat {
            usage: io(&stats.blkio),
            psi: pressure(stats.blkio.psi.as_ref()),
            ..IOStat::default()
        }),
        hugetlb: hugetlb(stats),
        memory_events: events(&stats.memory),
        ..Metrics::default()
    }
}

fn cpu(cpu: &stats::Cpu) -> CPUStat {
    CPUStat {
        usage_usec: cpu.usage.total / MICROSECOND,
        user_usec: cpu.usage.user / MICROSECOND,
        system_usec: cpu.usage.kernel / MICROSECOND,
        nr_periods: cpu.throttling.periods,
        nr_throttled: cpu.throttling.throttled_periods,
        throttled_usec: cpu.throttling.throttled_time / MICROSECOND,
        psi: pressure(cpu.psi.as_ref()),
        nr_bursts: cpu.throttling.bursts,
        burst_usec: cpu.throttling.burst_time / MICROSECOND,
        ..CPUStat::default()
    }
}

fn memory(memory: &stats::Memory) -> MemoryStat {
    let raw = |name: &str| memory.raw.get(name).copied().unwrap_or(0);
    MemoryStat {
        anon: raw("anon"),
        file: raw("file"),
        kernel_stack: raw("kernel_stack"),
        slab: raw("slab"),
        sock: raw("sock"),
        shmem: raw("shmem"),
        file_mapped: raw("file_mapped"),
        file_dirty: raw("file_dirty"),
        file_writeback: raw("file_writeback"),
        anon_thp: raw("anon_thp"),
        inactive_anon: raw("inactive_anon"),
        active_anon: raw("active_anon"),
        inactive_file: raw("inactive_file"),
        active_file: raw("active_file"),
        unevictable: raw("unevictable"),
        slab_reclaimable: raw("slab_reclaimable"),
        slab_unreclaimable: raw("slab_unreclaimable"),
        pgfault: raw("pgfault"),
        pgmajfault: raw("pgmajfault"),
        workingset_refault: raw("workingset_refault"),
        workingset_activate: raw("workingset_activate"),
        workingset_nodereclaim: raw("workingset_nodereclaim"),
        pgrefill: raw("pgrefill"),
        pgscan: raw("pgscan"),
        pgsteal: raw("pgsteal"),
        pgactivate: raw("pgactivate"),
        pgdeactivate: raw("pgdeactivate"),
        pglazyfree: raw("pglazyfree"),
        pglazyfreed: raw("pglazyfreed"),
        thp_fault_alloc: raw("thp_fault_alloc"),
        thp_collapse_alloc: raw("thp_collapse_alloc"),
        usage: memory.usage.usage,
        usage_limit: memory.usage.limit,
        swap_usage: memory.swap_alone.usage,
        swap_limit: memory.swap_alone.limit,
        max_usage: memory.usage.max,
        swap_max_usage: memory.swap_alone.max,
        psi: pressure(memory.psi.as_ref()),
        ..MemoryStat::default()
    }
}

/// Nothing without a memory controller.
fn events(memory: &stats::Memory) -> MessageField<MemoryEvents> {
    let event = |name: &str| memory.events.get(name).copied().unwrap_or(0);
    let events = MemoryEvents {
        low: event("low"),
        high: event("high"),
        max: event("max"),
        oom: event("oom"),
        oom_kill: event("oom_kill"),
        oom_group_kill: event("oom_group_kill"),
        ..MemoryEvents::default()
    };
    if memory.events.is_empty() { MessageField::none() } else { some(events) }
}

/// One entry for each device.
fn io(blkio: &stats::Blkio) -> Vec<IOEntry> {
    let mut devices: BTreeMap<(u64, u64), IOEntry> = BTreeMap::new();
    let bytes = blkio.io_service_bytes_recursive.iter().map(|it| (it, true));
    for (count, is_bytes) in bytes.chain(blkio.io_serviced_recursive.iter().map(|it| (it, false))) {
        let entry = devices.entry((count.major, count.minor)).or_default();
        (entry.major, entry.minor) = (count.major, count.minor);
        match (count.op.as_str(), is_bytes) {
            ("Read", true) => entry.rbytes = count.value,
            ("Write", true) => entry.wbytes = count.value,
            ("Read", false) => entry.rios = count.value,
            ("Write", false) => entry.wios = count.value,
            _ => {}
        }
    }
    devices.into_values().collect()
}

fn hugetlb(stats: &Stats) -> Vec<HugeTlbStat> {
    let size = |(size, pages): (&String, &stats::Hugetlb)| HugeTlbStat {
        current: pages.usage,
        max: pages.limit,
        pagesize: size.clone(),
        failcnt: pages.failcnt,
        ..HugeTlbStat::default()
    };
    stats.hugetlb.iter().map(size).collect()
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

fn pressure(pressure: Option<&Pressure>) -> MessageField<PSIStats> {
    let stall = |stall: &Stall| PSIData {
        avg10: stall.avg10,
        avg60: stall.avg60,
        avg300: stall.avg300,
        total: stall.total,
        ..PSIData::default()
    };
    let told = |pressure: &Pressure| PSIStats {
        some: some(stall(&pressure.some)),
        full: some(stall(&pressure.full)),
        ..PSIStats::default()
    };
    pressure.map(told).into()
}
