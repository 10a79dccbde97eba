//! CRIU, which writes processes to files and brings them back (criu(8), "criu swrk"; its `rpc.proto`).
//!
//! It is asked over its socket, not by its command line: only there does it say, before a restored process runs,
//! which one it is, and hand over the terminal that it has made.

mod message;
pub mod option;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::error::{Context, Error, Kind, Result};
use crate::sys::{Syscall, socket};

pub use message::Message;
use message::{Value, fields};

/// What it is to do; the numbers of `criu_req_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Write a tree of processes to files.
    Dump = 1,
    /// Bring one back.
    Restore = 2,
    /// Write memory only, ahead of a dump.
    PreDump = 4,
}

const NOTIFY: u64 = 6;

/// Something that it says on the way, and waits for an answer to.
#[derive(Debug)]
pub struct Notification {
    /// `pre-resume`, `orphan-pts-master`, …
    pub stage: String,
    /// The first process, where there is one yet.
    pub pid: i32,
    /// What came along.
    pub descriptors: Vec<OwnedFd>,
}

/// Standard streams of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// The caller's, which what it restores may go on with.
    Inherited,
    /// None.
    Null,
}

/// One process of CRIU, which serves one request.
pub struct Criu {
    process: Child,
    socket: OwnedFd,
}

impl Criu {
    /// Starts it. Descriptors that are not close-on-exec stay open in it, under the same numbers.
    ///
    /// # Errors
    /// `Unsupported` when it is not installed.
    pub fn start(streams: Streams) -> Result<Self> {
        let what = || "cannot start criu".to_owned();
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .call(|| "socketpair(SOCK_SEQPACKET)".to_owned())
                .context(what)?;
        // For this one child: the program has no other thread that could start one meanwhile.
        fcntl_setfd(&theirs, FdFlags::empty()).context(what)?;
        let mut command = Command::new("criu");
        command.args(["swrk", &theirs.as_raw_fd().to_string()]);
        if streams == Streams::Null {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        }
        let process = command.spawn().context(what).map_err(|error| match error.kind {
            Kind::NotFound => Error { kind: Kind::Unsupported, ..error }
                .fix("install criu 3.16 or newer where PATH finds it"),
            _ => error,
        })?;
        Ok(Self { process, socket: ours })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Makes the request and waits until it is done. What it says on the way goes to `heard`. After an error of that
    /// a dump is given up in good order; a restore is cut off, for CRIU would let the processes go whatever it is
    /// told in the end.
    ///
    /// # Errors
    /// That of `heard`; else what CRIU says.
    pub fn ask(
        mut self,
        request: Request,
        options: &Message,
        mut heard: impl FnMut(Notification) -> Result<()>,
    ) -> Result<()> {
        let what = || "cannot talk to criu".to_owned();
        self.send(&Message::default().number(1, request as u64).message(2, options))?;
        let mut failed = Ok(());
        loop {
            let (bytes, descriptors) = socket::receive_packet(&self.socket).context(what)?;
            let answer = Answer::read(&bytes).context(what)?;
            if answer.kind != NOTIFY || !answer.success {
                return failed.and_then(|()| answer.result());
            }
            let notification = Notification { stage: answer.stage, pid: answer.pid, descriptors };
            if failed.is_ok() {
                failed = heard(notification);
            }
            if failed.is_err() && request == Request::Restore {
                // It may have ended.
                self.process.kill().unwrap_or_default();
                return failed;
            }
            self.send(&Message::default().number(1, NOTIFY).number(3, u64::from(failed.is_ok())))?;
        }
    }

    fn send(&mut self, message: &Message) -> Result<()> {
        rustix::net::send(self.socket.as_fd(), message.as_bytes(), rustix::net::SendFlags::NOSIGNAL)
            .map(drop)
            .call(|| "send(criu)".to_owned())
            .context(|| "cannot talk to criu".to_owned())
    }
}

impl Drop for Criu {
    /// It ends by itself when it has answered; whoever gives up before that ends it.
    fn drop(&mut self) {
        let what = rustix::net::Shutdown::Both;
        // The other end may be closed already.
        rustix::net::shutdown(&self.socket, what).unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

/// `criu_resp`.
#[derive(Default)]
struct Answer {
    kind: u64,
    success: bool,
    stage: String,
    pid: i32,
    errno: i32,
    message: String,
}

impl Answer {
    fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.is_empty() {
            return Err("it has ended");
        }
        let mut answer = Self::default();
        for (field, value) in fields(bytes)? {
            match (field, value) {
                (1, Value::Number(kind)) => answer.kind = kind,
                (2, Value::Number(success)) => answer.success = success != 0,
                (5, Value::Bytes(notify)) => answer.read_notification(notify)?,
                (7, Value::Number(errno)) => answer.errno = errno as i32,
                (9, Value::Bytes(text)) => answer.message = String::from_utf8_lossy(text).into_owned(),
                _ => {}
            }
        }
        Ok(answer)
    }

    fn read_notification(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        for (field, value) in fields(bytes)? {
            match (field, value) {
                (1, Value::Bytes(stage)) => self.stage = String::from_utf8_lossy(stage).into_owned(),
                (2, Value::Number(pid)) => self.pid = pid as i32,
                _ => {}
            }
        }
        Ok(())
    }

    fn result(self) -> Result<()> {
        if self.success {
            return Ok(());
        }
        let mut reasons = vec![self.message];
        if self.errno != 0 {
            reasons.push(std::io::Error::from_raw_os_error(self.errno.abs()).to_string());
        }
        reasons.retain(|reason| !reason.is_empty());
        Err(Error::new(Kind::Failed, "criu failed", reasons.join(": ")))
    }
}
