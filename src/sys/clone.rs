//! `clone3(2)`, and the only code that runs between it and `execveat(2)`.
//!
//! The child is a copy of a process whose locks and buffers it must not trust, so the gap makes raw system
//! calls only: it allocates nothing, takes no lock and never returns. Its calls, in order:
//!
//! 1. let go of the parent's end of the control socket, with which the parent's death would go unnoticed;
//! 2. join the namespaces that are given by descriptor (and, where that is asked, clone once more: joined
//!    pid and user namespaces and a new time namespace only apply to children);
//! 3. where that is asked, let nothing in the new pid namespace execute files without a name, as the user that the kernel
//!    wants for it, who is nobody in a user namespace;
//! 4. with a new user namespace, wait until the parent has written the id maps, and become 0:0 inside;
//! 5. put the control socket at its number and mark everything above close-on-exec;
//! 6. execute the sealed binary.

use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::error::{CallError, Syscall, check};

/// Where the child finds the binary that it executes.
pub enum Executable<'a> {
    /// A read-only clone of the mount that holds it.
    Sealed(BorrowedFd<'a>),
    /// Its path; the child makes the read-only clone in its own mount namespace, for a parent that may not.
    Path(&'a CStr),
}

/// What the child is to be.
pub struct Child<'a> {
    /// `CLONE_NEW*` of the namespaces to make.
    pub new_namespaces: u64,
    /// Descriptors of namespaces to join, in order.
    pub join: &'a [BorrowedFd<'a>],
    /// Text for `/proc/self/timens_offsets`, where a time namespace is to be made.
    pub time_offsets: Option<&'a CStr>,
    /// Join, and make the time namespace, in a first child, and the namespaces in a second one.
    pub twice: bool,
    /// `vm.memfd_noexec`, open for writing, and what is written for the new pid namespace.
    pub memfd_noexec: Option<(BorrowedFd<'a>, &'a CStr)>,
    /// Become 0:0 in the user namespace: `Some(true)` after a byte has come on `control`, `Some(false)` at once.
    pub become_root: Option<bool>,
    /// The cgroup (version 2) to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The binary, its arguments and environment.
    pub executable: Executable<'a>,
    /// `argv`.
    pub arguments: &'a [CString],
    /// The child's end of the control socket.
    pub control: BorrowedFd<'a>,
    /// The parent's end, which the child lets go of.
    pub parent: BorrowedFd<'a>,
    /// The number that the control socket gets; lower ones are inherited, higher ones closed by the exec.
    pub control_number: c_int,
}

/// Linux 5.7; `libc` has it in a type that is too narrow.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// `struct clone_args`, version 2 (Linux 5.7).
#[repr(C)]
#[derive(Default)]
pub(super) struct CloneArgs {
    pub flags: u64,
    pub pidfd: u64,
    pub child_tid: u64,
    pub parent_tid: u64,
    pub exit_signal: u64,
    pub stack: u64,
    pub stack_size: u64,
    pub tls: u64,
    pub set_tid: u64,
    pub set_tid_size: u64,
    pub cgroup: u64,
}

/// Everything the gap needs, laid out before the clone.
struct Gap {
    join: Vec<c_int>,
    time_offsets: *const c_char,
    time_offsets_len: usize,
    twice: bool,
    second: CloneArgs,
    memfd_noexec: Option<(c_int, *const c_char, usize)>,
    become_root: Option<bool>,
    exe_fd: c_int,
    exe_path: *const c_char,
    argv: Vec<*const c_char>,
    envp: [*const c_char; 1],
    control: c_int,
    parent: c_int,
    control_number: c_int,
}

/// The pid that a first child answers with when it made the second one, or the call that failed and its errno.
///
/// On the control socket as two native 32-bit integers: `[0, pid]` or `[stage, errno]`.
#[derive(Debug, Clone, Copy)]
pub struct GapReport {
    /// 0, or which call failed.
    pub stage: i32,
    /// The second child's pid, or the errno.
    pub value: i32,
}

/// The calls of the gap, by the number that [`GapReport::stage`] has.
const STAGES: [&str; 13] = [
    "",
    "setns(2)",
    "unshare(CLONE_NEWTIME)",
    "write(/proc/self/timens_offsets)",
    "clone3(2)",
    "read(control socket)",
    "setresgid(0, 0, 0)",
    "setresuid(0, 0, 0)",
    "dup3(2)",
    "close_range(2)",
    "open_tree(own binary)",
    "execveat(own binary)",
    "write(vm.memfd_noexec)",
];

