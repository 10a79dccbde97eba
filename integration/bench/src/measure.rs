//! Clocks and counters.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Error, Result};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::bundle::Bundle;
use crate::subject::Subject;

/// One command, as the kernel accounts for it and the children it has reaped.
#[derive(Clone, Copy)]
pub struct Sample {
    pub wall: Duration,
    /// User and system time.
    pub cpu: Duration,
    /// Of the largest single process, in KiB.
    pub peak_kib: i64,
    pub success: bool,
}

/// Runs a command to its end.
pub fn timed(command: &mut Command) -> Result<Sample> {
    let start = Instant::now();
    let child = command.spawn()?;
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: the child is ours and nobody else waits for it; both results live in this frame.
    let reaped = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, usage.as_mut_ptr()) };
    let wall = start.elapsed();
    if reaped == -1 {
        return Err(Error::last_os_error());
    }
    // SAFETY: all zeros is a valid rusage, and the kernel has filled it.
    let usage = unsafe { usage.assume_init() };
    let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
    Ok(Sample {
        wall,
        cpu,
        peak_kib: usage.ru_maxrss,
        success: libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
    })
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
}

/// What was measured, by subject and operation.
#[derive(Default)]
pub struct Samples(BTreeMap<(String, &'static str), Vec<Sample>>);

impl Samples {
    pub fn add(&mut self, subject: &str, operation: &'static str, sample: Sample) {
        self.0.entry((subject.to_owned(), operation)).or_default().push(sample);
    }

    pub fn summary(&self, subject: &str, operation: &'static str) -> Option<Summary> {
        let samples = self.0.get(&(subject.to_owned(), operation))?;
        let sorted = |of: fn(&Sample) -> Duration| {
            let mut values: Vec<Duration> = samples.iter().map(of).collect();
            values.sort();
            values
        };
        let (wall, cpu) = (sorted(|sample| sample.wall), sorted(|sample| sample.cpu));
        Some(Summary {
            least: *wall.first()?,
            wall: *wall.get(wall.len() / 2)?,
            cpu: *cpu.get(cpu.len() / 2)?,
            peak_kib: samples.iter().map(|sample| sample.peak_kib).max()?,
        })
    }
}

/// The least and the median wall time, the median CPU time, the highest peak.
pub struct Summary {
    pub least: Duration,
    pub wall: Duration,
    pub cpu: Duration,
    pub peak_kib: i64,
}

/// What stays resident beside a container that runs in the foreground, in KiB.
pub struct Resident {
    pub name: String,
    /// Memory shared with others is divided among them.
    pub proportional: i64,
    pub private_dirty: i64,
}

pub fn memory(subjects: &[&Subject], bundle: &Bundle) -> Result<Vec<Resident>> {
    let resident = |subject: &&Subject| {
        subject.while_running(bundle, |pid| {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            Resident {
                name: subject.name.clone(),
                proportional: field(&rollup, "Pss:"),
                private_dirty: field(&rollup, "Private_Dirty:"),
            }
        })
    };
    subjects.iter().map(resident).collect()
}

fn field(rollup: &str, name: &str) -> i64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Makes SIGINT and SIGTERM end the measuring in good order, so that containers are deleted.
pub fn catch_interrupts() {
    extern "C" fn remember(_: i32) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    let handler = remember as extern "C" fn(i32);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler only stores to an atomic, which may be done in a signal handler.
        unsafe { libc::signal(signal, handler as usize) };
    }
}

pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Enough chance to shuffle a handful of runtimes (xorshift).
pub struct Random(u64);

impl Random {
    pub fn new() -> Random {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Random(now.as_nanos() as u64 | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
