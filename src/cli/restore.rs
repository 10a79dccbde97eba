use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Global;
use super::checkpoint::Common;
use super::run::become_subreaper;
use super::terminal::{self, Signals};
use crate::container::checkpoint::restore::{Choices, Restored, restore};
use crate::container::create::{Console, Wish};
use crate::container::delete::delete_locked;
use crate::error::{Context, Kind, Result};
use crate::log::Log;

/// Bring a container back from the files of a checkpoint
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the container
    id: String,
    #[command(flatten)]
    common: Common,
    /// Directory of the bundle [default: the current directory]
    #[arg(short, long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    bundle: PathBuf,
    /// Socket that gets the container's terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Leave it running in the background
    #[arg(short, long)]
    detach: bool,
    /// File to write the process id to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Do not take over processes whose parent has ended
    #[arg(long)]
    no_subreaper: bool,
    /// Accepted for callers of runc: CRIU changes the root in its own way
    #[arg(long)]
    no_pivot: bool,
    /// Another label of a security module
    #[arg(long, value_name = "apparmor:NAME|selinux:NAME")]
    lsm_profile: Option<String>,
    /// Another SELinux context for mounts that have one
    #[arg(long, value_name = "CONTEXT")]
    lsm_mount_context: Option<String>,
}

pub(super) fn run(global: &Global, arguments: Arguments) -> Result<ExitCode> {
    let bundle = std::path::absolute(&arguments.bundle)
        .context(|| format!("cannot use the bundle {}", arguments.bundle.display()))?;
    let mut wish = Wish {
        id: arguments.id,
        bundle,
        root: global.root(),
        level: global.level,
        policy: global.policy(),
        console: arguments.console_socket.map_or(Console::None, Console::Path),
        pid_file: arguments.pid_file,
        ..Wish::default()
    };
    let choices = Choices {
        common: arguments.common.options(),
        lsm_profile: arguments.lsm_profile,
        lsm_mount_context: arguments.lsm_mount_context,
    };
    if arguments.detach {
        return restore(&mut wish, &choices).map(|_| ExitCode::SUCCESS);
    }
    if !arguments.no_subreaper {
        become_subreaper()?;
    }
    foreground(&mut wish, &choices, &global.log()).map(ExitCode::from)
}

/// With the caller's standard streams or terminal, until it ends; it is deleted then.
fn foreground(wish: &mut Wish, choices: &Choices, log: &Log) -> Result<u8> {
    let ours = match &wish.console {
        Console::None => {
            let (ours, theirs) = terminal::Console::sockets()?;
            wish.console = Console::Socket(theirs);
            Some(ours)
        }
        _ => None,
    };
    let Restored { dir, pidfd, has_terminal, layout, .. } = restore(wish, choices)?;
    let signals = Signals::block()?;
    let console = match ours {
        Some(socket) if has_terminal => Some(terminal::Console::receive(&socket)?),
        _ => None,
    };
    dir.unlock()?;
    let code = terminal::attend(pidfd.as_fd(), &signals, console.as_ref());
    drop(console);
    match dir.lock_again() {
        Ok(()) => log.failed_hooks(&delete_locked(&dir, true, &layout)?),
        // Somebody else has deleted it.
        Err(error) if error.kind == Kind::NotFound => {}
        Err(error) => return Err(error),
    }
    code
}
