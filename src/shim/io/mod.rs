//! The streams of a process as containerd asks for them (task service, `Create` and `Exec`).
//!
//! The process gets anonymous pipes, which Landlock lets pass wherever they lead, or a terminal of its own; what
//! goes through them moves between them and containerd's fifos, files and loggers ([`flow`]). Paths come from
//! containerd, which is trusted; bytes from the workload, which is not, and nobody here looks at them.
//!
//! ```text
//! open ─► child_ends, console ─► (the process is made) ─► begin ─► resize, close_stdin ─► drained ─► drop
//! ```
//!
//! A fifo is held open in both directions: containerd may go and come back, and the process sees nothing of it but
//! that it has to wait once the fifo is full. That of standard input is opened last, as a client that gets rid of all
//! it has before it hears of the process never says that this was all.

mod flow;
mod logger;
mod pipes;
mod place;
mod target;
mod terminal;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::Interest;

use crate::error::Result;
use logger::Logger;
use pipes::Pipes;
use place::Place;
use target::Target;
use terminal::Terminal;

/// How long whoever waits to write may take to have a fifo open, once we have.
const OPENING: Duration = Duration::from_secs(1);

/// What containerd asks for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The path of a fifo; empty for none.
    pub stdin: String,
    /// A path or a URI; empty for none.
    pub stdout: String,
    /// The same; not used with a terminal.
    pub stderr: String,
    /// Whether the process gets a terminal.
    pub terminal: bool,
    /// The namespace of containerd's, for a logger.
    pub namespace: String,
    /// The id of the container or exec, for a logger.
    pub id: String,
}

/// The streams of one process. Dropping them closes everything, moved or not.
pub struct Streams {
    ends: Option<[OwnedFd; 3]>,
    console: Option<OwnedFd>,
    waiting: Option<Waiting>,
    moving: Option<Moving>,
    /// The fifo of standard input, before anything moves.
    input: Option<PathBuf>,
    /// Keeps standard input from ending when whoever writes to it goes away.
    keeps_input_open: Option<OwnedFd>,
    /// It may end, which was said before it was opened.
    input_may_end: bool,
    /// Columns and lines that the terminal is to have, which was said before it was there.
    size: Option<(u32, u32)>,
    logger: Option<Logger>,
}

/// Open, and nothing moves yet.
enum Waiting {
    Pipes(Pipes),
    Terminal { socket: OwnedFd, output: Place },
}

enum Moving {
    Pipes(pipes::Moving),
    Terminal(Terminal),
}

impl Streams {
    /// Opens everything, and starts a logger where one is asked for: that is what is waited for.
    ///
    /// # Errors
    /// `Invalid` for a stream that cannot be understood, `NotFound` and `Failed` for one that cannot be opened.
    pub async fn open(wanted: &Wanted) -> Result<Self> {
        let stdout = Target::parse(&wanted.stdout)?;
        let stderr = if wanted.terminal { Target::Nothing } else { Target::parse(&wanted.stderr)? };
        let input = Some(&wanted.stdin).filter(|path| !path.is_empty()).map(PathBuf::from);
        input.as_deref().map_or(Ok(()), place::check_input)?;
        let (logger, to_logger) = match stdout.program().or(stderr.program()) {
            Some(program) => Logger::start(program, wanted).await.map(|(it, ends)| (Some(it), Some(ends)))?,
            None => (None, None),
        };
        let has_input = input.is_some();
        let mut streams = Self {
            ends: None,
            console: None,
            waiting: None,
            moving: None,
            input,
            keeps_input_open: None,
            input_may_end: false,
            size: None,
            logger,
        };
        if wanted.terminal {
            let (socket, theirs) = terminal::sockets()?;
            let output = match to_logger {
                Some([first, _]) => Place::Stream(first),
                None => Place::open(&stdout)?,
            };
            streams.console = Some(theirs);
            streams.waiting = Some(Waiting::Terminal { socket, output });
            return Ok(streams);
        }
        let mut pipes = Pipes::default();
        let stdin = pipes.input(has_input)?;
        let [stdout, stderr] = match to_logger {
            // It takes both, whatever is said of the other one, as under containerd's runc shim.
            Some(ends) => ends,
            None => pipes.outputs(&stdout, &stderr)?,
        };
        streams.ends = Some([stdin, stdout, stderr]);
        streams.waiting = Some(Waiting::Pipes(pipes));
        Ok(streams)
    }