impl GapReport {
    /// The size of a report on the control socket.
    pub const SIZE: usize = 8;

    /// Reads what the gap wrote.
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Self { stage: i32::from_ne_bytes([a, b, c, d]), value: i32::from_ne_bytes([e, f, g, h]) }
    }

    /// The second child's pid.
    ///
    /// # Errors
    /// The call of the gap that failed.
    pub fn pid(self) -> Result<i32, CallError> {
        if self.stage == 0 {
            return Ok(self.value);
        }
        let call = usize::try_from(self.stage).ok().and_then(|stage| STAGES.get(stage)).unwrap_or(&"");
        Err(CallError { call: (*call).to_owned(), errno: Errno::from_raw_os_error(self.value) })
    }
}

/// A child that was made.
pub struct Cloned {
    /// Its process id in our pid namespace.
    pub pid: i32,
    /// Its pidfd, close-on-exec.
    pub pidfd: OwnedFd,
}

/// Makes the child. With `twice`, the result is the first child, and the second one's pid comes as a
/// [`GapReport`] on the control socket.
///
/// # Errors
/// `clone3(2)`'s: EPERM, EAGAIN (pids limit), ENOSPC (user namespace limit), EBUSY (cgroup with controllers).
pub fn clone(child: &Child<'_>) -> Result<Cloned, CallError> {
    let mut pidfd: c_int = -1;
    let gap = Gap::new(child);
    let mut args = CloneArgs {
        flags: libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if !child.twice {
        args.flags |= child.new_namespaces;
    }
    if let Some(cgroup) = child.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: no CLONE_VM and no new stack, so the child goes on in its own copy of this stack; it calls
    // only `run`, which makes raw system calls and does not return.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    if pid == 0 {
        gap.run();
    }
    let pid = check(pid).call(|| format!("clone3(flags {:#x})", args.flags))?;
    // SAFETY: the kernel stored a new descriptor in `pidfd`, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned { pid: pid as i32, pidfd })
}

impl Gap {
    fn new(child: &Child<'_>) -> Self {
        let (exe_fd, exe_path) = match &child.executable {
            Executable::Sealed(fd) => (fd.as_raw_fd(), std::ptr::null()),
            Executable::Path(path) => (-1, path.as_ptr()),
        };
        let mut argv: Vec<_> = child.arguments.iter().map(|argument| argument.as_ptr()).collect();
        argv.push(std::ptr::null());
        let (time_offsets, time_offsets_len) =
            child.time_offsets.map_or((std::ptr::null(), 0), |text| (text.as_ptr(), text.count_bytes()));
        Self {
            join: child.join.iter().map(AsRawFd::as_raw_fd).collect(),
            time_offsets,
            time_offsets_len,
            twice: child.twice,
            second: CloneArgs {
                flags: child.new_namespaces | libc::CLONE_PARENT as u64,
                ..CloneArgs::default()
            },
            memfd_noexec: child
                .memfd_noexec
                .map(|(file, value)| (file.as_raw_fd(), value.as_ptr(), value.count_bytes())),
            become_root: child.become_root,
            exe_fd,
            exe_path,
            argv,
            envp: [std::ptr::null()],
            control: child.control.as_raw_fd(),
            parent: child.parent.as_raw_fd(),
            control_number: child.control_number,
        }
    }

    fn run(&self) -> ! {
        // It is open, so there is nothing that could fail.
        raw(libc::SYS_close, [self.parent as c_long, 0, 0, 0, 0]);
        for &fd in &self.join {
            self.must(1, || raw(libc::SYS_setns, [fd as c_long, 0, 0, 0, 0]));
        }
        if !self.time_offsets.is_null() {
            self.make_time_namespace();
        }
        if self.twice {
            let args = (&raw const self.second) as c_long;
            let pid =
                self.must(4, || raw(libc::SYS_clone3, [args, size_of::<CloneArgs>() as c_long, 0, 0, 0]));
            if pid != 0 {
                self.report(0, pid as i32);
                exit(0);
            }
        }
        if let Some((file, value, length)) = self.memfd_noexec {
            self.must(12, || raw(libc::SYS_write, [file as c_long, value as c_long, length as c_long, 0, 0]));
        }
        if let Some(wait) = self.become_root {
            self.become_root(wait);
        }
        self.place_control();
        self.execute()
    }

