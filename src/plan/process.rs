//! The process itself (OCI config, "Process"): who it is, what it may do, and what it runs.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::path::Path;

use oci_spec::runtime::{PosixRlimit, PosixRlimitType, Process};
use serde::{Deserialize, Serialize};

use super::caps::{self, CapabilityMasks};
use super::landlock::{self, Landlock};
use super::memory_policy::{self, MemoryPolicy};
use super::mounts::{Mount, Rootfs};
use super::namespaces::Namespaces;
use super::personality;
use super::scheduling::{self, CpuAffinity, IoPriority, Scheduler};
use super::seccomp::{self, Filter};
use super::{Input, Notes, annotations};
use crate::error::{Error, Kind};
use crate::level::Level;

/// One process: the container's own, or one of an exec.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// The program and its arguments; a name without `/` is looked up in `PATH` of `env`, in the container.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Absolute path in the container.
    pub cwd: String,
    /// A terminal for the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Terminal>,
    /// Who it is.
    pub user: User,
    /// Final capability sets.
    pub capabilities: CapabilityMasks,
    /// Whether `execve` can no longer add privileges.
    pub no_new_privs: bool,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Score for the out-of-memory killer, −1000 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// Who gets the CPU first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// Who gets the disk first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<IoPriority>,
    /// The CPUs of an exec; a container's own process has none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_affinity: Option<CpuAffinity>,
    /// Where its memory is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_policy: Option<MemoryPolicy>,
    /// The kernel's number of the execution domain (`personality(2)`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality: Option<u32>,
    /// A session keyring of its own.
    pub new_keyring: bool,
    /// No page of memory becomes executable, nor is while it can be written (`PR_SET_MDWE`, Linux 6.3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mdwe: bool,
    /// Landlock domains, the outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub landlock: Vec<Landlock>,
    /// Seccomp programs, all of which must allow a call.
    pub seccomp: Vec<Filter>,
    /// AppArmor profile for the `execve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apparmor_profile: Option<String>,
    /// SELinux context for the `execve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selinux_label: Option<String>,
    /// Descriptors above standard error that it inherits.
    pub preserve_fds: u32,
    /// The first of these that are sockets handed to a service, which it is told of (`sd_listen_fds(3)`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_fds: Option<NonZeroU32>,
}

/// The size of a terminal, 0 for the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// Numeric ids, as they are inside the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups, exactly.
    pub additional_gids: Vec<u32>,
    /// File mode creation mask; absent for 0022.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
}

/// One limit of `setrlimit(2)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE` and so on.
    pub name: String,
    /// The kernel's number.
    pub resource: u32,
    /// What is in force.
    pub soft: u64,
    /// How far the process may raise it.
    pub hard: u64,
}

const RLIMIT_CORE: u32 = 4;

/// The container's own process.
pub(super) fn container(
    input: &Input<'_>,
    namespaces: &Namespaces,
    rootfs: &Rootfs,
    mounts: &[Mount],
    notes: &mut Notes,
) -> Workload {
    let process = input.config.process().as_ref();
    let mut workload = match process {
        Some(process) => notes.collect(resolve(process, "process")),
        // Only `start` needs one.
        None => Workload { cwd: "/".to_owned(), ..Workload::default() },
    };
    workload.new_keyring = !input.options.keep_keyring;
    (workload.preserve_fds, workload.listen_fds) = input.options.descriptors();
    let capabilities = process.and_then(|process| process.capabilities().as_ref());
    workload.capabilities = caps::resolve(input, caps::asked(capabilities), notes);
    workload.seccomp = seccomp::filters(input, notes);
    landlock::resolve(input, namespaces, rootfs, mounts, &mut workload, notes);
    workload.mdwe = super::write_xor_execute::memory::pages(input, notes);
    let linux = input.config.linux().as_ref();
    workload.memory_policy = linux
        .and_then(|linux| linux.memory_policy().as_ref())
        .map(|policy| memory_policy::resolve(policy, &mut notes.refusals));
    workload.personality =
        linux.and_then(|linux| linux.personality().as_ref()).map(|it| personality::resolve(it, notes));
    security_labels(input, &workload, notes);
    let may_gain = annotations::may_gain_privileges(input, &mut workload.no_new_privs, notes);
    if input.level >= Level::Baseline {
        tighten(&mut workload, may_gain, notes);
    }
    if input.level == Level::Strict {
        give_up_precedence(&mut workload, notes);
    }
    if let Some(scheduler) = workload.scheduler.as_ref().filter(|it| it.nice != 0 && !it.is_nice()) {
        let what = format!("{} has no effect with {}", scheduler.nice, scheduler.name);
        notes.change("process.scheduler.nice", what);
    }
    workload
}

