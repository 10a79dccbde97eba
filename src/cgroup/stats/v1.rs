//! The files of cgroup v1 (`Documentation/admin-guide/cgroup-v1`).

use super::read::{Files, entry, list};
use super::{BlkioEntry, Hugetlb, MemoryUsage, Stats};
use crate::sys::CallError;

/// `cpuacct.stat` counts in ticks of 1/100 s (`USER_HZ`).
const TICK: u64 = 10_000_000;

/// The flags of a cpuset, as files and as they are printed.
const CPUSET_FLAGS: [(&str, &str); 9] = [
    ("cpuset.cpu_exclusive", "cpu_exclusive"),
    ("cpuset.mem_hardwall", "mem_hardwall"),
    ("cpuset.mem_exclusive", "mem_exclusive"),
    ("cpuset.memory_migrate", "memory_migrate"),
    ("cpuset.memory_spread_page", "memory_spread_page"),
    ("cpuset.memory_spread_slab", "memory_spread_slab"),
    ("cpuset.memory_pressure", "memory_pressure"),
    ("cpuset.sched_load_balance", "sched_load_balance"),
    ("cpuset.sched_relax_domain_level", "sched_relax_domain_level"),
];

pub(super) fn cpu(files: &Files<'_>, stats: &mut Stats) -> Result<(), CallError> {
    let table = files.table("cpu.stat")?;
    let value = |name: &str| table.get(name).copied().unwrap_or(0);
    let throttling = &mut stats.cpu.throttling;
    throttling.periods = value("nr_periods");
    throttling.throttled_periods = value("nr_throttled");
    throttling.throttled_time = value("throttled_time");
    Ok(())
}

pub(super) fn cpuacct(files: &Files<'_>, stats: &mut Stats) -> Result<(), CallError> {
    let usage = &mut stats.cpu.usage;
    usage.total = files.number("cpuacct.usage")?.unwrap_or(0);
    let table = files.table("cpuacct.stat")?;
    usage.user = table.get("user").copied().unwrap_or(0).saturating_mul(TICK);
    usage.kernel = table.get("system").copied().unwrap_or(0).saturating_mul(TICK);
    let numbers = |text: &str| text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    usage.percpu = files.text("cpuacct.usage_percpu")?.map(|text| numbers(&text)).unwrap_or_default();
    // A line of titles, then one for each CPU: number, user, system.
    let all = files.text("cpuacct.usage_all")?.unwrap_or_default();
    for line in all.lines().skip(1) {
        let row: Vec<u64> = numbers(line);
        if let [_, user, kernel] = row.as_slice() {
            usage.percpu_user.push(*user);
            usage.percpu_kernel.push(*kernel);
        }
    }
    Ok(())
}

pub(super) fn cpuset(files: &Files<'_>, stats: &mut Stats) -> Result<(), CallError> {
    stats.cpuset.cpus = list(&files.text("cpuset.cpus")?.unwrap_or_default());
    stats.cpuset.mems = list(&files.text("cpuset.mems")?.unwrap_or_default());
    for (file, name) in CPUSET_FLAGS {
        // The level may be −1.
        if let Some(flag) = files.text(file)?.and_then(|text| text.trim().parse().ok()) {
            stats.cpuset.flags.insert(name.to_owned(), flag);
        }
    }
    Ok(())
}

pub(super) fn memory(files: &Files<'_>, stats: &mut Stats) -> Result<(), CallError> {
    let memory = &mut stats.memory;
    memory.raw = files.table("memory.stat")?;
    memory.cache = memory.raw.get("cache").copied().unwrap_or(0);
    memory.usage = usage(files, "memory")?;
    memory.swap = usage(files, "memory.memsw")?;
    memory.kernel = usage(files, "memory.kmem")?;
    memory.kernel_tcp = usage(files, "memory.kmem.tcp")?;
    memory.events = files.table("memory.oom_control")?;
    Ok(())
}

fn usage(files: &Files<'_>, kind: &str) -> Result<MemoryUsage, CallError> {
    let value = |name: &str| Ok(files.number(&format!("{kind}.{name}"))?.unwrap_or(0));
    Ok(MemoryUsage {
        limit: value("limit_in_bytes")?,
        usage: value("usage_in_bytes")?,
        max: value("max_usage_in_bytes")?,
        failcnt: value("failcnt")?,
    })
}

/// BFQ's counts where it is the scheduler of a device, else those of throttling, which every device has.
pub(super) fn blkio(files: &Files<'_>, stats: &mut Stats) -> Result<(), CallError> {
    let list = |name: &str| -> Result<Vec<BlkioEntry>, CallError> {
        let text = files.text(&format!("blkio.bfq.{name}_recursive"))?.unwrap_or_default();
        Ok(entries(&text))
    };
    let blkio = &mut stats.blkio;
    blkio.io_serviced_recursive = list("io_serviced")?;
    if blkio.io_serviced_recursive.is_empty() {
        let throttled = |name: &str| -> Result<Vec<BlkioEntry>, CallError> {
            let recursive = files.text(&format!("blkio.throttle.{name}_recursive"))?;
            let text = match recursive {
                Some(text) => text,
                None => files.text(&format!("blkio.throttle.{name}"))?.unwrap_or_default(),
            };
            Ok(entries(&text))
        };
        blkio.io_service_bytes_recursive = throttled("io_service_bytes")?;
        blkio.io_serviced_recursive = throttled("io_serviced")?;
        return Ok(());
    }
    blkio.io_service_bytes_recursive = list("io_service_bytes")?;
    blkio.io_queued_recursive = list("io_queued")?;
    blkio.io_service_time_recursive = list("io_service_time")?;
    blkio.io_wait_time_recursive = list("io_wait_time")?;
    blkio.io_merged_recursive = list("io_merged")?;
    blkio.io_time_recursive = list("time")?;
    blkio.sectors_recursive = list("sectors")?;
    Ok(())
}

/// `8:0 Read 4096`, `8:0 4096`; the last line is a total over all devices.
pub(super) fn entries(text: &str) -> Vec<BlkioEntry> {
    let line = |line: &str| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [device, op, value] => entry(device, op, value),
        [device, value] => entry(device, "", value),
        _ => None,
    };
    text.lines().filter_map(line).collect()
}

pub(super) fn hugetlb(files: &Files<'_>, stats: &mut Stats) -> Result<(), CallError> {
    for size in files.page_sizes(".usage_in_bytes")? {
        let rsvd = format!("hugetlb.{size}.rsvd");
        let reserved = files.number(&format!("{rsvd}.usage_in_bytes"))?;
        let prefix = if reserved.is_some() { rsvd } else { format!("hugetlb.{size}") };
        let value = |name: &str| Ok(files.number(&format!("{prefix}.{name}"))?.unwrap_or(0));
        let pages = Hugetlb {
            usage: value("usage_in_bytes")?,
            max: value("max_usage_in_bytes")?,
            failcnt: value("failcnt")?,
            limit: value("limit_in_bytes")?,
        };
        stats.hugetlb.insert(size, pages);
    }
    Ok(())
}
