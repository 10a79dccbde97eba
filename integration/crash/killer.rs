//! Kills a process when it is about to make a system call of our choice: a crash at exactly that point.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Longer than a traced command takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The runtime that was called.
    Runtime,
    /// The children that it makes, one of which becomes the container's process.
    Init,
}

/// One traced process.
struct Tracee {
    pid: Pid,
    role: Victim,
}

/// A traced command: the thread that starts it is its tracer.
struct Trace {
    tracees: Vec<Tracee>,
    victim: Victim,
    left: usize,
    seen: usize,
    /// Set when the victim is dead: everyone else goes on untraced.
    over: bool,
}

/// Runs the command, and kills the victim instead of letting it make its system call number `number` (from 1;
/// those of all children are counted together). Returns how many it has made or tried, once the command is dead or done.
pub fn kill_at(command: &Command, victim: Victim, number: usize, output: &Path) -> usize {
    let mut trace = Trace { tracees: Vec::new(), victim, left: number, seen: 0, over: false };
    let main = start(command, output);
    trace.tracees.push(Tracee { pid: main, role: Victim::Runtime });
    let deadline = Instant::now() + PATIENCE;
    let mut ended = false;
    while !ended || (trace.over && !trace.tracees.is_empty()) {
        // Only children and tracees of this thread: other tests have theirs.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD | WaitPidFlag::WNOHANG;
        let status = waitpid(None, Some(flags)).expect("cannot wait for the traced processes");
        match status {
            WaitStatus::StillAlive if Instant::now() > deadline => {
                kill(main, Signal::SIGKILL).expect("cannot end the runtime");
                panic!("{command:?} does not end after {victim:?} died at its call {number}");
            }
            WaitStatus::StillAlive => std::thread::sleep(Duration::from_micros(20)),
            status => {
                let gone = matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..));
                ended |= gone && status.pid() == Some(main);
                trace.step(status);
            }
        }
    }
    trace.seen
}

/// Starts the command behind a shell that waits until it is traced.
#[expect(clippy::zombie_processes, reason = "`kill_at` waits for it, with those that it traces")]
fn start(command: &Command, output: &Path) -> Pid {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read _ && exec \"$@\" </dev/null", "sh"]).arg(command.get_program());
    let output = File::create(output).expect("cannot capture the output");
    let error = output.try_clone().expect("cannot share the output");
    let started = shell.args(command.get_args()).stdin(Stdio::piped()).stdout(output).stderr(error).spawn();
    let mut child = started.expect("cannot start the command");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).expect("cannot trace the command");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"\n").expect("cannot let the shell go on");
    pid
}

impl Trace {
    fn step(&mut self, status: WaitStatus) {
        let Some(pid) = status.pid() else { return };
        match status {
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => {
                self.tracees.retain(|tracee| tracee.pid != pid);
                // A runtime that has ended by itself leaves its children to themselves.
                if !self.tracees.iter().any(|tracee| tracee.role == Victim::Runtime) {
                    self.release_all();
                }
                return;
            }
            WaitStatus::PtraceEvent(_, _, event) if event == ptrace::Event::PTRACE_EVENT_CLONE as i32 => {
                self.adopt(pid);
            }
            WaitStatus::PtraceEvent(_, _, event) if event == ptrace::Event::PTRACE_EVENT_FORK as i32 => {
                self.adopt(pid);
            }
            WaitStatus::PtraceSyscall(_) if !self.over && self.is_victim(pid) && enters(pid) => {
                self.seen += 1;
                self.left -= 1;
                if self.left == 0 {
                    kill(pid, Signal::SIGKILL).expect("cannot kill the victim");
                    self.release_all();
                    return;
                }
            }
            _ => {}
        }
        self.go_on(pid, status);
    }

    /// A child of a tracee is traced from its first instruction.
    fn adopt(&mut self, parent: Pid) {
        let child = ptrace::getevent(parent).expect("cannot ask for the child");
        let child = Pid::from_raw(i32::try_from(child).expect("a process id"));
        if !self.tracees.iter().any(|tracee| tracee.pid == child) {
            self.tracees.push(Tracee { pid: child, role: Victim::Init });
        }
    }

    fn is_victim(&self, pid: Pid) -> bool {
        self.tracees.iter().any(|tracee| tracee.pid == pid && tracee.role == self.victim)
    }

    fn release_all(&mut self) {
        self.over = true;
        for tracee in &self.tracees {
            // One that is stopped already, or dead, need not be interrupted.
            ptrace::interrupt(tracee.pid).unwrap_or_default();
        }
    }

    fn go_on(&mut self, pid: Pid, status: WaitStatus) {
        let signal = match status {
            WaitStatus::Stopped(_, signal) if signal != Signal::SIGTRAP => Some(signal),
            _ => None,
        };
        // A tracee that was killed meanwhile answers ESRCH; its end is what we hear next.
        if self.over {
            if ptrace::detach(pid, signal).is_ok() {
                self.tracees.retain(|tracee| tracee.pid != pid);
            }
            return;
        }
        ptrace::syscall(pid, signal).unwrap_or_default();
    }
}

/// A process stops before and after each call.
fn enters(pid: Pid) -> bool {
    let info = ptrace::syscall_info(pid);
    info.is_ok_and(|info| info.op == libc::PTRACE_SYSCALL_INFO_ENTRY)
}
