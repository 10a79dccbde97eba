//! Reading, and the forms of text that the kernel writes.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::{BlkioEntry, Pressure, RdmaEntry, Stall, Stats, v1, v2};
use crate::cgroup::dirs::{Dir, Dirs};
use crate::cgroup::{failure, files};
use crate::error::Result;
use crate::plan::cgroup::Version;
use crate::sys::CallError;

/// Reads what a cgroup and those beneath it have used.
///
/// # Errors
/// `Failed` if a file cannot be read; one that this kernel does not have is none.
pub fn read(dirs: &Dirs) -> Result<Stats> {
    let mut stats = Stats::default();
    for dir in &dirs.all {
        read_hierarchy(dir, &mut stats).map_err(|error| {
            failure(format!("cannot read the statistics of the cgroup {}", dirs.place(dir)), &error)
        })?;
    }
    Ok(stats)
}

/// A controller is in one hierarchy only, so none overwrites what another has read.
fn read_hierarchy(dir: &Dir, stats: &mut Stats) -> Result<(), CallError> {
    let files = Files(&dir.fd);
    if dir.version == Version::V2 {
        // On a hybrid host, too: the processes are in this hierarchy as well.
        stats.cpu.psi = files.pressure("cpu.pressure")?;
        stats.memory.psi = files.pressure("memory.pressure")?;
        stats.blkio.psi = files.pressure("io.pressure")?;
        // The time is counted without the controller.
        if dir.controllers.iter().all(|name| name != "cpu") && stats.cpu.usage.total == 0 {
            v2::cpu(&files, stats)?;
        }
    }
    for controller in &dir.controllers {
        match (dir.version, controller.as_str()) {
            (Version::V1, "cpu") => v1::cpu(&files, stats)?,
            (Version::V1, "cpuacct") => v1::cpuacct(&files, stats)?,
            (Version::V1, "cpuset") => v1::cpuset(&files, stats)?,
            (Version::V1, "memory") => v1::memory(&files, stats)?,
            (Version::V1, "blkio") => v1::blkio(&files, stats)?,
            (Version::V1, "hugetlb") => v1::hugetlb(&files, stats)?,
            (Version::V2, "cpu") => v2::cpu(&files, stats)?,
            (Version::V2, "cpuset") => v2::cpuset(&files, stats)?,
            (Version::V2, "memory") => v2::memory(&files, stats)?,
            (Version::V2, "io") => v2::io(&files, stats)?,
            (Version::V2, "hugetlb") => v2::hugetlb(&files, stats)?,
            (_, "pids") => {
                stats.pids.current = files.number("pids.current")?.unwrap_or(0);
                stats.pids.limit = files.number("pids.max")?.filter(|max| *max != u64::MAX).unwrap_or(0);
            }
            (_, "rdma") => {
                let text = |file: &str| Ok(files.text(file)?.unwrap_or_default());
                stats.rdma.current = rdma(&text("rdma.current")?);
                // The root has none.
                stats.rdma.limit = rdma(&text("rdma.max")?);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The files of one directory.
pub(super) struct Files<'a>(pub &'a OwnedFd);

impl Files<'_> {
    /// `None` for a file that is not there, or a controller that was not handed on.
    pub fn text(&self, file: &str) -> Result<Option<String>, CallError> {
        match files::read(self.0, file) {
            Ok(text) => Ok(Some(text)),
            // PSI that is switched off answers so on reading.
            Err(error) if matches!(error.errno, Errno::NOENT | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One number; `max` is the largest.
    pub fn number(&self, file: &str) -> Result<Option<u64>, CallError> {
        Ok(self.text(file)?.and_then(|text| number(text.trim())))
    }

    /// Lines of a name and a number.
    pub fn table(&self, file: &str) -> Result<BTreeMap<String, u64>, CallError> {
        let text = self.text(file)?.unwrap_or_default();
        let line = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), number(value.trim())?))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    /// The sizes for which there are files of huge pages.
    pub fn page_sizes(&self, suffix: &str) -> Result<Vec<String>, CallError> {
        let size = |name: String| {
            let size = name.strip_prefix("hugetlb.")?.strip_suffix(suffix)?;
            (!size.contains('.')).then(|| size.to_owned())
        };
        Ok(files::names(self.0)?.into_iter().filter_map(size).collect())
    }

    /// A `*.pressure` file.
    pub fn pressure(&self, file: &str) -> Result<Option<Pressure>, CallError> {
        Ok(self.text(file)?.map(|text| pressure(&text)))
    }
}

fn number(text: &str) -> Option<u64> {
    if text == "max" { Some(u64::MAX) } else { text.parse().ok() }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and `full` likewise; older kernels have no `full` for CPUs.
pub(super) fn pressure(text: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let stall = match line.split_once(' ') {
            Some(("some", _)) => &mut pressure.some,
            Some(("full", _)) => &mut pressure.full,
            _ => continue,
        };
        *stall = words(line).fold(Stall::default(), |stall, (name, value)| {
            let share = value.parse().unwrap_or(0.0);
            match name {
                "avg10" => Stall { avg10: share, ..stall },
                "avg60" => Stall { avg60: share, ..stall },
                "avg300" => Stall { avg300: share, ..stall },
                "total" => Stall { total: value.parse().unwrap_or(0), ..stall },
                _ => stall,
            }
        });
    }
    pressure
}

/// The `name=value` words of a line.
pub(super) fn words(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split_whitespace().filter_map(|word| word.split_once('='))
}

/// An entry for the device `major:minor`.
pub(super) fn entry(device: &str, op: &str, value: &str) -> Option<BlkioEntry> {
    let (major, minor) = device.split_once(':')?;
    Some(BlkioEntry {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        op: op.to_owned(),
        value: value.parse().ok()?,
    })
}

/// `mlx4_0 hca_handle=2 hca_object=max`
pub(super) fn rdma(text: &str) -> Vec<RdmaEntry> {
    let line = |line: &str| {
        let mut entry =
            RdmaEntry { device: line.split_whitespace().next()?.to_owned(), ..RdmaEntry::default() };
        for (name, value) in words(line) {
            // `max` is more than fits.
            let value = number(value).map(|value| u32::try_from(value).unwrap_or(u32::MAX));
            match name {
                "hca_handle" => entry.handles = value?,
                "hca_object" => entry.objects = value?,
                _ => {}
            }
        }
        Some(entry)
    };
    text.lines().filter_map(line).collect()
}

/// `0-2,5` as single numbers.
pub(super) fn list(text: &str) -> Vec<u32> {
    let range = |range: &str| -> Option<std::ops::RangeInclusive<u32>> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}
