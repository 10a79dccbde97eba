//! When this process gets the CPU and the disk, on which CPUs, from which memory, and as which machine.

use crate::errno::Errno;
use crate::json::Json;
use crate::sys::{Arg, call};

/// What the kernel tells of each; an errno where it does not.
pub fn precedence() -> Json {
    Json::object([
        ("scheduler", told(scheduler())),
        ("stat", stat()),
        ("ioPriority", told(io_priority())),
        ("cpus", told(cpus())),
        ("memoryPolicy", told(memory_policy())),
        ("personality", told(call(libc::SYS_personality, &mut [Arg::Int(0xffff_ffff)]).map(Json::Int))),
        ("machine", told(machine())),
    ])
}

fn told(answer: Result<Json, Errno>) -> Json {
    answer.unwrap_or_else(|errno| Json::object([("errno", errno.to_string().into())]))
}

/// `struct sched_attr` of sched_setattr(2), by its offsets.
fn scheduler() -> Result<Json, Errno> {
    const SIZE: usize = 56;
    let mut bytes = [0; SIZE];
    let size = Arg::Int(SIZE as i64);
    call(libc::SYS_sched_getattr, &mut [Arg::Int(0), Arg::Out(&mut bytes), size, Arg::Int(0)])?;
    Ok(Json::object([
        ("policy", word(&bytes, 4)),
        ("flags", long(&bytes, 8)),
        ("nice", word(&bytes, 16)),
        ("priority", word(&bytes, 20)),
        ("runtime", long(&bytes, 24)),
        ("deadline", long(&bytes, 32)),
        ("period", long(&bytes, 40)),
    ]))
}

fn word(bytes: &[u8], at: usize) -> Json {
    let word = bytes.get(at..).and_then(|bytes| bytes.first_chunk().copied());
    word.map(i32::from_ne_bytes).into()
}

fn long(bytes: &[u8], at: usize) -> Json {
    let long = bytes.get(at..).and_then(|bytes| bytes.first_chunk().copied());
    long.map(i64::from_ne_bytes).into()
}

/// What shows of the scheduler without a system call of its own: fields 19, 40 and 41 of proc_pid_stat(5).
fn stat() -> Json {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| -> Json {
        let value = fields.get(number - 3).and_then(|field| field.parse::<i64>().ok());
        value.into()
    };
    Json::object([("policy", field(41)), ("nice", field(19)), ("priority", field(40))])
}

/// Class and level (ioprio_get(2)).
fn io_priority() -> Result<Json, Errno> {
    const WHO_PROCESS: i64 = 1;
    let value = call(libc::SYS_ioprio_get, &mut [Arg::Int(WHO_PROCESS), Arg::Int(0)])?;
    Ok(Json::object([("class", Json::Int(value >> 13)), ("level", Json::Int(value & 7))]))
}

fn cpus() -> Result<Json, Errno> {
    let mut mask = [0; 128];
    let size = Arg::Int(mask.len() as i64);
    call(libc::SYS_sched_getaffinity, &mut [Arg::Int(0), size, Arg::Out(&mut mask)])?;
    Ok(numbers(&mask))
}

/// Mode with its flags, and nodes (get_mempolicy(2)).
fn memory_policy() -> Result<Json, Errno> {
    let (mut mode, mut mask) = ([0; 4], [0; 128]);
    let bits = Arg::Int(mask.len() as i64 * 8);
    let mut arguments = [Arg::Out(&mut mode), Arg::Out(&mut mask), bits, Arg::Int(0), Arg::Int(0)];
    call(libc::SYS_get_mempolicy, &mut arguments)?;
    Ok(Json::object([("mode", word(&mode, 0)), ("nodes", numbers(&mask))]))
}

/// The bits that are set.
fn numbers(mask: &[u8]) -> Json {
    let is_set = |bit: &i64| mask.get(*bit as usize / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
    (0..mask.len() as i64 * 8).filter(is_set).collect()
}

/// The fifth text of `struct utsname` (uname(2)).
fn machine() -> Result<Json, Errno> {
    const LENGTH: usize = 65;
    let mut names = [0; LENGTH * 6];
    call(libc::SYS_uname, &mut [Arg::Out(&mut names)])?;
    let machine = names.get(LENGTH * 4..LENGTH * 5).unwrap_or_default();
    Ok(String::from_utf8_lossy(machine).trim_end_matches('\0').into())
}
