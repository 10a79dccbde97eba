//! What the parent sets of its child: when it gets the CPU and the disk, and on which CPUs.
//!
//! The child could not: in a user namespace of the container's it has no `CAP_SYS_NICE` that counts. It is done
//! once the child is ready: it makes no other process after that, to which not every policy is handed on.

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::receipt::{Receipt, State};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Workload;
use crate::plan::scheduling::{CpuAffinity, IoPriority, Scheduler};
use crate::sys::Syscall;
use crate::sys::schedule::{self, SchedAttr};

/// The caller's CPUs, while it makes a child on others.
pub struct Borrowed(Option<CpuSet>);

impl Borrowed {
    /// Moves the calling thread to the CPUs on which the child is to be made.
    ///
    /// # Errors
    /// EINVAL when none of them is there.
    pub fn cpus(workload: &Workload) -> Result<Self> {
        let Some(initial) = workload.cpu_affinity.as_ref().map(|it| &it.initial).filter(|it| !it.is_empty())
        else {
            return Ok(Self(None));
        };
        let before = sched_getaffinity(None)
            .call(|| "sched_getaffinity(2)".to_owned())
            .context(|| "cannot read the caller's CPUs".to_owned())?;
        set_affinity(None, initial, "initial")?;
        Ok(Self(Some(before)))
    }

    /// Gives them back.
    ///
    /// # Errors
    /// Those of `sched_setaffinity(2)`.
    pub fn give_back(self) -> Result<()> {
        let Some(before) = self.0 else { return Ok(()) };
        sched_setaffinity(None, &before)
            .call(|| "sched_setaffinity(0)".to_owned())
            .context(|| "cannot go back to the caller's CPUs".to_owned())
    }
}

/// Lets a child run on every CPU of its cgroup, instead of those that the caller happens to be kept on: a service
/// manager or `taskset(1)` means the caller. One for which other CPUs are chosen keeps those. Before the child
/// joins its cgroup as well as after: the kernel leaves out what that does not allow.
///
/// # Errors
/// The failed call, but for EPERM and EBUSY.
pub fn reset_cpus(pid: i32, workload: &Workload) -> Result<()> {
    if workload.cpu_affinity.is_some() {
        return Ok(());
    }
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
    match sched_setaffinity(Pid::from_raw(pid), &all) {
        // A caller that schedules by deadlines (EBUSY), or may not do this, goes on with the CPUs that it has.
        Err(Errno::PERM | Errno::BUSY) => Ok(()),
        set => set
            .call(|| format!("sched_setaffinity({pid})"))
            .context(|| "cannot let the container run on every CPU of its cgroup".to_owned()),
    }
}

/// What is set of a child, by the plan.
pub struct Precedence {
    affinity: Option<CpuAffinity>,
    scheduler: Option<Scheduler>,
    io_priority: Option<IoPriority>,
}

impl Precedence {
    /// That of a workload.
    pub fn of(workload: &Workload) -> Self {
        Self {
            affinity: workload.cpu_affinity.clone(),
            scheduler: workload.scheduler.clone(),
            io_priority: workload.io_priority.clone(),
        }
    }

    /// Sets it, CPUs first: a process with deadlines may not change them.
    ///
    /// # Errors
    /// The first call that failed, or what the kernel does not confirm.
    pub fn give(&self, pid: i32, receipt: &mut Receipt) -> Result<()> {
        if let Some(last) = self.affinity.as_ref().map(|it| &it.last).filter(|it| !it.is_empty()) {
            set_affinity(Pid::from_raw(pid), last, "final")?;
        }
        if let Some(scheduler) = &self.scheduler {
            let found = give_scheduler(scheduler, pid).map_err(|error| error.at("process.scheduler"))?;
            receipt.add("scheduler", State::Enforced, describe(scheduler, &found));
        }
        if let Some(priority) = &self.io_priority {
            give_io_priority(priority, pid).map_err(|error| error.at("process.ioPriority"))?;
            receipt.add("ioPriority", State::Enforced, format!("{}, {}", priority.name, priority.level));
        }
        Ok(())
    }
}