/// A process that nobody trusts does not come before the host's own.
fn give_up_precedence(workload: &mut Workload, notes: &mut Notes) {
    if let Some(scheduler) = workload.scheduler.take_if(|scheduler| scheduler.exceeds(None)) {
        let what =
            format!("{} not given at level strict: it comes before the host's processes", scheduler.name);
        notes.change("process.scheduler", what);
    }
    if let Some(priority) = workload.io_priority.take_if(|priority| priority.is_realtime()) {
        let what =
            format!("{} not given at level strict: it comes before the host's processes", priority.name);
        notes.change("process.ioPriority", what);
    }
}

fn tighten(workload: &mut Workload, may_gain: bool, notes: &mut Notes) {
    if !workload.no_new_privs && !may_gain {
        workload.no_new_privs = true;
        notes.change("process.noNewPrivileges", "set");
    }
    if !workload.rlimits.iter().any(|limit| limit.resource == RLIMIT_CORE && limit.hard == 0) {
        workload.rlimits.retain(|limit| limit.resource != RLIMIT_CORE);
        let name = "RLIMIT_CORE".to_owned();
        workload.rlimits.push(Rlimit { name, resource: RLIMIT_CORE, soft: 0, hard: 0 });
        notes.change("process.rlimits", "RLIMIT_CORE set to 0");
    }
}

/// Labels are for a security module that must be there: without it the process would run unconfined.
fn security_labels(input: &Input<'_>, workload: &Workload, notes: &mut Notes) {
    let (apparmor, selinux) = (input.host.apparmor, input.host.selinux);
    let labels = [
        (&workload.apparmor_profile, apparmor, "AppArmor", "process.apparmorProfile"),
        (&workload.selinux_label, selinux, "SELinux", "process.selinuxLabel"),
        (&super::mounts::label(input), selinux, "SELinux", "linux.mountLabel"),
    ];
    for (label, available, module, field) in labels {
        if let Some(label) = label.as_ref().filter(|_| !available) {
            notes.refusals.push(
                Error::new(
                    Kind::Unsupported,
                    format!("label {label:?} cannot be applied"),
                    format!("{module} is not enabled on this host"),
                )
                .at(field)
                .fix(format!("remove the field, or boot the host with {module}")),
            );
        }
    }
}

