//! The command line: one file for each verb.
//!
//! Verbs, flags and output are runc's wherever runc has them, because programs call them; what sandrun adds
//! is beside them. Options are taken before and after the verb and the id.

mod checkpoint;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod policy;
mod ps;
mod restore;
mod resume;
mod rules;
mod run;
mod shielded;
mod spec;
mod start;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod tryout;
mod update;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::container::state::default_root;
use crate::error::Result;
use crate::level::Level;
use crate::log::{Format, Log};
use crate::policy::Origin;

/// Run containers that are confined by default.
#[derive(Debug, Parser)]
#[command(name = "sandrun", disable_version_flag = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: the program's own, 128+N if signal N ended it, 125 for an error of sandrun, \
    126 if the program cannot be executed, 127 if it is not found, 78 if policy refuses, 1 if a hook fails."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    /// Print the version
    #[arg(short = 'v', long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options of every verb.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Directory for the state of containers [default: /run/sandrun, or $XDG_RUNTIME_DIR/sandrun]
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    /// File to append errors to
    #[arg(long, global = true, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Form of the lines in the log file
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
    /// Also log what the level changed; errors are complete without it
    #[arg(long, global = true)]
    debug: bool,
    /// Have systemd make the cgroups; linux.cgroupsPath is slice:prefix:name then
    #[arg(long, global = true)]
    systemd_cgroup: bool,
    /// Accepted for callers of runc: what the caller may do is found out
    #[arg(long, value_name = "WHETHER", value_parser = ["true", "false", "auto"], hide = true)]
    rootless: Option<String>,
    /// Accepted for callers of runc: criu is found by PATH
    #[arg(long, value_name = "PATH", hide = true)]
    criu: Option<String>,
    /// How much to confine: oci, baseline or strict [default: baseline, or LEVEL of a link sandrun-LEVEL to this
    /// program]
    #[arg(long, global = true, value_name = "LEVEL")]
    level: Option<Level>,
    /// What the level is where neither the command line nor the container says: that of this program's name.
    #[arg(skip = std::env::args_os().next().and_then(|name| Level::named_by(name.as_ref())))]
    named_level: Option<Level>,
    /// The node policy: a file, or builtin:privileged, builtin:baseline, builtin:restricted [default:
    /// /etc/sandrun/policy.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", value_parser = Origin::parse)]
    policy: Option<Origin>,
}

impl Global {
    fn root(&self) -> PathBuf {
        self.root.clone().unwrap_or_else(default_root)
    }

    fn policy(&self) -> Origin {
        self.policy.clone().unwrap_or_default()
    }

    fn log(&self) -> Log {
        Log { path: self.log.clone(), format: self.log_format, debug: self.debug }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Checkpoint(checkpoint::Arguments),
    Create(create::Arguments),
    Delete(delete::Arguments),
    Events(events::Arguments),
    Exec(exec::Arguments),
    Features(features::Arguments),
    Kill(kill::Arguments),
    List(list::Arguments),
    Pause(pause::Arguments),
    Policy(policy::Arguments),
    Ps(ps::Arguments),
    Restore(restore::Arguments),
    Resume(resume::Arguments),
    Run(run::Arguments),
    Spec(spec::Arguments),
    Start(start::Arguments),
    State(state::Arguments),
    Try(tryout::Arguments),
    Update(Box<update::Arguments>),
}

/// Runs the program named on the command line.
pub fn main() -> ExitCode {
    crate::sys::process::die_of_closed_pipes();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::usage(&error),
    };
    if cli.version {
        print_version();
        return ExitCode::SUCCESS;
    }
    let Some(command) = cli.command else { return ExitCode::from(125) };
    match dispatch(&cli.global, command) {
        Ok(code) => code,
        Err(error) => {
            cli.global.log().error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(global: &Global, command: Command) -> Result<ExitCode> {
    match command {
        Command::Checkpoint(arguments) => checkpoint::run(global, &arguments),
        Command::Create(arguments) => create::run(global, arguments),
        Command::Delete(arguments) => delete::run(global, &arguments),
        Command::Events(arguments) => events::run(global, &arguments),
        Command::Exec(arguments) => exec::run(global, arguments),
        Command::Features(arguments) => features::run(global, &arguments),
        Command::Kill(arguments) => kill::run(global, &arguments),
        Command::List(arguments) => list::run(global, &arguments),
        Command::Pause(arguments) => pause::run(global, &arguments),
        Command::Policy(arguments) => policy::run(global, &arguments),
        Command::Restore(arguments) => restore::run(global, arguments),
        Command::Resume(arguments) => resume::run(global, &arguments),
        Command::Ps(arguments) => ps::run(global, &arguments),
        Command::Run(arguments) => run::run(global, arguments),
        Command::Spec(arguments) => spec::run(global, &arguments),
        Command::Start(arguments) => start::run(global, &arguments),
        Command::State(arguments) => state::run(global, &arguments),
        Command::Try(arguments) => tryout::run(global, &arguments),
        Command::Update(arguments) => update::run(global, &arguments),
    }
}

/// In the form of runc's, whose second line is there when the build knows of a commit.
fn print_version() {
    println!("sandrun version {}", env!("CARGO_PKG_VERSION"));
    if let Some(commit) = option_env!("SANDRUN_COMMIT") {
        println!("commit: {commit}");
    }
    println!("spec: {}", crate::oci::OCI_VERSION);
}

/// The definition of the command line, for manual pages and completion.
pub fn definition() -> clap::Command {
    Cli::command()
}
