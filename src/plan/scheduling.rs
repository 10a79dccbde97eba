//! When the process gets the CPU and the disk, and which CPUs (OCI config, "Linux Process": `scheduler`,
//! `ioPriority`, `execCPUAffinity`).

use oci_spec::runtime as oci;
use oci_spec::runtime::{IOPriorityClass, LinuxIOPriority, LinuxSchedulerFlag, LinuxSchedulerPolicy};
use serde::{Deserialize, Serialize};

use super::list;
use crate::error::{Error, Kind};

/// What a process asks for, with everything in it that the kernel would not take. `at` is where its JSON is.
pub(super) fn resolve(
    process: &oci::Process,
    at: &str,
    errors: &mut Vec<Error>,
) -> (Option<Scheduler>, Option<IoPriority>, Option<CpuAffinity>) {
    let scheduler = process.scheduler().as_ref().map(|it| scheduler(it, &format!("{at}.scheduler"), errors));
    let priority = process.io_priority().map(|it| io_priority(it, &format!("{at}.ioPriority"), errors));
    let affinity = process.exec_cpu_affinity().as_ref();
    let affinity = affinity.map(|it| cpu_affinity(it, &format!("{at}.execCPUAffinity"), errors));
    (scheduler, priority, affinity)
}

/// Attributes for `sched_setattr(2)` (Linux 3.14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduler {
    /// `SCHED_FIFO` and so on.
    pub name: String,
    /// The kernel's number for it.
    pub policy: u32,
    /// `SCHED_FLAG_*`. The two that clamp the utilization clamp it to 0, for `config.json` has no number for them.
    pub flags: u64,
    /// −20 to 19, for `SCHED_OTHER` and `SCHED_BATCH`; default 0.
    pub nice: i32,
    /// 1 to 99, for `SCHED_FIFO` and `SCHED_RR`; else 0.
    pub priority: u32,
    /// Nanoseconds of CPU time in each period, for `SCHED_DEADLINE`.
    pub runtime: u64,
    /// Nanoseconds from the start of a period by which it has had them.
    pub deadline: u64,
    /// Nanoseconds; 0 for as long as the deadline.
    pub period: u64,
}

const SCHED_OTHER: u32 = 0;
const SCHED_FIFO: u32 = 1;
const SCHED_RR: u32 = 2;
const SCHED_BATCH: u32 = 3;
const SCHED_ISO: u32 = 4;
const SCHED_IDLE: u32 = 5;
const SCHED_DEADLINE: u32 = 6;

/// The shortest runtime that the kernel takes, in nanoseconds (kernel/sched/deadline.c, `DL_SCALE`).
const SHORTEST_RUNTIME: u64 = 1024;

impl Scheduler {
    /// Whether the process comes before every ordinary one, and can keep them all from running.
    pub fn is_realtime(&self) -> bool {
        matches!(self.policy, SCHED_FIFO | SCHED_RR | SCHED_DEADLINE)
    }

    /// Whether the nice value means anything.
    pub fn is_nice(&self) -> bool {
        matches!(self.policy, SCHED_OTHER | SCHED_BATCH)
    }

    /// Comparable: who has more comes first where both want the CPU.
    fn urgency(&self) -> (u32, i64) {
        match self.policy {
            // In millionths of a CPU.
            SCHED_DEADLINE => {
                let period = if self.period == 0 { self.deadline } else { self.period };
                let share = u128::from(self.runtime) * 1_000_000 / u128::from(period.max(1));
                (3, i64::try_from(share).unwrap_or(i64::MAX))
            }
            SCHED_FIFO | SCHED_RR => (2, self.priority.into()),
            SCHED_IDLE => (0, 0),
            _ => (1, -i64::from(self.nice)),
        }
    }

    /// Whether this is more than what another process has; one without has the kernel's default.
    pub fn exceeds(&self, other: Option<&Scheduler>) -> bool {
        self.urgency() > other.map_or((1, 0), Scheduler::urgency)
    }
}

fn scheduler(asked: &oci::Scheduler, at: &str, errors: &mut Vec<Error>) -> Scheduler {
    let flags = asked.flags().iter().flatten().fold(0, |flags, flag| flags | flag_bit(*flag));
    let scheduler = Scheduler {
        name: asked.policy().to_string(),
        policy: policy_number(*asked.policy()),
        flags,
        nice: asked.nice().unwrap_or(0),
        priority: u32::try_from(asked.priority().unwrap_or(0)).unwrap_or(u32::MAX),
        runtime: asked.runtime().unwrap_or(0),
        deadline: asked.deadline().unwrap_or(0),
        period: asked.period().unwrap_or(0),
    };
    let name = &scheduler.name;
    let mut invalid = |field: &str, what: String, fix: &str| {
        errors.push(Error::new(Kind::Invalid, what, "").at(format!("{at}.{field}")).fix(fix));
    };
    if !(-20..=19).contains(&scheduler.nice) {
        invalid("nice", format!("{} is no nice value", scheduler.nice), "use a number from -20 to 19");
    }
    let priorities = if matches!(scheduler.policy, SCHED_FIFO | SCHED_RR) { 1..=99 } else { 0..=0 };
    if !priorities.contains(&scheduler.priority) {
        let what = format!("{} is no priority for {name}", asked.priority().unwrap_or(0));
        invalid("priority", what, "SCHED_FIFO and SCHED_RR take 1 to 99, every other policy only 0");
    }
    if scheduler.policy == SCHED_DEADLINE {
        deadline(&scheduler, &mut invalid);
    } else {
        let Scheduler { runtime, deadline, period, .. } = scheduler;
        for (field, value) in [("runtime", runtime), ("deadline", deadline), ("period", period)] {
            if value != 0 {
                invalid(field, format!("{name} has no {field}"), "remove it, or use SCHED_DEADLINE");
            }
        }
    }
    if scheduler.policy == SCHED_ISO {
        let why = "the name is reserved, and no Linux kernel up to 6.18 has the policy";
        errors.push(
            Error::new(Kind::Unsupported, "cannot schedule by SCHED_ISO", why)
                .at(format!("{at}.policy"))
                .fix("use SCHED_RR or SCHED_OTHER"),
        );
    }
    scheduler
}

