//! `restore`: a container comes back from the files of a checkpoint.
//!
//! Its plan is resolved anew, and must confine as the one that was checkpointed did. CRIU makes the processes; what
//! the kernel says of them is compared with the plan before any of them runs.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::SeekFrom;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::image::{Dirs as ImageDirs, Image};
use super::stage::{self, Stage};
use super::{Options, key, mounts, refuse, request, require_root, verify};
use crate::cgroup::systemd::Systemd;
use crate::cgroup::{self, Dirs};
use crate::container::create::{Decided, Wish, check_console, console_socket, decide};
use crate::container::delete::delete_locked;
use crate::container::network::within;
use crate::container::process::identify;
use crate::container::record::Record;
use crate::container::state::StateDir;
use crate::container::{confirm, hooks, pidfile, place, rootfs};
use crate::criu::{Criu, Message, Notification, Request, Streams, option};
use crate::enforce::receipt::Receipt;
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::plan::cgroup::Layout;
use crate::plan::hooks::Point;
use crate::plan::namespaces::NamespaceKind;
use crate::plan::{self, Plan};
use crate::policy::require;
use crate::sys::Syscall;
use crate::sys::process::stdio;

const LOG: &str = "restore.log";

/// What only a restore is told.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// For both.
    pub common: Options,
    /// Another label of a security module, as `apparmor:NAME` or `selinux:NAME`.
    pub lsm_profile: Option<String>,
    /// Another SELinux context for mounts that have one.
    pub lsm_mount_context: Option<String>,
}

/// A container that runs again.
pub struct Restored {
    /// Its directory, locked.
    pub dir: StateDir,
    /// Its record, as stored.
    pub record: Record,
    /// Its first process, a child of ours.
    pub pidfd: OwnedFd,
    /// Whether its terminal was sent to the console socket.
    pub has_terminal: bool,
    /// How control groups are laid out.
    pub layout: Layout,
}

/// Restores a container under the id, bundle and level of the wish.
///
/// # Errors
/// `Refused` when its plan confines otherwise than the one of the checkpoint, else why not; nothing of the
/// container is left then.
pub fn restore(wish: &mut Wish, choices: &Choices) -> Result<Restored> {
    let host = Host::probe()?;
    require_root(&host)?;
    stage::leave_host()?;
    let images = ImageDirs::open(&choices.common.image_path, choices.common.work_path.as_deref(), false)?;
    let image = Image::load(&images.images)?;
    let Decided { plan, systemd, required, .. } = decide_alike(&image, wish, &host)?;
    check_console(&plan, &wish.console)?;
    check_streams(&image)?;
    let dir = StateDir::create(&wish.root, &wish.id)?;
    let mut record = Record::new(&wish.id, &wish.bundle, plan.level);
    record.rootfs.clone_from(&plan.rootfs.path);
    record.mounts_rootfs = !plan.rootfs.stack.is_empty();
    record.cgroup.clone_from(&plan.cgroup.path);
    record.unit = plan.cgroup.scope.as_ref().map(|scope| scope.unit.clone());
    record.annotations.clone_from(&plan.annotations);
    record.required = required;
    let has_terminal = plan.workload.terminal.is_some();
    let mut restoring =
        Restoring { images, image, choices, dir: &dir, record: &mut record, plan, foreign_cgroup: false };
    let restored = restoring.run(wish, &host, systemd);
    let foreign_cgroup = restoring.foreign_cgroup;
    match restored {
        Ok(pidfd) => Ok(Restored { dir, record, pidfd, has_terminal, layout: host.cgroup }),
        Err(error) => {
            let removed = match foreign_cgroup {
                true => dir.remove().map(|()| Vec::new()),
                false => delete_locked(&dir, true, &host.cgroup),
            };
            let stopped = removed.unwrap_or_else(|second| vec![second]);
            Err(stopped.into_iter().fold(error, Error::and_then))
        }
    }
}

