//! The parent's half: makes the child, gives it its order, hears its reports.
//!
//! A [`Child`] that is dropped before it was released is killed and reaped, so an error on the way leaves no
//! process behind.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use super::executable::OwnExecutable;
use super::explain::{explain_clone, explain_gap};
use super::id_maps;
use super::init::NAME;
use super::limits;
use super::net_devices;
use super::order::{Order, Report, Role, Start, Task};
use super::precedence::{Borrowed, Precedence, reset_cpus};
use super::receipt::Receipt;
use super::steps::memfd;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Namespaces;
use crate::plan::namespaces::NamespaceKind;
use crate::plan::write_xor_execute::memory::MemfdNoexec;
use crate::sys::clone::{self, Executable, GapReport};
use crate::sys::{Syscall, socket};

/// Descriptors below this number are for the child's own use.
const HIGH: i32 = 64;

/// What the child is to be.
pub struct Request<'a> {
    /// Namespaces to make, without those that init makes itself.
    pub namespaces: &'a Namespaces,
    /// Namespaces to join before the child's own are made, opened.
    pub join: Vec<(NamespaceKind, OwnedFd)>,
    /// The cgroup to be born in (version 2).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Called with the child's pid before it gets its order: puts it into a cgroup that the caller may not have it
    /// born in.
    pub attach: &'a dyn Fn(i32) -> Result<()>,
    /// What to do.
    pub task: Task,
    /// When to run the program.
    pub start: Start,
    /// Host objects for the task.
    pub descriptors: Vec<(Role, OwnedFd)>,
    /// Score for the out-of-memory killer.
    pub oom_score_adj: Option<i32>,
    /// Descriptors above standard error that the program inherits.
    pub preserve_fds: u32,
    /// Whether the caller may mount where it is.
    pub may_mount: bool,
}

/// A child that was made and has not been let go yet.
pub struct Child {
    pid: i32,
    pidfd: Rc<OwnedFd>,
    control: Rc<OwnedFd>,
    /// The sealed binary has said that it runs.
    greeted: bool,
    released: bool,
}

/// Makes the child, and waits until it has done its part. When its environment is made and the plan has hooks for
/// that, `environment_made` is called with its pid.
///
/// # Errors
/// The first thing that went wrong on either side; the child is gone then.
pub fn spawn(
    request: Request<'_>,
    environment_made: &mut dyn FnMut(i32) -> Result<()>,
) -> Result<(Child, Receipt)> {
    let workload = request.task.workload();
    let precedence = Precedence::of(workload);
    let cpus = Borrowed::cpus(workload)?;
    let child = start_child(&request);
    cpus.give_back()?;
    let child = child?;
    child.greet()?;
    let moved = match &request.task {
        Task::Create(plan) => net_devices::move_in(&plan.net_devices, child.pid)?,
        Task::Exec(..) => Vec::new(),
    };
    (request.attach)(child.pid())?;
    reset_cpus(child.pid, workload)?;
    child.send_order(request)?;
    let (child, mut receipt) = child.await_ready(environment_made)?;
    net_devices::note(&moved, &mut receipt);
    precedence.give(child.pid, &mut receipt)?;
    Ok((child, receipt))
}

fn start_child(request: &Request<'_>) -> Result<Child> {
    let what = || "cannot start the container's init".to_owned();
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .call(|| "socketpair(2)".to_owned())
        .context(what)?;
    let control_number = i32::try_from(request.preserve_fds).unwrap_or(i32::MAX).saturating_add(3);
    let theirs = above(theirs, control_number)?;
    let executable = OwnExecutable::open(request.may_mount, request.namespaces.is_new(NamespaceKind::Mount))?;
    let executable = match executable {
        OwnExecutable::Sealed(fd) => OwnExecutable::Sealed(above(fd, control_number)?),
        path => path,
    };
    let offsets = time_offsets(request.namespaces);
    let set = request.namespaces.memfd_noexec == Some(MemfdNoexec::Set);
    let memfd_noexec = set.then(open_memfd_noexec).transpose()?;
    let twice = needs_two(request);
    let join: Vec<BorrowedFd<'_>> = request.join.iter().map(|(_, fd)| fd.as_fd()).collect();
    let new_user = request.namespaces.is_new(NamespaceKind::User);
    let joins_user = request.join.iter().any(|(kind, _)| *kind == NamespaceKind::User);
    let arguments = [NAME.to_owned(), control_number.to_string()]
        .map(|argument| CString::new(argument).unwrap_or_default());
    let description = clone::Child {
        new_namespaces: clone_flags(request.namespaces),
        join: &join,
        time_offsets: offsets.as_deref(),
        twice,
        memfd_noexec: memfd_noexec.as_ref().map(|file| (file.as_fd(), MEMFD_NOEXEC)),
        become_root: if new_user { Some(true) } else { joins_user.then_some(false) },
        cgroup: request.cgroup,
        executable: match &executable {
            OwnExecutable::Sealed(fd) => Executable::Sealed(fd.as_fd()),
            OwnExecutable::Path(path) => Executable::Path(path),
        },
        arguments: &arguments,
        control: theirs.as_fd(),
        parent: ours.as_fd(),
        control_number,
    };
    let cloned = clone::clone(&description).context(what).map_err(explain_clone)?;
    drop(theirs);
    let first = Child {
        pid: cloned.pid,
        pidfd: Rc::new(cloned.pidfd),
        control: Rc::new(ours),
        greeted: false,
        released: false,
    };
    let child = if twice { first.second()? } else { first };
    limits::raise(child.pid, request.namespaces, &request.task)?;
    // While the child waits for its id maps: once it is hidden, an ordinary caller may not write to it.
    if let Some(score) = request.oom_score_adj {
        child.set_oom_score_adj(score)?;
    }
    if new_user {
        id_maps::write(child.pid, request.namespaces)?;
        rustix::io::write(&child.control, &[0]).call(|| "write(control socket)".to_owned()).context(what)?;
    }
    Ok(child)
}

