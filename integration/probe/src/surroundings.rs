//! What the workload finds around it: files, mounts, devices, descriptors, environment.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use crate::errno::Errno;
use crate::json::Json;
use crate::sys;

/// The working directory.
pub fn cwd() -> Json {
    match std::env::current_dir() {
        Ok(path) => text(&path),
        Err(error) => Json::object([("errno", Errno::of(&error).to_string().into())]),
    }
}

/// The environment.
pub fn env() -> Json {
    Json::object(std::env::vars_os().map(|(key, value)| {
        (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned().into())
    }))
}

/// Open descriptors with what they refer to, without the one that lists them.
pub fn fds() -> Json {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Json::Null };
    let mut found: Vec<(i64, String)> = entries
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, target.to_string_lossy().into_owned()))
        })
        .filter(|(_, target)| !(target.starts_with("/proc/") && target.ends_with("/fd")))
        .collect();
    found.sort();
    Json::object(found.into_iter().map(|(fd, target)| (fd.to_string(), target.into())))
}

/// `/proc/self/mountinfo` (proc_pid_mountinfo(5)), one object a mount.
pub fn mounts() -> Json {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Json::List(table.lines().filter_map(mount).collect())
}

fn mount(line: &str) -> Option<Json> {
    let (here, filesystem) = line.split_once(" - ")?;
    let here: Vec<&str> = here.split(' ').collect();
    let [kind, source, super_options] = filesystem.splitn(3, ' ').collect::<Vec<_>>().try_into().ok()?;
    let [_, _, device, root, point, options, optional @ ..] = here.as_slice() else { return None };
    Some(Json::object([
        ("destination", Json::from(*point)),
        ("type", kind.into()),
        ("source", source.into()),
        ("root", (*root).into()),
        ("device", (*device).into()),
        ("options", options.split(',').collect()),
        ("superOptions", super_options.split(',').collect()),
        ("propagation", optional.iter().copied().collect()),
    ]))
}

/// The entries of `/dev`: type, mode, owner, number or link target.
pub fn devices() -> Json {
    let Ok(entries) = fs::read_dir("/dev") else { return Json::Null };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_string_lossy().into_owned(), device(&entry.path())?)))
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Json::Object(found)
}

fn device(path: &Path) -> Option<Json> {
    let meta = fs::symlink_metadata(path).ok()?;
    let kind = meta.file_type();
    let kind = match () {
        () if kind.is_char_device() => "c",
        () if kind.is_block_device() => "b",
        () if kind.is_symlink() => "l",
        () if kind.is_dir() => "d",
        () => "f",
    };
    let number = format!("{}:{}", libc::major(meta.rdev()), libc::minor(meta.rdev()));
    Some(Json::object([
        ("type", Json::from(kind)),
        ("mode", format!("{:o}", meta.permissions().mode() & 0o7777).into()),
        ("owner", format!("{}:{}", meta.uid(), meta.gid()).into()),
        ("number", if matches!(kind, "c" | "b") { number.into() } else { Json::Null }),
        ("target", fs::read_link(path).ok().map(|target| target.to_string_lossy().into_owned()).into()),
    ]))
}

/// What the OCI runtimes' default configurations mask or make read-only.
pub const USUALLY_MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// For each path: is it there, does reading yield anything, could it be opened for writing.
pub fn masked(paths: &[&str]) -> Json {
    Json::object(paths.iter().map(|path| (*path, mask(path))))
}

fn mask(path: &str) -> Json {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Json::object([("state", "absent".into())]);
        }
        Err(error) => {
            return Json::object([
                ("state", Json::from("error")),
                ("errno", Errno::of(&error).to_string().into()),
            ]);
        }
    };
    let content = if meta.is_dir() { entries_in(path) } else { bytes_in(path) };
    let writable = sys::open_at(libc::AT_FDCWD, path, write_flags(meta.is_dir())).err();
    Json::object([
        ("state", if content == Ok(0) { "empty" } else { "content" }.into()),
        ("directory", meta.is_dir().into()),
        ("read", content.err().map(|errno| errno.to_string()).into()),
        ("write", writable.map(|errno| errno.to_string()).into()),
    ])
}

/// A directory is writable if an unnamed file can be made in it; a file is only opened, not written.
fn write_flags(directory: bool) -> i32 {
    if directory { libc::O_TMPFILE | libc::O_WRONLY } else { libc::O_WRONLY | libc::O_NONBLOCK }
}

fn entries_in(path: &str) -> Result<usize, Errno> {
    fs::read_dir(path).map(Iterator::count).map_err(|error| Errno::of(&error))
}

fn bytes_in(path: &str) -> Result<usize, Errno> {
    let fd = sys::open_at(libc::AT_FDCWD, path, libc::O_RDONLY | libc::O_NONBLOCK)?;
    let mut buffer = [0; 64];
    std::io::Read::read(&mut fs::File::from(fd), &mut buffer).map_err(|error| Errno::of(&error))
}

fn text(path: &Path) -> Json {
    path.to_string_lossy().into_owned().into()
}
