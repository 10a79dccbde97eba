//! The terminal of a process: its master comes over a socket, and is one source and one sink.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::Interest;
use tokio::task::JoinHandle;

use super::flow::{self, Sink, Until};
use crate::error::{Context, Result};
use crate::sys::watch::Watched;
use crate::sys::{Syscall, socket};

/// The sockets that the master comes over: ours, and the one that it is sent to.
pub(super) fn sockets() -> Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .call(|| "socketpair(2)".to_owned())
        .context(|| "cannot prepare the terminal".to_owned())
}

/// A terminal in use. The flows hold the master: when both are over it hangs up.
pub(super) struct Terminal {
    master: Weak<Watched>,
    sink: Arc<Sink>,
    output: JoinHandle<()>,
    input: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Takes the master, which was sent already, and begins to move.
    ///
    /// # Errors
    /// `Failed` when none was sent.
    pub fn begin(socket: &OwnedFd, input: Option<Watched>, sink: Sink) -> Result<Self> {
        let what = || "cannot receive the terminal".to_owned();
        // Nobody sends any more: a process that has no terminal must not be waited for.
        rustix::io::ioctl_fionbio(socket, true).context(what)?;
        let mut received = Vec::new();
        socket::receive_descriptors(socket, &mut received).context(what)?;
        let master = received.pop().ok_or("none was sent").context(what)?;
        rustix::io::ioctl_fionbio(&master, true).context(what)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let master = Arc::new(Watched::new(master, both).context(what)?);
        let sink = Arc::new(sink);
        let output = tokio::spawn({
            let (master, sink) = (master.clone(), sink.clone());
            async move { flow::run(&master, &sink, Until::Ended).await }
        });
        let weak = Arc::downgrade(&master);
        let input = input.map(|input| {
            let (sink, output) = (sink.clone(), output.abort_handle());
            tokio::spawn(async move {
                flow::run(&input, &Sink::Stream(master.clone()), Until::Ended).await;
                // Whoever typed is gone for good: what there is to see is shown, and the terminal hangs up.
                output.abort();
                flow::run(&master, &sink, Until::Empty).await;
            })
        });
        Ok(Self { master: weak, sink, output, input })
    }

    /// Sets its size, in characters; one that has hung up has none.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        let Some(master) = self.master.upgrade() else { return Ok(()) };
        let [width, height] = [width, height].map(|it| u16::try_from(it).unwrap_or(u16::MAX));
        let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&*master, size)
            .call(|| format!("ioctl(TIOCSWINSZ, {width} x {height})"))
            .context(|| "cannot resize the terminal".to_owned())
    }

    /// Moves what is left after the process has ended. Others may have the terminal open, so there is no end to
    /// wait for.
    pub async fn finish(&self) {
        let master = self.master.upgrade();
        self.stop();
        if let Some(master) = master {
            flow::run(&master, &self.sink, Until::Empty).await;
        }
    }

    fn stop(&self) {
        self.output.abort();
        if let Some(input) = &self.input {
            input.abort();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.stop();
    }
}
