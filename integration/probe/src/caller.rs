//! The one verb that is no workload's: what calls a runtime on the host as containerd's shim does. It is a child subreaper,
//! leaks descriptors into everything it starts, and reads what a command says until nobody holds the pipe any more.
//!
//! It takes one request a line, words apart by tabs, and answers each with one JSON object.

use std::io::{BufRead, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use crate::errno::{Errno, Outcome};
use crate::json::Json;
use crate::sys;

/// Numbers at which it leaks: low and high ones, as a long-lived program of many threads has them.
const LEAKED: [i32; 4] = [10, 77, 300, 999];

/// Answers requests until there are no more.
pub fn serve() -> Result<(), Errno> {
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1)?;
    let (read, write) = sys::pipe()?;
    for number in LEAKED {
        sys::call(libc::SYS_dup3, &mut [write.as_raw_fd().into(), number.into(), 0.into()])?;
    }
    let link = std::fs::read_link(format!("/proc/self/fd/{}", read.as_raw_fd()));
    say(&Json::object([("leaked", Json::from(link.map(|link| link.display().to_string()).ok()))]));
    let mut given = None;
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split('\t').collect();
        say(&answer(&words, &mut given).unwrap_or_else(|why| Json::object([("failed", Json::from(why))])));
    }
    Ok(())
}

fn say(json: &Json) {
    println!("{json}");
}

fn answer(words: &[&str], given: &mut Option<OwnedFd>) -> Result<Json, String> {
    match words {
        ["call", text, program, arguments @ ..] => call(text, program, arguments),
        ["give", program, arguments @ ..] => give(program, arguments, given),
        ["said"] => said(given.take().ok_or("nothing was given")?),
        ["reap", pid] => Ok(reap(pid.parse().map_err(|_| "no pid")?)),
        _ => Err(format!("no request: {words:?}")),
    }
}

/// A command whose output is read to its end; with a text on its standard input.
fn call(text: &str, program: &str, arguments: &[&str]) -> Result<Json, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        // Most commands read nothing, and may have ended.
        stdin.write_all(text.as_bytes()).unwrap_or_default();
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| Json::from(&*String::from_utf8_lossy(bytes));
    Ok(Json::object([
        ("code", code(output.status).into()),
        ("stdout", text(&output.stdout)),
        ("stderr", text(&output.stderr)),
    ]))
}

/// A command that hands its streams on to a container.
fn give(program: &str, arguments: &[&str], given: &mut Option<OwnedFd>) -> Result<Json, String> {
    let (read, write) = sys::pipe().map_err(|errno| errno.to_string())?;
    let other = write.try_clone().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(write).stderr(other);
    let status = command.status().map_err(|error| error.to_string())?;
    *given = Some(read);
    Ok(Json::object([("code", code(status).into())]))
}

/// All that came out of the streams that were given last, once everybody has closed them.
fn said(given: OwnedFd) -> Result<Json, String> {
    let mut text = String::new();
    std::fs::File::from(given).read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(Json::object([("stdout", Json::from(text.as_str()))]))
}

/// The end of a process that nobody but us may wait for.
fn reap(pid: i32) -> Json {
    Json::Object(match sys::wait_for(pid) {
        // Its exit code, which is no errno here; 10 alone cannot be told from ECHILD.
        Outcome::Refused(Errno(code)) if code != libc::ECHILD => Outcome::Done(code.into()).members(),
        outcome => outcome.members(),
    })
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