/// The kernel leaves out what the cgroup does not allow.
fn set_affinity(pid: Option<Pid>, cpus: &[u32], field: &str) -> Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu as usize));
    sched_setaffinity(pid, &set)
        .call(|| format!("sched_setaffinity({cpus:?})"))
        .context(|| "cannot run the process on these CPUs".to_owned())
        .map_err(|error| {
            error
                .at(format!("process.execCPUAffinity.{field}"))
                .fix("name a CPU that is there, and in linux.resources.cpu.cpus")
        })
}

const KEEP_POLICY: u64 = 0x08;
const KEEP_PARAMS: u64 = 0x10;
/// The flags that `sched_getattr(2)` tells.
const TOLD: u64 = 0x07;

fn give_scheduler(asked: &Scheduler, pid: i32) -> Result<SchedAttr> {
    let what = || format!("cannot schedule the process by {}", asked.name);
    let planned = SchedAttr {
        policy: asked.policy,
        flags: asked.flags,
        nice: asked.nice,
        priority: asked.priority,
        runtime: asked.runtime,
        deadline: asked.deadline,
        period: asked.period,
        ..Default::default()
    };
    schedule::set_scheduler(pid, &planned).context(what).map_err(explain)?;
    let found = schedule::scheduler(pid).context(what)?;
    // The kernel sets these two itself where they are not given.
    let period = if planned.period == 0 { planned.deadline } else { planned.period };
    let nice = if asked.is_nice() { planned.nice } else { found.nice };
    let deadlines = [planned.runtime, planned.deadline, period];
    let keeps = |flag: u64| asked.flags & flag != 0;
    // To the kernel the policy is one of the parameters.
    let policy = keeps(KEEP_POLICY | KEEP_PARAMS) || found.policy == planned.policy;
    let parameters = keeps(KEEP_PARAMS)
        || (found.nice == nice && found.priority == planned.priority)
            && (planned.runtime == 0 || [found.runtime, found.deadline, found.period] == deadlines);
    if policy && parameters && found.flags & TOLD == planned.flags & TOLD {
        return Ok(found);
    }
    Err(Error::new(Kind::Failed, what(), format!("planned {planned:?}, but the kernel says {found:?}")))
}

fn explain(error: Error) -> Error {
    let fix = [
        (
            "not permitted",
            "it needs CAP_SYS_NICE, and on cgroup v1 time in linux.resources.cpu.realtimeRuntime",
        ),
        ("not supported", "a kernel with CONFIG_UCLAMP_TASK (Linux 5.3) has these flags"),
        ("resource busy", "the host's CPUs have no room for these deadlines"),
    ];
    match fix.into_iter().find(|(text, _)| error.why.contains(text)) {
        Some((_, fix)) => error.fix(fix),
        _ => error,
    }
}

fn describe(asked: &Scheduler, found: &SchedAttr) -> String {
    let name = &asked.name;
    if asked.flags & (KEEP_POLICY | KEEP_PARAMS) != 0 {
        return format!("policy {}, nice {}, priority {}", found.policy, found.nice, found.priority);
    }
    match (asked.is_realtime(), asked.runtime) {
        (true, 0) => format!("{name}, priority {}", found.priority),
        (true, _) => format!("{name}, {} of {} ns", found.runtime, found.period),
        (false, _) if asked.is_nice() => format!("{name}, nice {}", found.nice),
        (false, _) => name.clone(),
    }
}

fn give_io_priority(asked: &IoPriority, pid: i32) -> Result<()> {
    let what = || format!("cannot give the process the I/O priority {}", asked.name);
    schedule::set_io_priority(pid, asked.class, asked.level).context(what).map_err(|error| {
        match error.why.contains("not permitted") {
            true => {
                error.fix("the realtime class needs CAP_SYS_NICE or CAP_SYS_ADMIN, which the caller lacks")
            }
            false => error,
        }
    })?;
    let (class, level) = schedule::io_priority(pid).context(what)?;
    if (class, level) == (asked.class, asked.level) {
        return Ok(());
    }
    let planned = (asked.class, asked.level);
    Err(Error::new(
        Kind::Failed,
        what(),
        format!("planned {planned:?}, but the kernel says {:?}", (class, level)),
    ))
}
