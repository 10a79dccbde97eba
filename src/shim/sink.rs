//! The server's log: lines in the fifo that containerd reads in the first bundle.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

/// The name of the fifo, in the bundle.
const FIFO: &str = "log";

/// Where lines go. What does not fit, while nobody reads, is lost: a container must not wait for it.
#[derive(Clone)]
pub struct Sink {
    file: Option<Arc<File>>,
    debug: bool,
}

impl Sink {
    /// Opens the fifo of the current directory. Both for reading and for writing: so it needs no reader, and one that
    /// goes away, as containerd does when it is started again, leaves what it has not read to the next.
    pub fn open(debug: bool) -> Self {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(FIFO);
        Self { file: file.ok().map(Arc::new), debug }
    }

    /// Tells what went wrong and stops nothing.
    pub fn error(&self, text: &str) {
        self.line("error", text);
    }

    /// Tells what is worth to be known.
    pub fn warning(&self, text: &str) {
        self.line("warning", text);
    }

    /// Tells what helps to understand, if it was asked for.
    pub fn debug(&self, text: &str) {
        if self.debug {
            self.line("debug", text);
        }
    }

    fn line(&self, level: &str, text: &str) {
        let Some(mut file) = self.file.as_deref() else { return };
        let time = crate::time::now();
        let text = text.lines().collect::<Vec<_>>().join(" ");
        let line = format!("time={time:?} level={level} msg={text:?} runtime=io.containerd.sandrun.v2\n");
        file.write_all(line.as_bytes()).unwrap_or_default();
    }
}
