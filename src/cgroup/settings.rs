//! Writing the settings of a plan, and reading them back.

use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::compare::holds;
use super::dirs::{Dir, Dirs};
use super::files;
use crate::error::{Error, Kind, Result};
use crate::plan::cgroup::{Otherwise, Setting};
use crate::sys::CallError;

/// What the kernel says about one setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The field of `config.json`; absent for a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The file that was read.
    pub file: String,
    /// What was written.
    pub asked: String,
    /// What is in the file; absent where it cannot be read, or where no file was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// Whether both mean the same.
    pub holds: bool,
}

/// Writes the settings in their order. What the kernel calls invalid is tried once more after the others:
/// when limits of a running cgroup change, each may be acceptable only after the next.
///
/// # Errors
/// The first write that fails for good, with its field. Earlier ones stay written.
pub fn apply(dirs: &Dirs, settings: &[Setting]) -> Result<()> {
    let mut again = Vec::new();
    let mut open = None;
    for setting in settings {
        match put(dirs, setting, &mut open) {
            Ok(()) => {}
            Err(Refusal::Call(error)) if error.errno == Errno::INVAL => again.push(setting),
            Err(refusal) => return Err(explain(dirs, setting, &refusal)),
        }
    }
    for setting in again {
        put(dirs, setting, &mut open).map_err(|refusal| explain(dirs, setting, &refusal))?;
    }
    Ok(())
}

/// Reads every setting back. A file that cannot be read is an outcome that does not hold.
pub fn verify(dirs: &Dirs, settings: &[Setting]) -> Vec<Outcome> {
    settings.iter().map(|setting| read_back(dirs, setting)).collect()
}

/// Why a setting was not written.
enum Refusal {
    Call(CallError),
    NoDirectory,
    InUse(u64),
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Refusal::Call(error)
    }
}

/// The file written last: the device list alone is a dozen writes to one file.
type Open<'a> = Option<(&'a str, OwnedFd)>;

fn put<'a>(dirs: &Dirs, setting: &'a Setting, open: &mut Open<'a>) -> Result<(), Refusal> {
    let dir = dirs.of(&setting.controller).ok_or(Refusal::NoDirectory)?;
    if let Some(counter) = &setting.not_below {
        not_below(dir, counter, &setting.value)?;
    }
    match (write(dir, &setting.file, &setting.value, open), &setting.otherwise) {
        (Err(error), Some(Otherwise::Skip)) if error.errno == Errno::NOENT => Ok(()),
        (Err(error), Some(Otherwise::Write { file, value })) if error.errno == Errno::NOENT => {
            Ok(write(dir, file, value, open)?)
        }
        (written, _) => Ok(written?),
    }
}

fn write<'a>(dir: &Dir, file: &'a str, value: &str, open: &mut Open<'a>) -> Result<(), CallError> {
    let fd = match open.take() {
        Some((name, fd)) if name == file => fd,
        _ => files::open_file(&dir.fd, file, OFlags::WRONLY)?,
    };
    files::write_to(&fd, file, value)?;
    *open = Some((file, fd));
    Ok(())
}

/// `checkBeforeUpdate`: a limit below what is in use would have the kernel kill for it.
fn not_below(dir: &Dir, counter: &str, value: &str) -> Result<(), Refusal> {
    let used: u64 = files::read(&dir.fd, counter)?.trim().parse().unwrap_or(0);
    match value.parse::<u64>() {
        Ok(limit) if used > limit => Err(Refusal::InUse(used)),
        _ => Ok(()),
    }
}

fn explain(dirs: &Dirs, setting: &Setting, refusal: &Refusal) -> Error {
    let Setting { controller, file, value, at, .. } = setting;
    let place = dirs.of(controller).map_or_else(|| dirs.path.clone(), |dir| dirs.place(dir));
    let what = format!("cannot write {value:?} to {place}/{file}");
    let (kind, why, fix) = match refusal {
        Refusal::NoDirectory => {
            (Kind::NotFound, format!("the cgroup has no directory in the {controller} hierarchy"), None)
        }
        Refusal::InUse(used) => (
            Kind::Failed,
            format!("{used} bytes are in use, and checkBeforeUpdate forbids a limit below that"),
            Some("set a higher limit".to_owned()),
        ),
        Refusal::Call(error) if error.errno == Errno::NOENT => {
            (Kind::Unsupported, error.to_string(), Some(lacking(file).to_owned()))
        }
        Refusal::Call(error) => {
            let (kind, fix) = advice(controller, error.errno);
            (kind, error.to_string(), fix)
        }
    };
    let mut error = Error::new(kind, what, why);
    error.at.clone_from(at);
    error.fix = fix;
    error
}

