//! Attributes of the calling process that no crate sets as we need them.

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sched::CloneFlags;
use rustix::io::Errno;

use super::error::{CallError, Syscall, check};

pub(super) fn prctl(option: i32, second: u64, third: u64) -> Result<libc::c_long, Errno> {
    // SAFETY: every option used here takes integers only.
    check(unsafe { libc::syscall(libc::SYS_prctl, option, second, third, 0, 0) })
}

/// Lets no page of memory become executable, nor be so while it can be written; kept over `fork` and `execve`.
///
/// # Errors
/// EINVAL before Linux 6.3.
pub fn set_mdwe() -> Result<(), CallError> {
    let refuse_exec_gain = u64::from(libc::PR_MDWE_REFUSE_EXEC_GAIN);
    prctl(libc::PR_SET_MDWE, refuse_exec_gain, 0).map(drop).call(|| "prctl(PR_SET_MDWE)".to_owned())
}

/// Whether that is so.
///
/// # Errors
/// EINVAL before Linux 6.3.
pub fn mdwe() -> Result<bool, CallError> {
    let flags = prctl(libc::PR_GET_MDWE, 0, 0).call(|| "prctl(PR_GET_MDWE)".to_owned())?;
    Ok(flags & libc::c_long::from(libc::PR_MDWE_REFUSE_EXEC_GAIN) != 0)
}

/// Gives the thread a new, empty session keyring, so that keys of the caller's are out of reach (`keyrings(7)`).
/// It has no name: by name the kernel would join a keyring that is there already.
///
/// # Errors
/// ENOSYS without key support, EDQUOT over the user's quota.
pub fn join_new_session_keyring() -> Result<(), CallError> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null pointer stands for no name.
    let result =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<c_char>()) };
    check(result).map(drop).call(|| "keyctl(KEYCTL_JOIN_SESSION_KEYRING)".to_owned())
}

