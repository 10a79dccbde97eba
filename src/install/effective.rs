//! The configuration that containerd has in the end, as `containerd config dump` prints it.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::handlers::{HANDLERS, Setup};
use crate::error::{Error, Kind, Result};

/// Names of the CRI plugin's runtime part: of containerd 2.x, of 1.x, and of version 1 of the file.
pub const CRI: [&str; 3] = ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "cri"];

/// What `config dump` printed.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective(Table);

impl Effective {
    /// Reads it.
    ///
    /// # Errors
    /// `Failed` when it is no TOML.
    pub fn parse(dump: &str) -> Result<Effective> {
        let table = dump.parse::<Table>().map_err(|error| {
            Error::new(Kind::Failed, "cannot read what `containerd config dump` printed", error.message())
        })?;
        Ok(Effective(table))
    }

    /// The table of runtimes.
    pub fn runtimes(&self) -> Option<&Table> {
        runtimes(&self.0).map(|(_, runtimes)| runtimes)
    }

    /// The name under which the CRI plugin is configured.
    pub fn plugin(&self) -> &'static str {
        let plugins = self.0.get("plugins").and_then(Value::as_table);
        let found = CRI.into_iter().find(|name| plugins.is_some_and(|plugins| plugins.contains_key(*name)));
        found.unwrap_or(CRI[1])
    }

    /// Whether the CRI plugin is switched off, as in Docker's packages of containerd.
    pub fn cri_is_disabled(&self) -> bool {
        let disabled = self.0.get("disabled_plugins").and_then(Value::as_array);
        disabled.into_iter().flatten().filter_map(Value::as_str).any(|name| CRI.contains(&name))
    }

    /// What the node's default handler has, which agrees with the kubelet where pods run at all.
    pub fn systemd_cgroup(&self) -> bool {
        let Some((containerd, runtimes)) = runtimes(&self.0) else { return false };
        let default = containerd.get("default_runtime_name").and_then(Value::as_str).unwrap_or("runc");
        let set = |name: &str| runtimes.get(name)?.get("options")?.get("SystemdCgroup")?.as_bool();
        set(default).or_else(|| set("runc")).unwrap_or(false)
    }

    /// The handlers that are not there as `setup` has them.
    pub fn lacks(&self, setup: &Setup) -> Vec<&'static str> {
        let has = |table: Option<&Value>, field: &str, wanted: &str| {
            table.and_then(|table| table.get(field)).and_then(Value::as_str) == Some(wanted)
        };
        let in_place = |handler: &&super::handlers::Handler| {
            let table = self.runtimes().and_then(|runtimes| runtimes.get(handler.name));
            let (option, value) = setup.option(**handler);
            has(table, "runtime_type", setup.runtime_type())
                && has(table.and_then(|table| table.get("options")), option, &value.to_string_lossy())
        };
        setup.handlers.iter().filter(|handler| !in_place(handler)).map(|handler| handler.name).collect()
    }

    /// What differs between two configurations beside our handlers, as paths of tables and keys.
    pub fn differs(&self, other: &Effective) -> Vec<String> {
        let (ours, theirs) = (self.leaves(), other.leaves());
        let keys = ours.keys().chain(theirs.keys()).collect::<std::collections::BTreeSet<_>>();
        keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key)).cloned().collect()
    }

    fn leaves(&self) -> BTreeMap<String, String> {
        let mut leaves = BTreeMap::new();
        for (key, value) in self.0.iter().filter(|(key, _)| key.as_str() != "imports") {
            collect(key, value, &mut leaves);
        }
        leaves.retain(|path, _| {
            !HANDLERS.iter().any(|handler| path.contains(&format!(".containerd.runtimes.{}.", handler.name)))
        });
        leaves
    }
}

fn collect(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value.as_table() {
        Some(table) => table.iter().for_each(|(key, value)| collect(&format!("{path}.{key}"), value, into)),
        None => {
            into.insert(path.to_owned(), value.to_string());
        }
    }
}

/// The CRI plugin's table of containerd's settings, and its table of runtimes, in any file of containerd's.
pub fn runtimes(table: &Table) -> Option<(&Table, &Table)> {
    let plugins = table.get("plugins")?.as_table()?;
    CRI.into_iter().find_map(|name| {
        let containerd = plugins.get(name)?.get("containerd")?.as_table()?;
        Some((containerd, containerd.get("runtimes")?.as_table()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(text: &str) -> Effective {
        Effective::parse(text).unwrap()
    }

    #[test]
    fn the_cgroup_driver_is_that_of_the_default_handler() {
        let with = |default: &str, runc: bool, other: bool| {
            let table = "plugins.'io.containerd.grpc.v1.cri'.containerd";
            dump(&format!(
                "[{table}]\ndefault_runtime_name = '{default}'\n[{table}.runtimes.runc.options]\nSystemdCgroup = {runc}\n\
                 [{table}.runtimes.nvidia.options]\nSystemdCgroup = {other}\n"
            ))
        };
        assert!(with("runc", true, false).systemd_cgroup());
        assert!(!with("nvidia", true, false).systemd_cgroup());
        assert!(with("unknown", true, false).systemd_cgroup());
        assert!(!dump("").systemd_cgroup());
    }

    #[test]
    fn a_difference_is_named_unless_it_is_ours() {
        let table = "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes";
        let before = dump(&format!("imports = ['a']\n[{table}.runc]\nruntime_type = 'x'\n"));
        let after =
            dump(&format!("[{table}.runc]\nruntime_type = 'x'\n[{table}.sandrun-oci]\nruntime_type = 'y'\n"));
        assert_eq!(before.differs(&after), [""; 0]);
        let lost = dump(&format!("[{table}.sandrun]\nruntime_type = 'y'\n"));
        let name = "plugins.io.containerd.cri.v1.runtime.containerd.runtimes.runc.runtime_type";
        assert_eq!(before.differs(&lost), [name]);
    }
}
