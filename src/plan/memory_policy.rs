//! On which NUMA nodes the process gets its memory (OCI config-linux, "Memory policy"; `set_mempolicy(2)`).

use oci_spec::runtime::{LinuxMemoryPolicy, MemoryPolicyFlagType, MemoryPolicyModeType};
use serde::{Deserialize, Serialize};

use super::list;
use crate::error::{Error, Kind};

/// The policy of a process and of its children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPolicy {
    /// `MPOL_BIND` and so on.
    pub name: String,
    /// The kernel's number, without flags.
    pub mode: u32,
    /// `MPOL_F_*`.
    pub flags: u32,
    /// Numbers of nodes, ascending.
    pub nodes: Vec<u32>,
    /// The first kernel that has the mode.
    pub since: String,
}

/// Every mode of `set_mempolicy(2)` that config.json can name.
pub const MODES: [MemoryPolicyModeType; 7] = [
    MemoryPolicyModeType::MpolDefault,
    MemoryPolicyModeType::MpolPreferred,
    MemoryPolicyModeType::MpolBind,
    MemoryPolicyModeType::MpolInterleave,
    MemoryPolicyModeType::MpolLocal,
    MemoryPolicyModeType::MpolPreferredMany,
    MemoryPolicyModeType::MpolWeightedInterleave,
];

/// Every flag of one.
pub const FLAGS: [MemoryPolicyFlagType; 3] = [
    MemoryPolicyFlagType::MpolFNumaBalancing,
    MemoryPolicyFlagType::MpolFRelativeNodes,
    MemoryPolicyFlagType::MpolFStaticNodes,
];

/// The last node that a kernel can be built for (`CONFIG_NODES_SHIFT` is 10 at most).
const LAST_NODE: u32 = 1023;

const STATIC_NODES: u32 = 1 << 15;
const RELATIVE_NODES: u32 = 1 << 14;
const NUMA_BALANCING: u32 = 1 << 13;

const AT: &str = "linux.memoryPolicy";

pub(super) fn resolve(asked: &LinuxMemoryPolicy, errors: &mut Vec<Error>) -> MemoryPolicy {
    let (mode, since) = mode(asked.mode());
    let flags = asked.flags().iter().flatten().fold(0, |flags, flag| flags | flag_bit(*flag));
    let mut policy = MemoryPolicy {
        name: asked.mode().to_string(),
        mode,
        flags,
        nodes: Vec::new(),
        since: since.to_owned(),
    };
    let mut invalid = |field: &str, what: String, why: String| {
        errors.push(Error::new(Kind::Invalid, what, why).at(format!("{AT}.{field}")));
    };
    match asked.nodes().as_deref().filter(|text| !text.trim().is_empty()) {
        None => {}
        Some(text) => match list::numbers(text, LAST_NODE) {
            Ok(nodes) => policy.nodes = nodes,
            Err(why) => {
                invalid("nodes", "not a list of memory nodes".to_owned(), why);
                return policy;
            }
        },
    }
    let name = &policy.name;
    let (takes, needs) = match asked.mode() {
        MemoryPolicyModeType::MpolDefault | MemoryPolicyModeType::MpolLocal => (false, false),
        MemoryPolicyModeType::MpolPreferred => (true, false),
        _ => (true, true),
    };
    if needs && policy.nodes.is_empty() {
        invalid("nodes", format!("{name} without a memory node"), "it needs one at least".to_owned());
    }
    if !takes && !policy.nodes.is_empty() {
        invalid("nodes", format!("{name} with memory nodes"), "it takes none".to_owned());
    }
    let placing = flags & (STATIC_NODES | RELATIVE_NODES);
    if placing.count_ones() == 2 {
        let what = "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES".to_owned();
        invalid("flags", what, "one of them can be in force".to_owned());
    } else if placing != 0 && policy.nodes.is_empty() {
        invalid("flags", format!("{name} without nodes has no place for the flag"), String::new());
    }
    if flags & NUMA_BALANCING != 0
        && !matches!(asked.mode(), MemoryPolicyModeType::MpolBind | MemoryPolicyModeType::MpolPreferredMany)
    {
        let why = "the kernel balances within MPOL_BIND (Linux 5.12) and MPOL_PREFERRED_MANY (Linux 6.9)"
            .to_owned();
        invalid("flags", format!("MPOL_F_NUMA_BALANCING with {name}"), why);
    }
    policy
}

/// Its number, and the first kernel that has it.
fn mode(mode: MemoryPolicyModeType) -> (u32, &'static str) {
    match mode {
        MemoryPolicyModeType::MpolDefault => (0, "2.6.7"),
        MemoryPolicyModeType::MpolPreferred => (1, "2.6.7"),
        MemoryPolicyModeType::MpolBind => (2, "2.6.7"),
        MemoryPolicyModeType::MpolInterleave => (3, "2.6.7"),
        MemoryPolicyModeType::MpolLocal => (4, "3.8"),
        MemoryPolicyModeType::MpolPreferredMany => (5, "5.15"),
        MemoryPolicyModeType::MpolWeightedInterleave => (6, "6.9"),
    }
}

fn flag_bit(flag: MemoryPolicyFlagType) -> u32 {
    match flag {
        MemoryPolicyFlagType::MpolFNumaBalancing => NUMA_BALANCING,
        MemoryPolicyFlagType::MpolFRelativeNodes => RELATIVE_NODES,
        MemoryPolicyFlagType::MpolFStaticNodes => STATIC_NODES,
    }
}
