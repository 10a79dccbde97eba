//! What a cgroup has used: one reading of all its controllers, the same form for v1, v2 and both.
//!
//! Names and units of the JSON are those of `runc events --stats`, which monitoring reads. A controller that the
//! host does not have leaves its part at zero; so does a counter that only the other version has. What the JSON has no
//! name for is for containerd's metrics.

mod read;
mod v1;
mod v2;

use std::collections::BTreeMap;

use serde::Serialize;

pub use read::read;

/// Everything at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// CPU time.
    pub cpu: Cpu,
    /// Where it may run.
    pub cpuset: CpuSet,
    /// Memory.
    pub memory: Memory,
    /// Processes.
    pub pids: Pids,
    /// Block I/O.
    pub blkio: Blkio,
    /// Huge pages by size, such as `2MB`.
    pub hugetlb: BTreeMap<String, Hugetlb>,
    /// RDMA resources in use.
    #[serde(skip)]
    pub rdma: Rdma,
}

/// CPU time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// What was used, in nanoseconds.
    pub usage: CpuUsage,
    /// What a quota held back.
    pub throttling: Throttling,
    /// How long work waited for a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// CPU time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    /// All of it.
    pub total: u64,
    /// For each CPU (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// In the kernel, for each CPU (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// In programs, for each CPU (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// What a CPU quota did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods that passed.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// How long it waited, in nanoseconds.
    pub throttled_time: u64,
    /// Periods in which more than the quota was used, out of earlier ones (v2, Linux 5.14).
    #[serde(skip)]
    pub bursts: u64,
    /// How much more, in nanoseconds.
    #[serde(skip)]
    pub burst_time: u64,
}

/// CPUs and memory nodes in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuSet {
    /// CPUs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u32>,
    /// Memory nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u32>,
    /// The flags of cpusets(7): `cpu_exclusive`, `mem_hardwall` and so on (v1).
    #[serde(flatten)]
    pub flags: BTreeMap<String, i64>,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Page cache.
    pub cache: u64,
    /// Memory.
    pub usage: MemoryUsage,
    /// Memory and swap together.
    pub swap: MemoryUsage,
    /// Memory of the kernel's (v1).
    pub kernel: MemoryUsage,
    /// Memory in TCP buffers (v1).
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryUsage,
    /// `memory.stat`.
    pub raw: BTreeMap<String, u64>,
    /// Swap without memory (v2).
    #[serde(skip)]
    pub swap_alone: MemoryUsage,
    /// `memory.events`, or `memory.oom_control` on v1.
    #[serde(skip)]
    pub events: BTreeMap<String, u64>,
    /// How long work waited for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One kind of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MemoryUsage {
    /// The limit; the largest number where there is none.
    pub limit: u64,
    /// In use.
    pub usage: u64,
    /// The most that was in use.
    pub max: u64,
    /// How often the limit was met.
    pub failcnt: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pids {
    /// How many there are.
    pub current: u64,
    /// How many there may be; 0 for no limit.
    pub limit: u64,
}

/// Block I/O. Which lists are filled depends on the version and the I/O scheduler.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blkio {
    /// Bytes moved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// Operations that wait (BFQ on v1).
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "Vec::is_empty")]
    pub io_queued_recursive: Vec<BlkioEntry>,
    /// Nanoseconds of service (BFQ on v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlkioEntry>,
    /// Nanoseconds of waiting (BFQ on v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlkioEntry>,
    /// Operations joined to others (BFQ on v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlkioEntry>,
    /// Milliseconds of the device (BFQ on v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlkioEntry>,
    /// Sectors of 512 bytes (BFQ with `CONFIG_BFQ_CGROUP_DEBUG`, on v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlkioEntry>,
    /// How long work waited for I/O.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// A count of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlkioEntry {
    /// Major number of the device.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// `Read`, `Write`, …; absent where the kernel does not tell them apart.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The count.
    pub value: u64,
}

/// Huge pages of one size, in bytes: those reserved, where the kernel counts them (Linux 5.7).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hugetlb {
    /// In use.
    pub usage: u64,
    /// The most that was in use (v1).
    pub max: u64,
    /// How often the limit was met.
    pub failcnt: u64,
    /// The limit; the largest number where there is none (v2).
    #[serde(skip)]
    pub limit: u64,
}

/// RDMA resources (`Documentation/admin-guide/cgroup-v1/rdma.rst`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rdma {
    /// In use.
    pub current: Vec<RdmaEntry>,
    /// At most.
    pub limit: Vec<RdmaEntry>,
}

/// Those of one device; the largest number for no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RdmaEntry {
    /// Its name, such as `mlx4_0`.
    pub device: String,
    /// Handles of host channel adapters.
    pub handles: u32,
    /// Objects of theirs.
    pub objects: u32,
}

/// Pressure stall information (`Documentation/accounting/psi.rst`, Linux 4.20).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Stall,
    /// All of them did.
    pub full: Stall,
}

/// A share of time spent waiting.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stall {
    /// Percent of the last 10 s.
    pub avg10: f64,
    /// Percent of the last 60 s.
    pub avg60: f64,
    /// Percent of the last 300 s.
    pub avg300: f64,
    /// Microseconds in all.
    pub total: u64,
}

#[cfg(test)]
mod tests;
