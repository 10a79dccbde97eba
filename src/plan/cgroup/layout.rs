//! Which cgroup hierarchies a host has.

use serde::{Deserialize, Serialize};

/// The hierarchies mounted below `/sys/fs/cgroup` (cgroups(7), cgroup-v2.rst).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
pub enum Layout {
    /// Every controller has a v1 hierarchy.
    V1 {
        /// All of them, those without a controller (`name=systemd`) included.
        hierarchies: Vec<Hierarchy>,
    },
    /// v1 hierarchies and, beside them, a cgroup2 with the controllers v1 does not use (often none).
    Hybrid {
        /// The v1 side.
        hierarchies: Vec<Hierarchy>,
        /// The v2 side.
        unified: Unified,
    },
    /// One cgroup2 for everything.
    V2 {
        /// The only hierarchy.
        unified: Unified,
    },
}

/// One v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// As `/proc/self/cgroup` names them: `["cpu", "cpuacct"]`, `["name=systemd"]`.
    pub controllers: Vec<String>,
    /// Where it is mounted: `/sys/fs/cgroup/cpu,cpuacct`.
    pub dir: String,
}

/// The v2 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unified {
    /// The controllers it can hand out (`cgroup.controllers` of its root).
    pub controllers: Vec<String>,
    /// Where it is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified`.
    pub dir: String,
}

/// The two kernel interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// Stands for the files that every v2 cgroup has, whatever its controllers.
pub(crate) const CORE: &str = "cgroup";

impl Layout {
    /// The v1 hierarchies; none on pure v2.
    pub fn hierarchies(&self) -> &[Hierarchy] {
        match self {
            Layout::V1 { hierarchies } | Layout::Hybrid { hierarchies, .. } => hierarchies,
            Layout::V2 { .. } => &[],
        }
    }

    /// The v2 hierarchy; none on pure v1.
    pub fn unified(&self) -> Option<&Unified> {
        match self {
            Layout::V1 { .. } => None,
            Layout::Hybrid { unified, .. } | Layout::V2 { unified } => Some(unified),
        }
    }

    /// Where the main controllers are: v1 on a hybrid host.
    pub fn version(&self) -> Version {
        match self {
            Layout::V1 { .. } | Layout::Hybrid { .. } => Version::V1,
            Layout::V2 { .. } => Version::V2,
        }
    }

    /// Through which interface the host offers a controller; `None` where it has none.
    pub fn version_of(&self, controller: &str) -> Option<Version> {
        if self.hierarchies().iter().any(|hierarchy| hierarchy.has(controller)) {
            return Some(Version::V1);
        }
        self.unified().filter(|unified| unified.has(controller)).map(|_| Version::V2)
    }

    /// The mount point that holds a controller's files.
    pub fn dir_of(&self, controller: &str) -> Option<&str> {
        match self.version_of(controller)? {
            Version::V1 => {
                self.hierarchies().iter().find(|hierarchy| hierarchy.has(controller)).map(|found| &*found.dir)
            }
            Version::V2 => self.unified().map(|unified| &*unified.dir),
        }
    }
}

impl Hierarchy {
    /// Whether the controller is bound to this hierarchy.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

impl Unified {
    /// Whether this hierarchy can hand out the controller.
    pub fn has(&self, controller: &str) -> bool {
        controller == CORE || self.controllers.iter().any(|name| name == controller)
    }
}
