//! What a workload with many rights gets from processes that enter its container: it looks at all of them, all the time.

use std::fs;
use std::time::{Duration, Instant};

use crate::json::Json;
use crate::sys::open_at;

/// For so many seconds: every other process's binary opened for writing, and a file of the host read through its
/// root, its working directory and its descriptors. How often each was tried on a process, and how often it worked.
pub fn hunt(seconds: f64, canary: &str) -> Json {
    let end = Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, 600.0));
    let own = std::process::id().to_string();
    let [mut seen, mut binary, mut root, mut descriptor] = [0_i64; 4];
    while Instant::now() < end {
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = process.file_name().to_string_lossy().into_owned();
            if name == own || !name.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let dir = format!("/proc/{name}");
            seen += 1;
            binary += i64::from(writable(&format!("{dir}/exe")));
            let climb = format!("{}{canary}", "../".repeat(16));
            root += i64::from(
                ["root/", "cwd/../../../../../../../.."]
                    .iter()
                    .any(|at| readable(&format!("{dir}/{at}{canary}"))),
            );
            descriptor += i64::from((0..40).any(|fd| readable(&format!("{dir}/fd/{fd}/{climb}"))));
        }
    }
    Json::object(
        [("seen", seen), ("binary", binary), ("root", root), ("descriptor", descriptor)]
            .map(|(key, count)| (key, Json::Int(count))),
    )
}

/// The paths beneath a directory that can be opened for writing.
pub fn writable_below(dir: &str) -> Json {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path().display().to_string();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(path),
                Ok(kind) if kind.is_file() && writable(&path) => found.push(path),
                _ => {}
            }
        }
    }
    found.into_iter().collect()
}

fn writable(path: &str) -> bool {
    open_at(libc::AT_FDCWD, path, libc::O_WRONLY | libc::O_NONBLOCK).is_ok()
}

fn readable(path: &str) -> bool {
    open_at(libc::AT_FDCWD, path, libc::O_RDONLY | libc::O_NONBLOCK).is_ok()
}
