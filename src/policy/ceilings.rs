//! `[ceilings]` and `[defaults]`: the most that a container may use, and what it gets where it says nothing.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use super::Loaded;
use super::form::{Ceilings, Mode};
use super::judge::{Breach, Verdict};
use crate::plan::Change;
use crate::plan::cgroup::{Cgroup, Setting};

const PIDS: &str = "linux.resources.pids.limit";
const MEMORY: &str = "linux.resources.memory.limit";
const CPU: &str = "linux.resources.cpu.quota";

/// The period of a cgroup that nobody gave one, in µs.
const DEFAULT_PERIOD: u64 = 100_000;

/// Whether there are none.
pub fn none(ceilings: &Ceilings) -> bool {
    ceilings.pids.is_none() && ceilings.memory.is_none() && ceilings.cpu.is_none()
}

/// Limits as `linux.resources` has them; `pids` is apart, because the typed form cannot tell 0 from nothing.
pub struct Limits<'a> {
    /// The typed form.
    pub resources: &'a mut LinuxResources,
    /// `pids.limit` as written.
    pub pids: &'a mut Option<i64>,
}

/// Fills in what a new container does not say, and in mode `clamp` sets what is above a ceiling or not limited.
pub fn tighten(policy: &Loaded, limits: &mut Limits<'_>, changes: &mut Vec<Change>) {
    let (defaults, ceilings) = (&policy.policy.defaults, clamping(policy));
    let ceiling = |clamp: fn(&Ceilings) -> Option<i64>| ceilings.and_then(clamp);
    let mut settle =
        |at: &str, now: Option<i64>, default: Option<i64>, ceiling: Option<i64>| -> Option<i64> {
            let filled = now.or(default).or(ceiling);
            let most = match (filled, ceiling) {
                (Some(value), Some(ceiling)) if !(0..=ceiling).contains(&value) => Some(ceiling),
                (filled, _) => filled,
            };
            if most == now {
                return None;
            }
            changes.extend(most.map(|value| Change {
                at: at.to_owned(),
                what: format!("set to {value} by the policy {}", policy.name),
            }));
            most
        };
    if let Some(value) =
        settle(PIDS, *limits.pids, defaults.pids.map(i64::from), ceiling(|it| it.pids.map(i64::from)))
    {
        set_pids(limits, value);
    }
    let memory = memory_of(limits.resources);
    if let Some(value) =
        settle(MEMORY, memory, defaults.memory.map(|it| it.0), ceiling(|it| it.memory.map(|it| it.0)))
    {
        set_memory(limits.resources, value);
    }
    let (quota, period) = cpu_of(limits.resources);
    let of_period = |cpus: Option<f64>| cpus.map(|cpus| quota_of(cpus, period));
    let most = of_period(ceilings.and_then(|it| it.cpu));
    if let Some(value) = settle(CPU, quota, of_period(defaults.cpu), most) {
        set_quota(limits.resources, value);
    }
}

/// In mode `clamp`, lowers what an update would set above a ceiling; what it does not name stays.
pub fn tighten_update(policy: &Loaded, limits: &mut Limits<'_>, changes: &mut Vec<Change>) {
    let Some(ceilings) = clamping(policy) else { return };
    let mut lower = |at: &str, now: Option<i64>, ceiling: Option<i64>| -> Option<i64> {
        let (now, ceiling) = (now?, ceiling?);
        let above = !(0..=ceiling).contains(&now);
        above.then(|| {
            changes.push(Change {
                at: at.to_owned(),
                what: format!("set to {ceiling} by the policy {}", policy.name),
            });
            ceiling
        })
    };
    if let Some(value) = lower(PIDS, *limits.pids, ceilings.pids.map(i64::from)) {
        set_pids(limits, value);
    }
    if let Some(value) = lower(MEMORY, memory_of(limits.resources), ceilings.memory.map(|it| it.0)) {
        set_memory(limits.resources, value);
    }
    let (quota, period) = cpu_of(limits.resources);
    if let Some(value) = lower(CPU, quota, ceilings.cpu.map(|cpus| quota_of(cpus, period))) {
        set_quota(limits.resources, value);
    }
}

fn clamping(policy: &Loaded) -> Option<&Ceilings> {
    let ceilings = &policy.policy.ceilings;
    (policy.policy.mode(ceilings.mode) == Mode::Clamp).then_some(ceilings)
}

