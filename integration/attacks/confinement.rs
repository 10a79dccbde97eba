//! What decides on calls that this kernel lacks: the filters of a container's process, read back from the kernel, and its
//! capabilities.

use std::fs;
use std::str::FromStr;

use caps::Capability;
use serde_json::Value;

use crate::filters::program::{self, Filters, lets_through};
use crate::filters::readback::filters_of;

/// A system call, and the capability that the kernel wants beside it.
pub struct Call {
    seen: program::Call,
    capability: Option<Capability>,
}

impl Call {
    /// From what the probe says of a gate; none where the gate is more than one call.
    pub fn of_gate(described: &Value) -> Option<Call> {
        let arguments =
            described["arguments"].as_array()?.iter().map(|word| word.as_i64().expect("a number"));
        let seen = program::Call {
            number: described["number"].as_u64()?.try_into().expect("a call number"),
            arch: match described["arch"].as_str()? {
                "x86_64" => 0xc000_003e,
                "x86" => 0x4000_0003,
                "aarch64" => 0xc000_00b7,
                arch => panic!("no number for the architecture {arch}"),
            },
            args: Vec::from_iter(arguments.map(i64::cast_unsigned)).try_into().expect("six arguments"),
        };
        let capability = described["capability"].as_str();
        Some(Call {
            seen,
            capability: capability.map(|name| Capability::from_str(name).expect("a capability")),
        })
    }
}

/// What confines a process.
pub struct Confinement {
    filters: Filters,
    /// CapEff.
    capabilities: u64,
}

impl Confinement {
    /// Of a process of another container, which is stopped meanwhile.
    pub fn of(process: i32) -> Confinement {
        let filters = filters_of(process);
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("cannot read its status");
        let effective =
            status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("CapEff is there");
        let capabilities = u64::from_str_radix(effective.trim(), 16).expect("CapEff is hexadecimal");
        Confinement { filters, capabilities }
    }

    /// Whether the kernel would do the call if it had it.
    pub fn lets_through(&self, call: &Call) -> bool {
        let held = call.capability.is_none_or(|capability| self.capabilities & capability.bitmask() != 0);
        held && lets_through(self.filters.answer(&call.seen))
    }

    /// The errno that the filters answer with, if that is what they do.
    pub fn errno(&self, call: &Call) -> Option<i32> {
        let answer = self.filters.answer(&call.seen);
        let refused = answer & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_ERRNO;
        refused.then_some((answer & libc::SECCOMP_RET_DATA).cast_signed())
    }
}
