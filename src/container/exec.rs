//! `exec`: another process in a container, never less confined than the container itself.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::create::{Console, Streams, console_socket, streams};
use super::listener;
use super::pidfd_socket;
use super::place::Place;
use super::private_ids;
use super::state::Lock;
use super::status::{Found, Status, find};
use crate::cgroup::{self, Dirs};
use crate::enforce::order::{Role, Start, Task};
use crate::enforce::root::host as open_host;
use crate::enforce::spawn::{Child, Request, spawn};
use crate::error::{Context, Error, Kind, Result};
use crate::host::{Caller, Host};
use crate::level::Level;
use crate::oci;
use crate::plan::caps::{CapabilityMasks, limit};
use crate::plan::namespaces::NamespaceKind;
use crate::plan::process::{Terminal, User};
use crate::plan::{self, Change, Namespaces, Plan, Workload, within};
use crate::policy;
use crate::policy::exec::{judge as judge_exec, limits as limits_exec};
use crate::resctrl::Resctrl;

/// What the caller wants.
#[derive(Debug, Default)]
pub struct Wish {
    /// The container.
    pub id: String,
    /// Where containers are kept.
    pub root: PathBuf,
    /// The process.
    pub process: Process,
    /// Where its terminal is sent.
    pub console: Console,
    /// What its standard input, output and error are; the caller's own if there are none.
    pub streams: Option<Streams>,
    /// Descriptors above standard error that it inherits.
    pub preserve_fds: u32,
    /// Run it although the container is frozen; it then waits with the others.
    pub ignore_paused: bool,
    /// Written once the process exists.
    pub pid_file: Option<PathBuf>,
    /// Gets the process's pidfd.
    pub pidfd_socket: Option<PathBuf>,
    /// Cgroups beneath the container's that it is to be in; empty for the container's own.
    pub cgroups: Vec<SubCgroup>,
    /// The policy that bounds it.
    pub policy: policy::Origin,
}

/// A cgroup beneath the container's own.
#[derive(Debug)]
pub struct SubCgroup {
    /// The controller whose hierarchy is meant; absent for all of them, and for version 2.
    pub controller: Option<String>,
    /// From the container's cgroup.
    pub path: String,
}

/// What is to run.
#[derive(Debug)]
pub enum Process {
    /// As a file says, in the form of `process` of `config.json`.
    File(PathBuf),
    /// The same, read already.
    Given(Box<oci::ExecProcess>),
    /// As the container's own process, but for these.
    Like(Box<Overrides>),
}

impl Default for Process {
    fn default() -> Self {
        Process::Like(Box::default())
    }
}

/// What differs from the container's own process.
#[derive(Debug, Default)]
pub struct Overrides {
    /// Program and arguments.
    pub args: Vec<String>,
    /// Another working directory.
    pub cwd: Option<String>,
    /// Variables that replace or add to the container's.
    pub env: Vec<String>,
    /// Whether it gets a terminal.
    pub terminal: bool,
    /// User and group.
    pub user: Option<(u32, Option<u32>)>,
    /// More groups.
    pub additional_gids: Vec<u32>,
    /// Whether `execve` is to add no privileges, though its container's process may.
    pub no_new_privs: bool,
    /// Capabilities to add, within the container's.
    pub capabilities: u64,
    /// Another AppArmor profile.
    pub apparmor: Option<String>,
    /// Another SELinux context.
    pub selinux_label: Option<String>,
}

/// A process that is ready in its container.
pub struct Ready {
    /// The process, still ours to let go.
    pub child: Child,
    /// Whether its terminal was sent to the console socket.
    pub has_terminal: bool,
    /// What the node policy let pass, to be told.
    pub warnings: Vec<Change>,
}

