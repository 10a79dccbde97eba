use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Global;
use super::rules::Rules;
use super::run::{foreground, made_up_id};
use crate::container::create::{Console, Wish};
use crate::container::state::StateDir;
use crate::enforce::receipt::{Receipt, State};
use crate::error::{Context, Error, Kind, Result};
use crate::level::Level;
use crate::sys::process::stdio;
use crate::{oci, plan};

mod config;

use config::{Place, Sandbox, View};

/// Run a program on this host's own files, read-only, with a private /tmp and home and no network
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Let it write to this directory too
    #[arg(long, value_name = "DIR")]
    rw: Vec<PathBuf>,
    /// Let it read this directory, where it is a hidden one
    #[arg(long, value_name = "DIR")]
    ro: Vec<PathBuf>,
    /// Directory to start in [default: this one, or its home where this one is hidden]
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Let it use the host's network
    #[arg(long)]
    net: bool,
    #[command(flatten)]
    rules: Rules,
    /// Set an environment variable, or keep the caller's
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Who it is on the host, if root tries it [default: ids that nobody else has]
    #[arg(long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// Print what was enforced when it has ended
    #[arg(short, long)]
    verbose: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What a program finds useful and does not give the caller away.
const KEPT_VARIABLES: [&str; 7] = ["COLORTERM", "LANG", "LC_ALL", "PATH", "TERM", "TZ", "USER"];

/// Where hosts keep what belongs to people and to daemons: homes, mail, sockets, kernels, removable disks.
const HIDDEN: [&str; 10] = [
    "/boot",
    "/home",
    "/media",
    "/mnt",
    "/root",
    "/run",
    "/var/mail",
    "/var/run",
    "/var/spool",
    "/sys/fs/cgroup",
];

const SCRATCH: [&str; 2] = ["/tmp", "/var/tmp"];

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    let sandbox = sandbox(arguments)?;
    let private_ids = sandbox.ids.is_none().then_some(true);
    let mut options = plan::Options { sealed_root: true, private_ids, ..plan::Options::default() };
    arguments.rules.add_to(&mut options)?;
    let mut wish = Wish {
        id: made_up_id("try")?,
        bundle: PathBuf::from("/"),
        config: Some(oci::parse(&config::config(&sandbox).to_string())?),
        root: global.root(),
        level: global.level.or(global.named_level).or(Some(Level::Strict)),
        default_level: None,
        policy: global.policy(),
        systemd_cgroup: global.systemd_cgroup,
        console: Console::None,
        streams: None,
        options,
        pid_file: None,
        pidfd_socket: None,
    };
    let ended = |dir: &StateDir| print_receipt(dir, arguments.verbose);
    foreground(&mut wish, false, &global.log(), ended)
        .map(ExitCode::from)
        .map_err(|error| explain(error, &sandbox))
}

/// There is no `config.json` to point into; and a program may be where nothing is seen.
fn explain(mut error: Error, sandbox: &Sandbox) -> Error {
    error.at = None;
    let hidden = std::env::current_dir().is_ok_and(|dir| dir != Path::new(&sandbox.cwd));
    if error.kind == Kind::ProgramNotFound && hidden {
        return error.fix("this directory is hidden from it: show it with --ro . or --rw .");
    }
    error
}

fn sandbox(arguments: &Arguments) -> Result<Sandbox> {
    let home = home();
    let mut places = standard_places(home.as_deref(), arguments.net);
    for (list, view) in [(&arguments.ro, View::ReadOnly), (&arguments.rw, View::Writable)] {
        for dir in list {
            places.push(Place { path: granted(dir)?, view });
        }
    }
    if arguments.net {
        places.extend(name_servers());
    }
    let home = home.unwrap_or_else(|| "/tmp".to_owned());
    Ok(Sandbox {
        command: arguments.command.clone(),
        env: environment(&arguments.env, &home),
        cwd: working_directory(arguments.cwd.as_deref(), &places, &home)?,
        // Only where all three are the terminal: a pipe stays a pipe, byte for byte.
        terminal: stdio().iter().all(rustix::termios::isatty),
        host_network: arguments.net,
        ids: ids(arguments)?,
        places,
    })
}

/// Those that this host has as directories; a link leads to one that is in the list itself, or may be seen.
fn standard_places(home: Option<&str>, host_network: bool) -> Vec<Place> {
    let views = [(HIDDEN.as_slice(), View::Hidden), (SCRATCH.as_slice(), View::Scratch)];
    let mut places: Vec<Place> = views
        .into_iter()
        .flat_map(|(paths, view)| paths.iter().map(move |path| Place { path: (*path).to_owned(), view }))
        .filter(|place| Path::new(&place.path).symlink_metadata().is_ok_and(|file| file.is_dir()))
        // A new /sys has no cgroups mounted in it.
        .filter(|place| host_network || !place.path.starts_with("/sys/"))
        .collect();
    places.extend(home.map(|home| Place { path: home.to_owned(), view: View::Home }));
    places
}

