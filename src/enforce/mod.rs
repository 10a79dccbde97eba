//! How a plan is made true: ordered steps, each of which owns one kernel interface.
//!
//! [`spawn`] runs in the parent, on the host's side. [`INIT`] and [`TAIL`] run in the child, inside the new
//! namespaces, from nothing to the program: `INIT` builds the container, `TAIL` turns a root process of ours
//! into the workload. An exec joins a container ([`steps::join`]) and then runs the same `TAIL`, so it can
//! never be confined less. The order of the slices is the design; each step says what must come before it.

mod executable;
mod explain;
pub mod hook;
mod id_maps;
pub mod init;
mod limits;
mod net_devices;
mod netlink;
pub mod order;
mod precedence;
pub mod receipt;
pub mod root;
pub mod spawn;
pub mod steps;

use crate::error::Result;
use crate::plan::{Plan, Workload};

use init::Init;

/// One part of a plan made true inside the container.
pub struct Step<T: 'static> {
    /// What it does, as a verb and an object.
    pub name: &'static str,
    /// The manual page of the interface it owns.
    pub man: &'static str,
    /// The section of the OCI runtime specification it implements.
    pub oci: &'static str,
    /// The first kernel that has all of it.
    pub since: &'static str,
    /// Does it.
    pub run: fn(&T, &mut Init) -> Result<()>,
}

macro_rules! step {
    ($name:literal, $man:literal, $oci:literal, $since:literal, $run:path) => {
        Step { name: $name, man: $man, oci: $oci, since: $since, run: $run }
    };
}

/// Builds the container around the calling process, which is root of its user namespace.
pub static INIT: &[Step<Plan>] = &[
    // Before anything else: what is made from here on counts against the container.
    step!("join the cgroup", "cgroups(7)", "config-linux#control-groups", "2.6.24", steps::cgroup::join),
    // The root of a cgroup namespace is the cgroup one is in.
    step!(
        "make the cgroup namespace",
        "cgroup_namespaces(7)",
        "config-linux#namespaces",
        "4.6",
        steps::cgroup::unshare
    ),
    step!("start a session", "setsid(2)", "config#process", "1.0", steps::session::start),
    step!(
        "confirm that memory files are not executed",
        "proc_sys_vm(5)",
        "none",
        "6.3",
        steps::memfd::read_back
    ),
    step!("bring loopback up", "netdevice(7)", "config-linux#network", "2.2", steps::network::loopback),
    step!("set host and domain name", "uts_namespaces(7)", "config#hostname", "3.0", steps::hostname::set),
    // No mount of ours may reach the host: before the first one.
    step!(
        "stop mount propagation",
        "mount_namespaces(7)",
        "config-linux#rootfs-mount-propagation",
        "5.12",
        steps::rootfs::isolate
    ),
    step!("attach the root filesystem", "move_mount(2)", "config#root", "5.2", steps::rootfs::attach),
    // Beneath the mounts of config.json, which come on top.
    step!(
        "part programs from data",
        "mount_setattr(2)",
        "config#root",
        "5.12",
        steps::write_xor_execute::part
    ),
    step!("mount filesystems", "mount_setattr(2)", "config#mounts", "5.12", steps::mounts::mount),
    // Into the /dev that was just mounted.
    step!("make device nodes", "mknod(2)", "config-linux#devices", "1.0", steps::devices::make),
    step!("open the console", "pty(7)", "config#process", "4.13", steps::console::open),
    // Before what they may still change: parameters of a network that a hook sets up, a root that becomes read-only.
    step!("run hooks", "execve(2)", "config#posix-platform-hooks", "5.3", steps::hooks::created),
    step!("set kernel parameters", "proc_sys(5)", "config-linux#sysctl", "5.2", steps::sysctl::set),
    step!("make the working directory", "openat2(2)", "config#process", "5.6", steps::cwd::make),
    // Over everything that is mounted by now.
    step!("mask paths", "move_mount(2)", "config-linux#masked-paths", "5.2", steps::paths::mask),
    step!(
        "make paths read-only",
        "mount_setattr(2)",
        "config-linux#readonly-paths",
        "5.12",
        steps::paths::readonly
    ),
    step!("make the root read-only", "mount_setattr(2)", "config#root", "5.12", steps::rootfs::seal),
    // The last step that can see the host.
    step!("change the root", "pivot_root(2)", "config#root", "2.4", steps::rootfs::pivot),
    // From where the program will look.
    step!(
        "read the mounts back",
        "statvfs(3)",
        "config-linux#masked-paths",
        "2.6.36",
        steps::paths::read_back
    ),
    step!(
        "confirm that nothing written is executed",
        "proc_pid_mountinfo(5)",
        "config#mounts",
        "2.6.26",
        steps::write_xor_execute::read_back
    ),
];

/// Turns a root process inside the container into the workload.
pub static TAIL: &[Step<Workload>] = &[
    step!("set resource limits", "setrlimit(2)", "config#posix-process", "2.6.36", steps::rlimits::set),
    // Where the cgroup allows it, which was joined long ago.
    step!(
        "set the memory policy",
        "set_mempolicy(2)",
        "config-linux#memory-policy",
        "2.6.7",
        steps::memory::set
    ),
    step!(
        "set the personality",
        "personality(2)",
        "config-linux#personality",
        "1.2",
        steps::personality::set
    ),
    step!("join a new session keyring", "keyctl(2)", "config#process", "2.6.10", steps::keyring::join),
    // A label is for the next execve, and writing it needs a procfs of ours: before capabilities go.
    step!("set security labels", "proc_pid_attr(5)", "config#linux-process", "2.6", steps::labels::set),
    step!("make what Landlock is tried on", "fsopen(2)", "none", "5.2", steps::landlock::prepare),
    // As root, who may enter every directory; a process may work where it could not go.
    step!("enter the working directory", "chdir(2)", "config#process", "1.0", steps::cwd::enter),
    // Dropping from the bounding set needs SETPCAP, which the user id change may take away.
    step!(
        "limit the bounding set",
        "capabilities(7)",
        "config#linux-process",
        "2.6.25",
        steps::caps::limit_bounding_set
    ),
    // Groups before the user: afterwards there is no right to change them.
    step!("set groups and user", "credentials(7)", "config#posix-platform-user", "2.6", steps::identity::set),
    step!("set no_new_privs", "prctl(2)", "config#linux-process", "3.5", steps::caps::set_no_new_privs),
    step!("deny writing and executing memory", "prctl(2)", "none", "6.3", steps::memory_code::deny),
    step!("set capabilities", "capset(2)", "config#linux-process", "4.3", steps::caps::set),
    // With the rights that the program will have.
    step!("find the program", "execve(2)", "config#process", "1.0", steps::program::find),
    // Landlock forbids changing mounts and needs no_new_privs: after all of them.
    step!("restrict by Landlock", "landlock(7)", "none", "5.19", steps::landlock::restrict),
    step!("mark descriptors close-on-exec", "close_range(2)", "none", "5.11", steps::descriptors::close),
    // Nothing is said to be enforced that the kernel does not confirm.
    step!("read back", "prctl(2)", "none", "5.12", steps::verify::read_back),
];
