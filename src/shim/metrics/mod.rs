//! What a container has used, in the messages that containerd, its CRI and cAdvisor read (`io.containerd.cgroups.v1`
//! and `v2`), filled as containerd's runc shim fills them. The network's counts are in neither: CRI reads them itself.

mod v1;
mod v2;

use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};

use crate::cgroup::Dirs;
use crate::cgroup::stats::{self, Stats};
use crate::error::{Context, Result};
use crate::plan::cgroup::Version;

/// The answer to `Stats` of the task service.
///
/// # Errors
/// `Failed` if a file of the cgroup cannot be read.
pub fn of(dirs: &Dirs) -> Result<Any> {
    let stats = stats::read(dirs)?;
    match dirs.version() {
        Version::V1 => any("v1", &v1::metrics(&stats, &v1::devices(&stats)?)),
        Version::V2 => any("v2", &v2::metrics(&stats)),
    }
}

/// Named as containerd names it: without the host that protobuf has in front. The message could tell its name, too, but
/// not without the tables of reflection, which stay in memory.
fn any<M: Message>(version: &str, message: &M) -> Result<Any> {
    let value = message.write_to_bytes().map_err(|error| error.to_string());
    let value = value.context(|| "cannot write the metrics".to_owned())?;
    Ok(Any { type_url: format!("io.containerd.cgroups.{version}.Metrics"), value, ..Any::default() })
}

/// `pids.max`, as it is read: no limit is the largest number.
fn pids_limit(stats: &Stats) -> u64 {
    match stats.pids.limit {
        0 => u64::MAX,
        limit => limit,
    }
}

fn some<T>(message: T) -> MessageField<T> {
    MessageField::some(message)
}

#[cfg(test)]
mod tests;
