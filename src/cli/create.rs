use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Global;
use super::rules::Rules;
use crate::container::create::{Console, Created, Wish, create};
use crate::container::status::changes;
use crate::enforce::order::Start;
use crate::error::{Context, Result};
use crate::log::Log;
use crate::{oci, plan};

/// Create a container from a bundle; its program waits for `start`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the container
    id: String,
    #[command(flatten)]
    bundle: Bundle,
}

/// Where a container comes from, and who is told about it.
#[derive(Debug, Args)]
pub(super) struct Bundle {
    /// Directory of the bundle [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// Socket that gets the container's terminal
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// Socket that gets the pidfd of the process
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// File to write the process id to
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Do not use pivot_root, for a root filesystem on a ramdisk
    #[arg(long)]
    no_pivot: bool,
    /// Keep the caller's session keyring
    #[arg(long)]
    no_new_keyring: bool,
    /// User ids that no other container has, or the host's [default: as the annotation or the level says]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    private_ids: Option<bool>,
    /// How many descriptors above standard error the program inherits
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    #[command(flatten)]
    rules: Rules,
}

impl Bundle {
    pub fn wish(&self, global: &Global, id: &str) -> Result<Wish> {
        let bundle = match &self.bundle {
            Some(bundle) => bundle.clone(),
            None => PathBuf::from("."),
        };
        let bundle =
            std::path::absolute(&bundle).context(|| format!("cannot use the bundle {}", bundle.display()))?;
        let config = oci::load(&bundle)?;
        global.log().unknown_capabilities(&config.unknown_capabilities());
        let mut options = plan::Options {
            keep_keyring: self.no_new_keyring,
            preserve_fds: self.preserve_fds,
            listen_fds: listen_fds(),
            no_pivot: self.no_pivot,
            private_ids: self.private_ids,
            ..plan::Options::default()
        };
        self.rules.add_to(&mut options)?;
        Ok(Wish {
            id: id.to_owned(),
            bundle,
            config: Some(config),
            root: global.root(),
            level: global.level,
            default_level: global.named_level,
            policy: global.policy(),
            systemd_cgroup: global.systemd_cgroup,
            console: self.console_socket.clone().map_or(Console::None, Console::Path),
            streams: None,
            options,
            pid_file: self.pid_file.clone(),
            pidfd_socket: self.pidfd_socket.clone(),
        })
    }
}

/// How many sockets a service manager has given to this very process, for the service in the container
/// (`sd_listen_fds(3)`). What is meant for another process says nothing.
fn listen_fds() -> Option<NonZeroU32> {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let given = number("LISTEN_PID") == Some(std::process::id());
    given.then(|| number("LISTEN_FDS")).flatten().and_then(NonZeroU32::new)
}

/// What the node policy warns of; and for `--debug` what is not as config.json says.
pub(super) fn log_changes(log: &Log, created: &Created) {
    log.policy_warnings(&created.warnings);
    if log.debug {
        for change in changes(&created.dir) {
            log.debug(&format!("{}: {}", change.at, change.what));
        }
    }
}

pub(super) fn run(global: &Global, arguments: Arguments) -> Result<ExitCode> {
    let mut wish = arguments.bundle.wish(global, &arguments.id)?;
    let created = create(&mut wish, Start::Socket)?;
    log_changes(&global.log(), &created);
    created.child.release();
    Ok(ExitCode::SUCCESS)
}
