//! `create`: from a bundle to a container that waits for `start`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::delete::resctrl_gone;
use super::place::{self, Place, Prepared};
use super::private_ids::{self, Given};
use super::process::identify;
use super::record::Record;
use super::state::StateDir;
use super::status::{State, Status};
use super::{confirm, hooks, host_objects, joined, listener, pidfd_socket, rootfs, start_socket};
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
use crate::plan::{self, Change, Draft, Plan};
use crate::policy::clamp::clamp;
use crate::policy::form::Layer;
use crate::policy::judge::{Case, judge, required};
use crate::policy::{self, Loaded, facts, require};
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
    /// The default level; absent for that of the policy. The annotation may ask for more.
    pub default_level: Option<Level>,
    /// The policy that bounds it all.
    pub policy: policy::Origin,
    /// Have systemd make the cgroup.
    pub systemd_cgroup: bool,
    /// Where the terminal is sent.
    pub console: Console,
    /// What the container's standard input, output and error are; the caller's own if there are none.
    pub streams: Option<Streams>,
    /// Choices that change the plan.
    pub options: plan::Options,
    /// Written once the process exists.
    pub pid_file: Option<PathBuf>,
    /// Gets the process's pidfd.
    pub pidfd_socket: Option<PathBuf>,
}

/// Standard input, output and error.
pub type Streams = [OwnedFd; 3];

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
    /// What the node policy let pass, to be told.
    pub warnings: Vec<Change>,
}