/// What a kernel without the file lacks.
fn lacking(file: &str) -> &'static str {
    match file {
        "cpu.rt_period_us" | "cpu.rt_runtime_us" => {
            "drop the setting, or use a kernel with CONFIG_RT_GROUP_SCHED, which no kernel has with cgroup v2"
        }
        "cpu.cfs_burst_us" | "cpu.max.burst" => "drop the burst, or use Linux 5.14 with CONFIG_CFS_BANDWIDTH",
        "cpu.cfs_quota_us" | "cpu.cfs_period_us" | "cpu.max" => {
            "drop the quota, or use a kernel with CONFIG_CFS_BANDWIDTH"
        }
        "cpu.idle" => "drop the setting, or use Linux 5.15",
        "memory.swap.max" | "memory.memsw.limit_in_bytes" => {
            "drop the limit, or use a kernel with swap accounting (CONFIG_SWAP, and no swapaccount=0)"
        }
        "memory.kmem.tcp.limit_in_bytes" | "memory.swappiness" | "memory.oom_control" => {
            "drop the setting, or use a kernel with CONFIG_MEMCG_V1"
        }
        "blkio.weight" | "blkio.weight_device" | "io.bfq.weight" => {
            "drop the weight, or use a kernel with the BFQ scheduler or, for cgroup v2, CONFIG_BLK_CGROUP_IOCOST"
        }
        _ if file.contains(".throttle.") => "drop the limit, or use a kernel with CONFIG_BLK_DEV_THROTTLING",
        _ if file.starts_with("hugetlb.") => "name a size of /sys/kernel/mm/hugepages",
        _ => "this kernel has no such file: drop the setting, or use a newer kernel",
    }
}

/// What the kernel means by its answer.
fn advice(controller: &str, errno: Errno) -> (Kind, Option<String>) {
    let (kind, fix) = match (controller, errno) {
        ("devices", Errno::PERM) => (Kind::Unsupported, "the cgroup above does not allow this device"),
        ("cpuset", Errno::ACCESS) => (Kind::Invalid, "the cgroup above does not have all of these"),
        (_, Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
            (Kind::Unsupported, "run as root, or in a cgroup delegated to this user")
        }
        ("memory", Errno::BUSY) => {
            (Kind::Failed, "more memory is in use and cannot be reclaimed: set a higher limit")
        }
        (_, Errno::INVAL | Errno::RANGE) => {
            (Kind::Invalid, "the kernel takes no such value: check it against the others of this controller")
        }
        ("rdma", Errno::NODEV) => (Kind::Invalid, "there is no such RDMA device"),
        ("net_prio", Errno::NODEV) => (Kind::Invalid, "there is no such network interface here"),
        (_, Errno::NODEV | Errno::NXIO) => (Kind::Invalid, "there is no such block device"),
        (_, Errno::OPNOTSUPP) => (Kind::Unsupported, "the device's I/O scheduler knows no weights"),
        _ => return (Kind::Failed, None),
    };
    (kind, Some(fix.to_owned()))
}

fn read_back(dirs: &Dirs, setting: &Setting) -> Outcome {
    let outcome = |file: &str, asked: &str, actual: Option<String>, holds: bool| Outcome {
        at: setting.at.clone(),
        file: file.to_owned(),
        asked: asked.to_owned(),
        actual,
        holds,
    };
    let Setting { controller, file, value, otherwise, .. } = setting;
    let read = |file: &str| match dirs.of(controller) {
        Some(dir) => files::read(&dir.fd, readable(file)).map_err(|error| error.errno),
        None => Err(Errno::NOENT),
    };
    let compared = |file: &str, value: &str, text: Result<String, Errno>| match text {
        Ok(text) => {
            let (actual, holds) = holds(file, value, &text);
            outcome(file, value, actual, holds)
        }
        Err(_) => outcome(file, value, None, false),
    };
    match (read(file), otherwise) {
        (Err(Errno::NOENT), Some(Otherwise::Skip)) => outcome(file, value, None, true),
        (Err(Errno::NOENT), Some(Otherwise::Write { file, value })) => compared(file, value, read(file)),
        (text, _) => compared(file, value, text),
    }
}

/// The two device files can only be written; what came of it is in a third.
fn readable(file: &str) -> &str {
    match file {
        "devices.allow" | "devices.deny" => "devices.list",
        file => file,
    }
}
