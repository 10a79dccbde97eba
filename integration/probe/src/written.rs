//! Code that was not there when the container was made: written wherever that is possible, then executed in every way.

use std::fs::{self, DirBuilder};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::errno::{Errno, Outcome};
use crate::json::Json;
use crate::sys::{c_string, call, call_for_fd, execute_at, in_child, open_at};

/// A name, and what is tried.
type Way<'a> = (&'a str, &'a dyn Fn() -> Result<(), Errno>);

/// In each directory from `/` on that can be written: a copy of this program, executed, mapped, and moved to where
/// programs are; each executable file that can be written. Which of it worked where, and in how many directories it
/// was tried.
pub fn everywhere() -> Json {
    let [mut executed, mut mapped, mut overwritten] = [const { Vec::new() }; 3];
    let mut tried = 0_i64;
    let mut dirs = vec!["/".to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path().display().to_string();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && path != "/proc" => dirs.push(path),
                Ok(kind) if kind.is_file() && is_executable(&path) && is_writable(&path) => {
                    overwritten.push(path)
                }
                _ => {}
            }
        }
        let file = Path::new(&dir).join(".written").display().to_string();
        if fs::copy("/proc/self/exe", &file).is_err() {
            continue;
        }
        tried += 1;
        executed.extend(ways_to_execute(&file));
        if worked(|| map(&file)) {
            mapped.push(dir.clone());
        }
        fs::remove_file(&file).unwrap_or_default();
    }
    Json::object([
        ("tried", Json::Int(tried)),
        ("executed", executed.into_iter().collect()),
        ("mapped", mapped.into_iter().collect()),
        ("overwritten", overwritten.into_iter().collect()),
    ])
}

/// The names of the ways that worked.
fn ways_to_execute(file: &str) -> Vec<String> {
    let below = format!("{file}-directory");
    let ways: [Way<'_>; 5] = [
        ("path", &|| execute(file)),
        ("execveat", &|| execute_descriptor(&open_at(libc::AT_FDCWD, file, libc::O_PATH)?)),
        ("link in /proc", &|| {
            let open = open_at(libc::AT_FDCWD, file, libc::O_RDONLY)?;
            execute(&format!("/proc/self/fd/{}", open.as_raw_fd()))
        }),
        ("symbolic link", &|| {
            symlink(file, &below).map_err(|error| Errno::of(&error))?;
            execute(&below)
        }),
        ("new directory", &|| {
            DirBuilder::new().mode(0o755).create(&below).map_err(|error| Errno::of(&error))?;
            let file = format!("{below}/file");
            fs::copy("/proc/self/exe", &file).map_err(|error| Errno::of(&error))?;
            execute(&file)
        }),
    ];
    let mut found = Vec::new();
    for (name, way) in ways {
        if worked(way) {
            found.push(format!("{file}: {name}"));
        }
        // One of them made it, or none.
        fs::remove_file(&below).or_else(|_| fs::remove_dir_all(&below)).unwrap_or_default();
    }
    found
}

/// What a copy of this program in `from` could do to become one of `to`: each way with its errno, or null.
pub fn moved(from: &str, to: &str) -> Json {
    let file = format!("{from}/.written");
    let target = format!("{to}/.moved");
    let other = format!("{from}-moved");
    let ways: [(&str, &dyn Fn() -> std::io::Result<()>); 6] = [
        ("copy", &|| fs::copy(&file, &target).map(drop)),
        ("hard link", &|| fs::hard_link(&file, &target)),
        ("rename", &|| fs::rename(&file, &target)),
        ("exchange the directories", &|| exchange(from, to).and_then(|()| exchange(from, to))),
        ("rename the directory", &|| fs::rename(from, &target).and_then(|()| fs::rename(&target, from))),
        ("rename the directory in its place", &|| {
            fs::rename(from, &other).and_then(|()| fs::rename(&other, from))
        }),
    ];
    let mut answers = vec![("written", fs::copy("/proc/self/exe", &file).err())];
    for (name, way) in ways {
        answers.push((name, way().err()));
        fs::remove_file(&target).unwrap_or_default();
        fs::copy("/proc/self/exe", &file).unwrap_or_default();
    }
    Json::object(
        answers
            .into_iter()
            .map(|(name, error)| (name, error.map(|error| Errno::of(&error).to_string()).into())),
    )
}