/// Creates a container whose init waits for `start`: on its socket, or for the creator's word.
///
/// # Errors
/// Why not; nothing of the container is left then.
pub fn create(wish: &mut Wish, start: Start) -> Result<Created> {
    let mut host = Host::probe()?;
    let mut decided = decide(wish, &host)?;
    check_console(&decided.plan, &wish.console)?;
    let dir = StateDir::create(&wish.root, &wish.id)?;
    private_ids::take(wish, &mut host, &mut decided, &dir)
        .map_err(|error| dir.remove().err().into_iter().fold(error, Error::and_then))?;
    let plan = &decided.plan;
    let warnings = plan.policy.as_ref().map(|policy| policy.warnings.clone()).unwrap_or_default();
    let mut record = Record::new(&wish.id, &wish.bundle, plan.level);
    record.rootfs.clone_from(&plan.rootfs.path);
    record.mounts_rootfs = !plan.rootfs.stack.is_empty();
    record.cgroup.clone_from(&plan.cgroup.path);
    record.private_ids = decided.given.as_ref().and_then(|given| given.first);
    record.resctrl = plan.intel_rdt.as_ref().map(IntelRdt::removed).unwrap_or_default();
    record.unit = plan.cgroup.scope.as_ref().map(|scope| scope.unit.clone());
    record.shares_pids = !plan.namespaces.is_new(NamespaceKind::Pid);
    record.annotations.clone_from(&plan.annotations);
    record.hooks.clone_from(&plan.hooks);
    record.required.clone_from(&decided.required);
    let mut made = Made { cgroup: false, resctrl: false, environment: false };
    let has_terminal = plan.workload.terminal.is_some();
    match build(wish, &host, decided, &dir, &mut record, start, &mut made) {
        Ok((child, receipt)) => {
            Ok(Created { dir, record, child, receipt, has_terminal, layout: host.cgroup, warnings })
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
    let ids = |()| private_ids::give_back(record.private_ids, dir);
    let rootfs = |()| rootfs::unmount_recorded(record);
    let removed = removed.and_then(groups).and_then(rootfs).and_then(ids).and_then(|()| dir.remove());
    let stopped = if made.environment { hooks::run_poststop(record) } else { Vec::new() };
    removed.err().into_iter().chain(stopped).fold(error, Error::and_then)
}

/// The plan, and who carries out a part of it.
pub(super) struct Decided {
    pub plan: Plan,
    pub systemd: Option<Systemd>,
    /// What the kernel has to confirm in the end.
    pub required: Vec<Layer>,
    /// What was taken for it already.
    pub given: Option<Given>,
}

pub(super) fn decide(wish: &Wish, host: &Host) -> Result<Decided> {
    let mut systemd = wish.systemd_cgroup.then(Systemd::of_caller).transpose()?;
    let manager = systemd.as_mut().map(Systemd::manager).transpose()?;
    let (draft, required) = consider(wish, host, manager)?;
    Ok(Decided { plan: draft.finish()?, systemd, required, given: None })
}

/// What would be done, with everything that stands against it, and the layers that have to be confirmed in the end.
///
/// # Errors
/// Where there is nothing to be considered: no policy or no configuration that can be read.
pub fn consider(
    wish: &Wish,
    host: &Host,
    manager: Option<plan::cgroup::Manager>,
) -> Result<(Draft, Vec<Layer>)> {
    let policy = wish.policy.load()?;
    let mut config = match &wish.config {
        Some(config) => Cow::Borrowed(config),
        None => Cow::Owned(oci::load(&wish.bundle)?),
    };
    let asked_capabilities = plan::caps::asked_by(&config.spec);
    let clamped = policy.as_ref().map(|policy| clamp(policy, config.to_mut())).unwrap_or_default();
    let (asked, refusal) = level(wish, config.spec.annotations().as_ref(), policy.as_ref())?;
    let mut draft = plan::draft(&plan::Input {
        id: &wish.id,
        config: &config.spec,
        options: plan::Options {
            manager,
            joins_callers_network: joined::is_callers_network(&config.spec),
            pod: joined::pod(&config.spec),
            ..wish.options.clone()
        },
        pids_limit: config.pids_limit,
        landlock: config.landlock.as_ref(),
        unknown: &config.unknown,
        bundle: &wish.bundle,
        level: policy.as_ref().map_or(asked, |policy| policy.level(asked)),
        loosening: policy.as_ref().map(Loaded::loosening).unwrap_or_default(),
        host,
    });
    draft.refusals.splice(0..0, refusal);
    let Some(policy) = policy else { return Ok((draft, Vec::new())) };
    draft.plan.changes.splice(0..0, clamped);
    let facts = facts::gather(&policy.policy, &draft.plan);
    judge(&policy, &Case { config: &config.spec, asked, host, facts: &facts }, &mut draft);
    // An exec that repeats them is no offence: it gets what its container got.
    draft.plan.asked_capabilities = asked_capabilities;
    Ok((draft, required(&policy)))
}

/// The command line decides; a container itself may only ask for more than the default, unless the policy lets it.
/// With it comes why a container may not have what it asks for.
fn level(
    wish: &Wish,
    annotations: Option<&HashMap<String, String>>,
    policy: Option<&Loaded>,
) -> Result<(Level, Option<Error>)> {
    let of_policy = || policy.map_or(Level::default(), Loaded::default_level);
    let default = wish.default_level.unwrap_or_else(of_policy);
    let annotation = annotations.and_then(|all| all.get(Level::ANNOTATION));
    let annotated = annotation.map(|text| text.parse::<Level>()).transpose().map_err(|why| {
        Error::new(Kind::Invalid, "cannot choose a level", why)
            .at(plan::annotations::field(Level::ANNOTATION))
    })?;
    let loosening = policy.map(Loaded::loosening).unwrap_or_default();
    match (wish.level, annotated) {
        (Some(level), _) => Ok((level, None)),
        (None, Some(level)) if level < default => {
            let refusal = loosening.allow(Level::ANNOTATION, &level.to_string()).err();
            let level = if refusal.is_some() { default } else { level };
            Ok((level, refusal))
        }
        (None, Some(level)) => Ok((level, None)),
        (None, None) => Ok((default, None)),
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
    Decided { mut plan, systemd, given, .. }: Decided,
    dir: &StateDir,
    record: &mut Record,
    start: Start,
    made: &mut Made,
) -> Result<(Child, Receipt)> {
    dir.save_first(record)?;
    dir.store("plan.json", &plan)?;
    let cgroup = make_groups(&mut plan, host, systemd, made)?;
    if cgroup.is_none() {
        record.cgroup.clear();
        dir.replace("plan.json", &plan)?;
    }
    let mut trees = given.map_or_else(|| host_objects::trees(&plan, host), |given| Ok(given.trees))?;
    trees.mount_root(&plan)?;
    let unmapped = trees.unmapped.clone();
    let mut descriptors = host_objects::open(&plan, host, trees)?;
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
    private_ids::give_pipes(&plan.namespaces, &plan.workload, wish.streams.as_ref())?;
    descriptors.extend(streams(&mut wish.streams));
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
    let receipt = confirm::all(&plan, &child, cgroup, &unmapped, confirmed)?;
    require::confirm(&record.required, &receipt, false)?;
    dir.save(record)?;
    if start == Start::Socket {
        dir.store("receipt.json", &receipt)?;
    }
    tell_who(wish, &child)?;
    Ok((child, receipt))
}

/// The cgroup and the resctrl group; each is noted before it is made.
fn make_groups(
    plan: &mut Plan,
    host: &Host,
    systemd: Option<Systemd>,
    made: &mut Made,
) -> Result<Option<Prepared>> {
    made.cgroup = true;
    let cgroup =
        place::make(plan, host, systemd).inspect_err(|error| made.cgroup = error.kind != Kind::Exists)?;
    made.cgroup = cgroup.is_some();
    if let Some(group) = &plan.intel_rdt {
        made.resctrl = true;
        let result = Resctrl::find().and_then(|resctrl| resctrl.make(group));
        result.inspect_err(|error| made.resctrl = error.kind != Kind::Exists)?;
    }
    Ok(cgroup)
}

/// Tells the caller which process it is.
fn tell_who(wish: &Wish, child: &Child) -> Result<()> {
    if let Some(path) = &wish.pidfd_socket {
        pidfd_socket::send(path, child.pidfd(), pidfd_socket::FIRST)?;
    }
    if let Some(path) = &wish.pid_file {
        super::pidfile::write(path, child.pid())?;
    }
    Ok(())
}

/// The streams of the wish, for init.
pub(super) fn streams(wanted: &mut Option<Streams>) -> impl Iterator<Item = (Role, OwnedFd)> {
    (0..).map(Role::Stream).zip(wanted.take().into_iter().flatten())
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
