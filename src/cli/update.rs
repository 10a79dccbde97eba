use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::Global;
use crate::container::state::Lock;
use crate::container::status::find;
use crate::container::update::update;
use crate::error::{Error, Kind, Result};
use crate::oci;
use crate::plan::intel_rdt::Shares;
use crate::size::parse as size;

/// Change the limits of a container
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// File with the limits, in the form of `linux.resources` in config.json; `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    rdt: Rdt,
    /// Name of the container
    id: String,
}

/// Limits by flag. Sizes are bytes, or have a unit: 64k, 64M, 1.5GiB; -1 is no limit.
#[derive(Debug, Args)]
struct Limits {
    /// Weight of block I/O, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
    /// Period of the CPU quota, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<u64>,
    /// CPU time in a period, in microseconds; -1 is no limit
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// Unused CPU time that can be used later, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_burst: Option<u64>,
    /// Weight of CPU time, beside that of others
    #[arg(long, value_name = "SHARES")]
    cpu_share: Option<u64>,
    /// Period of realtime scheduling, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_rt_period: Option<u64>,
    /// Realtime CPU time in a period, in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    cpu_rt_runtime: Option<i64>,
    /// CPUs to use, such as 0-3,7
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// 1 for CPU time that nobody else wants
    #[arg(long, value_name = "0|1", allow_hyphen_values = true)]
    cpu_idle: Option<i64>,
    /// Memory
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    memory: Option<i64>,
    /// Memory that is reclaimed last, or first if it uses more
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    memory_reservation: Option<i64>,
    /// Memory and swap together
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Accepted for callers of runc: kernel memory counts as memory
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true, hide = true)]
    kernel_memory: Option<i64>,
    /// Memory for TCP buffers, on cgroup v1
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true, hide = true)]
    kernel_memory_tcp: Option<i64>,
    /// Number of processes; -1 is no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
}

/// What belongs to `linux.intelRdt`.
#[derive(Debug, Args)]
struct Rdt {
    /// Share of the L3 cache, for a container with linux.intelRdt
    #[arg(long, value_name = "SCHEMA")]
    l3_cache_schema: Option<String>,
    /// Share of the memory bandwidth, for a container with linux.intelRdt
    #[arg(long, value_name = "SCHEMA")]
    mem_bw_schema: Option<String>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    let flags = arguments.limits.as_resources();
    let resources = match &arguments.resources {
        Some(_) if flags.as_object().is_some_and(|all| !all.is_empty()) => {
            return Err(Error::new(Kind::Invalid, "both --resources and limits by flag are given", "")
                .fix("write all of them into the file, or none"));
        }
        Some(file) => oci::load_resources(file)?,
        // A flag means what it says, 0 too.
        None => oci::Resources { pids_limit: arguments.limits.pids_limit, ..oci::resources(flags)? },
    };
    let found = find(&global.root(), &arguments.id, Lock::Exclusive)?;
    let updated = update(&found, resources, &arguments.rdt.shares(), &global.policy())?;
    global.log().policy_warnings(&updated.warnings);
    for change in updated.notes {
        global.log().notice(&format!("{}: {}", change.at, change.what));
    }
    Ok(ExitCode::SUCCESS)
}

impl Rdt {
    fn shares(&self) -> Shares {
        Shares { l3_cache: self.l3_cache_schema.clone(), memory_bandwidth: self.mem_bw_schema.clone() }
    }
}

impl Limits {
    /// In the form of a file, so that there is one way from here on.
    fn as_resources(&self) -> Value {
        let parts = [
            ("blockIO", self.block_io()),
            ("cpu", self.cpu()),
            ("memory", self.memory()),
            ("pids", given([("limit", json!(self.pids_limit))])),
        ];
        match given(parts) {
            Value::Null => json!({}),
            given => given,
        }
    }

    fn block_io(&self) -> Value {
        given([("weight", json!(self.blkio_weight))])
    }

    fn cpu(&self) -> Value {
        given([
            ("shares", json!(self.cpu_share)),
            ("period", json!(self.cpu_period)),
            ("quota", json!(self.cpu_quota)),
            ("burst", json!(self.cpu_burst)),
            ("realtimePeriod", json!(self.cpu_rt_period)),
            ("realtimeRuntime", json!(self.cpu_rt_runtime)),
            ("cpus", json!(self.cpuset_cpus)),
            ("mems", json!(self.cpuset_mems)),
            ("idle", json!(self.cpu_idle)),
        ])
    }

    fn memory(&self) -> Value {
        given([
            ("limit", json!(self.memory)),
            ("reservation", json!(self.memory_reservation)),
            ("swap", json!(self.memory_swap)),
            ("kernel", json!(self.kernel_memory)),
            ("kernelTCP", json!(self.kernel_memory_tcp)),
        ])
    }
}

/// An object of what is given; null where nothing is.
fn given<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members: Map<String, Value> = members
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    if members.is_empty() { Value::Null } else { Value::Object(members) }
}
