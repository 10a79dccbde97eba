//! The pipes of a process without a terminal.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Gid, Uid, fchown, fstat};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::Interest;
use tokio::task::JoinHandle;

use super::flow::{self, Sink, Until};
use super::place::{Place, null, watch};
use super::target::Target;
use crate::error::{Context, Result};
use crate::sys::Syscall;

/// A pipe: what is read from, and what is written to.
pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe_with(PipeFlags::CLOEXEC)
        .call(|| "pipe2(2)".to_owned())
        .context(|| "cannot make a pipe for a stream".to_owned())
}

/// Gives a pipe's end to a user and a group; what is no pipe is not ours to give.
pub(super) fn give(end: &OwnedFd, uid: u32, gid: u32) -> Result<()> {
    let what = || "cannot give the process its streams".to_owned();
    let stat = fstat(end).call(|| "fstat(pipe)".to_owned()).context(what)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
        return Ok(());
    }
    fchown(end, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .call(|| format!("fchown(pipe, {uid}, {gid})"))
        .context(what)
}

/// What will be moved once the process is there.
#[derive(Default)]
pub(super) struct Pipes {
    to_input: Option<OwnedFd>,
    outputs: Vec<(OwnedFd, Place)>,
}

impl Pipes {
    /// The process's end of its standard input, if it is to come from anywhere.
    pub fn input(&mut self, comes: bool) -> Result<OwnedFd> {
        if !comes {
            return null();
        }
        let (end, to) = pipe()?;
        self.to_input = Some(to);
        Ok(end)
    }

    /// The process's ends of its outputs. One pipe where both lead to one place: what was written keeps its order.
    pub fn outputs(&mut self, stdout: &Target, stderr: &Target) -> Result<[OwnedFd; 2]> {
        let first = self.output(stdout)?;
        let second = match stdout == stderr {
            true => first.try_clone().context(|| "cannot make standard error".to_owned())?,
            false => self.output(stderr)?,
        };
        Ok([first, second])
    }

    fn output(&mut self, target: &Target) -> Result<OwnedFd> {
        if *target == Target::Nothing {
            return null();
        }
        let place = Place::open(target)?;
        let (from, end) = pipe()?;
        self.outputs.push((from, place));
        Ok(end)
    }

    /// Begins to move; standard input comes from a fifo.
    pub fn begin(self, input: Option<OwnedFd>) -> Result<Moving> {
        let mut moving = Moving { input: None, outputs: Vec::new() };
        if let Some((from, to)) = input.zip(self.to_input) {
            let from = watch(from, Interest::READABLE)?;
            let to = Sink::Stream(watch(to, Interest::WRITABLE)?.into());
            moving.input = Some(tokio::spawn(async move { flow::run(&from, &to, Until::Ended).await }));
        }
        for (from, place) in self.outputs {
            let from = watch(from, Interest::READABLE)?;
            let to = place.watched()?;
            moving.outputs.push(tokio::spawn(async move { flow::run(&from, &to, Until::Ended).await }));
        }
        Ok(moving)
    }
}

/// Pipes in use.
pub(super) struct Moving {
    input: Option<JoinHandle<()>>,
    outputs: Vec<JoinHandle<()>>,
}

impl Moving {
    /// Waits until every writer has closed the outputs, and all that was written is where it belongs.
    pub async fn finish(&mut self) {
        if let Some(input) = self.input.take() {
            input.abort();
        }
        while let Some(last) = self.outputs.last_mut() {
            // Nothing aborts it before we are dropped.
            last.await.unwrap_or_default();
            self.outputs.pop();
        }
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.input.iter().chain(&self.outputs).for_each(JoinHandle::abort);
    }
}
