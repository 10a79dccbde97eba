//! What of `linux.seccomp` has a meaning here, by name, sorted: for those who ask before they write a profile.

/// Actions (runtime-spec, config-linux.md, "seccomp"; seccomp(2), "Return values").
pub const ACTIONS: &[&str] = &[
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// Operators.
pub const OPERATORS: &[&str] = &[
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

/// Architectures that this version has call numbers for. Every other one of the specification is accepted, and
/// has no effect: no program of it runs on the kernels that sandrun runs on.
pub const ARCHS: &[&str] =
    &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"];

/// Filter flags. The kernel may lack some; [`flag_value`] is what to ask it about.
pub const FLAGS: &[&str] = &[
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// The filter is for every thread of the process (Linux 3.17).
pub const FLAG_TSYNC: u32 = 1;
/// All that is not allowed is logged (Linux 4.14).
pub const FLAG_LOG: u32 = 1 << 1;
/// No mitigation of speculative store bypass (Linux 4.17).
pub const FLAG_SPEC_ALLOW: u32 = 1 << 2;
/// Only a deadly signal interrupts a call that an agent has taken up (Linux 5.19).
pub const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// The kernel's value (linux/seccomp.h) of a name of [`FLAGS`]; of any other, none.
pub fn flag_value(name: &str) -> Option<u32> {
    match name {
        "SECCOMP_FILTER_FLAG_TSYNC" => Some(FLAG_TSYNC),
        "SECCOMP_FILTER_FLAG_LOG" => Some(FLAG_LOG),
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Some(FLAG_SPEC_ALLOW),
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Some(FLAG_WAIT_KILLABLE_RECV),
        _ => None,
    }
}