/// Sets the NIS domain name of the UTS namespace.
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN` over it.
pub fn set_domain_name(name: &str) -> Result<(), CallError> {
    // SAFETY: the pointer and the length describe `name`.
    let result = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    check(result.into()).map(drop).call(|| format!("setdomainname({name:?})"))
}

/// `setpgid`-free part of a shell's job: a clean slate of signal dispositions and an empty signal mask, as a
/// new program expects them. `SIGPIPE` is ignored by Rust's start code, and the caller's mask was inherited.
///
/// # Errors
/// Those of `sigprocmask(2)`.
pub fn reset_signals() -> Result<(), CallError> {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is a valid disposition for every signal; SIGKILL, SIGSTOP and the numbers that
        // libc keeps for itself answer EINVAL and have nothing to reset.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    nix::sys::signal::SigSet::empty().thread_set_mask().call(|| "sigprocmask(SIG_SETMASK)".to_owned())
}

/// What asks a process to end, and does end one that does not handle it.
const REQUESTS: [c_int; 6] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

extern "C" fn end(signal: c_int) {
    super::branch::end(128 + signal)
}

/// Ends this process, with code 128 + the signal, when it is asked to. The first process of a pid namespace is not
/// asked at all without a handler (`pid_namespaces(7)`). Lasts until [`reset_signals`].
///
/// # Errors
/// Those of `sigaction(2)`.
pub fn end_when_asked() -> Result<(), CallError> {
    for signal in REQUESTS {
        let handler = end as extern "C" fn(c_int) as libc::sighandler_t;
        // SAFETY: the handler only makes the system call that ends the process, which is safe at any moment.
        let before = unsafe { libc::signal(signal, handler) };
        if before == libc::SIG_ERR {
            return Err(Errno::INVAL).call(|| format!("signal({signal})"));
        }
    }
    Ok(())
}

/// A program that is ready to be executed: all that is left is one system call.
pub struct Program {
    path: CString,
    argv: Strings,
    envp: Strings,
}

/// Strings as `execve(2)` takes them.
struct Strings {
    /// What the pointers lead to.
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    fn new(owned: Vec<CString>) -> Self {
        let pointers = owned.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect();
        Self { _owned: owned, pointers }
    }
}

impl Program {
    /// The program at `path`, with its arguments and environment.
    pub fn new(path: CString, arguments: Vec<CString>, environment: Vec<CString>) -> Self {
        Self { path, argv: Strings::new(arguments), envp: Strings::new(environment) }
    }

    /// Its path.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Replaces the process by it. Returns only on failure; a filter may also lie and answer that it was done.
    pub fn execute(&self) -> Errno {
        let (argv, envp) = (self.argv.pointers.as_ptr(), self.envp.pointers.as_ptr());
        // SAFETY: both arrays end in a null pointer, and their strings live as long as `self`.
        let result = unsafe { libc::execve(self.path.as_ptr(), argv, envp) };
        check(result.into()).err().unwrap_or(Errno::IO)
    }
}

/// Ends the process at once, also under a filter that refuses the call: then by a fault.
pub fn exit(code: u8) -> ! {
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { libc::syscall(libc::SYS_exit_group, libc::c_int::from(code)) };
    std::process::abort()
}

/// Marks every descriptor from `first` up to be closed by the next `execve` (Linux 5.11).
///
/// # Errors
/// ENOSYS or EINVAL on older kernels.
pub fn close_on_exec_from(first: i32) -> Result<(), CallError> {
    // SAFETY: the flag only marks descriptors; none is closed under its owner.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, i32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    check(result).map(drop).call(|| format!("close_range({first}, CLOEXEC)"))
}

/// Brings the loopback interface of the network namespace up (`netdevice(7)`, `SIOCSIFFLAGS`).
///
/// # Errors
/// EPERM without `CAP_NET_ADMIN` over the namespace.
pub fn bring_loopback_up(socket: impl AsFd) -> Result<(), CallError> {
    // SAFETY: the struct is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from as c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: SIOCSIFFLAGS reads an ifreq with the name and the flags filled.
    let result =
        unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    check(result.into()).map(drop).call(|| "ioctl(SIOCSIFFLAGS, lo)".to_owned())
}

/// Takes over a descriptor that was inherited under an agreed number, and will not be inherited further.
pub fn adopt_descriptor(number: i32) -> OwnedFd {
    // SAFETY: the number was agreed on with whoever executed this program, and nothing else here owns it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    // It stays open for as long as it is used, whatever the flag says.
    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC).unwrap_or_default();
    descriptor
}

/// Sets one limit of a process (0 for the caller) by its number; the one in force is the ceiling without
/// `CAP_SYS_RESOURCE`.
///
/// # Errors
/// EPERM beyond that, EINVAL for an unknown number.
pub fn set_rlimit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<(), CallError> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads one limit and, with a null pointer, writes none.
    let result = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            pid,
            resource,
            &raw const limit,
            std::ptr::null::<libc::rlimit64>(),
        )
    };
    check(result).map(drop).call(|| format!("prlimit64({pid}, {resource}, {soft}:{hard})"))
}

/// The limit in force, soft and hard.
///
/// # Errors
/// EINVAL for a resource that the kernel does not know.
pub fn rlimit(resource: u32) -> Result<(u64, u64), CallError> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: with a null pointer the kernel reads no limit, and it writes one to `limit`.
    let result = unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, resource, std::ptr::null::<libc::rlimit64>(), &raw mut limit)
    };
    check(result).call(|| format!("prlimit64({resource})"))?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Leaves namespaces that only concern the calling thread (`unshare(2)`); not for `CLONE_FILES` and the like.
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN`.
pub fn unshare(namespaces: CloneFlags) -> Result<(), CallError> {
    nix::sched::unshare(namespaces).call(|| format!("unshare({namespaces:?})"))
}

/// Standard input, output and error, open or not.
pub fn stdio() -> [BorrowedFd<'static>; 3] {
    // SAFETY: nothing in this program owns or closes these three numbers.
    [0, 1, 2].map(|number| unsafe { BorrowedFd::borrow_raw(number) })
}

/// Makes a descriptor standard input, output and error.
///
/// # Errors
/// EBUSY and EMFILE in theory.
pub fn replace_stdio(descriptor: impl AsFd) -> Result<(), CallError> {
    place_stdio(descriptor.as_fd(), descriptor.as_fd())
}

/// Makes one descriptor standard input, another standard output and error. Neither may be one of the three.
///
/// # Errors
/// EBUSY and EMFILE in theory.
pub fn place_stdio(input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Result<(), CallError> {
    [(input, 0), (output, 1), (output, 2)].into_iter().try_for_each(|(from, number)| place(from, number))
}

/// Makes a descriptor one of the three standard ones, which the next `execve` keeps. It may not be that one already.
///
/// # Errors
/// EINVAL for another number; EBUSY and EMFILE in theory.
pub fn place(descriptor: impl AsFd, number: i32) -> Result<(), CallError> {
    let from = descriptor.as_fd().as_raw_fd();
    let call = || format!("dup2({from}, {number})");
    if !(0..=2).contains(&number) {
        return Err(Errno::INVAL).call(call);
    }
    // SAFETY: nothing in this program owns the three numbers that are replaced.
    let result = unsafe { libc::dup2(from, number) };
    check(result.into()).map(drop).call(call)
}

/// Gives descriptors the numbers from `first` up, to be inherited, and allocates nothing. Whatever had a number before
/// is closed, so this is for a clone that executes another program next.
///
/// # Errors
/// EMFILE.
pub fn place_from<const N: usize>(first: i32, descriptors: [BorrowedFd<'_>; N]) -> Result<(), CallError> {
    let above = first.saturating_add(i32::try_from(N).unwrap_or(i32::MAX));
    // Out of the way of each other first.
    let moved = descriptors.map(|it| rustix::io::fcntl_dupfd_cloexec(it, above));
    for (from, number) in moved.into_iter().zip(first..) {
        let from = from.call(|| format!("fcntl(F_DUPFD_CLOEXEC, {above})"))?;
        // SAFETY: nothing uses what the number was before, until the next program begins.
        let result = unsafe { libc::dup2(from.as_raw_fd(), number) };
        check(result.into()).call(|| format!("dup2({from:?}, {number})"))?;
    }
    Ok(())
}

/// The ABI of Landlock, 0 where the kernel has none or it is not in the `lsm=` list.
pub fn landlock_abi() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the kernel reads no attributes and only answers with a number.
    let result = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0usize, VERSION)
    };
    check(result).ok().and_then(|abi| u32::try_from(abi).ok()).unwrap_or(0)
}

