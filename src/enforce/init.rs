//! The child: from the sealed binary to the container's program.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::OnceLock;

use rustix::process::DumpableBehavior;

use super::hook::Batch;
use super::order::{Order, Received, Report, Role, Start, Task};
use super::receipt::Receipt;
use super::root::Root;
use super::steps::join::Joined;
use super::{INIT, Step, TAIL, steps};
use crate::error::{Context, Error, Result};
use crate::plan::Workload;
use crate::plan::seccomp::Filter;
use crate::sys::listener::News;
use crate::sys::process::Program;
use crate::sys::{self, Syscall};

/// The name (`argv[0]`) under which the binary is init; the number of the control socket is `argv[1]`.
pub const NAME: &str = "sandrun-init";

/// What the steps share.
pub struct Init {
    /// The socket to the parent.
    pub control: OwnedFd,
    /// Descriptors of host objects.
    pub received: Received,
    /// The container's root, until it is changed to.
    pub root: Option<Root>,
    /// What is mounted on `/proc` and `/sys`, by descriptor: whoever owns the image may rename the mount points.
    pub pseudo: Vec<(String, Root)>,
    /// Its own directory in the host's procfs.
    pub own_proc: Option<OwnedFd>,
    /// Mounts that become read-only once everything in them is made.
    pub readonly_later: Vec<OwnedFd>,
    /// The program, found by path.
    pub program: Option<CString>,
    /// A directory outside the container, to try Landlock on.
    pub outside: Option<OwnedFd>,
    /// Paths of Landlock rules that are not there, and need not be.
    pub without_landlock_rule: Vec<String>,
    /// Hooks that run before the program does.
    pub hooks_at_start: Batch,
    /// What was read back.
    pub receipt: Receipt,
}

impl Init {
    /// The container's root before it is changed to.
    ///
    /// # Errors
    /// When no step has attached it yet.
    pub fn root(&self) -> Result<&Root> {
        self.root.as_ref().ok_or("it is not attached yet").context(|| "no root filesystem".to_owned())
    }
}

/// Runs init. Only returns when the program could not be run; the reason has been reported by then.
pub fn main(control: Option<i32>) -> ExitCode {
    let Some(control) = control else {
        eprintln!("{NAME} is started by sandrun only");
        return ExitCode::from(125);
    };
    let control = sys::process::adopt_descriptor(control);
    let mut init = Init {
        control,
        received: Received::default(),
        root: None,
        pseudo: Vec::new(),
        own_proc: None,
        readonly_later: Vec::new(),
        program: None,
        outside: None,
        without_landlock_rule: Vec::new(),
        hooks_at_start: Batch::default(),
        receipt: Receipt::default(),
    };
    match init.run() {
        Ok(never) => match never {},
        // A filter that is in force by now need not allow an ordinary end.
        Err(stopped) => sys::process::exit(init.account_for(stopped)),
    }
}

/// Why init ends.
enum Stopped {
    /// Nobody waits for the container any more.
    ParentGone,
    /// Its clone goes on in its place.
    Succeeded,
    /// Something did not work; who is to be told, if not the parent.
    Failed(Error, Option<OwnedFd>),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Failed(error, None)
    }
}

impl Init {
    fn run(&mut self) -> Result<std::convert::Infallible, Stopped> {
        hide()?;
        let greeting = [0u8; sys::clone::GapReport::SIZE];
        rustix::io::write(&self.control, &greeting).context(|| "cannot greet the parent".to_owned())?;
        let order = self.receive()?;
        if let Task::Exec(namespaces, _) = &order.task {
            self.join(*namespaces)?;
        }
        let workload = self.enforce(order.task)?;
        self.report_ready()?;
        let socket = self.received.take(&Role::StartSocket);
        if let Some(filter) = steps::seccomp::with_listener(&workload) {
            return Err(self.become_notified(&workload, filter, order.start, socket.as_ref()).into());
        }
        let starter = self.await_start(order.start, socket.as_ref())?;
        let error = match steps::hooks::starting(&workload, self) {
            Ok(()) => self.become_workload(&workload),
            Err(error) => error,
        };
        Err(Stopped::Failed(error, starter))
    }

    /// Tells who has to know why init ends; the result is its exit code.
    fn account_for(&self, stopped: Stopped) -> u8 {
        match stopped {
            Stopped::ParentGone => 125,
            Stopped::Succeeded => 0,
            Stopped::Failed(error, to) => {
                let code = error.exit_code();
                // Nobody is left to tell when this fails.
                Report::Failed(error).send(to.as_ref().unwrap_or(&self.control), &[]).unwrap_or_default();
                code
            }
        }
    }

    /// Into the container, for an exec.
    fn join(&mut self, namespaces: u32) -> Result<(), Stopped> {
        match steps::join::join(namespaces, self)? {
            Joined::Inside => {}
            Joined::Successor(pid) => {
                Report::Successor(pid).send(&self.control, &[])?;
                return Err(Stopped::Succeeded);
            }
            // The parent has to know whom it hears.
            Joined::Clone => self.await_word()?,
        }
        Ok(steps::session::new_session()?)
    }