    /// Offsets may only be written while nobody is in the namespace: the next child is the first.
    fn make_time_namespace(&self) {
        self.must(2, || raw(libc::SYS_unshare, [libc::CLONE_NEWTIME as c_long, 0, 0, 0, 0]));
        let path = c"/proc/self/timens_offsets".as_ptr() as c_long;
        let flags = (libc::O_WRONLY | libc::O_CLOEXEC) as c_long;
        let fd = self.must(3, || raw(libc::SYS_openat, [libc::AT_FDCWD as c_long, path, flags, 0, 0]));
        let text = self.time_offsets as c_long;
        if self.time_offsets_len > 0 {
            self.must(3, || raw(libc::SYS_write, [fd, text, self.time_offsets_len as c_long, 0, 0]));
        }
    }

    fn become_root(&self, wait: bool) {
        if wait {
            let mut byte = 0u8;
            let buffer = (&raw mut byte) as c_long;
            let read = self.must(5, || raw(libc::SYS_read, [self.control as c_long, buffer, 1, 0, 0]));
            if read != 1 {
                exit(1);
            }
        }
        self.must(6, || raw(libc::SYS_setresgid, [0, 0, 0, 0, 0]));
        self.must(7, || raw(libc::SYS_setresuid, [0, 0, 0, 0, 0]));
    }

    fn place_control(&self) {
        let number = self.control_number as c_long;
        self.must(8, || raw(libc::SYS_dup3, [self.control as c_long, number, 0, 0, 0]));
        let cloexec = libc::CLOSE_RANGE_CLOEXEC as c_long;
        self.must(9, || raw(libc::SYS_close_range, [number + 1, c_int::MAX as c_long, cloexec, 0, 0]));
    }

    fn execute(&self) -> ! {
        let fd = if self.exe_path.is_null() { self.exe_fd as c_long } else { self.seal() };
        let (argv, envp) = (self.argv.as_ptr() as c_long, self.envp.as_ptr() as c_long);
        let empty = c"".as_ptr() as c_long;
        self.must(11, || raw(libc::SYS_execveat, [fd, empty, argv, envp, libc::AT_EMPTY_PATH as c_long]));
        exit(1)
    }

    /// The read-only clone, made here because only this mount namespace is ours to clone from.
    fn seal(&self) -> c_long {
        let flags = (libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC) as c_long;
        let path = self.exe_path as c_long;
        let fd = self.must(10, || raw(libc::SYS_open_tree, [libc::AT_FDCWD as c_long, path, flags, 0, 0]));
        let attr =
            libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
        let (empty, at) = (c"".as_ptr() as c_long, libc::AT_EMPTY_PATH as c_long);
        let attr = (&raw const attr) as c_long;
        let size = size_of::<libc::mount_attr>() as c_long;
        self.must(10, || raw(libc::SYS_mount_setattr, [fd, empty, at, attr, size]));
        fd
    }

    /// Makes a call that the child cannot go on without: a failure goes to the parent and ends the child.
    fn must(&self, stage: i32, call: impl Fn() -> c_long) -> c_long {
        loop {
            let result = call();
            if result != -1 {
                return result;
            }
            let errno = errno();
            if errno != libc::EINTR {
                self.report(stage, errno);
                exit(1);
            }
        }
    }

    /// Nothing can be done if the parent is gone: the child ends either way.
    fn report(&self, stage: i32, value: i32) {
        let message = [stage, value];
        let buffer = message.as_ptr() as c_long;
        raw(libc::SYS_write, [self.control as c_long, buffer, GapReport::SIZE as c_long, 0, 0]);
    }
}

pub(super) fn raw(number: c_long, [a, b, c, d, e]: [c_long; 5]) -> c_long {
    // SAFETY: the gap's callers pass descriptors by value and pointers into `Gap`, which outlives the child's
    // last call because the child never returns from `Gap::run`.
    unsafe { libc::syscall(number, a, b, c, d, e, 0) }
}

fn errno() -> c_int {
    Errno::from_io_error(&std::io::Error::last_os_error()).map_or(libc::EIO, Errno::raw_os_error)
}

pub(super) fn exit(code: c_int) -> ! {
    // SAFETY: ends the process without running handlers that belong to the parent.
    unsafe { libc::_exit(code) }
}
