//! Real fifos, files, loggers and terminals.

mod logger;
mod output;
mod stdin;
mod target;
mod terminal;

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::*;

/// Long enough for anything that happens, on a busy machine.
const LONG: Duration = Duration::from_secs(20);
/// Long enough to see that something does not happen.
const SHORT: Duration = Duration::from_millis(200);

/// A directory with fifos, removed when dropped.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("sandrun-streams-{}-{number}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn fifo(&self, name: &str) -> String {
        let path = self.path(name);
        mkfifoat(CWD, &path, Mode::from_raw_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Runs a test as the shim runs: an event loop of one thread.
fn on_one_thread<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, test).await.expect("the test hangs") })
}

/// Lets the event loop go on until another thread is done.
async fn join<T>(thread: JoinHandle<T>) -> T {
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    thread.join().unwrap()
}

async fn opened(wanted: &Wanted) -> Streams {
    Streams::open(wanted).await.unwrap_or_else(|error| panic!("{error}"))
}

/// As containerd opens a fifo to read.
fn reader(path: &str) -> File {
    OpenOptions::new().read(true).open(path).unwrap()
}

/// As containerd opens a fifo to write.
fn writer(path: &str) -> File {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

/// Reads everything up to the end, elsewhere.
fn read_all(mut from: File) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).unwrap();
        all
    })
}

/// Writes as a process would, elsewhere, and closes.
fn write_all(to: OwnedFd, bytes: Vec<u8>) -> JoinHandle<()> {
    thread::spawn(move || File::from(to).write_all(&bytes).unwrap())
}

/// Bytes that tell when some are missing or in another order.
fn numbers(upto: usize) -> Vec<u8> {
    (0..upto).flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}
