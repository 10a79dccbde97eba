use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Global;
use super::terminal::{self, Signals};
use crate::container::create::Console;
use crate::container::exec::{Overrides, Process, Ready, SubCgroup, Wish, exec};
use crate::error::{Context, Error, Kind, Result};
use crate::log::Log;

/// Run another program in a container
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// File with the process, in the form of `process` in config.json
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Socket that gets the terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Socket that gets the pidfd of the process
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// Working directory
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// Set a variable of the environment
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// User, and group, by number
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// Another group, by number
    #[arg(short = 'g', long, value_name = "GID")]
    additional_gids: Vec<u32>,
    /// Leave it running in the background
    #[arg(short, long)]
    detach: bool,
    /// File to write the process id to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// SELinux context of the process
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// AppArmor profile of the process
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// Let it gain no privileges by execve, even where its container's process may
    #[arg(long)]
    no_new_privs: bool,
    /// Add a capability, within those of the container
    #[arg(short, long, value_name = "CAP")]
    cap: Vec<String>,
    /// How many descriptors above standard error it inherits
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// Run it although the container is paused
    #[arg(long)]
    ignore_paused: bool,
    /// Cgroup beneath the container's to run it in; on cgroup v1 for each controller
    #[arg(long, value_name = "[CONTROLLER:]PATH")]
    cgroup: Vec<String>,
    /// Name of the container
    id: String,
    /// Program and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn run(global: &Global, arguments: Arguments) -> Result<ExitCode> {
    let mut wish = Wish {
        id: arguments.id.clone(),
        root: global.root(),
        console: arguments.console_socket.clone().map_or(Console::None, Console::Path),
        streams: None,
        preserve_fds: arguments.preserve_fds,
        ignore_paused: arguments.ignore_paused,
        pid_file: arguments.pid_file.clone(),
        pidfd_socket: arguments.pidfd_socket.clone(),
        process: process(&arguments)?,
        cgroups: cgroups(&arguments.cgroup)?,
        policy: global.policy(),
    };
    if arguments.detach {
        let ready = exec(&mut wish)?;
        global.log().policy_warnings(&ready.warnings);
        ready.child.go()?;
        ready.child.release();
        return Ok(ExitCode::SUCCESS);
    }
    foreground(&mut wish, &global.log()).map(ExitCode::from)
}

fn foreground(wish: &mut Wish, log: &Log) -> Result<u8> {
    let signals = Signals::block()?;
    let mut ours = None;
    if let Console::None = wish.console {
        let (here, there) = terminal::Console::sockets()?;
        wish.console = Console::Socket(there);
        ours = Some(here);
    }
    let Ready { child, has_terminal, warnings } = exec(wish)?;
    log.policy_warnings(&warnings);
    let console = match ours {
        Some(socket) if has_terminal => Some(terminal::Console::receive(&socket)?),
        _ => None,
    };
    child.go()?;
    let pidfd = child.release();
    terminal::attend(pidfd.as_fd(), &signals, console.as_ref())
}

fn process(arguments: &Arguments) -> Result<Process> {
    if let Some(path) = &arguments.process {
        if arguments.command.is_empty() {
            return Ok(Process::File(path.clone()));
        }
        return Err(
            Error::new(Kind::Invalid, "both --process and a command are given", "").fix("give one of them")
        );
    }
    if arguments.command.is_empty() {
        return Err(Error::new(Kind::Invalid, "no program to run", "").fix("name it after the container"));
    }
    Ok(Process::Like(Box::new(Overrides {
        args: arguments.command.clone(),
        cwd: arguments.cwd.clone(),
        env: arguments.env.clone(),
        terminal: arguments.tty,
        user: arguments.user.as_deref().map(user).transpose()?,
        additional_gids: arguments.additional_gids.clone(),
        no_new_privs: arguments.no_new_privs,
        capabilities: capabilities(&arguments.cap)?,
        apparmor: arguments.apparmor.clone(),
        selinux_label: arguments.process_label.clone(),
    })))
}

/// `cpu,memory:sub` for each hierarchy, or one path for all.
fn cgroups(arguments: &[String]) -> Result<Vec<SubCgroup>> {
    let invalid =
        |text: &str, why: &str| Error::new(Kind::Invalid, format!("cannot use --cgroup {text}"), why);
    let mut cgroups: Vec<SubCgroup> = Vec::new();
    for text in arguments {
        let Some((controllers, path)) = text.split_once(':') else {
            if arguments.len() > 1 {
                return Err(invalid(text, "of several, each must name a controller"));
            }
            return Ok(vec![SubCgroup { controller: None, path: text.clone() }]);
        };
        for controller in controllers.split(',') {
            if controller.is_empty() {
                return Err(invalid(text, "a controller has no name"));
            }
            if cgroups.iter().any(|known| known.controller.as_deref() == Some(controller)) {
                return Err(invalid(text, "a controller is named twice"));
            }
            cgroups.push(SubCgroup { controller: Some(controller.to_owned()), path: path.to_owned() });
        }
    }
    Ok(cgroups)
}

/// Numbers only: names would be looked up in files of the image (CVE-2022-29162 and its kind).
fn user(text: &str) -> Result<(u32, Option<u32>)> {
    let id = |text: &str| -> Result<u32> {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if plain { text.parse().ok() } else { None };
        number
            .filter(|number| *number != u32::MAX)
            .ok_or("use a number below 4294967295")
            .context(|| format!("{text:?} is not a user or group id"))
    };
    match text.split_once(':') {
        Some((uid, gid)) => Ok((id(uid)?, Some(id(gid)?))),
        None => Ok((id(text)?, None)),
    }
}

fn capabilities(names: &[String]) -> Result<u64> {
    names.iter().try_fold(0, |mask, name| {
        let upper = name.to_ascii_uppercase();
        let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        let capability: caps::Capability = full
            .parse()
            .map_err(|_| Error::new(Kind::Invalid, format!("unknown capability {name:?}"), ""))?;
        Ok(mask | capability.bitmask())
    })
}
