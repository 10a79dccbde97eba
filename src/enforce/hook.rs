//! Runs one hook: the container's state on its standard input, its answer its exit code.
//!
//! Its streams are anonymous files: a hook need not read, may write as much as it likes, and can leave a process
//! behind that keeps them open, without anybody waiting for it.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::steps::{program, seccomp};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Workload;
use crate::plan::hooks::{Hook, State};
use crate::sys::process::Program;
use crate::sys::{Syscall, branch, process};

/// As much of a failed hook's words as an error repeats.
const WORDS: usize = 2048;

/// How a hook runs.
pub struct Surroundings<'a> {
    /// Its working directory; the caller's own if there is none.
    pub dir: Option<&'a Path>,
    /// The program whose system call filters it gets, and whose environment if it has none; the other confinement
    /// is inherited.
    pub like: Option<&'a Workload>,
}

/// The hooks of one point, with what they read.
#[derive(Default)]
pub struct Batch {
    hooks: Vec<Hook>,
    state: Vec<u8>,
}

impl Batch {
    /// Hooks to run in turn.
    ///
    /// # Errors
    /// When the state cannot be written as JSON.
    pub fn new(hooks: &[Hook], state: &State<'_>) -> Result<Self> {
        if hooks.is_empty() {
            return Ok(Self::default());
        }
        let state = serde_json::to_vec(state).context(|| "cannot write the state for a hook".to_owned())?;
        Ok(Self { hooks: hooks.to_vec(), state })
    }

    /// Runs them, until one fails.
    ///
    /// # Errors
    /// Of the first that failed, what it said, with its field.
    pub fn run(&self, surroundings: &Surroundings<'_>) -> Result<()> {
        self.hooks.iter().try_for_each(|hook| run(hook, &self.state, surroundings))
    }

    /// Runs all of them, whatever comes of it.
    pub fn run_each(&self, surroundings: &Surroundings<'_>) -> Vec<Error> {
        self.hooks.iter().filter_map(|hook| run(hook, &self.state, surroundings).err()).collect()
    }
}

fn run(hook: &Hook, state: &[u8], surroundings: &Surroundings<'_>) -> Result<()> {
    attempt(hook, state, surroundings).map_err(|error| error.at(&hook.at))
}

fn attempt(hook: &Hook, state: &[u8], surroundings: &Surroundings<'_>) -> Result<()> {
    let what = || format!("cannot run the hook {}", hook.path);
    let mut input = anonymous("hook-state").context(what)?;
    input.write_all(state).and_then(|()| input.rewind()).context(what)?;
    let mut output = anonymous("hook-output").context(what)?;
    let Some(child) = branch::branch().context(what)? else {
        become_hook(hook, &input, &mut output, surroundings);
    };
    let ended = wait(&child.pidfd, hook.timeout).context(what)?;
    if !ended {
        pidfd_send_signal(&child.pidfd, Signal::KILL)
            .call(|| format!("pidfd_send_signal({}, SIGKILL)", child.pid))
            .context(what)?;
    }
    let status = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)
        .call(|| format!("waitid({})", child.pid))
        .context(what)?;
    let why = match (
        status.as_ref().and_then(|it| it.exit_status()),
        status.and_then(|it| it.terminating_signal()),
    ) {
        _ if !ended => format!("it did not end within {} s", hook.timeout.unwrap_or_default()),
        (Some(0), _) => return Ok(()),
        (Some(code), _) => format!("it exited with code {code}"),
        (None, signal) => format!("it was ended by signal {}", signal.unwrap_or_default()),
    };
    Err(Error::new(Kind::HookFailed, format!("the hook {} failed", hook.path), with_words(why, output)))
}

fn anonymous(name: &str) -> Result<File, crate::sys::CallError> {
    memfd_create(name, MemfdFlags::CLOEXEC).map(File::from).call(|| format!("memfd_create({name:?})"))
}

/// Whether it has ended in time.
fn wait(pidfd: &OwnedFd, timeout: Option<u32>) -> Result<bool, crate::sys::CallError> {
    let timeout = timeout.map(|seconds| Timespec { tv_sec: seconds.into(), tv_nsec: 0 });
    loop {
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], timeout.as_ref()) {
            // No handler is installed anywhere: only a stop and its end interrupt this.
            Err(Errno::INTR) => {}
            ready => return ready.map(|count| count > 0).call(|| "poll(pidfd)".to_owned()),
        }
    }
}

/// The end of what the hook has written: the reason comes last. What cannot be read is not worth a second error.
fn with_words(why: String, mut output: File) -> String {
    let mut words = Vec::new();
    let read = output.rewind().and_then(|()| output.read_to_end(&mut words));
    let words = words.get(words.len().saturating_sub(WORDS)..).unwrap_or_default();
    match String::from_utf8_lossy(words).trim() {
        words if read.is_ok() && !words.is_empty() => format!("{why}, and said: {words}"),
        _ => why,
    }
}

/// The clone's part, which ends here.
fn become_hook(hook: &Hook, input: &File, output: &mut File, surroundings: &Surroundings<'_>) -> ! {
    let error = match prepare(input.as_fd(), output.as_fd(), surroundings) {
        Ok(()) => execute(hook, surroundings),
        Err(error) => error,
    };
    // Whoever waits reads it there.
    writeln!(output, "{error}").unwrap_or_default();
    branch::end(127)
}

fn prepare(input: BorrowedFd<'_>, output: BorrowedFd<'_>, surroundings: &Surroundings<'_>) -> Result<()> {
    let what = || "cannot prepare the hook".to_owned();
    process::place_stdio(input, output).context(what)?;
    process::reset_signals().context(what)?;
    process::close_on_exec_from(3).context(what)?;
    if let Some(dir) = surroundings.dir {
        rustix::process::chdir(dir).call(|| format!("chdir({dir:?})")).context(what)?;
    }
    // Last: a profile need not allow what came before.
    surroundings.like.map_or(Ok(()), seccomp::load)
}

fn environment(hook: &Hook, surroundings: &Surroundings<'_>) -> Result<Vec<CString>> {
    let given = hook.env.clone().or_else(|| surroundings.like.map(program::environment));
    let variables: Result<Vec<CString>, _> = match given {
        Some(list) => list.into_iter().map(CString::new).collect(),
        None => std::env::vars_os()
            .map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect(),
    };
    variables.context(|| format!("cannot pass an environment to {}", hook.path))
}

fn execute(hook: &Hook, surroundings: &Surroundings<'_>) -> Error {
    let what = || format!("cannot execute {}", hook.path);
    let strings = |list: &[String]| -> Result<Vec<CString>> {
        list.iter().map(|text| CString::new(text.as_str())).collect::<Result<_, _>>().context(what)
    };
    let parts = CString::new(hook.path.as_str())
        .context(what)
        .and_then(|path| Ok((path, strings(&hook.args)?, environment(hook, surroundings)?)));
    match parts {
        Ok((path, args, env)) => {
            let errno = Program::new(path, args, env).execute();
            Error::new(Kind::Failed, what(), errno.to_string())
        }
        Err(error) => error,
    }
}