/// Root's home whoever calls as root; else the caller's, if it has one.
fn home() -> Option<String> {
    let home = match rustix::process::geteuid().is_root() {
        true => PathBuf::from("/root"),
        false => PathBuf::from(std::env::var_os("HOME")?),
    };
    let home = home.canonicalize().ok().filter(|home| home.is_dir() && home.parent().is_some())?;
    home.into_os_string().into_string().ok()
}

fn granted(dir: &Path) -> Result<String> {
    let what = || format!("cannot show {}", dir.display());
    let path = dir.canonicalize().context(what)?;
    if path.parent().is_none() {
        let error = Error::new(Kind::Invalid, what(), "it holds everything that is hidden and read-only");
        return Err(error.fix("name the directories that the program needs"));
    }
    path.into_os_string().into_string().map_err(|_| "its name is not UTF-8").context(what)
}

/// Resolvers keep their file in `/run`, and link to it.
fn name_servers() -> Option<Place> {
    let path = Path::new("/etc/resolv.conf").canonicalize().ok()?;
    let path = path.into_os_string().into_string().ok()?;
    path.starts_with("/run/").then_some(Place { path, view: View::ReadOnly })
}

fn environment(asked: &[String], home: &str) -> Vec<String> {
    let keep = |name: &str| std::env::var(name).ok().map(|value| format!("{name}={value}"));
    let mut env: Vec<String> = KEPT_VARIABLES.into_iter().filter_map(keep).collect();
    env.push(format!("HOME={home}"));
    for entry in asked {
        let name = entry.split('=').next().unwrap_or_default();
        env.retain(|other| other.split('=').next() != Some(name));
        match entry.contains('=') {
            true => env.push(entry.clone()),
            false => env.extend(keep(name)),
        }
    }
    env
}

/// Where the program starts: where the caller is, unless that is hidden from it.
fn working_directory(asked: Option<&Path>, places: &[Place], home: &str) -> Result<String> {
    let what = || "cannot choose a working directory".to_owned();
    let dir = match asked {
        Some(dir) => dir.canonicalize().context(|| format!("cannot start in {}", dir.display()))?,
        None => std::env::current_dir().context(what)?,
    };
    let visible = places
        .iter()
        .filter(|place| dir.starts_with(&place.path))
        .max_by_key(|place| (place.path.len(), place.view))
        .is_none_or(|place| place.view >= View::ReadOnly || dir == Path::new(&place.path));
    match (visible, asked) {
        (true, _) => dir.into_os_string().into_string().map_err(|_| "its name is not UTF-8").context(what),
        (false, None) => Ok(home.to_owned()),
        (false, Some(_)) => Err(Error::new(
            Kind::Invalid,
            format!("cannot start in {}", dir.display()),
            "it is hidden from the program",
        )
        .fix("show it with --ro or --rw")),
    }
}

/// An ordinary user stays that user. Root is nobody: with ids of its own the program owns no file and no process, and
/// reads only what everyone may.
fn ids(arguments: &Arguments) -> Result<Option<(u32, u32)>> {
    let caller = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let invalid = |what: &str, fix: &str| Err(Error::new(Kind::Invalid, what, "").fix(fix));
    match &arguments.user {
        None if caller.0 != 0 => Ok(Some(caller)),
        None if arguments.rw.is_empty() => Ok(None),
        None => invalid("--rw as root without --user", "name with --user whose files the program may write"),
        Some(_) if caller.0 != 0 => invalid("--user without root", "leave it out: the program is you"),
        Some(text) => {
            let (uid, gid) = text.split_once(':').unwrap_or((text, text));
            let what = || format!("cannot use --user {text}");
            Ok(Some((uid.parse().context(what)?, gid.parse().context(what)?)))
        }
    }
}

/// What is enforced; unless all of it is asked for, only what is missing.
fn print_receipt(dir: &StateDir, all: bool) {
    // The program has run: what cannot be read any more is no reason to fail.
    let Ok(receipt) = dir.fetch::<Receipt>("receipt.json") else { return };
    for layer in receipt.layers.iter().filter(|layer| all || layer.state != State::Enforced) {
        eprintln!("sandrun: {:<14} {:<9} {}", layer.layer, layer.state.to_string(), layer.detail);
    }
}
