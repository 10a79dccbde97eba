//! A process of a container, as containerd knows it: the container's own, or that of an exec.

use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use rustix::process::WaitStatus;
use tokio::sync::watch;

use super::io::{Streams, Wanted};
use crate::container::create::Streams as Ends;
use crate::error::Result;

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub struct Exit {
    /// Its code, or 128 + the signal that ended it.
    pub status: u32,
    /// When.
    pub at: SystemTime,
}

impl Exit {
    /// That of a process which was reaped just now.
    pub fn now(status: WaitStatus) -> Self {
        let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
        Self { status: code.and_then(|code| u32::try_from(code).ok()).unwrap_or(255), at: SystemTime::now() }
    }
}

/// A moment as messages have it.
pub fn timestamp(at: SystemTime) -> Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
        ..Timestamp::default()
    }
}

/// A process.
pub struct Process {
    /// What it was asked to be connected to.
    pub stdio: Wanted,
    /// Its number in our pid namespace, 0 before it is made.
    pub pid: i32,
    /// What moves its bytes, while there are any.
    pub streams: Option<Streams>,
    exit: watch::Sender<Option<Exit>>,
}

impl Process {
    /// A process that is still to be made.
    pub fn new(stdio: Wanted) -> Self {
        Self { stdio, pid: 0, streams: None, exit: watch::Sender::new(None) }
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Notes that it has ended, and tells who waits.
    pub fn exited(&self, exit: Exit) {
        self.exit.send_replace(Some(exit));
    }

    /// Waits for its end, however often and by whomever that is asked.
    pub fn ended(&self) -> impl Future<Output = Exit> + use<> {
        let mut exit = self.exit.subscribe();
        async move {
            let found = exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
            // The process was deleted, which only one that has ended can be.
            found.unwrap_or(Exit { status: 255, at: SystemTime::now() })
        }
    }

    /// Whether it is there and runs, or may.
    pub fn alive(&self) -> bool {
        self.pid != 0 && self.exit().is_none()
    }

    /// What it gets as standard streams, once; with a terminal nothing.
    ///
    /// # Errors
    /// When they cannot be given to the host's ids that it will have.
    pub fn child_ends(&mut self, owner: (u32, u32)) -> Result<Option<Ends>> {
        let Some(streams) = &mut self.streams else { return Ok(None) };
        streams.give_to(owner)?;
        Ok(streams.child_ends())
    }

    /// Where its terminal is sent, once; without one nowhere.
    pub fn console(&mut self) -> Option<OwnedFd> {
        self.streams.as_mut().and_then(Streams::console)
    }

    /// Begins to move its bytes.
    ///
    /// # Errors
    /// When a fifo cannot be opened.
    pub fn begin(&mut self) -> Result<()> {
        self.streams.as_mut().map_or(Ok(()), Streams::begin)
    }

    /// Its number as messages have it.
    pub fn number(&self) -> u32 {
        u32::try_from(self.pid).unwrap_or(0)
    }
}

/// The moment of an exit, for messages; nothing before it.
pub fn exited_at(exit: Option<Exit>) -> MessageField<Timestamp> {
    exit.map(|exit| timestamp(exit.at)).into()
}
