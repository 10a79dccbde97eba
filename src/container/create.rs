//! `create`: from a bundle to a container that waits for `start`.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::process::identify;
use super::start_socket;
use super::state::{Record, StateDir};
use super::{confirm, hooks, pidfd_socket};
use crate::cgroup::{self, Dirs, Restricted};
use crate::enforce::order::{Role, Start, Task};
use crate::enforce::receipt::Receipt;
use crate::enforce::root::host as open_host;
use crate::enforce::spawn::{Child, Request, spawn};
use crate::enforce::steps::devices::is_device;
use crate::enforce::steps::mounts::bind_source;
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::level::Level;
use crate::oci;
use crate::plan::cgroup::Layout;
use crate::plan::hooks::Point;
use crate::plan::mounts::{Idmap, Source};
use crate::plan::namespaces::NamespaceKind;
use crate::plan::{self, Device, Plan};
use crate::sys::mount::{clone_private, clone_tree, set_idmap};

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
    let plan = resolve(wish, &host)?;
    check_console(&plan, &wish.console)?;
    let dir = StateDir::create(&wish.root, &wish.id)?;
    let mut record = Record::new(&wish.id, &wish.bundle, plan.level);
    record.rootfs.clone_from(&plan.rootfs.path);
    record.cgroup.clone_from(&plan.cgroup.path);
    record.annotations.clone_from(&plan.annotations);
    record.hooks.clone_from(&plan.hooks);
    let mut made = Made { cgroup: false, environment: false };
    let has_terminal = plan.workload.terminal.is_some();
    match build(wish, &host, plan, &dir, &mut record, start, &mut made) {
        Ok((child, receipt)) => {
            Ok(Created { dir, record, child, receipt, has_terminal, layout: host.cgroup })
        }
        Err(error) => Err(undo(error, &dir, &record, &made, &host)),
    }
}

/// What has to be undone beside the directory.
struct Made {
    cgroup: bool,
    /// Hooks have run for it, so those that undo their work have to.
    environment: bool,
}

fn undo(error: Error, dir: &StateDir, record: &Record, made: &Made, host: &Host) -> Error {
    let removed = match made.cgroup {
        true => cgroup::delete(&record.cgroup, &host.cgroup),
        false => Ok(()),
    };
    let removed = removed.and_then(|()| dir.remove());
    let stopped = if made.environment { hooks::run_poststop(record) } else { Vec::new() };
    removed.err().into_iter().chain(stopped).fold(error, Error::and_then)
}