fn deadline(scheduler: &Scheduler, invalid: &mut impl FnMut(&str, String, &str)) {
    let Scheduler { runtime, deadline, period, .. } = *scheduler;
    if runtime < SHORTEST_RUNTIME {
        invalid("runtime", format!("{runtime} ns is too short"), "use 1024 or more");
    }
    if deadline < runtime {
        let what = format!("the deadline, {deadline} ns, comes before the runtime, {runtime} ns, is used");
        invalid("deadline", what, "use the runtime or more");
    }
    if period != 0 && period < deadline {
        let what = format!("the period, {period} ns, ends before the deadline, {deadline} ns");
        invalid("period", what, "use the deadline or more, or leave it out");
    }
}

fn policy_number(policy: LinuxSchedulerPolicy) -> u32 {
    match policy {
        LinuxSchedulerPolicy::SchedOther => SCHED_OTHER,
        LinuxSchedulerPolicy::SchedFifo => SCHED_FIFO,
        LinuxSchedulerPolicy::SchedRr => SCHED_RR,
        LinuxSchedulerPolicy::SchedBatch => SCHED_BATCH,
        LinuxSchedulerPolicy::SchedIso => SCHED_ISO,
        LinuxSchedulerPolicy::SchedIdle => SCHED_IDLE,
        LinuxSchedulerPolicy::SchedDeadline => SCHED_DEADLINE,
    }
}

fn flag_bit(flag: LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

/// Class and level for `ioprio_set(2)` (Linux 2.6.13).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_RT` and so on.
    pub name: String,
    /// The kernel's number: 1 realtime, 2 best effort, 3 idle.
    pub class: u32,
    /// 0, the first, to 7, the last.
    pub level: u32,
}

impl IoPriority {
    /// Whether the process comes before every ordinary one, and can keep them all from the disk.
    pub fn is_realtime(&self) -> bool {
        self.class == 1
    }

    /// Whether this is more than what another process has; one without has best effort, 4.
    pub fn exceeds(&self, other: Option<&IoPriority>) -> bool {
        let order =
            |priority: &IoPriority| (priority.class, if priority.class == 3 { 0 } else { priority.level });
        order(self) < other.map_or((2, 4), order)
    }
}

fn io_priority(asked: LinuxIOPriority, at: &str, errors: &mut Vec<Error>) -> IoPriority {
    let level = u32::try_from(asked.priority()).unwrap_or(u32::MAX);
    if level > 7 {
        let what = format!("{} is no I/O priority", asked.priority());
        errors.push(
            Error::new(Kind::Invalid, what, "")
                .at(format!("{at}.priority"))
                .fix("use a number from 0, the highest, to 7"),
        );
    }
    let class = match asked.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    IoPriority { name: asked.class().to_string(), class, level }
}

/// The CPUs of a process that joins a running container (`sched_setaffinity(2)`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuAffinity {
    /// CPUs on which it is made, before it is in the container's cgroup; none for the caller's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initial: Vec<u32>,
    /// CPUs on which it runs in the cgroup; none for what the kernel makes of the initial ones.
    #[serde(default, rename = "final", skip_serializing_if = "Vec::is_empty")]
    pub last: Vec<u32>,
}

/// How many CPUs a `cpu_set_t` has.
const LAST_CPU: u32 = 1023;

fn cpu_affinity(asked: &oci::ExecCPUAffinity, at: &str, errors: &mut Vec<Error>) -> CpuAffinity {
    let mut list = |field: &str, text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.trim().is_empty());
        text.map(|text| list::numbers(text, LAST_CPU)).transpose().unwrap_or_else(|why| {
            let at = format!("{at}.{field}");
            errors.push(Error::new(Kind::Invalid, "not a list of CPUs", why).at(at));
            None
        })
    };
    let (initial, last) = (list("initial", asked.initial()), list("final", asked.cpu_affinity_final()));
    CpuAffinity { initial: initial.unwrap_or_default(), last: last.unwrap_or_default() }
}
