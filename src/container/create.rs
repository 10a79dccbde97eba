//! `create`: from a bundle to a container that waits for `start`.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::delete::resctrl_gone;
use super::place::{self, Place};
use super::process::identify;
use super::record::Record;
use super::state::StateDir;
use super::status::{State, Status};
use super::{confirm, hooks, host_objects, joined, listener, pidfd_socket, start_socket};
use crate::cgroup::systemd::Systemd;
use crate::enforce::order::{Role, Start, Task};
use crate::enforce::receipt::Receipt;
use crate::enforce::spawn::{Child, Request, spawn};
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::level::Level;
use crate::oci;
use crate::plan::cgroup::Layout;
use crate::plan::hooks::Point;
use crate::plan::intel_rdt::IntelRdt;
use crate::plan::namespaces::NamespaceKind;
use crate::plan::{self, Plan};
use crate::resctrl::Resctrl;

/// What the caller wants.
#[derive(Debug, Default)]
pub struct Wish {
    /// The container's id.
    pub id: String,
    /// The bundle's directory; relative paths in the configuration start here.
    pub bundle: PathBuf,
    /// The configuration; absent for `config.json` of the bundle.
    pub config: Option<oci::Config>,
    /// Where containers are kept.
    pub root: PathBuf,
    /// The level; absent for what the annotation says, or the default.
    pub level: Option<Level>,
    /// Have systemd make the cgroup.
    pub systemd_cgroup: bool,
    /// Where the terminal is sent.
    pub console: Console,
    /// Choices that change the plan.
    pub options: plan::Options,
    /// Written once the process exists.
    pub pid_file: Option<PathBuf>,
    /// Gets the process's pidfd.
    pub pidfd_socket: Option<PathBuf>,
}

/// Who gets the master of the container's terminal.
#[derive(Debug, Default)]
pub enum Console {
    /// Nobody: the container has no terminal.
    #[default]
    None,
    /// Whoever listens on this socket.
    Path(PathBuf),
    /// Whoever has the other end.
    Socket(OwnedFd),
}

/// A container whose init is ready.
pub struct Created {
    /// Its directory, locked.
    pub dir: StateDir,
    /// Its record, as stored.
    pub record: Record,
    /// Its init, still ours to let go.
    pub child: Child,
    /// What is enforced so far.
    pub receipt: Receipt,
    /// Whether its terminal was sent to the console socket.
    pub has_terminal: bool,
    /// How control groups are laid out.
    pub layout: Layout,
}

/// Creates a container whose init waits for `start`: on its socket, or for the creator's word.
///
/// # Errors
/// Why not; nothing of the container is left then.
pub fn create(wish: &mut Wish, start: Start) -> Result<Created> {
    let host = Host::probe()?;
    let decided = decide(wish, &host)?;
    let plan = &decided.plan;
    check_console(plan, &wish.console)?;
    let dir = StateDir::create(&wish.root, &wish.id)?;
    let mut record = Record::new(&wish.id, &wish.bundle, plan.level);
    record.rootfs.clone_from(&plan.rootfs.path);
    record.cgroup.clone_from(&plan.cgroup.path);
    record.resctrl = plan.intel_rdt.as_ref().map(IntelRdt::removed).unwrap_or_default();
    record.unit = plan.cgroup.scope.as_ref().map(|scope| scope.unit.clone());
    record.shares_pids = !plan.namespaces.is_new(NamespaceKind::Pid);
    record.annotations.clone_from(&plan.annotations);
    record.hooks.clone_from(&plan.hooks);
    let mut made = Made { cgroup: false, resctrl: false, environment: false };
    let has_terminal = plan.workload.terminal.is_some();
    match build(wish, &host, decided, &dir, &mut record, start, &mut made) {
        Ok((child, receipt)) => {
            Ok(Created { dir, record, child, receipt, has_terminal, layout: host.cgroup })
        }
        Err(error) => Err(undo(error, &dir, &record, &made, &host)),
    }
}

/// What has to be undone beside the directory.
struct Made {
    cgroup: bool,
    resctrl: bool,
    /// Hooks have run for it, so those that undo their work have to.
    environment: bool,
}

fn undo(error: Error, dir: &StateDir, record: &Record, made: &Made, host: &Host) -> Error {
    let removed = match made.cgroup {
        true => place::gone(&record.cgroup, record.unit.as_ref(), &host.cgroup),
        false => Ok(()),
    };
    let groups = |()| if made.resctrl { resctrl_gone(&record.resctrl) } else { Ok(()) };
    let removed = removed.and_then(groups).and_then(|()| dir.remove());
    let stopped = if made.environment { hooks::run_poststop(record) } else { Vec::new() };
    removed.err().into_iter().chain(stopped).fold(error, Error::and_then)
}

/// The plan, and who carries out a part of it.
pub(super) struct Decided {
    pub plan: Plan,
    pub systemd: Option<Systemd>,
}

pub(super) fn decide(wish: &Wish, host: &Host) -> Result<Decided> {
    let loaded;
    let config = match &wish.config {
        Some(config) => config,
        None => {
            loaded = oci::load(&wish.bundle)?;
            &loaded
        }
    };
    let level = level(wish.level, config.spec.annotations().as_ref())?;
    let mut systemd = wish.systemd_cgroup.then(Systemd::of_caller).transpose()?;
    let manager = systemd.as_mut().map(Systemd::manager).transpose()?;
    let plan = plan::resolve(&plan::Input {
        id: &wish.id,
        config: &config.spec,
        options: plan::Options { manager, ..wish.options.clone() },
        pids_limit: config.pids_limit,
        landlock: config.landlock.as_ref(),
        unknown: &config.unknown,
        bundle: &wish.bundle,
        level,
        host,
    })?;
    Ok(Decided { plan, systemd })
}

