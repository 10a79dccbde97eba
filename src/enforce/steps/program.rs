//! The container's program: found before anything is reported ready, executed last.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType, StatVfsMountFlags, accessat, stat, statvfs};
use rustix::io::Errno;

use crate::enforce::init::Init;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Workload;
use crate::sys::process::Program;

/// The search path of a process without one.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Finds the program as the user and with the rights that it will have.
pub fn find(workload: &Workload, init: &mut Init) -> Result<()> {
    // A container without one can be created, and not started.
    let Some(name) = workload.args.first() else { return Ok(()) };
    let path = if name.contains('/') {
        check(Path::new(name)).map(|()| PathBuf::from(name))
    } else {
        search(name, workload)
    };
    let path = path.map_err(|errno| explain_noexec(name, not_runnable(name, errno)))?;
    init.program =
        Some(CString::new(path.as_os_str().as_bytes()).context(|| format!("cannot run {name:?}"))?);
    Ok(())
}

/// The first executable file in `PATH`; if there is none, the reason of the last one that is a file.
fn search(name: &str, workload: &Workload) -> Result<PathBuf, Errno> {
    let path = variable(workload, "PATH").unwrap_or(DEFAULT_PATH);
    let mut reason = Errno::NOENT;
    for dir in path.split(':') {
        let candidate = Path::new(if dir.is_empty() { "." } else { dir }).join(name);
        match check(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => reason = errno,
        }
    }
    Err(reason)
}

fn variable<'a>(workload: &'a Workload, name: &str) -> Option<&'a str> {
    let prefix = |entry: &'a String| entry.strip_prefix(name)?.strip_prefix('=');
    workload.env.iter().find_map(prefix)
}

fn check(path: &Path) -> Result<(), Errno> {
    if FileType::from_raw_mode(stat(path)?.st_mode) != FileType::RegularFile {
        return Err(Errno::ACCESS);
    }
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}

fn not_runnable(name: &str, errno: Errno) -> Error {
    let what = format!("cannot run {name:?}");
    let error = match errno {
        Errno::NOENT | Errno::NOTDIR if name.contains('/') => {
            Error::new(Kind::ProgramNotFound, what, "no such file or directory")
        }
        Errno::NOENT => Error::new(Kind::ProgramNotFound, what, "executable file not found in $PATH"),
        Errno::ACCESS => Error::new(Kind::ProgramNotExecutable, what, "permission denied"),
        other => Error::new(Kind::ProgramNotExecutable, what, other.to_string()),
    };
    error.at("process.args[0]")
}

/// The kernel's answer is the same as for a file without permission.
fn explain_noexec(name: &str, error: Error) -> Error {
    let noexec = statvfs(name).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::NOEXEC));
    match error.kind {
        Kind::ProgramNotExecutable if noexec => Error { why: format!("{}: it is on a noexec mount", error.why), ..error }
            .fix("at level strict what can be written is not executed: keep programs in /usr, /bin or /opt, mount them \
                  read-only, or name their directory in the annotation dev.sandrun.executable"),
        _ => error,
    }
}

/// Makes everything ready that is needed to execute the program that was found.
pub fn prepare(workload: &Workload, init: &mut Init) -> Result<Program> {
    let Some(path) = init.program.take() else {
        return Err(Error::new(Kind::Invalid, "nothing to start", "the container was created without one")
            .at("process")
            .fix("delete the container, and set process.args to the program to run"));
    };
    let strings = |list: &[String]| -> Result<Vec<CString>> {
        let convert = |text: &String| CString::new(OsStr::new(text).as_bytes());
        list.iter().map(convert).collect::<Result<_, _>>().context(|| "cannot pass an argument".to_owned())
    };
    Ok(Program::new(path, strings(&workload.args)?, strings(&environment(workload))?))
}

/// The environment as planned, with a home, and what a service has to know of sockets that it gets.
pub fn environment(workload: &Workload) -> Vec<String> {
    let mut environment = workload.env.clone();
    if variable(workload, "HOME").is_none_or(str::is_empty) {
        environment.retain(|variable| variable != "HOME=");
        environment.push(format!("HOME={}", home(workload.user.uid)));
    }
    if let Some(count) = workload.listen_fds {
        environment
            .retain(|variable| !variable.starts_with("LISTEN_FDS=") && !variable.starts_with("LISTEN_PID="));
        environment.push(format!("LISTEN_FDS={count}"));
        // Whoever asks is the program that takes this process over.
        environment.push(format!("LISTEN_PID={}", rustix::process::getpid().as_raw_nonzero()));
    }
    environment
}

/// Why the program at `path` was not executed.
pub fn not_executed(path: &CStr, errno: Errno) -> Error {
    let name = path.to_string_lossy();
    let what = format!("cannot run {name:?}");
    let error = match errno {
        Errno::NOENT => Error::new(
            Kind::ProgramNotFound,
            what,
            "its interpreter (\"#!\" line or dynamic linker) is not in the root filesystem",
        ),
        Errno::NOEXEC => Error::new(Kind::ProgramNotExecutable, what, "exec format error"),
        other => not_runnable(&name, other),
    };
    error.at("process.args[0]")
}

/// The home directory that the container's `/etc/passwd` has for the user, else `/`.
fn home(uid: u32) -> String {
    let uid = uid.to_string();
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [_, _, id, _, _, home, ..] if *id == uid && home.starts_with('/') => Some((*home).to_owned()),
            _ => None,
        }
    });
    found.unwrap_or_else(|| "/".to_owned())
}