fn exchange(from: &str, to: &str) -> std::io::Result<()> {
    let (from, to) = (c_string(from), c_string(to));
    let mut arguments = [
        libc::AT_FDCWD.into(),
        from.as_slice().into(),
        libc::AT_FDCWD.into(),
        to.as_slice().into(),
        i64::from(libc::RENAME_EXCHANGE).into(),
    ];
    call(libc::SYS_renameat2, &mut arguments)
        .map(drop)
        .map_err(|errno| std::io::Error::from_raw_os_error(errno.0))
}

/// The same in memory: each way with its errno, or null.
pub fn in_memory() -> Json {
    const PLAIN: i32 = 0;
    const NOEXEC_SEAL: i32 = 0x8;
    const EXEC: i32 = 0x10;
    let execute_in_proc = |memory: OwnedFd| execute(&format!("/proc/self/fd/{}", memory.as_raw_fd()));
    let ways: [Way<'_>; 6] = [
        ("memfd", &|| execute_in_proc(memfd(PLAIN)?)),
        ("memfd by execveat", &|| execute_descriptor(&memfd(PLAIN)?)),
        ("memfd with MFD_EXEC", &|| execute_in_proc(memfd(EXEC)?)),
        ("memfd made executable", &|| {
            let memory = memfd(NOEXEC_SEAL)?;
            call(libc::SYS_fchmod, &mut [memory.as_raw_fd().into(), 0o755.into()])?;
            execute_in_proc(memory)
        }),
        ("write and execute", &|| pages(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC, None)),
        ("write, then execute", &|| {
            pages(libc::PROT_READ | libc::PROT_WRITE, Some(libc::PROT_READ | libc::PROT_EXEC))
        }),
    ];
    let file = ("write by /proc/self/mem", open_at(libc::AT_FDCWD, "/proc/self/mem", libc::O_RDWR).err());
    let answers = ways.map(|(name, way)| (name, refusal(way))).into_iter().chain([file]);
    Json::object(answers.map(|(name, errno)| (name, errno.map(|errno| errno.to_string()).into())))
}

fn refusal(way: &dyn Fn() -> Result<(), Errno>) -> Option<Errno> {
    match in_child(way) {
        Outcome::Done(_) => None,
        Outcome::Refused(errno) => Some(errno),
        Outcome::Killed(_) => Some(Errno(libc::EPERM)),
    }
}

fn worked(way: impl Fn() -> Result<(), Errno>) -> bool {
    refusal(&way).is_none()
}

/// Becomes that program, which ends well; returns only if that failed.
fn execute(path: &str) -> Result<(), Errno> {
    Err(Errno::of(&Command::new(path).args(["exit", "0"]).exec()))
}

fn execute_descriptor(file: &OwnedFd) -> Result<(), Errno> {
    Err(execute_at(file, &["probe", "exit", "0"]))
}

fn memfd(flags: i32) -> Result<OwnedFd, Errno> {
    let memory =
        call_for_fd(libc::SYS_memfd_create, &mut [c_string("written").as_slice().into(), flags.into()])?;
    let program = fs::read("/proc/self/exe").map_err(|error| Errno::of(&error))?;
    let file = memory.try_clone().map_err(|error| Errno::of(&error))?;
    std::io::Write::write_all(&mut fs::File::from(file), &program).map_err(|error| Errno::of(&error))?;
    Ok(memory)
}

const PAGE: i64 = 4096;

fn map(path: &str) -> Result<(), Errno> {
    let file = open_at(libc::AT_FDCWD, path, libc::O_RDONLY)?;
    let protection = (libc::PROT_READ | libc::PROT_EXEC).into();
    let mut arguments =
        [0.into(), PAGE.into(), protection, libc::MAP_PRIVATE.into(), file.as_raw_fd().into(), 0.into()];
    call(libc::SYS_mmap, &mut arguments).map(drop)
}

fn pages(protection: i32, then: Option<i32>) -> Result<(), Errno> {
    let anonymous = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).into();
    let mut arguments = [0.into(), PAGE.into(), protection.into(), anonymous, (-1).into(), 0.into()];
    let memory = call(libc::SYS_mmap, &mut arguments)?;
    match then {
        Some(protection) => {
            call(libc::SYS_mprotect, &mut [memory.into(), PAGE.into(), protection.into()]).map(drop)
        }
        None => Ok(()),
    }
}

fn is_executable(path: &str) -> bool {
    let executable = fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
    executable && call(libc::SYS_access, &mut [c_string(path).as_slice().into(), libc::X_OK.into()]).is_ok()
}

fn is_writable(path: &str) -> bool {
    open_at(libc::AT_FDCWD, path, libc::O_WRONLY).is_ok()
}
