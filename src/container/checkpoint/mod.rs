//! `checkpoint`: the processes of a container become files, by CRIU.
//!
//! Files of its own say what the container was (`image`). What confines it and would not come back is refused by
//! name before anything is written.

mod image;
mod mounts;
pub mod restore;
mod stage;
mod verify;

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use super::delete::delete_locked;
use super::state::Lock;
use super::status::{Found, Status, find};
use crate::cgroup;
use crate::criu::{Criu, Message, Notification, Request, Streams, option};
use crate::enforce::root::Root;
use crate::error::{Context, Error, Kind, Result};
use crate::host::{Caller, Host};
use crate::plan::cgroup::Layout;
use crate::plan::namespaces::NamespaceKind;
use crate::plan::{self, Plan};
use image::{Dirs, Image};

const LOG: &str = "dump.log";

/// What a dump and a restore both may be told; the names are CRIU's.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the images are.
    pub image_path: PathBuf,
    /// Where logs and working files go, if not there too.
    pub work_path: Option<PathBuf>,
    /// Established TCP connections go along.
    pub tcp_established: bool,
    /// UNIX sockets may lead out of the container.
    pub ext_unix_sk: bool,
    /// The processes may belong to a session from outside.
    pub shell_job: bool,
    /// File locks go along.
    pub file_locks: bool,
    /// Memory comes when it is needed.
    pub lazy_pages: bool,
    /// Memory that is twice in the images is taken out once.
    pub auto_dedup: bool,
    /// How CRIU treats cgroups.
    pub cgroups: CgroupsMode,
}

/// How CRIU treats cgroups; the numbers of `criu_cg_mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CgroupsMode {
    /// Properties only of cgroups that CRIU makes; those are below the container's own.
    #[default]
    Soft = 3,
    /// Properties of all of them.
    Full = 4,
    /// None may be there already.
    Strict = 5,
    /// Not at all.
    Ignore = 0,
}

/// What only a dump is told.
#[derive(Debug, Clone, Default)]
pub struct Dump {
    /// For both.
    pub common: Options,
    /// Images of an earlier pre-dump, relative to those of this one.
    pub parent_path: Option<String>,
    /// The container goes on.
    pub leave_running: bool,
    /// Memory only, and the container goes on.
    pub pre_dump: bool,
    /// TCP connections that are not established yet are left out.
    pub tcp_skip_in_flight: bool,
    /// Unlinked files may be linked again.
    pub link_remap: bool,
    /// Where memory is sent instead of into files.
    pub page_server: Option<(String, u16)>,
    /// Gets a zero byte once memory can be asked for.
    pub status_fd: Option<i32>,
}

/// Writes a container to files. It is deleted then, unless it goes on; what its hooks for that end did wrong stops
/// nothing, and is returned.
///
/// # Errors
/// `WrongState` unless it runs, `Unsupported` with all that could not be restored, else what CRIU says.
pub fn checkpoint(root: &Path, id: &str, dump: &Dump) -> Result<Vec<Error>> {
    let what = || format!("cannot checkpoint container {id}");
    require_root(&Host::probe()?)?;
    let found = find(root, id, Lock::Exclusive)?;
    let pid = match (found.status, found.record.process) {
        (Status::Running | Status::Paused, Some(process)) => process.pid,
        (status, _) => return Err(Error::new(Kind::WrongState, what(), format!("it is {status}"))),
    };
    let plan: Plan = found.dir.fetch("plan.json")?;
    refuse(&plan, &what())?;
    let dirs = Dirs::open(&dump.common.image_path, dump.common.work_path.as_deref(), true)?;
    let image = image(&plan, pid)?;
    let layout = cgroup::detect()?;
    let mut message = request(&dump.common, &dirs, LOG).number(option::PID, pid as u64);
    message = only_dump(message, dump).text(option::ROOT, &plan.rootfs.path);
    if let Some(freezer) = freezer(&found, &layout) {
        message = message.text(option::FREEZE_CGROUP, &freezer);
    }
    message = externals(message, &image, &plan)?;
    let request = if dump.pre_dump { Request::PreDump } else { Request::Dump };
    if !dump.pre_dump {
        image.save(&dirs.images)?;
        image::save_descriptors(&dirs.images, pid)?;
    }
    let criu = Criu::start(Streams::Null)?;
    criu.ask(request, &message, |notification| hear(&notification, dump))
        .map_err(|error| Error { what: what(), ..dirs.explain(error, LOG) })?;
    if dump.leave_running || dump.pre_dump {
        return Ok(Vec::new());
    }
    delete_locked(&found.dir, true, &layout)
}

/// Refuses what would not come back, all at once.
fn refuse(plan: &Plan, what: &str) -> Result<()> {
    Error::all(what, plan::checkpoint::refusals(plan)).map_or(Ok(()), Err)
}

fn require_root(host: &Host) -> Result<()> {
    if host.caller == Caller::Root {
        return Ok(());
    }
    let why = "CRIU needs the rights of root over the host";
    Err(Error::new(Kind::Unsupported, "an ordinary user can neither checkpoint nor restore", why)
        .fix("run it as root"))
}