/// Sends any signal, real-time ones included, to the process of a pidfd (Linux 5.1).
///
/// # Errors
/// ESRCH when it is gone, EINVAL for a number that is no signal.
pub fn pidfd_signal(pidfd: impl AsFd, signal: i32) -> Result<(), CallError> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: with a null pointer the kernel fills the signal's information itself.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    check(result).map(drop).call(|| format!("pidfd_send_signal({fd}, {signal})"))
}

/// Sends any signal to a process whose number is known to be still its own: a child that is not reaped yet.
///
/// # Errors
/// EINVAL for a number that is no signal.
pub fn signal(pid: rustix::process::Pid, signal: i32) -> Result<(), CallError> {
    let pid = pid.as_raw_nonzero().get();
    // SAFETY: no memory is involved.
    let result = unsafe { libc::kill(pid, signal) };
    check(result.into()).map(drop).call(|| format!("kill({pid}, {signal})"))
}

/// Makes sure that a descriptor is of a namespace of the given kind (`ioctl_nsfs(2)`, `NS_GET_NSTYPE`, Linux 4.11).
///
/// # Errors
/// ENOTTY when it is no namespace, EINVAL when it is one of another kind.
pub fn check_namespace(namespace: impl AsFd, flag: u64) -> Result<(), CallError> {
    const NS_GET_NSTYPE: u64 = 0xb703;
    let fd = namespace.as_fd().as_raw_fd();
    // SAFETY: the request takes no argument and returns a number.
    let kind = unsafe { libc::ioctl(fd, NS_GET_NSTYPE as _) };
    let kind = check(kind.into()).call(|| format!("ioctl({fd}, NS_GET_NSTYPE)"))?;
    if kind as u64 == flag {
        return Ok(());
    }
    Err(CallError {
        call: format!("ioctl({fd}, NS_GET_NSTYPE) = {kind:#x}, not {flag:#x}"),
        errno: Errno::INVAL,
    })
}

/// Has the next program find a descriptor at a number above the standard ones, where nothing of ours is by then.
///
/// # Errors
/// EINVAL for one of the standard ones; EBUSY and EMFILE in theory.
pub fn inherit_as(descriptor: BorrowedFd<'_>, number: i32) -> Result<(), CallError> {
    let from = descriptor.as_raw_fd();
    let call = || format!("dup2({from}, {number})");
    if number <= 2 {
        return Err(Errno::INVAL).call(call);
    }
    if from == number {
        return rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty())
            .call(|| format!("fcntl({from}, F_SETFD)"));
    }
    // SAFETY: the caller has nothing open at that number, which is for the program that it becomes or starts.
    let result = unsafe { libc::dup2(from, number) };
    check(result.into()).map(drop).call(call)
}

/// The user namespace that a namespace belongs to (`ioctl_ns(2)`, Linux 4.9).
///
/// # Errors
/// EPERM when it is none of ours, nor below ours.
pub fn owner_of_namespace(namespace: impl AsFd) -> Result<OwnedFd, CallError> {
    const NS_GET_USERNS: u64 = 0xb701;
    let fd = namespace.as_fd().as_raw_fd();
    // SAFETY: the request takes no argument and returns a new descriptor.
    let owner = unsafe { libc::ioctl(fd, NS_GET_USERNS as _) };
    check(owner.into()).call(|| format!("ioctl({fd}, NS_GET_USERNS)"))?;
    // SAFETY: the kernel returned a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(owner) })
}

/// The signal that cannot be caught (`signal(7)`).
pub const SIGKILL: i32 = libc::SIGKILL;

/// Lets `SIGPIPE` end the process, as a command line tool's should: Rust's start code ignores it.
pub fn die_of_closed_pipes() {
    // SAFETY: SIG_DFL is a valid disposition, and no thread runs yet that could be in a handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