/// Makes the process, up to the moment before its program runs.
///
/// # Errors
/// `WrongState` unless the container runs; `Refused` for more privilege than it has, or by the node policy.
pub fn exec(wish: &mut Wish) -> Result<Ready> {
    let policy = wish.policy.load()?;
    let found = find(&wish.root, &wish.id, Lock::None)?;
    let container = running(&found, wish.ignore_paused)?;
    let plan: Plan = found.dir.fetch("plan.json")?;
    let host = Host::probe()?;
    let limited = plan.level >= Level::Baseline || policy.as_ref().is_some_and(limits_exec);
    let workload = workload(wish, &plan, &host, limited)?;
    let judged = policy.map(|policy| judge_exec(&policy, &workload, &plan)).transpose()?;
    let has_terminal = workload.terminal.is_some();
    let pid = found.record.process.map_or(0, |process| process.pid);
    let dirs = open_cgroup(&found, &wish.cgroups, pid)?;
    let place = dirs.map(|dirs| Place::of(dirs, &found.record)).transpose()?;
    let mut descriptors: Vec<(Role, OwnedFd)> = vec![(
        Role::Container,
        container
            .pidfd()
            .try_clone_to_owned()
            .context(|| "cannot keep the container's process".to_owned())?,
    )];
    if plan.rootfs.in_place {
        descriptors.push((Role::Rootfs, open_root(pid)?));
    }
    if let Some(place) = &place {
        descriptors.extend(place.tasks()?);
    }
    if has_terminal && let Some(socket) = console_socket(&mut wish.console)? {
        descriptors.push((Role::ConsoleSocket, socket));
    }
    private_ids::give_pipes(&plan.namespaces, &workload, wish.streams.as_ref())?;
    descriptors.extend(streams(&mut wish.streams));
    let (first, rest) = namespaces(&plan, host.caller);
    let request = Request {
        namespaces: &Namespaces::default(),
        join: open_namespaces(&first, pid)?,
        cgroup: place.as_ref().and_then(Place::birthplace),
        attach: &|pid| place.as_ref().map_or(Ok(()), |place| place.attach(pid)),
        oom_score_adj: workload.oom_score_adj,
        preserve_fds: workload.preserve_fds,
        may_mount: host.may_mount,
        start: Start::Go,
        descriptors,
        task: Task::Exec(rest, Box::new(workload)),
    };
    // An exec has no hooks, so nothing is to be done halfway.
    let (child, _) = spawn(request, &mut |_| Ok(()))?;
    if let Some(rdt) = &plan.intel_rdt {
        Resctrl::find()?.join(rdt, child.pid())?;
    }
    listener::introduce(&plan.workload.seccomp, &child, &found.state(false))?;
    if let Some(path) = &wish.pidfd_socket {
        pidfd_socket::send(path, child.pidfd(), pidfd_socket::EXEC)?;
    }
    if let Some(path) = &wish.pid_file {
        super::pidfile::write(path, child.pid())?;
    }
    Ok(Ready { child, has_terminal, warnings: judged.unwrap_or_default() })
}

/// Where the process will be: where the caller says, else in the container's cgroup, or beneath it with the
/// container's own process where no process may be in that.
fn open_cgroup(found: &Found, beneath: &[SubCgroup], pid: i32) -> Result<Option<Dirs>> {
    if found.record.cgroup.is_empty() && beneath.is_empty() {
        return Ok(None);
    }
    let mut dirs = Dirs::open(&found.record.cgroup, &cgroup::detect()?)?;
    for cgroup in beneath {
        dirs.enter(cgroup.controller.as_deref(), &cgroup.path)?;
    }
    if beneath.is_empty() {
        dirs.enter_that_of(pid)?;
    }
    Ok(Some(dirs))
}

fn running(found: &Found, ignore_paused: bool) -> Result<&super::process::Process> {
    let refuse =
        |why: &str| Error::new(Kind::WrongState, format!("cannot exec in container {}", found.dir.id()), why);
    match (&found.process, found.status) {
        (Some(_), Status::Paused) if !ignore_paused => {
            Err(refuse("it is paused").fix("resume it first, or use --ignore-paused"))
        }
        (Some(process), _) => Ok(process),
        (None, _) => Err(refuse("container not running")),
    }
}