pub(super) fn resolve(wish: &Wish, host: &Host) -> Result<Plan> {
    let loaded;
    let config = match &wish.config {
        Some(config) => config,
        None => {
            loaded = oci::load(&wish.bundle)?;
            &loaded
        }
    };
    let level = level(wish.level, config.spec.annotations().as_ref())?;
    plan::resolve(&plan::Input {
        id: &wish.id,
        config: &config.spec,
        options: wish.options.clone(),
        pids_limit: config.pids_limit,
        unknown: &config.unknown,
        bundle: &wish.bundle,
        level,
        host,
    })
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
    mut plan: Plan,
    dir: &StateDir,
    record: &mut Record,
    start: Start,
    made: &mut Made,
) -> Result<(Child, Receipt)> {
    dir.save_first(record)?;
    dir.store("plan.json", &plan)?;
    made.cgroup = true;
    let cgroup =
        make_cgroup(&mut plan, host).inspect_err(|error| made.cgroup = error.kind != Kind::Exists)?;
    if cgroup.is_none() {
        made.cgroup = false;
        record.cgroup.clear();
        dir.replace("plan.json", &plan)?;
    }
    let mut descriptors = open_host_objects(&plan, host)?;
    let into_cgroup = cgroup.as_ref().and_then(|(dirs, _)| dirs.unified());
    if let Some((dirs, _)) = &cgroup {
        descriptors.extend(dirs.tasks(into_cgroup.is_some())?.into_iter().map(|tasks| (Role::Tasks, tasks)));
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
        join: open_joined(&plan, host)?,
        cgroup: into_cgroup,
        oom_score_adj: plan.workload.oom_score_adj,
        preserve_fds: plan.workload.preserve_fds,
        privileged: host.is_privileged(),
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
    let mut receipt = Receipt::default();
    confirm::namespaces(&plan, child.pid(), &mut receipt)?;
    if let Some((dirs, devices)) = cgroup {
        confirm::limits(&plan, &dirs, &mut receipt);
        confirm::devices(devices, &mut receipt);
    }
    receipt.layers.extend(confirmed.layers);
    plan.absent.iter().for_each(|absent| receipt.lacks(&absent.layer, &absent.why));
    dir.save(record)?;
    confirm::expect_filters(&plan, &mut receipt);
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

/// With everything in force before the first process is in it. An ordinary user who may make no cgroup goes on
/// without, if `config.json` needs none.
pub(super) fn make_cgroup(plan: &mut Plan, host: &Host) -> Result<Option<(Dirs, Restricted)>> {
    let dirs = match cgroup::create(&plan.cgroup, &host.cgroup) {
        Err(error) if error.kind == Kind::Unsupported && !host.is_privileged() => {
            return plan.give_up_cgroup(&error.why).map(|()| None);
        }
        dirs => dirs?,
    };
    cgroup::apply(&dirs, &plan.cgroup.settings)?;
    let devices = cgroup::restrict(&dirs, &plan.cgroup.devices)?;
    Ok(Some((dirs, devices)))
}

/// Host paths are opened here, with the caller's rights and before the child can be raced; a caller that may
/// not clone mounts leaves it to init, which then sees them as that same caller.
fn open_host_objects(plan: &Plan, host: &Host) -> Result<Vec<(Role, OwnedFd)>> {
    let mut descriptors = Vec::new();
    let rootfs = open_host(Path::new(&plan.rootfs.path), false)
        .context(|| format!("cannot open the root filesystem {}", plan.rootfs.path))
        .map_err(|error| error.at("root.path"))?;
    if !host.is_privileged() {
        return refuse_idmaps(plan).map(|()| descriptors);
    }
    let tree =
        clone_tree(&rootfs, Path::new(""), true).context(|| "cannot clone the root filesystem".to_owned())?;
    descriptors.push((Role::Rootfs, tree));
    for (index, mount) in plan.mounts.iter().enumerate() {
        match &mount.source {
            Source::Bind { path, recursive, nofollow } => {
                let tree = bind_source(Path::new(path), *recursive, *nofollow)
                    .map_err(|error| error.at(format!("{}.source", mount.at)))?;
                if let Some(idmap) = &mount.idmap {
                    map_ids(&tree, idmap, plan).map_err(|error| error.at(mount.at.clone()))?;
                }
                descriptors.push((Role::Mount(index), tree));
            }
            Source::Cgroup { views } => {
                for view in views {
                    let tree = clone_private(rustix::fs::CWD, Path::new(&view.path), false)
                        .context(|| format!("cannot bind {}", view.path))?;
                    descriptors.push((Role::Cgroup(view.name.clone()), tree));
                }
            }
            _ => {}
        }
    }
    if plan.namespaces.has_user() {
        open_devices(plan, &mut descriptors)?;
    }
    Ok(descriptors)
}

fn refuse_idmaps(plan: &Plan) -> Result<()> {
    match plan.mounts.iter().find(|mount| mount.idmap.is_some()) {
        None => Ok(()),
        Some(mount) => {
            Err(Error::new(Kind::Unsupported, "an ordinary user cannot map the ids of a mount", "")
                .at(mount.at.clone())
                .fix("run as root, or remove idmap"))
        }
    }
}

/// Before the tree is attached anywhere: the kernel maps no mount that is in use.
pub(super) fn map_ids(tree: &OwnedFd, idmap: &Idmap, plan: &Plan) -> Result<()> {
    let own = !idmap.uid_mappings.is_empty();
    let (uids, gids) = match own {
        true => (&idmap.uid_mappings, &idmap.gid_mappings),
        false => (&plan.namespaces.uid_mappings, &plan.namespaces.gid_mappings),
    };
    let namespace = super::idmap::user_namespace(uids, gids)?;
    set_idmap(tree, namespace, idmap.recursive)
        .context(|| "cannot map the ids of the mount".to_owned())
        .map_err(|error| {
            error.fix("the filesystem of the source must support it: ext4, xfs, btrfs, tmpfs (Linux 6.3) do")
        })
}

/// In a user namespace nobody can make device nodes that work; the host's are bound.
fn open_devices(plan: &Plan, descriptors: &mut Vec<(Role, OwnedFd)>) -> Result<()> {
    use crate::plan::devices::DeviceKind;
    for (index, device) in
        plan.devices.iter().enumerate().filter(|(_, device)| device.kind != DeviceKind::Fifo)
    {
        let tree = device_node(device).map_err(|error| {
            error.fix(format!(
                "in a user namespace {} is bound from the host, which has to have it",
                device.path
            ))
        })?;
        descriptors.push((Role::Device(index), tree));
    }
    Ok(())
}

/// What is bound must be the very device: its number is what the configuration allows, not its name.
pub(super) fn device_node(device: &Device) -> Result<OwnedFd> {
    let what = || format!("cannot bind {}", device.path);
    let node = open_host(Path::new(&device.path), false).context(what)?;
    if !is_device(&node, device) {
        let why = format!("the host's is not device {}:{}", device.major, device.minor);
        return Err(Error::new(Kind::Invalid, what(), why));
    }
    clone_private(&node, Path::new(""), false).context(what)
}

/// The host's namespaces are joined with the host's rights, so a user namespace comes last; for an ordinary
/// caller, who only has rights inside it, first.
fn open_joined(plan: &Plan, host: &Host) -> Result<Vec<(NamespaceKind, OwnedFd)>> {
    let mut join = Vec::new();
    for joined in &plan.namespaces.join {
        let what = || format!("cannot join the {} namespace {}", joined.kind, joined.path);
        let file = std::fs::File::open(&joined.path).context(what).map_err(|error| error.at(&joined.at))?;
        crate::sys::process::check_namespace(&file, joined.kind.flag()).context(what).map_err(|error| {
            error.at(&joined.at).fix(format!("name a file such as /proc/PID/ns/{}", joined.kind.file()))
        })?;
        join.push((joined.kind, OwnedFd::from(file)));
    }
    join.sort_by_key(|(kind, _)| (*kind == NamespaceKind::User) == host.is_privileged());
    Ok(join)
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