fn memory_of(resources: &LinuxResources) -> Option<i64> {
    resources.memory().as_ref().and_then(LinuxMemory::limit).filter(|limit| *limit != 0)
}

fn cpu_of(resources: &LinuxResources) -> (Option<i64>, u64) {
    let cpu = resources.cpu().as_ref();
    let quota = cpu.and_then(LinuxCpu::quota).filter(|quota| *quota != 0);
    (quota, cpu.and_then(LinuxCpu::period).filter(|period| *period != 0).unwrap_or(DEFAULT_PERIOD))
}

/// Rounded down, and at least what the kernel takes (1 ms).
fn quota_of(cpus: f64, period: u64) -> i64 {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // µs of one period
    let quota = (cpus * period as f64) as i64;
    quota.max(1000)
}

fn set_pids(limits: &mut Limits<'_>, value: i64) {
    *limits.pids = Some(value);
    let mut pids = limits.resources.pids().unwrap_or_default();
    pids.set_limit(value);
    limits.resources.set_pids(Some(pids));
}

fn set_memory(resources: &mut LinuxResources, value: i64) {
    let mut memory = resources.memory().unwrap_or_default();
    memory.set_limit(Some(value));
    resources.set_memory(Some(memory));
}

fn set_quota(resources: &mut LinuxResources, value: i64) {
    let mut cpu = resources.cpu().clone().unwrap_or_default();
    cpu.set_quota(Some(value));
    resources.set_cpu(Some(cpu));
}

/// Judges the files that will be written; of an update only those limits that it writes.
pub fn judge(cgroup: &Cgroup, written: Option<&[Setting]>, verdict: &mut Verdict<'_>) {
    let ceilings = verdict.policy().ceilings.clone();
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let bytes = ceilings.memory.map(|bytes| bytes.0 as f64);
    let memory = limit(cgroup, "memory.max").or_else(|| limit(cgroup, "memory.limit_in_bytes"));
    for (rule, at, found, ceiling, unit, pod) in [
        (
            "ceilings.pids",
            PIDS,
            limit(cgroup, "pids.max"),
            ceilings.pids.map(f64::from),
            "processes",
            "podPidsLimit of the kubelet",
        ),
        ("ceilings.memory", MEMORY, memory, bytes, "bytes", "resources.limits.memory"),
        ("ceilings.cpu", CPU, cpus(cgroup), ceilings.cpu, "CPUs", "resources.limits.cpu"),
    ] {
        let Some(ceiling) = ceiling.filter(|_| written.is_none_or(|written| concerns(rule, written))) else {
            continue;
        };
        let what = match found {
            Some(found) if found <= ceiling => continue,
            Some(found) => format!("{found} {unit} are more than {ceiling}"),
            None => format!("no limit, where {ceiling} {unit} are the most"),
        };
        let fix = format!("set a limit up to {ceiling}, in a pod by {pod}");
        verdict.breach(Breach { rule, mode: ceilings.mode, at: at.to_owned(), what, fix: &fix });
    }
}

/// Whether one of these files has to do with a rule.
fn concerns(rule: &str, written: &[Setting]) -> bool {
    let files: &[&str] = match rule {
        "ceilings.pids" => &["pids.max"],
        "ceilings.memory" => &["memory.max", "memory.limit_in_bytes"],
        _ => &["cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"],
    };
    written.iter().any(|setting| files.contains(&setting.file.as_str()))
}

/// What a file of the cgroup limits to; the last write counts.
fn limit(cgroup: &Cgroup, file: &str) -> Option<f64> {
    let setting = cgroup.settings.iter().rev().find(|setting| setting.file == file)?;
    setting.value.parse().ok().filter(|value: &f64| *value >= 0.0)
}

/// The quota as a number of CPUs.
fn cpus(cgroup: &Cgroup) -> Option<f64> {
    let value =
        |file: &str| cgroup.settings.iter().rev().find(|it| it.file == file).map(|it| it.value.as_str());
    let (quota, period) = match value("cpu.max") {
        Some(both) => both.split_once(' ')?,
        None => (value("cpu.cfs_quota_us")?, value("cpu.cfs_period_us").unwrap_or("100000")),
    };
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota >= 0.0 && period > 0.0).then_some(quota / period)
}
