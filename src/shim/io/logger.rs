//! A program of the node's that takes what a process writes: descriptor 3 for its standard output, 4 for its
//! standard error, and 5 to say that it is ready (containerd, "core/runtime/v2/README.md", "Logging").

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use tokio::io::Interest;

use super::Wanted;
use super::pipes::pipe;
use super::place::watch;
use super::target::Program;
use crate::error::{Cause, Context, Error, Kind, Result};
use crate::sys::clone::Cloned;
use crate::sys::watch::Watched;
use crate::sys::{CallError, Syscall, branch, process};

/// What it has to end by itself after it was asked to; containerd's runc shim gives it as long.
const PATIENCE: Duration = Duration::from_secs(12);

/// A running logger.
pub(super) struct Logger {
    pidfd: Option<Watched>,
}

impl Logger {
    /// Starts it, and waits until it is ready to read; the ends that are written to come with it.
    ///
    /// # Errors
    /// `Failed` when it cannot be started, or ends where it should have said that it is ready.
    pub async fn start(program: &Program, wanted: &Wanted) -> Result<(Self, [OwnedFd; 2])> {
        let what = || format!("cannot start the logger {}", program.path.display());
        let (stdout, to_stdout) = pipe()?;
        let (stderr, to_stderr) = pipe()?;
        let (ready, to_ready) = pipe()?;
        let child = launch(program, wanted, [&stdout, &stderr, &to_ready]).context(what)?;
        // Without the others, which would keep it from ever ending.
        drop((stdout, stderr, to_ready));
        let logger = Self { pidfd: Some(watch(child.pidfd, Interest::READABLE)?) };
        let told = read_byte(&watch(ready, Interest::READABLE)?).await.context(what)?;
        if program.must_tell && !told {
            let why = "it ended, or closed descriptor 5, without writing a byte to it";
            return Err(Error::new(Kind::Failed, what(), why));
        }
        Ok((logger, [to_stdout, to_stderr]))
    }

    /// Waits until it has ended, as it does when it has read everything.
    pub async fn ended(&mut self) {
        if let Some(pidfd) = &self.pidfd
            && pidfd.readable().await.is_ok()
        {
            self.pidfd = None;
        }
    }
}

/// One that is still there is asked to end, and made to.
impl Drop for Logger {
    fn drop(&mut self) {
        let Some(pidfd) = self.pidfd.take() else { return };
        let end = |pidfd: &Watched, signal| {
            // It may have ended just now.
            process::pidfd_signal(pidfd, signal).unwrap_or_default();
        };
        end(&pidfd, libc::SIGTERM);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if tokio::time::timeout(PATIENCE, pidfd.readable()).await.is_err() {
                    end(&pidfd, libc::SIGKILL);
                }
            });
        }
    }
}

/// Whether a byte comes before the end.
async fn read_byte(from: &Watched) -> std::io::Result<bool> {
    loop {
        let mut readable = from.readable().await?;
        match rustix::io::read(from, &mut [0; 1]) {
            Ok(count) => return Ok(count == 1),
            Err(Errno::AGAIN) => readable.clear_ready(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn launch(program: &Program, wanted: &Wanted, descriptors: [&OwnedFd; 3]) -> Result<Cloned, Cause> {
    let executable = executable(program, wanted)?;
    match branch::branch()? {
        Some(child) => Ok(child),
        None => become_logger(descriptors, &executable),
    }
}

/// Its environment is these two variables and nothing of ours.
fn executable(program: &Program, wanted: &Wanted) -> Result<process::Program, std::ffi::NulError> {
    let path = CString::new(program.path.as_os_str().as_bytes())?;
    let mut arguments = vec![path.clone()];
    for argument in &program.arguments {
        arguments.push(CString::new(argument.as_str())?);
    }
    let environment = vec![
        CString::new(format!("CONTAINER_ID={}", wanted.id))?,
        CString::new(format!("CONTAINER_NAMESPACE={}", wanted.namespace))?,
    ];
    Ok(process::Program::new(path, arguments, environment))
}

/// The clone's part, which ends here and allocates nothing; nobody hears why but by its end.
fn become_logger(descriptors: [&OwnedFd; 3], program: &process::Program) -> ! {
    if prepare(descriptors).is_ok() {
        program.execute();
    }
    branch::end(127)
}

fn prepare(descriptors: [&OwnedFd; 3]) -> Result<(), CallError> {
    let null = open("/dev/null", OFlags::RDWR, Mode::empty()).call(|| "open(\"/dev/null\")".to_owned())?;
    process::replace_stdio(&null)?;
    process::reset_signals()?;
    process::place_from(3, descriptors.map(AsFd::as_fd))?;
    process::close_on_exec_from(6)
}
