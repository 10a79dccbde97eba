//! Restarts containerd and waits until it has the handlers.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::containerd::run;
use super::cri::Running;
use super::handlers::Setup;
use super::layout::Layout;
use crate::error::{Context, Error, Kind, Result};

/// How containerd is restarted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Restart {
    /// By systemd.
    #[default]
    Systemd,
    /// By a command of the shell's.
    Command(String),
    /// By somebody else, later.
    Never,
}

impl Restart {
    /// Restarts it.
    ///
    /// # Errors
    /// When that fails, or does not end within `patience`.
    pub fn run(&self, layout: &Layout, patience: Duration) -> Result<()> {
        let mut command = match self {
            Restart::Never => return Ok(()),
            Restart::Command(line) => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", line]);
                command
            }
            Restart::Systemd => {
                let mut command = systemctl();
                command.args(["restart", unit(layout)?]);
                command
            }
        };
        let what = || "cannot restart containerd".to_owned();
        let mut child = command.stdin(Stdio::null()).spawn().context(what)?;
        let deadline = Instant::now() + patience;
        loop {
            match child.try_wait().context(what)? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(Error::new(Kind::Failed, what(), status.to_string())),
                None if Instant::now() < deadline => sleep(Duration::from_millis(20)),
                None => {
                    child.kill().context(what)?;
                    child.wait().context(what)?;
                    return Err(Error::new(Kind::Failed, what(), format!("not done after {patience:?}")));
                }
            }
        }
    }
}

/// In a root that is not the first one of the host, it would only pretend.
fn systemctl() -> Command {
    let mut command = Command::new("systemctl");
    command.env("SYSTEMD_IGNORE_CHROOT", "1").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// The unit that runs; one that is down is started by being restarted, if it is the only one.
fn unit(layout: &Layout) -> Result<&'static str> {
    let active = |unit: &&&str| run(systemctl().args(["is-active", "--quiet", unit])).is_ok();
    match (layout.units.iter().find(active), layout.units) {
        (Some(unit), _) | (None, [unit]) => Ok(unit),
        (None, units) => Err(Error::new(
            Kind::NotFound,
            format!("cannot restart {}", layout.name),
            format!("systemd runs none of {}", units.join(", ")),
        )
        .fix("say how with --restart-command, or restart it yourself and say --no-restart")),
    }
}

/// Waits until containerd answers and has the handlers of `setup`, if there is one.
///
/// # Errors
/// When it does not within `patience`.
pub fn await_handlers(socket: &Path, setup: Option<&Setup>, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let seen = Running::ask(socket, Duration::from_secs(5)).and_then(|running| {
            let missing = setup.map(|setup| running.lacks(setup)).unwrap_or_default();
            match missing.as_slice() {
                [] => Ok(()),
                names => Err(Error::new(Kind::Failed, "containerd has no handler", names.join(", "))),
            }
        });
        match seen {
            Ok(()) => return Ok(()),
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(100)),
            Err(error) => return Err(error),
        }
    }
}