/// What a process asks for, before any level has its say. `at` is where its JSON is.
///
/// # Errors
/// Every field that is not valid.
pub fn resolve(process: &Process, at: &str) -> Result<Workload, Vec<Error>> {
    let mut errors = faults(process, at);
    let terminal = process.terminal().unwrap_or(false).then(|| terminal(process, at, &mut errors));
    let rlimits = rlimits(process.rlimits().as_deref().unwrap_or_default(), at, &mut errors);
    let (scheduler, io_priority, cpu_affinity) = scheduling::resolve(process, at, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let user = process.user();
    Ok(Workload {
        args: process.args().clone().unwrap_or_default(),
        env: last_of_each(process.env().clone().unwrap_or_default()),
        cwd: process.cwd().to_string_lossy().into_owned(),
        terminal,
        user: User {
            uid: user.uid(),
            gid: user.gid(),
            additional_gids: user.additional_gids().clone().unwrap_or_default(),
            umask: user.umask(),
        },
        capabilities: caps::asked(process.capabilities().as_ref()),
        no_new_privs: process.no_new_privileges().unwrap_or(false),
        rlimits,
        oom_score_adj: process.oom_score_adj(),
        scheduler,
        io_priority,
        cpu_affinity,
        apparmor_profile: process.apparmor_profile().clone().filter(|label| !label.is_empty()),
        selinux_label: process.selinux_label().clone().filter(|label| !label.is_empty()),
        ..Workload::default()
    })
}

/// What no process can be: texts and numbers that the kernel would not take.
fn faults(process: &Process, at: &str) -> Vec<Error> {
    let mut errors = Vec::new();
    let args = process.args().as_deref().unwrap_or_default();
    let env = process.env().as_deref().unwrap_or_default();
    let cwd = process.cwd().to_string_lossy();
    let mut invalid = |field: String, what: String, fix: &str| {
        errors.push(Error::new(Kind::Invalid, what, "").at(format!("{at}.{field}")).fix(fix));
    };
    if args.first().is_none_or(String::is_empty) {
        invalid("args".to_owned(), "no program to run".to_owned(), "name it in the first element");
    }
    if !Path::new(&*cwd).is_absolute() {
        invalid("cwd".to_owned(), format!("working directory {cwd:?} is not absolute"), "start it with /");
    }
    if cwd.contains('\0') {
        invalid("cwd".to_owned(), "text with a NUL byte".to_owned(), "remove it");
    }
    for (name, list) in [("args", args), ("env", env)] {
        for (i, _) in list.iter().enumerate().filter(|(_, text)| text.contains('\0')) {
            invalid(format!("{name}[{i}]"), "text with a NUL byte".to_owned(), "remove it");
        }
    }
    let user = process.user();
    for (field, id) in [("uid", user.uid()), ("gid", user.gid())] {
        if id == u32::MAX {
            invalid(format!("user.{field}"), "4294967295 is no id".to_owned(), "use a smaller one");
        }
    }
    if let Some(umask) = user.umask().filter(|umask| *umask > 0o777) {
        invalid("user.umask".to_owned(), format!("{umask} is above 511 (0777)"), "use permission bits only");
    }
    if let Some(score) = process.oom_score_adj().filter(|score| !(-1000..=1000).contains(score)) {
        let what = format!("{score} is no score for the out-of-memory killer");
        invalid("oomScoreAdj".to_owned(), what, "use a number from -1000 to 1000");
    }
    errors
}

/// Its size is ignored without a terminal, as the specification wants it.
fn terminal(process: &Process, at: &str, errors: &mut Vec<Error>) -> Terminal {
    let size = process.console_size().unwrap_or_default();
    let mut cells = |field: &str, value: u64| {
        u16::try_from(value).unwrap_or_else(|_| {
            let what = format!("a terminal of {value} rows or columns");
            errors.push(
                Error::new(Kind::Invalid, what, "")
                    .at(format!("{at}.consoleSize.{field}"))
                    .fix("use a number up to 65535"),
            );
            0
        })
    };
    Terminal { height: cells("height", size.height()), width: cells("width", size.width()) }
}

/// A variable that is given more than once has its last value: programs differ in which one they see.
fn last_of_each(mut env: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    env.reverse();
    env.retain(|variable| {
        let name = variable.split_once('=').map_or(variable.as_str(), |(name, _)| name);
        seen.insert(name.to_owned())
    });
    env.reverse();
    env
}

fn rlimits(list: &[PosixRlimit], at: &str, errors: &mut Vec<Error>) -> Vec<Rlimit> {
    let mut rlimits: Vec<Rlimit> = Vec::new();
    for (i, limit) in list.iter().enumerate() {
        let (name, resource) = (limit.typ().to_string(), number(limit.typ()));
        let at = format!("{at}.rlimits[{i}]");
        if rlimits.iter().any(|other| other.resource == resource) {
            errors.push(Error::new(Kind::Invalid, format!("{name} is listed twice"), "").at(at));
        } else if limit.soft() > limit.hard() {
            let why = format!("soft {} is above hard {}", limit.soft(), limit.hard());
            errors.push(Error::new(Kind::Invalid, format!("{name} is not possible"), why).at(at));
        } else {
            rlimits.push(Rlimit { name, resource, soft: limit.soft(), hard: limit.hard() });
        }
    }
    rlimits
}

fn number(typ: PosixRlimitType) -> u32 {
    match typ {
        PosixRlimitType::RlimitCpu => 0,
        PosixRlimitType::RlimitFsize => 1,
        PosixRlimitType::RlimitData => 2,
        PosixRlimitType::RlimitStack => 3,
        PosixRlimitType::RlimitCore => RLIMIT_CORE,
        PosixRlimitType::RlimitRss => 5,
        PosixRlimitType::RlimitNproc => 6,
        PosixRlimitType::RlimitNofile => 7,
        PosixRlimitType::RlimitMemlock => 8,
        PosixRlimitType::RlimitAs => 9,
        PosixRlimitType::RlimitLocks => 10,
        PosixRlimitType::RlimitSigpending => 11,
        PosixRlimitType::RlimitMsgqueue => 12,
        PosixRlimitType::RlimitNice => 13,
        PosixRlimitType::RlimitRtprio => 14,
        PosixRlimitType::RlimitRttime => 15,
    }
}
