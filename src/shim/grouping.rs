//! Which containers share a server: those of one pod.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Context, Result};

/// Annotations that name the group, the first that is there decides; the same as in containerd's own shim.
const LABELS: [&str; 2] = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

/// What the actions read of config.json.
#[derive(Debug, Default, Deserialize)]
pub struct Spec {
    #[serde(default)]
    annotations: HashMap<String, String>,
    #[serde(default)]
    linux: Linux,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    #[serde(default)]
    cgroups_path: String,
}

impl Spec {
    /// Reads that of a bundle.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub fn read(bundle: &Path) -> Result<Self> {
        let path = bundle.join("config.json");
        let what = || format!("cannot read {}", path.display());
        serde_json::from_slice(&std::fs::read(&path).context(what)?).context(what)
    }

    /// The group of a container: its own id where nothing names one.
    pub fn group<'a>(&'a self, id: &'a str) -> &'a str {
        LABELS.iter().find_map(|label| self.annotations.get(*label)).map_or(id, String::as_str)
    }

    /// Whether a pod of Kubernetes is its group, and `linux.cgroupsPath`: then the cgroup above it is the pod's.
    pub fn pod_cgroups_path(&self) -> Option<&str> {
        let in_pod = LABELS.get(1).is_some_and(|label| self.annotations.contains_key(*label));
        Some(self.linux.cgroups_path.as_str()).filter(|path| in_pod && !path.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(text: &str) -> String {
        serde_json::from_str::<Spec>(text).unwrap().group("own").to_owned()
    }

    #[test]
    fn the_first_label_decides() {
        assert_eq!(group("{}"), "own");
        assert_eq!(group(r#"{"annotations":{"other":"x"}}"#), "own");
        assert_eq!(group(r#"{"annotations":{"io.kubernetes.cri.sandbox-id":"pod"}}"#), "pod");
        let both = r#"{"annotations":{"io.kubernetes.cri.sandbox-id":"pod","io.containerd.runc.v2.group":"g"}}"#;
        assert_eq!(group(both), "g");
    }
}
