//! The gates that stay open, each with its reason.

/// A gate that is open on purpose.
#[derive(Clone, Copy)]
pub struct Open {
    pub gate: &'static str,
    pub because: &'static str,
}

const fn open(gate: &'static str, because: &'static str) -> Open {
    Open { gate, because }
}

const MULTICAST_JOIN: Open = open("multicast-join", "service discovery (mDNS, clusters) joins groups");
const SHMGET: Open =
    open("shmget", "PostgreSQL and others share memory so; the IPC namespace is the container's");
const HOST_PATHS: Open =
    open("host-paths", "the kernel shows its mounts to every process; only a path is told");
const WRITE_EXEC_MEMORY: Open = open("write-exec-memory", "just-in-time compilers write code and run it");
const EXEC_AFTER_WRITE: Open = open("exec-after-write", "just-in-time compilers write code and run it");
const NO_MDWE: Open = open("no-mdwe", "it would end just-in-time compilers");
const EXEC_MEMFD: Open = open("exec-memfd", "runtimes and installers run programs from memory");
const EXEC_WRITTEN: Open =
    open("exec-written", "package managers, compilers and scripts run what they write");
const MAP_WRITTEN: Open = open("map-written", "package managers and language runtimes load what they write");
const HOST_ROOT: Open = open("host-root", "a user namespace is the caller's to ask for");

/// What is open at `baseline`, so that ordinary images run unchanged.
pub const AT_BASELINE: &[Open] = &[
    MULTICAST_JOIN,
    SHMGET,
    WRITE_EXEC_MEMORY,
    EXEC_AFTER_WRITE,
    NO_MDWE,
    EXEC_MEMFD,
    EXEC_WRITTEN,
    MAP_WRITTEN,
    HOST_PATHS,
    HOST_ROOT,
];

/// What is open at `strict`.
pub const AT_STRICT: &[Open] = &[SHMGET, HOST_PATHS];
