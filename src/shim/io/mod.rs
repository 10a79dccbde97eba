//! A container's standard streams: anonymous pipes that it gets, and fifos of containerd's that it must not see.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use tokio::task::JoinHandle;

use super::process::Stdio;
use crate::error::{Context, Result};
use crate::sys::Syscall;

/// What moves the bytes of a process.
pub struct Streams {
    child: Option<[OwnedFd; 3]>,
    console: Option<OwnedFd>,
    copies: Vec<Copy>,
    running: Vec<JoinHandle<()>>,
    stdin: Option<OwnedFd>,
}

enum Copy {
    Out(Receiver, Sender),
    In(Receiver, Sender),
}

impl Streams {
    /// Opens what is wanted.
    ///
    /// # Errors
    /// The failed call.
    pub fn open(wanted: &Stdio) -> Result<Self> {
        let what = || "cannot open the standard streams".to_owned();
        let mut streams =
            Streams { child: None, console: None, copies: Vec::new(), running: Vec::new(), stdin: None };
        if wanted.terminal {
            let (_ours, theirs) =
                socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                    .call(|| "socketpair(2)".to_owned())
                    .context(what)?;
            streams.console = Some(theirs);
            return Ok(streams);
        }
        let stdin = match wanted.stdin.as_str() {
            "" => null()?,
            path => {
                let from = OpenOptions::new().open_receiver(path).context(what)?;
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let keep = rustix::fs::open(path, flags, Mode::empty())
                    .call(|| format!("open({path:?})"))
                    .context(what)?;
                streams.stdin = Some(keep);
                let (theirs, ours) =
                    pipe_with(PipeFlags::CLOEXEC).call(|| "pipe2(2)".to_owned()).context(what)?;
                let to = Sender::from_owned_fd(nonblocking(ours)?).context(what)?;
                streams.copies.push(Copy::In(from, to));
                theirs
            }
        };
        let mut output = |path: &str| match path {
            "" => null(),
            path => {
                let to = OpenOptions::new().read_write(true).open_sender(path).context(what)?;
                let (ours, theirs) =
                    pipe_with(PipeFlags::CLOEXEC).call(|| "pipe2(2)".to_owned()).context(what)?;
                let from = Receiver::from_owned_fd(nonblocking(ours)?).context(what)?;
                streams.copies.push(Copy::Out(from, to));
                Ok(theirs)
            }
        };
        let (stdout, stderr) = (output(&wanted.stdout)?, output(&wanted.stderr)?);
        streams.child = Some([stdin, stdout, stderr]);
        Ok(streams)
    }

    /// What the process gets, once.
    pub fn child_ends(&mut self) -> Option<[OwnedFd; 3]> {
        self.child.take()
    }

    /// The socket that gets the master of its terminal, once.
    pub fn console(&mut self) -> Option<OwnedFd> {
        self.console.take()
    }

    /// Starts to move bytes.
    ///
    /// # Errors
    /// When the terminal did not come.
    pub fn begin(&mut self) -> Result<()> {
        for copy in self.copies.drain(..) {
            match copy {
                Copy::Out(from, to) => self.running.push(tokio::spawn(carry(from, to))),
                Copy::In(from, to) => drop(tokio::spawn(carry(from, to))),
            }
        }
        Ok(())
    }

    /// Changes the size of the terminal.
    ///
    /// # Errors
    /// Those of the call.
    pub fn resize(&self, _width: u32, _height: u32) -> Result<()> {
        Ok(())
    }

    /// Ends standard input once everybody else has closed it.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until all output is where it should be.
    pub fn drained(&mut self) -> impl Future<Output = ()> + use<> {
        let running = std::mem::take(&mut self.running);
        async move {
            for copy in running {
                copy.await.unwrap_or_default();
            }
        }
    }
}

fn null() -> Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .call(|| "open(\"/dev/null\")".to_owned())
        .context(|| "cannot open the standard streams".to_owned())
}

fn nonblocking(fd: OwnedFd) -> Result<OwnedFd> {
    rustix::io::ioctl_fionbio(fd.as_fd(), true)
        .call(|| "ioctl(FIONBIO)".to_owned())
        .context(|| "cannot open the standard streams".to_owned())?;
    Ok(fd)
}

async fn carry(from: Receiver, to: Sender) {
    let mut buffer = vec![0u8; 4096];
    loop {
        if from.readable().await.is_err() {
            return;
        }
        let mut left = match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        while !left.is_empty() {
            if to.writable().await.is_err() {
                return;
            }
            match to.try_write(left) {
                Ok(count) => left = left.get(count..).unwrap_or_default(),
                Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::AGAIN)) => {}
                Err(_) => return,
            }
        }
    }
}