/// The plan of the bundle as it is now, which must not confine otherwise than the one that was checkpointed: the
/// processes have it in them already.
fn decide_alike(image: &Image, wish: &mut Wish, host: &Host) -> Result<Decided> {
    let what = format!("cannot restore container {}", wish.id);
    let recorded = &image.plan;
    let level = *wish.level.get_or_insert(recorded.level);
    if level < recorded.level {
        let why = format!("it was checkpointed at level {}, which is more than {level}", recorded.level);
        return Err(Error::new(Kind::Refused, what, why).fix("leave --level out"));
    }
    wish.options = plan::Options {
        rootfs: std::mem::take(&mut wish.options.rootfs),
        keep_keyring: !recorded.workload.new_keyring,
        preserve_fds: recorded.workload.preserve_fds,
        no_pivot: !recorded.rootfs.pivot,
        ..plan::Options::default()
    };
    let decided = decide(wish, host)?;
    refuse(&decided.plan, &what)?;
    let differences = plan::checkpoint::differences(recorded, &decided.plan);
    if differences.is_empty() {
        return Ok(decided);
    }
    let why = format!("its {} would not be as at the checkpoint", differences.join(", "));
    Err(Error::new(Kind::Refused, what, why)
        .fix("use the config.json that it was created with, on a host with the same features"))
}

/// Where a file was written to, CRIU goes on at the same place, which only another file has.
fn check_streams(image: &Image) -> Result<()> {
    for ((number, name), stream) in image.streams.iter().enumerate().zip(stdio()) {
        let was_file = name.as_ref().is_some_and(|name| name.starts_with("file["));
        if was_file && rustix::fs::seek(stream, SeekFrom::Current(0)).is_err() {
            let what = format!("descriptor {number} cannot go on");
            let why = "it was a file at the checkpoint, and is a pipe, a socket or a terminal now";
            return Err(Error::new(Kind::Invalid, what, why).fix("give it a file, or /dev/null"));
        }
    }
    Ok(())
}

/// What the steps of a restore share.
struct Restoring<'a> {
    images: ImageDirs,
    image: Image,
    choices: &'a Choices,
    dir: &'a StateDir,
    record: &'a mut Record,
    plan: Plan,
    /// The cgroup was there before, so it is not ours to remove.
    foreign_cgroup: bool,
}