/// The namespaces that are joined before the clone, and the others as flags of `setns(2)`: an ordinary user may
/// enter them only from inside the user namespace.
fn namespaces(plan: &Plan, caller: Caller) -> (Vec<NamespaceKind>, u32) {
    let joined = plan.namespaces.join.iter().map(|joined| joined.kind);
    let all = plan.namespaces.new.iter().copied().chain(joined);
    let (mut first, rest): (Vec<_>, Vec<_>) =
        all.partition(|kind| *kind == NamespaceKind::User && caller == Caller::User);
    first.sort();
    let flags = rest.iter().fold(0, |flags, kind| flags | kind.flag());
    (first, u32::try_from(flags).unwrap_or(u32::MAX))
}

/// The root of a container in the caller's mount namespace, which no namespace leads to.
fn open_root(pid: i32) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/root");
    open_host(Path::new(&path), false).context(|| "cannot open the container's root".to_owned())
}

fn open_namespaces(kinds: &[NamespaceKind], pid: i32) -> Result<Vec<(NamespaceKind, OwnedFd)>> {
    let open = |kind: &NamespaceKind| {
        let file = std::fs::File::open(format!("/proc/{pid}/ns/{}", kind.file()))
            .context(|| format!("cannot open the container's {kind} namespace"))?;
        Ok((*kind, OwnedFd::from(file)))
    };
    kinds.iter().map(open).collect()
}

/// The process as asked, with the container's own confinement; `limited` to what it has.
fn workload(wish: &Wish, plan: &Plan, host: &Host, limited: bool) -> Result<Workload> {
    let own = &plan.workload;
    let mut workload = match &wish.process {
        Process::File(path) => {
            let what = format!("cannot run the process of {}", path.display());
            from_process(&oci::load_process(path)?, &what, host)?
        }
        Process::Given(process) => from_process(process, "cannot run the process", host)?,
        Process::Like(overrides) => like(own, overrides, plan),
    };
    workload.capabilities = match limited {
        true => capabilities(&workload.capabilities, plan)?,
        // The caller decides for each process anew, as engines do for a privileged exec.
        false => limit(
            workload.capabilities,
            if plan.namespaces.has_user() { u64::MAX } else { host.capabilities },
        ),
    };
    workload.no_new_privs |= own.no_new_privs;
    workload.new_keyring = own.new_keyring;
    workload.personality = own.personality;
    workload.memory_policy.clone_from(&own.memory_policy);
    narrow(&mut workload, own)?;
    workload.mdwe = own.mdwe;
    workload.preserve_fds = wish.preserve_fds;
    workload.listen_fds = None;
    workload.oom_score_adj = workload.oom_score_adj.or(own.oom_score_adj);
    workload.scheduler = workload.scheduler.or_else(|| own.scheduler.clone());
    workload.io_priority = workload.io_priority.or_else(|| own.io_priority.clone());
    workload.cpu_affinity = workload.cpu_affinity.or_else(|| plan.exec_cpu_affinity.clone());
    for limit in &own.rlimits {
        if !workload.rlimits.iter().any(|other| other.resource == limit.resource) {
            workload.rlimits.push(limit.clone());
        }
    }
    if own.apparmor_profile.is_some() && workload.apparmor_profile.is_none() {
        workload.apparmor_profile.clone_from(&own.apparmor_profile);
    }
    if own.selinux_label.is_some() && workload.selinux_label.is_none() {
        workload.selinux_label.clone_from(&own.selinux_label);
    }
    if limited {
        within::limit(&mut workload, own)?;
    }
    Ok(workload)
}