/// The command line decides; a container itself may only ask for more than the default.
fn level(
    asked: Option<Level>,
    annotations: Option<&std::collections::HashMap<String, String>>,
) -> Result<Level> {
    let annotation = annotations.and_then(|all| all.get(Level::ANNOTATION));
    let field = format!("annotations[\"{}\"]", Level::ANNOTATION);
    let annotated = match annotation.map(|text| text.parse::<Level>()).transpose() {
        Ok(level) => level,
        Err(why) => return Err(Error::new(Kind::Invalid, "cannot choose a level", why).at(field)),
    };
    match (asked, annotated) {
        (Some(level), _) => Ok(level),
        (None, Some(level)) if level < Level::default() => Err(Error::new(
            Kind::Refused,
            format!("level {level} is less than {}", Level::default()),
            "a container cannot loosen its own confinement",
        )
        .at(field)
        .fix("remove the annotation, or give --level on the command line")),
        (None, Some(level)) => Ok(level),
        (None, None) => Ok(Level::default()),
    }
}

pub(super) fn check_console(plan: &Plan, console: &Console) -> Result<()> {
    let error =
        |what: &str, fix: &str| Err(Error::new(Kind::Invalid, what, "").at("process.terminal").fix(fix));
    match (plan.workload.terminal, console) {
        (Some(_), Console::None) => error(
            "nobody takes the container's terminal",
            "give --console-socket, or use `sandrun run` in the foreground, or set process.terminal to false",
        ),
        (None, Console::Path(_)) => error(
            "a console socket for a container without a terminal",
            "set process.terminal to true, or leave --console-socket out",
        ),
        _ => Ok(()),
    }
}

fn build(
    wish: &mut Wish,
    host: &Host,
    Decided { mut plan, systemd }: Decided,
    dir: &StateDir,
    record: &mut Record,
    start: Start,
    made: &mut Made,
) -> Result<(Child, Receipt)> {
    dir.save_first(record)?;
    dir.store("plan.json", &plan)?;
    made.cgroup = true;
    let cgroup = place::make(&mut plan, host, systemd)
        .inspect_err(|error| made.cgroup = error.kind != Kind::Exists)?;
    if cgroup.is_none() {
        made.cgroup = false;
        record.cgroup.clear();
        dir.replace("plan.json", &plan)?;
    }
    if let Some(group) = &plan.intel_rdt {
        made.resctrl = true;
        let result = Resctrl::find().and_then(|resctrl| resctrl.make(group));
        result.inspect_err(|error| made.resctrl = error.kind != Kind::Exists)?;
    }
    let mut descriptors = host_objects::open(&plan, host)?;
    let place = cgroup.as_ref().map(|made| &made.place);
    if let Some(place) = place {
        descriptors.extend(place.tasks()?);
    }
    if start == Start::Socket {
        descriptors.push((Role::StartSocket, start_socket::listen(dir)?));
    }
    if plan.workload.terminal.is_some()
        && let Some(socket) = console_socket(&mut wish.console)?
    {
        descriptors.push((Role::ConsoleSocket, socket));
    }
    let request = Request {
        namespaces: &plan.namespaces,
        join: joined::open(&plan, host)?,
        cgroup: place.and_then(Place::birthplace),
        attach: &|pid| place.map_or(Ok(()), |place| place.attach(pid)),
        oom_score_adj: plan.workload.oom_score_adj,
        preserve_fds: plan.workload.preserve_fds,
        may_mount: host.may_mount,
        start,
        descriptors,
        task: Task::Create(Box::new(plan.clone())),
    };
    let (child, confirmed) = spawn(request, &mut |pid| {
        made.environment = true;
        hooks::run(record, Point::Prestart, pid)?;
        hooks::run(record, Point::CreateRuntime, pid)
    })?;
    record.process = Some(identify(child.pid())?);
    listener::introduce(&plan.workload.seccomp, &child, &State::of(record, Status::Creating))?;
    let receipt = confirm::all(&plan, &child, cgroup, confirmed)?;
    dir.save(record)?;
    if start == Start::Socket {
        dir.store("receipt.json", &receipt)?;
    }
    if let Some(path) = &wish.pidfd_socket {
        pidfd_socket::send(path, child.pidfd(), pidfd_socket::FIRST)?;
    }
    if let Some(path) = &wish.pid_file {
        super::pidfile::write(path, child.pid())?;
    }
    Ok((child, receipt))
}

/// Connects to whoever wants the terminal, with the caller's rights.
pub(super) fn console_socket(console: &mut Console) -> Result<Option<OwnedFd>> {
    match std::mem::take(console) {
        Console::None => Ok(None),
        Console::Socket(socket) => Ok(Some(socket)),
        Console::Path(path) => {
            let what = || format!("cannot connect to the console socket {}", path.display());
            let socket = std::os::unix::net::UnixStream::connect(&path).context(what)?;
            Ok(Some(socket.into()))
        }
    }
}
