//! Descriptors in tokio's event loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A descriptor that the event loop of the calling thread watches, on edges (`epoll(7)`, `EPOLLET`).
#[derive(Debug)]
pub struct Watched(AsyncFd<OwnedFd>);

/// That it is ready, until it is found not to be.
pub type Ready<'a> = AsyncFdReadyGuard<'a, OwnedFd>;

impl Watched {
    /// Takes a descriptor that does not block.
    ///
    /// # Errors
    /// EPERM for what cannot be waited for, as a regular file.
    pub fn new(fd: OwnedFd, interest: Interest) -> io::Result<Self> {
        // SAFETY: the descriptor is owned, and nothing here hands it out to be replaced or closed before the watch ends.
        let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
        watched.map(Self).map_err(Into::into)
    }

    /// Waits until there may be something to read, or the end.
    ///
    /// # Errors
    /// When the event loop ends.
    pub async fn readable(&self) -> io::Result<Ready<'_>> {
        self.0.readable().await
    }

    /// Waits until it may be written to, or nobody reads any more.
    ///
    /// # Errors
    /// When the event loop ends.
    pub async fn writable(&self) -> io::Result<Ready<'_>> {
        self.0.writable().await
    }

    /// Waits for one of several things.
    ///
    /// # Errors
    /// When the event loop ends.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready<'_>> {
        self.0.ready(interest).await
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