/// A descriptor above those that the gap places things at.
fn above(fd: OwnedFd, control_number: i32) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(&fd, HIGH.max(control_number.saturating_add(1)))
        .call(|| "fcntl(F_DUPFD_CLOEXEC)".to_owned())
        .context(|| "cannot start the container's init".to_owned())
}

/// [`memory::ENFORCED`](crate::plan::write_xor_execute::memory::ENFORCED), as the file takes it.
const MEMFD_NOEXEC: &CStr = c"2";

fn open_memfd_noexec() -> Result<OwnedFd> {
    rustix::fs::open(memfd::PATH, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .call(|| format!("open({:?})", memfd::PATH))
        .context(|| "cannot keep memory files from being executed".to_owned())
}

/// The cgroup namespace is made once the cgroup is joined, the time namespace before the clone.
fn clone_flags(namespaces: &Namespaces) -> u64 {
    let later = [NamespaceKind::Cgroup, NamespaceKind::Time];
    namespaces.new.iter().filter(|kind| !later.contains(kind)).fold(0, |flags, kind| flags | kind.flag())
}

/// Joined pid and user namespaces and a new time namespace only apply to children; a new user namespace
/// takes away the right to join what belongs to the host.
fn needs_two(request: &Request<'_>) -> bool {
    let namespaces = request.namespaces;
    let joins = |kind| request.join.iter().any(|(joined, _)| *joined == kind);
    joins(NamespaceKind::Pid)
        || namespaces.is_new(NamespaceKind::Time)
        || (joins(NamespaceKind::User) && !namespaces.new.is_empty())
        || (namespaces.is_new(NamespaceKind::User) && !request.join.is_empty())
}

fn time_offsets(namespaces: &Namespaces) -> Option<CString> {
    if !namespaces.is_new(NamespaceKind::Time) {
        return None;
    }
    let lines: Vec<String> = namespaces
        .time_offsets
        .iter()
        .map(|offset| format!("{} {} {}", offset.clock, offset.seconds, offset.nanoseconds))
        .collect();
    Some(CString::new(lines.join("\n")).unwrap_or_default())
}

impl Child {
    /// Its process id in our pid namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its pidfd.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The first child of the gap made a second one in its place.
    fn second(self) -> Result<Child> {
        let next = || {
            self.await_report()?;
            self.report()?
                .pid()
                .context(|| "cannot start the container's init".to_owned())
                .map_err(explain_gap)
        };
        // The second one's greeting, all zeroes, may come before the first one's word about it.
        let first = next()?;
        let greeted = first == 0;
        let pid = if greeted { next()? } else { first };
        self.succeeded_by(pid, greeted)
    }

    /// The child ends, and another goes on: ours too, as it was cloned with our parenthood.
    fn succeeded_by(mut self, pid: i32, greeted: bool) -> Result<Child> {
        let what = || "cannot start the container's init".to_owned();
        let pid = Pid::from_raw(pid).ok_or("no process id").context(what)?;
        let pidfd = pidfd_open(pid, rustix::process::PidfdFlags::empty())
            .call(|| format!("pidfd_open({})", pid.as_raw_nonzero()))
            .context(what)?;
        self.reap();
        self.released = true;
        Ok(Child {
            pid: pid.as_raw_nonzero().get(),
            pidfd: Rc::new(pidfd),
            control: Rc::clone(&self.control),
            greeted,
            released: false,
        })
    }

    /// Waits until the child says something. Its clone may keep the socket open when it is killed, so its death
    /// is watched too.
    fn await_report(&self) -> Result<()> {
        let what = || "cannot hear the container's init".to_owned();
        let [control, pidfd] =
            [&self.control, &self.pidfd].map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
        let ready = |events: &mut [PollFd<'_>], timeout: Option<&Timespec>| loop {
            match poll(events, timeout) {
                Err(Errno::INTR) => {}
                ready => return ready.call(|| "poll(control socket)".to_owned()).context(what),
            }
        };
        ready(&mut [control.clone(), pidfd], None)?;
        // What it said before it died counts.
        if ready(&mut [control], Some(&Timespec::default()))? > 0 { Ok(()) } else { Err(self.died()) }
    }

    fn report(&self) -> Result<GapReport> {
        let what = || "cannot start the container's init".to_owned();
        let mut bytes = [0u8; GapReport::SIZE];
        if socket::read_exact(&self.control, &mut bytes).context(what)? {
            return Ok(GapReport::from_bytes(bytes));
        }
        Err(self.died())
    }

    /// Why nothing more comes from the child.
    fn died(&self) -> Error {
        let status = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let why = match status.ok().flatten() {
            Some(status) if status.terminating_signal() == Some(9) => {
                return Error::new(Kind::Failed, "the container's init was killed", "by signal 9 (SIGKILL)")
                    .fix("if linux.resources.memory.limit is below a few MiB, raise it");
            }
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("it exited with code {code}"),
                (_, Some(signal)) => format!("signal {signal}"),
                _ => "it ended".to_owned(),
            },
            None => "it closed its socket".to_owned(),
        };
        Error::new(Kind::Failed, "the container's init ended before it could report", why)
    }

    fn write_proc(&self, file: &str, text: &str) -> std::io::Result<()> {
        fs::write(format!("/proc/{}/{file}", self.pid), text)
    }

    fn set_oom_score_adj(&self, score: i32) -> Result<()> {
        self.write_proc("oom_score_adj", &score.to_string())
            .context(|| format!("cannot set the OOM score to {score}"))
            .map_err(|error| {
                error
                    .at("process.oomScoreAdj")
                    .fix("lowering it needs CAP_SYS_RESOURCE, which the caller lacks")
            })
    }

    /// Waits until the sealed binary runs.
    fn greet(&self) -> Result<()> {
        if self.greeted {
            return Ok(());
        }
        self.report()?.pid().map(drop).context(|| "cannot start the container's init".to_owned())
    }

    fn send_order(&self, request: Request<'_>) -> Result<()> {
        let what = || "cannot send the plan to the container's init".to_owned();
        let (roles, descriptors): (Vec<Role>, Vec<OwnedFd>) = request.descriptors.into_iter().unzip();
        let order = Order { task: request.task, start: request.start, roles };
        let bytes = serde_json::to_vec(&order).context(what)?;
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        socket::send(&self.control, &bytes, &borrowed).context(what)
    }

    /// Hears that everything is in force, and from whom.
    fn await_ready(self, environment_made: &mut dyn FnMut(i32) -> Result<()>) -> Result<(Child, Receipt)> {
        self.await_report()?;
        match Report::receive(&self.control)?.map(|(report, _)| report) {
            Some(Report::Successor(pid)) => {
                let child = self.succeeded_by(pid, true)?;
                child.let_go_on()?;
                child.await_ready(environment_made)
            }
            Some(Report::EnvironmentMade) => {
                environment_made(self.pid)?;
                self.let_go_on()?;
                self.await_ready(environment_made)
            }
            Some(Report::Ready(receipt)) => Ok((self, receipt)),
            Some(Report::Failed(error)) => Err(error),
            Some(Report::Listener) | None => Err(self.died()),
        }
    }

    fn let_go_on(&self) -> Result<()> {
        rustix::io::write(&self.control, &[0])
            .map(drop)
            .call(|| "write(control socket)".to_owned())
            .context(|| "cannot start the container's init".to_owned())
    }

    /// The listener of its filters, where they have one; it comes right after the child is ready.
    ///
    /// # Errors
    /// Why the filters could not be loaded.
    pub fn listener(&self) -> Result<OwnedFd> {
        match Report::receive(&self.control)? {
            Some((Report::Listener, mut descriptors)) => descriptors.pop().ok_or_else(|| self.died()),
            Some((Report::Failed(error), _)) => Err(error),
            _ => Err(self.died()),
        }
    }

    /// Lets the child run its program, and waits until it does.
    ///
    /// # Errors
    /// Why the program could not be executed.
    pub fn go(&self) -> Result<()> {
        self.let_go_on()?;
        match Report::receive(&self.control)? {
            Some((Report::Failed(error), _)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets go of the child: from here on it lives on its own.
    pub fn release(mut self) -> Rc<OwnedFd> {
        self.released = true;
        Rc::clone(&self.pidfd)
    }

    fn reap(&self) {
        // Already reaped by somebody else is as good.
        waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap_or_default();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        // It may be dead already; then it only has to be reaped.
        pidfd_send_signal(&self.pidfd, Signal::KILL).unwrap_or_default();
        self.reap();
    }
}