    /// Waits for the byte that lets init go on.
    fn await_word(&self) -> Result<(), Stopped> {
        if self.hear()? { Ok(()) } else { Err(Stopped::ParentGone) }
    }

    /// Whether the parent is still there, once it has said its byte.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub fn hear(&self) -> Result<bool> {
        let mut byte = [0u8; 1];
        sys::socket::read_exact(&self.control, &mut byte).context(|| "cannot wait for the parent".to_owned())
    }

    fn receive(&mut self) -> Result<Order, Stopped> {
        let what = || "cannot receive the plan".to_owned();
        let message = sys::socket::receive(&self.control).context(what)?;
        let Some((bytes, descriptors)) = message else { return Err(Stopped::ParentGone) };
        let mut order: Order = serde_json::from_slice(&bytes).context(what)?;
        self.received = Received::new(std::mem::take(&mut order.roles), descriptors);
        for number in 0..=2 {
            if let Some(stream) = self.received.take(&Role::Stream(number)) {
                sys::process::place(&stream, number).context(|| "cannot place a standard stream".to_owned())?;
            }
        }
        Ok(order)
    }

    fn enforce(&mut self, task: Task) -> Result<Workload> {
        let workload = match task {
            Task::Create(plan) => {
                run(INIT, &*plan, self)?;
                plan.workload
            }
            Task::Exec(_, workload) => {
                if workload.terminal.is_some() {
                    steps::console::open_for_exec(&workload, self)?;
                }
                *workload
            }
        };
        run(TAIL, &workload, self)?;
        Ok(workload)
    }

    fn report_ready(&mut self) -> Result<()> {
        let receipt = std::mem::take(&mut self.receipt);
        Report::Ready(receipt).send(&self.control, &[])
    }

    /// Waits until the program may run; the result is who asked for it, and wants to know if it fails.
    fn await_start(&self, start: Start, socket: Option<&OwnedFd>) -> Result<Option<OwnedFd>, Stopped> {
        match (start, socket) {
            (Start::Socket, Some(socket)) => {
                sys::process::end_when_asked().context(|| "cannot wait for the start".to_owned())?;
                Ok(Some(accept(socket)?))
            }
            _ => {
                self.await_word()?;
                Ok(None)
            }
        }
    }

    /// The end of init: only returns when it fails.
    fn become_workload(&mut self, workload: &Workload) -> Error {
        match self.prepare(workload) {
            Ok(program) => steps::seccomp::execute(workload, &program),
            Err(error) => error,
        }
    }

    fn prepare(&mut self, workload: &Workload) -> Result<Program> {
        let program = steps::program::prepare(workload, self)?;
        sys::process::reset_signals().context(|| "cannot reset signals".to_owned())?;
        Ok(program)
    }

    /// The end of init where an agent is told of calls: it gets the listener before the program may run.
    fn become_notified(
        &mut self,
        workload: &Workload,
        filter: &Filter,
        start: Start,
        socket: Option<&OwnedFd>,
    ) -> Error {
        let program = match self.prepare(workload) {
            Ok(program) => program,
            Err(error) => return error,
        };
        let path = program.path();
        let starter = OnceLock::new();
        // All of this is done by the second thread.
        let introduce = |listener: OwnedFd| -> Result<(), Stopped> {
            Report::Listener.send(&self.control, &[listener.as_fd()])?;
            drop(listener);
            if let Some(who) = self.await_start(start, socket)? {
                starter.get_or_init(|| who);
            }
            Ok(())
        };
        let hear = |news: News| match news {
            News::Loaded(listener) => introduce(listener).err().map(|stopped| self.account_for(stopped)),
            News::NotExecuted(errno) => {
                let error = steps::program::not_executed(path, errno);
                let code = error.exit_code();
                // Nobody is left to tell when this fails.
                Report::Failed(error).send(starter.get().unwrap_or(&self.control), &[]).unwrap_or_default();
                Some(code)
            }
        };
        steps::seccomp::execute_notified(filter, &program, &hear)
    }
}

/// No process of the container may look into this one, or attach to it, while it still is ours: its memory
/// has host paths, its descriptors lead to the host (CVE-2016-9962).
pub(super) fn hide() -> Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .call(|| "prctl(PR_SET_DUMPABLE, 0)".to_owned())
        .context(|| "cannot hide init from the container".to_owned())
}

fn run<T>(steps: &[Step<T>], plan: &T, init: &mut Init) -> Result<()> {
    steps.iter().try_for_each(|step| (step.run)(plan, init))
}

fn accept(listener: &OwnedFd) -> Result<OwnedFd> {
    loop {
        match rustix::net::accept_with(listener.as_fd(), rustix::net::SocketFlags::CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            accepted => {
                return accepted
                    .call(|| "accept4(start socket)".to_owned())
                    .context(|| "cannot wait for start".to_owned());
            }
        }
    }
}