impl Restoring<'_> {
    fn run(&mut self, wish: &mut Wish, host: &Host, systemd: Option<Systemd>) -> Result<OwnedFd> {
        self.dir.save_first(self.record)?;
        self.dir.store("plan.json", &self.plan)?;
        rootfs::mount(&self.plan.rootfs)?;
        let what = || format!("cannot restore container {}", self.dir.id());
        let made = place::make(&mut self.plan, host, systemd)
            .inspect_err(|error| self.foreign_cgroup = error.kind == Kind::Exists)?;
        let made = made.ok_or("there is no cgroup for it").context(what)?;
        let cgroup = &made.place.dirs;
        join_keyring(&self.plan)?;
        let path = std::path::absolute(wish.root.join(self.dir.id())).context(what)?;
        let stage = stage::set(&self.image, &self.plan, self.dir, path)?;
        let mut inherited = Vec::new();
        let message = self.request(&stage, &mut inherited)?;
        let mut receipt = Receipt::default();
        let first = self.ask_criu(message, cgroup, &mut wish.console, &mut receipt)?;
        let pid = Pid::from_raw(first).ok_or("criu named no process").context(what)?;
        let pidfd =
            pidfd_open(pid, PidfdFlags::empty()).call(|| format!("pidfd_open({first})")).context(what)?;
        confirm::limits(&self.plan, cgroup, &mut receipt);
        confirm::devices(made.devices, &mut receipt);
        // The container is in its scope, and keeps it.
        drop(made.started);
        self.plan.absent.iter().for_each(|absent| receipt.lacks(&absent.layer, &absent.why));
        self.dir.store("receipt.json", &receipt)?;
        require::confirm(&self.record.required, &receipt, true)?;
        if let Some(path) = &wish.pid_file {
            pidfile::write(path, first)?;
        }
        Ok(pidfd)
    }

    fn request(&self, stage: &Stage, inherited: &mut Vec<OwnedFd>) -> Result<Message> {
        let mut message = request(&self.choices.common, &self.images, LOG)
            .flag(option::RST_SIBLING, true)
            .flag(option::EVASIVE_DEVICES, true)
            // The other way of CRIU needs each source of a slave mount to show as much as the container's root.
            .flag(option::MNTNS_COMPAT_MODE, true)
            .text(option::ROOT, &self.plan.rootfs.path);
        for (point, place) in &stage.places {
            message = message.text(option::EXTERNAL, &format!("mnt[{point}]:{place}"));
        }
        for (number, name) in self.image.streams.iter().enumerate() {
            if let Some(name) = name {
                let stream = Message::default().text(1, name).number(2, number as u64);
                message = message.message(option::INHERIT_FD, &stream);
            }
        }
        if let Some(profile) = &self.choices.lsm_profile {
            message = message.text(option::LSM_PROFILE, profile);
        }
        if let Some(context) = &self.choices.lsm_mount_context {
            message = message.text(option::LSM_MOUNT_CONTEXT, context);
        }
        self.plan.namespaces.join.iter().try_fold(message, |message, joined| {
            let Some(key) = key(joined.kind) else {
                let join = Message::default().text(1, joined.kind.file()).text(2, &joined.path);
                return Ok(message.message(option::JOIN_NS, &join));
            };
            let what = || format!("cannot open the {} namespace {}", joined.kind, joined.path);
            let file =
                std::fs::File::open(&joined.path).context(what).map_err(|error| error.at(&joined.at))?;
            let namespace = OwnedFd::from(file);
            // For CRIU, which is the next and only program to be started.
            fcntl_setfd(&namespace, FdFlags::empty()).context(what)?;
            let number = namespace.as_raw_fd() as u64;
            inherited.push(namespace);
            Ok(message.message(option::INHERIT_FD, &Message::default().text(1, key).number(2, number)))
        })
    }

    /// The result is the first process.
    fn ask_criu(
        &mut self,
        message: Message,
        cgroup: &Dirs,
        console: &mut crate::container::create::Console,
        receipt: &mut Receipt,
    ) -> Result<i32> {
        let criu = Criu::start(Streams::Inherited)?;
        let pid = criu.pid();
        // Its children are born where it is.
        cgroup::place(&cgroup.tasks(false)?, pid)?;
        let message = cgroup_roots(message, pid)?;
        let terminal = console_socket(console)?;
        let mut first = 0;
        let asked = criu.ask(Request::Restore, &message, |notification| match notification.stage.as_str() {
            "orphan-pts-master" => send_terminal(terminal.as_ref(), &notification),
            "setup-namespaces" => self.run_hooks(notification.pid),
            "post-restore" => {
                first = notification.pid;
                self.record.process = Some(identify(first)?);
                self.dir.save(self.record)
            }
            // Before CRIU is cut off, which would let them go.
            "pre-resume" => self.confirm(cgroup, first, pid, receipt).inspect_err(|_| kill(cgroup, pid)),
            _ => Ok(()),
        });
        asked.map(|()| first).map_err(|error| {
            let error = self.images.explain(error, LOG);
            let why = format!("{}: {}", error.what, error.why);
            Error { what: format!("cannot restore container {}", self.dir.id()), why, ..error }
        })
    }

    /// Those that make the container's surroundings ready. The others run as a part of its start, which it is past.
    fn run_hooks(&mut self, first: i32) -> Result<()> {
        // From here on those that undo their work have to run.
        self.record.hooks.clone_from(&self.plan.hooks);
        self.dir.save(self.record)?;
        [Point::Prestart, Point::CreateRuntime]
            .into_iter()
            .try_for_each(|point| hooks::run(self.record, point, first))
    }

    /// Every process stands still, with everything that it will have.
    fn confirm(&mut self, cgroup: &Dirs, first: i32, criu: u32, receipt: &mut Receipt) -> Result<()> {
        confirm::namespaces(&self.plan, first, receipt)?;
        self.keep_clocks(first)?;
        if self.plan.namespaces.is_new(NamespaceKind::Network) {
            bring_loopback_up(first)?;
        }
        let table = mounts::table(&first.to_string())?;
        verify::mounts(&self.image.mounts, &table, receipt)?;
        let mut pids = cgroup::pids(cgroup, true)?;
        pids.retain(|pid| u32::try_from(*pid) != Ok(criu));
        if !pids.contains(&first) {
            return Err(Error::new(
                Kind::Failed,
                "the container is not in its cgroup",
                format!("{pids:?} are"),
            ));
        }
        verify::processes(&self.plan.workload, &pids, receipt)?;
        verify::label(&self.plan, first, self.choices.lsm_profile.as_deref(), receipt)
    }

    /// CRIU restores into a time namespace, so that monotonic clocks go on where they were; an exec has to follow.
    fn keep_clocks(&mut self, first: i32) -> Result<()> {
        let read = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/time")).ok();
        let kind = NamespaceKind::Time;
        if read(&first.to_string()) == read("self") || self.plan.namespaces.is_new(kind) {
            return Ok(());
        }
        self.plan.namespaces.new.push(kind);
        self.dir.replace("plan.json", &self.plan).map(drop)
    }
}

