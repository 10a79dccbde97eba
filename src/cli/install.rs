use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::error::{Context, Error, Kind, Result};
use crate::install::daemon::Restart;
use crate::install::handlers::{HANDLERS, Handler, SHIM, Via};
use crate::install::plan::Content;
use crate::install::programs::Programs;
use crate::install::{self, Outcome, Wish};

/// Where the node is, and how its containerd is found.
#[derive(Debug, Args)]
struct Node {
    /// Work on the host whose root is mounted here, as in a DaemonSet; all other paths are in it
    #[arg(long, value_name = "DIR")]
    host_root: Option<PathBuf>,
    /// containerd's main configuration [default: where the distribution has it]
    #[arg(long, value_name = "FILE")]
    containerd_config: Option<PathBuf>,
    /// The containerd program [default: where the distribution has it]
    #[arg(long, value_name = "FILE")]
    containerd: Option<PathBuf>,
    /// Where containerd listens [default: where the distribution has it]
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// Where the programs go
    #[arg(long, value_name = "DIR", default_value = "/usr/local/bin")]
    bin_dir: PathBuf,
    /// Leave containerd as it runs; the change counts from its next start on
    #[arg(long, conflicts_with = "restart_command")]
    no_restart: bool,
    /// Restart containerd by this command of the shell [default: systemctl restart]
    #[arg(long, value_name = "COMMAND")]
    restart_command: Option<String>,
    /// How long a restart of containerd may take
    #[arg(long, value_name = "SECONDS", default_value = "90")]
    timeout: u64,
    /// Say what would be written, and write nothing that stays
    #[arg(long)]
    dry_run: bool,
}

/// Add the handlers sandrun, sandrun-strict and sandrun-oci to this node's containerd
///
/// Copies the programs, writes the handlers into a file of its own (with containerd 1.x, into a marked block of its
/// configuration), has containerd show that it takes them and that nothing else changes, restarts it, and waits until it has
/// them. If it does not come back, everything is as before. A second run changes nothing.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    node: Node,
    /// Whose shim runs the containers: sandrun's, or containerd's of runc
    #[arg(long, value_enum, default_value = "shim")]
    via: Via,
    /// Which handlers
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_values = HANDLERS.map(|handler| handler.name))]
    handlers: Vec<Handler>,
    /// Change nothing; print as JSON whether containerd has the handlers, and the labels for the node. Exit code 1 if not
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
}

/// Remove what `install` put on this node
///
/// The files of others are byte for byte what they would be without it. Refused while containers of the handlers run.
#[derive(Debug, Args)]
pub(super) struct Removal {
    #[command(flatten)]
    node: Node,
    /// Even if containers of the handlers run
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    // Before the root changes, after which they cannot be found.
    let programs = if arguments.check { None } else { Some(programs()?) };
    let wish = wish(&arguments.node, arguments.via, &arguments.handlers)?;
    let Some(programs) = programs else { return check(&wish) };
    let outcome = install::install(&wish, programs, arguments.node.dry_run)?;
    report(&outcome, &arguments.node, "installed");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn remove(arguments: &Removal) -> Result<ExitCode> {
    let wish = wish(&arguments.node, Via::default(), &HANDLERS)?;
    let outcome = install::uninstall(&wish, arguments.force, arguments.node.dry_run)?;
    report(&outcome, &arguments.node, "uninstalled");
    Ok(ExitCode::SUCCESS)
}

fn check(wish: &Wish) -> Result<ExitCode> {
    let standing = install::standing(wish)?;
    let text = serde_json::to_string_pretty(&standing).context(|| "cannot print it".to_owned())?;
    println!("{text}");
    Ok(ExitCode::from(u8::from(!standing.ready)))
}

fn wish(node: &Node, via: Via, handlers: &[Handler]) -> Result<Wish> {
    if let Some(root) = &node.host_root {
        let what = || format!("cannot enter {}", root.display());
        nix::unistd::chroot(root).context(what)?;
        std::env::set_current_dir("/").context(what)?;
    }
    Ok(Wish {
        config: node.containerd_config.clone(),
        containerd: node.containerd.clone(),
        socket: node.socket.clone(),
        bin_dir: node.bin_dir.clone(),
        via,
        handlers: handlers.to_vec(),
        restart: match &node.restart_command {
            _ if node.no_restart => Restart::Never,
            Some(command) => Restart::Command(command.clone()),
            None => Restart::Systemd,
        },
        patience: Duration::from_secs(node.timeout),
    })
}

/// This program, and the shim beside it.
fn programs() -> Result<Programs> {
    let own = std::env::current_exe().context(|| "cannot find this program".to_owned())?;
    let shim = own.with_file_name(SHIM);
    let runtime = bytes(Path::new("/proc/self/exe"))?;
    let shim = bytes(&shim).map_err(|error| match error.kind {
        Kind::NotFound => error.fix(format!("put {SHIM} beside {}", own.display())),
        _ => error,
    })?;
    Ok(Programs { runtime, shim })
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.context(|| format!("cannot read {}", path.display()))?;
    if bytes.is_empty() {
        return Err(Error::new(Kind::Invalid, format!("cannot use {}", path.display()), "it is empty"));
    }
    Ok(bytes)
}

fn report(outcome: &Outcome, node: &Node, done: &str) {
    println!("found    {}", outcome.found);
    for file in &outcome.files {
        match &file.after {
            None => println!("remove   {}", file.path.display()),
            Some(Content::Link(target)) => {
                println!("link     {} to {}", file.path.display(), target.display())
            }
            Some(Content::Bytes(bytes)) => {
                println!("write    {} ({} bytes)", file.path.display(), bytes.len())
            }
        }
        if let (true, Some(Content::Bytes(bytes))) = (node.dry_run && file.mode != 0o755, &file.after) {
            String::from_utf8_lossy(bytes).lines().for_each(|line| println!("         | {line}"));
        }
    }
    if outcome.restart {
        println!("restart  containerd{}", if node.no_restart { ", which is left to you" } else { "" });
    }
    match (node.dry_run, outcome.files.is_empty() && !outcome.restart) {
        (true, _) => println!("nothing was changed (--dry-run)"),
        (false, true) => println!("nothing to do"),
        (false, false) => println!("{done}"),
    }
}