    /// What the process gets as standard input, output and error; once, and nothing with a terminal.
    pub fn child_ends(&mut self) -> Option<[OwnedFd; 3]> {
        self.ends.take()
    }

    /// The socket to send the terminal's master to; once, and nothing without a terminal.
    pub fn console(&mut self) -> Option<OwnedFd> {
        self.console.take()
    }

    /// Gives the pipes of the process to a user and a group of the host: those that are root where it will be.
    ///
    /// # Errors
    /// `Failed` when the kernel refuses.
    pub fn give_to(&self, (uid, gid): (u32, u32)) -> Result<()> {
        if (uid, gid) == (0, 0) {
            return Ok(());
        }
        self.ends.iter().flatten().try_for_each(|end| pipes::give(end, uid, gid))
    }

    /// Begins to move, once the process is made and nobody here has its ends any more.
    ///
    /// # Errors
    /// `Failed` when the terminal was not sent, a fifo cannot be opened, or descriptors or memory run out.
    pub fn begin(&mut self) -> Result<()> {
        let Some(waiting) = self.waiting.take() else { return Ok(()) };
        let input = self.open_input()?;
        self.moving = match waiting {
            Waiting::Pipes(pipes) => Some(Moving::Pipes(pipes.begin(input)?)),
            Waiting::Terminal { socket, output } => {
                let input = input.map(|input| place::watch(input, Interest::READABLE)).transpose()?;
                Some(Moving::Terminal(Terminal::begin(&socket, input, output.watched()?)?))
            }
        };
        self.size.take().map_or(Ok(()), |(width, height)| self.resize(width, height))
    }

    fn open_input(&mut self) -> Result<Option<OwnedFd>> {
        let Some(path) = self.input.take() else { return Ok(None) };
        let (input, keeper) = place::open_input(&path)?;
        match self.input_may_end {
            false => self.keeps_input_open = Some(keeper),
            true => drop(tokio::spawn(async move {
                tokio::time::sleep(OPENING).await;
                drop(keeper);
            })),
        }
        Ok(Some(input))
    }

    /// Sets the size of the terminal, in characters; without one nothing is done.
    ///
    /// # Errors
    /// Those of `ioctl_tty(2)`.
    pub fn resize(&mut self, width: u32, height: u32) -> Result<()> {
        match &self.moving {
            Some(Moving::Terminal(terminal)) => return terminal.resize(width, height),
            Some(Moving::Pipes(_)) => {}
            None => self.size = Some((width, height)),
        }
        Ok(())
    }

    /// Lets standard input end, after all that containerd has written, and as soon as it has closed its side, too.
    /// A terminal hangs up then.
    pub fn close_stdin(&mut self) {
        self.input_may_end = true;
        self.keeps_input_open = None;
    }

    /// Waits, after the process has ended, until all it has written is where it belongs, and a logger has read it.
    /// That may be never: where a reader is gone, or another process keeps an output open. Whoever waits sets the
    /// limit; what was not moved by then is lost, and everything is closed.
    pub fn drained(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let (moving, logger) = (self.moving.take(), self.logger.take());
        async move {
            match moving {
                Some(Moving::Pipes(mut pipes)) => pipes.finish().await,
                Some(Moving::Terminal(terminal)) => terminal.finish().await,
                None => {}
            }
            if let Some(mut logger) = logger {
                logger.ended().await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
