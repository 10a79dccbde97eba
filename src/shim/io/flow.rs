//! Moving bytes from where they come to where they go.
//!
//! A move is one `splice(2)` from pipe to pipe, or between pipe and terminal: the pages change hands, and nothing
//! is held here between two of them. So a reader that does not read blocks the writer and not the shim, a flow
//! can be dropped at any moment without losing a byte, and an idle one costs no buffer.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use crate::sys::watch::Watched;

/// What one move takes at most: as much as a pipe holds.
const MOST: usize = 64 << 10;

/// What is read at once where the bytes have to be copied.
const CHUNK: usize = 8 << 10;

/// After how long a file that could not be written is tried again; its disk may be full for a while.
const AGAIN: Duration = Duration::from_secs(1);

/// Where bytes go.
#[derive(Debug)]
pub(super) enum Sink {
    /// Pages move there.
    Stream(Arc<Watched>),
    /// They are appended; `splice(2)` does not append.
    File(OwnedFd),
}

/// When a flow is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Every writer has closed the source.
    Ended,
    /// Nothing is there at the moment: whoever wrote is gone.
    Empty,
}

/// Moves bytes until the source is over, or nobody can take them any more.
pub(super) async fn run(source: &Watched, sink: &Sink, until: Until) {
    loop {
        // However much comes here, the others have their turn.
        tokio::task::consume_budget().await;
        let mut readable = match until {
            Until::Ended => match source.readable().await {
                Ok(guard) => Some(guard),
                Err(_) => return,
            },
            Until::Empty => None,
        };
        let mut writable = match sink {
            Sink::Stream(to) => match to.writable().await {
                Ok(guard) => Some(guard),
                Err(_) => return,
            },
            Sink::File(_) => None,
        };
        match shift(source, sink).await {
            Ok(0) => return,
            Ok(_) | Err(Errno::INTR) => continue,
            // EIO: a terminal that no process has open at the moment; one may open it again.
            Err(Errno::AGAIN | Errno::IO) => {}
            Err(_) => return,
        }
        // The call does not tell which of the two was not ready. What changes after it wakes us once more.
        match &mut readable {
            _ if state(source).contains(PollFlags::IN) => {}
            Some(readable) => readable.clear_ready(),
            None => return,
        }
        if let (Sink::Stream(to), Some(writable)) = (sink, &mut writable)
            && state(to) & (PollFlags::OUT | PollFlags::HUP) != PollFlags::OUT
        {
            writable.clear_ready();
        }
    }
}

/// One move; 0 at the end of the source.
async fn shift(source: &Watched, sink: &Sink) -> Result<usize, Errno> {
    match sink {
        Sink::Stream(to) => {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            splice(source, None, to.as_ref(), None, MOST, flags)
        }
        Sink::File(file) => {
            let mut chunk = vec![0; CHUNK];
            let count = rustix::io::read(source, &mut chunk)?;
            append(file, chunk.get(..count).unwrap_or_default()).await;
            Ok(count)
        }
    }
}

async fn append(file: &OwnedFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // The writer waits meanwhile.
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// What a descriptor is ready for; nothing, if that cannot be told.
fn state(fd: &Watched) -> PollFlags {
    let mut asked = [PollFd::new(fd, PollFlags::IN | PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut asked, Some(&now)) {
        Ok(_) => asked.iter().fold(PollFlags::empty(), |all, it| all | it.revents()),
        Err(_) => PollFlags::empty(),
    }
}
