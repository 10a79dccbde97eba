//! `linux.resources.cpu`.

use oci_spec::runtime::LinuxCpu;

use super::{Draft, Setting, Version};
use crate::error::{Error, Kind};

const SHARES: &str = "linux.resources.cpu.shares";
const QUOTA: &str = "linux.resources.cpu.quota";
const PERIOD: &str = "linux.resources.cpu.period";
const BURST: &str = "linux.resources.cpu.burst";
const IDLE: &str = "linux.resources.cpu.idle";
const RT_RUNTIME: &str = "linux.resources.cpu.realtimeRuntime";
const RT_PERIOD: &str = "linux.resources.cpu.realtimePeriod";
const CPUS: &str = "linux.resources.cpu.cpus";
const MEMS: &str = "linux.resources.cpu.mems";

/// The bounds of `cpu.shares` (kernel/sched/core.c).
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 1 << 18;
/// The period of a cgroup that nobody gave one, in µs.
const DEFAULT_PERIOD: u64 = 100_000;

/// Times in µs; 0 is "not set", a negative quota "no limit".
pub(super) fn plan(cpu: &LinuxCpu, draft: &mut Draft<'_>) {
    match draft.version_of("cpu") {
        Version::V1 => time_v1(cpu, draft),
        Version::V2 => time_v2(cpu, draft),
    }
    match cpu.idle() {
        None => {}
        Some(idle @ 0..=1) => or_default("cpu.idle", idle.unsigned_abs(), IDLE, draft),
        Some(other) => draft.invalid("cannot set cpu.idle", IDLE, format!("{other} is neither 0 nor 1")),
    }
    for (list, file, at) in [(cpu.cpus(), "cpuset.cpus", CPUS), (cpu.mems(), "cpuset.mems", MEMS)] {
        match list.as_deref() {
            None | Some("") => {}
            Some(list) if list.chars().all(|c| c.is_ascii_digit() || c == ',' || c == '-') => {
                draft.set("cpuset", file, list, at);
            }
            Some(list) => draft.invalid(
                &format!("cannot set {file}"),
                at,
                format!("{list:?} is not a list such as 0-3,7"),
            ),
        }
    }
}

fn time_v1(cpu: &LinuxCpu, draft: &mut Draft<'_>) {
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        draft.set("cpu", "cpu.shares", shares.clamp(SHARES_MIN, SHARES_MAX), SHARES);
    }
    // Period before quota: the kernel checks the quota against the period.
    if let Some(period) = cpu.period().filter(|period| *period != 0) {
        draft.set("cpu", "cpu.cfs_period_us", period, PERIOD);
    }
    if let Some(quota) = cpu.quota().filter(|quota| *quota != 0) {
        draft.set("cpu", "cpu.cfs_quota_us", quota.max(-1), QUOTA);
    }
    if let Some(burst) = cpu.burst() {
        or_default("cpu.cfs_burst_us", burst, BURST, draft);
    }
    if let Some(period) = cpu.realtime_period().filter(|period| *period != 0) {
        draft.set("cpu", "cpu.rt_period_us", period, RT_PERIOD);
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|runtime| *runtime != 0) {
        draft.set("cpu", "cpu.rt_runtime_us", runtime, RT_RUNTIME);
    }
}

fn time_v2(cpu: &LinuxCpu, draft: &mut Draft<'_>) {
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        draft.set("cpu", "cpu.weight", weight(shares), SHARES);
    }
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    if quota.is_some() || period.is_some() {
        // One file for both: an update of one leaves the other as it is.
        let before = draft.in_force("cpu.max").and_then(|value| value.split_once(' '));
        let value = match (quota, before) {
            (Some(quota @ 1..), _) => quota.to_string(),
            (None, Some((quota, _))) => quota.to_owned(),
            _ => "max".to_owned(),
        };
        let before = before.and_then(|(_, period)| period.parse().ok());
        let period = period.or(before).unwrap_or(DEFAULT_PERIOD);
        let at = if quota.is_some() { QUOTA } else { PERIOD };
        draft.set("cpu", "cpu.max", format!("{value} {period}"), at);
    }
    // After the quota: the kernel refuses a burst above it.
    if let Some(burst) = cpu.burst() {
        or_default("cpu.max.burst", burst, BURST, draft);
    }
    let runtime = cpu.realtime_runtime().filter(|runtime| *runtime != 0).map(|_| RT_RUNTIME);
    let period = cpu.realtime_period().filter(|period| *period != 0).map(|_| RT_PERIOD);
    for at in runtime.into_iter().chain(period) {
        let why = "cgroup v2 has no group scheduling for realtime tasks";
        draft.errors.push(
            Error::new(Kind::Unsupported, "cannot reserve realtime CPU time", why)
                .at(at)
                .fix("remove the field, or use a host with cgroup v1"),
        );
    }
}

/// A file of newer kernels (burst 5.14, idle 5.15), which behave as 0 says without it.
fn or_default(file: &str, value: u64, at: &str, draft: &mut Draft<'_>) {
    let setting = Setting::new("cpu", file, value, at);
    if value != 0 {
        draft.push(setting);
    } else if draft.layout.version_of("cpu").is_some() {
        draft.push(setting.or_skip());
    }
}

/// `cpu.weight` (1 to 10000, default 100) for `cpu.shares` (2 to 262144, default 1024): the quadratic curve
/// in log space through the three corresponding points that runc and crun use since 2025, so that a
/// container keeps its share beside its neighbours whichever runtime started them.
pub(super) fn weight(shares: u64) -> u64 {
    match shares {
        0..=SHARES_MIN => 1,
        SHARES_MAX.. => 10_000,
        _ => {
            #[allow(clippy::cast_precision_loss)] // below 2^18
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            // Rounded to a millionth first: an error in the last bit must not become a whole step.
            let weight = ((10f64.powf(exponent) * 1e6).round() / 1e6).ceil();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to 10000 by the curve
            let weight = weight as u64;
            weight.clamp(1, 10_000)
        }
    }
}