/// The container's own domains and filters, and within them what the process asks for beside.
fn narrow(workload: &mut Workload, own: &Workload) -> Result<()> {
    let further = std::mem::take(&mut workload.landlock);
    workload.landlock.clone_from(&own.landlock);
    // What the container's programs have removed since grants nothing.
    let rules = workload.landlock.iter_mut().flat_map(|domain| &mut domain.path_beneath);
    rules.for_each(|rule| rule.optional = true);
    workload.landlock.extend(further);
    plan::landlock::let_files_move(&mut workload.landlock);
    workload.seccomp =
        plan::landlock::shut_ways_round(own.seccomp.clone(), &workload.landlock).map_err(not_valid)?;
    Ok(())
}

fn from_process(process: &oci::ExecProcess, what: &str, host: &Host) -> Result<Workload> {
    let mut workload = plan::process::resolve(&process.typed, "process").map_err(|errors| {
        Error::all(what, errors).unwrap_or_else(|| Error::new(Kind::Invalid, what, ""))
    })?;
    if let Some(block) = &process.landlock {
        let (domain, _) = plan::landlock::of_process(block, host.landlock_abi)?;
        workload.landlock.extend(domain);
    }
    Ok(workload)
}

fn not_valid(errors: Vec<Error>) -> Error {
    let what = "cannot run the process";
    Error::all(what, errors).unwrap_or_else(|| Error::new(Kind::Invalid, what, ""))
}

fn like(own: &Workload, overrides: &Overrides, plan: &Plan) -> Workload {
    let mut workload = Workload { args: overrides.args.clone(), landlock: Vec::new(), ..own.clone() };
    workload.capabilities = plan.asked_capabilities;
    workload.no_new_privs |= overrides.no_new_privs;
    if let Some(cwd) = &overrides.cwd {
        workload.cwd.clone_from(cwd);
    }
    for variable in &overrides.env {
        let name = variable.split_once('=').map_or(variable.as_str(), |(name, _)| name);
        workload.env.retain(|other| other.split_once('=').map_or(other.as_str(), |(name, _)| name) != name);
        workload.env.push(variable.clone());
    }
    if let Some((uid, gid)) = overrides.user {
        workload.user =
            User { uid, gid: gid.unwrap_or(0), umask: own.user.umask, additional_gids: Vec::new() };
        // Another home: that of the other user.
        workload.env.retain(|variable| !variable.starts_with("HOME="));
    }
    workload.user.additional_gids.extend(&overrides.additional_gids);
    workload.terminal = overrides.terminal.then(Terminal::default);
    let CapabilityMasks { bounding, effective, permitted, ambient, .. } = &mut workload.capabilities;
    // Ambient is only what is inheritable too, which a flag does not change.
    [bounding, effective, permitted, ambient].into_iter().for_each(|set| *set |= overrides.capabilities);
    workload.apparmor_profile = overrides.apparmor.clone().or_else(|| own.apparmor_profile.clone());
    workload.selinux_label = overrides.selinux_label.clone().or_else(|| own.selinux_label.clone());
    workload
}

/// What the container was asked to have it may ask for again, and gets what the container got; more is refused.
fn capabilities(asked: &CapabilityMasks, plan: &Plan) -> Result<CapabilityMasks> {
    let union = |masks: &CapabilityMasks| {
        masks.bounding | masks.effective | masks.permitted | masks.inheritable | masks.ambient
    };
    let more = union(asked) & !union(&plan.asked_capabilities);
    if more != 0 {
        let names = crate::plan::caps::names(more).join(", ");
        return Err(Error::new(
            Kind::Refused,
            format!("exec asks for {names}, which container {} does not have", plan.id),
            "an exec gets at most its container's privileges",
        )
        .at("process.capabilities")
        .fix("leave the capability out, or give it to the container"));
    }
    let own = &plan.workload.capabilities;
    Ok(CapabilityMasks {
        bounding: asked.bounding & own.bounding,
        effective: asked.effective & asked.permitted & own.permitted,
        permitted: asked.permitted & own.permitted,
        inheritable: asked.inheritable & own.inheritable,
        ambient: asked.ambient & asked.inheritable & asked.permitted & own.permitted & own.inheritable,
    })
}