/// What a dump and a restore both say.
fn request(options: &Options, dirs: &Dirs, log: &str) -> Message {
    let descriptor = |fd: &std::os::fd::OwnedFd| fd.as_raw_fd() as u64;
    let mut message = Message::default()
        .number(option::IMAGES_DIR_FD, descriptor(&dirs.images))
        .number(option::LOG_LEVEL, 4)
        .text(option::LOG_FILE, log)
        .flag(option::NOTIFY_SCRIPTS, true)
        .flag(option::ORPHAN_PTS_MASTER, true)
        .flag(option::TCP_ESTABLISHED, options.tcp_established)
        .flag(option::EXT_UNIX_SK, options.ext_unix_sk)
        .flag(option::SHELL_JOB, options.shell_job)
        .flag(option::FILE_LOCKS, options.file_locks)
        .flag(option::LAZY_PAGES, options.lazy_pages)
        .flag(option::AUTO_DEDUP, options.auto_dedup)
        .flag(option::MANAGE_CGROUPS, true)
        .number(option::MANAGE_CGROUPS_MODE, options.cgroups as u64)
        // Interfaces and addresses are the business of whoever made them: a new network namespace comes back empty.
        .number(option::EMPTY_NS, NamespaceKind::Network.flag());
    if let Some(work) = &dirs.work {
        message = message.number(option::WORK_DIR_FD, descriptor(work));
    }
    message
}

fn only_dump(mut message: Message, dump: &Dump) -> Message {
    message = message
        .flag(option::LEAVE_RUNNING, dump.leave_running)
        .flag(option::TCP_SKIP_IN_FLIGHT, dump.tcp_skip_in_flight)
        .flag(option::LINK_REMAP, dump.link_remap);
    if let Some((address, port)) = &dump.page_server {
        let server = Message::default().text(1, address).number(2, u64::from(*port));
        message = message.message(option::PAGE_SERVER, &server);
    }
    if let Some(parent) = &dump.parent_path {
        message = message.text(option::PARENT_IMG, parent);
    }
    message.flag(option::TRACK_MEM, dump.parent_path.is_some() || dump.pre_dump)
}

fn freezer(found: &Found, layout: &Layout) -> Option<String> {
    let dir = layout.dir_of("freezer").or_else(|| layout.unified().map(|unified| unified.dir.as_str()))?;
    (!found.record.cgroup.is_empty()).then(|| format!("{dir}{}", found.record.cgroup))
}

/// The name that a namespace from outside has in the images.
fn key(kind: NamespaceKind) -> Option<&'static str> {
    match kind {
        NamespaceKind::Network => Some("extRootNetNS"),
        NamespaceKind::Pid => Some("extRootPidNS"),
        _ => None,
    }
}

/// Everything that leads out of the container, so that CRIU does not stumble over it.
fn externals(mut message: Message, image: &Image, plan: &Plan) -> Result<Message> {
    for external in &image.externals {
        message = message.text(option::EXTERNAL, &format!("mnt[{0}]:{0}", external.point));
    }
    for joined in &plan.namespaces.join {
        if let Some(key) = key(joined.kind) {
            let namespace = std::fs::metadata(&joined.path)
                .context(|| format!("cannot look at the {} namespace {}", joined.kind, joined.path))?;
            let name = format!("{}[{}]:{key}", joined.kind.file(), namespace.ino());
            message = message.text(option::EXTERNAL, &name);
        }
    }
    let files = image.streams.iter().flatten().filter(|name| name.starts_with("file["));
    Ok(files.fold(message, |message, name| message.text(option::EXTERNAL, name)))
}

fn image(plan: &Plan, pid: i32) -> Result<Image> {
    let table = mounts::table(&pid.to_string())?;
    let path = format!("/proc/{pid}/root");
    let root = open(path.as_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let root = Root::new(root.context(|| format!("cannot open {path}"))?);
    let externals = mounts::externals(&table, &mounts::table("self")?, plan, &root);
    let streams = [0, 1, 2].map(|number| stream(pid, number, &table));
    Ok(Image::new(plan.clone(), table, externals, streams))
}

/// A standard stream that leads out of the container, by CRIU's name for it: a pipe, or a file that none of its
/// mounts has.
fn stream(pid: i32, number: i32, table: &[mounts::Mounted]) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()?;
    let link = link.to_str()?;
    if link.starts_with("pipe:") || link.starts_with("socket:") {
        return Some(link.to_owned());
    }
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse::<u64>().ok()?;
    if !link.starts_with('/') || table.iter().any(|mounted| mounted.number == mount) {
        return None;
    }
    let file = std::fs::metadata(format!("/proc/{pid}/fd/{number}")).ok()?;
    Some(format!("file[{mount:x}:{:x}]", file.ino()))
}

fn hear(notification: &Notification, dump: &Dump) -> Result<()> {
    let Some(number) = dump.status_fd.filter(|_| notification.stage == "status-ready") else { return Ok(()) };
    let what = || format!("cannot write to the descriptor {number} of --status-fd");
    let mut file =
        std::fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{number}")).context(what)?;
    file.write_all(&[0]).context(what)
}