/// What CRIU restores has its session keyring, which must not be the caller's.
fn join_keyring(plan: &Plan) -> Result<()> {
    if !plan.workload.new_keyring {
        return Ok(());
    }
    match crate::sys::process::join_new_session_keyring() {
        Err(error) if error.errno == rustix::io::Errno::NOSYS => Ok(()),
        result => result.context(|| "cannot join a new session keyring".to_owned()),
    }
}

/// Where the cgroups of the images go: each below the one that CRIU is in.
fn cgroup_roots(message: Message, criu: u32) -> Result<Message> {
    let path = format!("/proc/{criu}/cgroup");
    let text = std::fs::read_to_string(&path).context(|| format!("cannot read {path}"))?;
    let roots = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        Some(Message::default().text(1, controllers).text(2, path))
    });
    Ok(roots.fold(message, |message, root| message.message(option::CGROUP_ROOT, &root)))
}

fn send_terminal(socket: Option<&OwnedFd>, notification: &Notification) -> Result<()> {
    let what = || "cannot send the terminal to the console socket".to_owned();
    let socket = socket.ok_or("there is none").context(what)?;
    let master = notification.descriptors.first().ok_or("criu sent none").context(what)?;
    crate::sys::socket::send_with_data(socket, b"/dev/ptmx", &[master.as_fd()]).context(what)
}

/// As in a new container: of the interfaces of an empty network namespace this one is always there.
fn bring_loopback_up(first: i32) -> Result<()> {
    let what = || "cannot bring loopback up".to_owned();
    let theirs = std::fs::File::open(format!("/proc/{first}/ns/net")).context(what)?;
    let socket = || {
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
            .call(|| "socket(AF_INET)".to_owned())
            .context(what)
    };
    crate::sys::process::bring_loopback_up(within(&theirs, socket)?).context(what)
}

fn kill(cgroup: &Dirs, criu: u32) {
    let pids = cgroup::pids(cgroup, true).unwrap_or_default();
    for pid in pids.into_iter().filter(|pid| u32::try_from(*pid) != Ok(criu)).filter_map(Pid::from_raw) {
        // It stands still until CRIU lets it go, so it can only be this one.
        kill_process(pid, Signal::KILL).unwrap_or_default();
    }
}
