//! Load on the container's limits, and ends of the process.

use std::time::Duration;

use crate::errno::{Errno, Outcome};
use crate::json::Json;
use crate::sys::{call, exit_now, fork, prctl, wait_for};

/// What came of forking many times.
pub struct Crowd {
    pub forked: i64,
    pub reaped: i64,
    pub failed: Option<Errno>,
}

/// Forks until it fails or `count` children live; then ends and reaps them.
pub fn crowd(count: usize) -> Crowd {
    let mut children = Vec::new();
    let mut failed = None;
    while children.len() < count {
        match fork() {
            Ok(0) => linger(),
            Ok(child) => children.push(child),
            Err(errno) => {
                failed = Some(errno);
                break;
            }
        }
    }
    let mut reaped: i64 = 0;
    for child in &children {
        let killed = call(libc::SYS_kill, &mut [(*child).into(), libc::SIGKILL.into()]);
        if killed.is_ok() && wait_for(*child) == Outcome::Killed(libc::SIGKILL) {
            reaped += 1;
        }
    }
    Crowd { forked: children.len() as i64, reaped, failed }
}

/// The answer to the verb `forkbomb`.
pub fn fork_bomb(count: usize) -> Json {
    let Crowd { forked, reaped, failed } = crowd(count);
    Json::object([
        ("forked", Json::Int(forked)),
        ("reaped", reaped.into()),
        ("errno", failed.map(|errno| errno.to_string()).into()),
    ])
}

/// A child that waits for its end, which also comes if the parent dies.
fn linger() -> ! {
    let code = prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).err().map_or(0, |errno| errno.0);
    if code == 0 {
        std::thread::sleep(Duration::from_secs(60));
    }
    exit_now(code)
}

/// Touches this much memory, page by page.
pub fn eat(mib: usize) -> Json {
    let mut eaten = vec![0_u8; mib << 20];
    for page in eaten.chunks_mut(4096) {
        page[0] = 1;
    }
    let touched = eaten.iter().step_by(4096).map(|byte| i64::from(*byte)).sum::<i64>() / 256;
    Json::object([("touchedMib", Json::Int(touched))])
}

/// Sleeps, then says so.
pub fn sleep(seconds: f64) -> Json {
    std::thread::sleep(Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0)));
    Json::object([("slept", Json::Text(seconds.to_string()))])
}

/// Sends itself a signal; answers only if it survives.
pub fn kill_self(signal: i32) -> Json {
    let own = std::process::id() as i32;
    let result: Result<i64, Errno> = call(libc::SYS_kill, &mut [own.into(), signal.into()]);
    Json::Object(Outcome::from(result).members())
}
