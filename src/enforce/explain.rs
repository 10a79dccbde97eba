//! What to do about a child that could not be made.

use crate::error::Error;

/// Adds to a failed `clone3(2)` what its errno is about.
pub(super) fn explain_clone(error: Error) -> Error {
    let fix = [
        ("No space left", "too many or too deeply nested namespaces: see the limits in /proc/sys/user"),
        (
            "Resource temporarily unavailable",
            "a process limit is reached: see ulimit -u and the parent cgroup's pids.max",
        ),
        ("Operation not permitted", "run as root, or with a user namespace in linux.namespaces"),
        (
            "Permission denied",
            "run it in the same delegated tree of cgroups as the container's, such as the one it was created in",
        ),
        (
            "Resource busy",
            "the cgroup has child cgroups with controllers: name another one in linux.cgroupsPath",
        ),
    ];
    match fix.into_iter().find(|(text, _)| error.why.contains(text)) {
        Some((_, fix)) => error.fix(fix),
        None => error,
    }
}

/// Adds to a failed call of the gap the field that it is about.
pub(super) fn explain_gap(error: Error) -> Error {
    match error.why.contains("timens_offsets") {
        true => error
            .at("linux.timeOffsets")
            .fix("no clock of the container can be before 0, or beyond 146 years: use other offsets"),
        false => error,
    }
}
