//! The border to the kernel: every `unsafe` block of the probe.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use crate::errno::{Errno, Outcome};

/// An argument of a raw system call.
pub enum Arg<'a> {
    /// A number.
    Int(i64),
    /// Memory that the kernel reads.
    In(&'a [u8]),
    /// Memory that the kernel writes.
    Out(&'a mut [u8]),
}

impl From<i32> for Arg<'_> {
    fn from(value: i32) -> Self {
        Arg::Int(value.into())
    }
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Arg::Int(value)
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(value: &'a [u8]) -> Self {
        Arg::In(value)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Arg<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Arg::In(value)
    }
}

impl<'a> From<&'a mut [u8]> for Arg<'a> {
    fn from(value: &'a mut [u8]) -> Self {
        Arg::Out(value)
    }
}

/// Makes the system call `number`; arguments that are not given are 0.
pub fn call(number: libc::c_long, arguments: &mut [Arg<'_>]) -> Result<i64, Errno> {
    let mut words = [0_i64; 6];
    for (word, argument) in words.iter_mut().zip(arguments) {
        *word = match argument {
            Arg::Int(value) => *value,
            Arg::In(bytes) => bytes.as_ptr().expose_provenance() as i64,
            Arg::Out(bytes) => bytes.as_mut_ptr().expose_provenance() as i64,
        };
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: every pointer is to a slice borrowed for the whole call. Numbers that the kernel could take for
    // addresses come only from the verb `syscall`, which runs in a child of its own that exits right after.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

/// Like [`call`], for calls that make a descriptor.
pub fn call_for_fd(number: libc::c_long, arguments: &mut [Arg<'_>]) -> Result<OwnedFd, Errno> {
    let fd = call(number, arguments)?;
    // SAFETY: the call has just made this descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Becomes the program that a descriptor is of (`execveat(2)`); the result is why not.
pub fn execute_at(file: &OwnedFd, arguments: &[&str]) -> Errno {
    let strings: Vec<Vec<u8>> = arguments.iter().map(|argument| c_string(argument)).collect();
    let mut argv: Vec<*const u8> = strings.iter().map(|string| string.as_ptr()).collect();
    argv.push(std::ptr::null());
    let environment = [std::ptr::null::<u8>()];
    let (fd, path, flags) = (file.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH);
    // SAFETY: both lists end in a null pointer, and they and their strings outlive the call.
    unsafe { libc::syscall(libc::SYS_execveat, fd, path, argv.as_ptr(), environment.as_ptr(), flags) };
    Errno::last()
}

/// Tries something in a child, so that neither success nor a deadly signal changes this process.
pub fn in_child(attempt: impl FnOnce() -> Result<(), Errno>) -> Outcome {
    match fork() {
        Err(errno) => Outcome::Refused(errno),
        Ok(0) => {
            let code = attempt().err().map_or(0, |errno| errno.0);
            exit_now(code)
        }
        Ok(child) => wait_for(child),
    }
}

/// Forks; 0 in the child.
pub fn fork() -> Result<i32, Errno> {
    // SAFETY: the probe has one thread, so the child finds no lock held by a thread that it lacks.
    #[allow(clippy::disallowed_methods, reason = "one thread, see the safety note")]
    let child = unsafe { libc::fork() };
    if child == -1 { Err(Errno::last()) } else { Ok(child) }
}

/// Ends this process without running anything of the parent's.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(code) }
}

/// Waits for a child: its exit code is the errno of what it tried, 0 for none.
pub fn wait_for(child: i32) -> Outcome {
    let mut status = 0;
    // SAFETY: the status is a live integer of this frame.
    if unsafe { libc::waitpid(child, &raw mut status, libc::__WALL) } == -1 {
        return Outcome::Refused(Errno::last());
    }
    if libc::WIFSIGNALED(status) {
        return Outcome::Killed(libc::WTERMSIG(status));
    }
    match libc::WEXITSTATUS(status) {
        0 => Outcome::Done(0),
        errno => Outcome::Refused(Errno(errno)),
    }
}

/// A path or name as the kernel reads it; cut at the first NUL.
pub fn c_string(text: &str) -> Vec<u8> {
    let bytes = text.split('\0').next().unwrap_or_default();
    CString::new(bytes).unwrap_or_default().into_bytes_with_nul()
}

/// Opens a path relative to a directory descriptor (`AT_FDCWD` for none).
pub fn open_at(dir: RawFd, path: &str, flags: i32) -> Result<OwnedFd, Errno> {
    let path = c_string(path);
    let mut arguments = [dir.into(), path.as_slice().into(), (flags | libc::O_CLOEXEC).into(), 0o600.into()];
    call_for_fd(libc::SYS_openat, &mut arguments)
}

/// A pipe: read end, write end.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut fds = [0_u8; 8];
    call(libc::SYS_pipe2, &mut [fds.as_mut_slice().into(), libc::O_CLOEXEC.into()])?;
    let [a, b, c, d, e, f, g, h] = fds;
    let (read, write) = (i32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h]));
    // SAFETY: pipe2 has just made both descriptors, so nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(read), OwnedFd::from_raw_fd(write)) })
}

/// One `struct iovec` over the buffer, as bytes. The buffer must outlive the call that is given it.
pub fn iovec(buffer: &mut [u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (address, length) = bytes.split_at_mut(8);
    address.copy_from_slice(&buffer.as_mut_ptr().expose_provenance().to_ne_bytes());
    length.copy_from_slice(&buffer.len().to_ne_bytes());
    bytes
}

/// `int $0x80` with number 20: getpid of the i386 table.
#[cfg(target_arch = "x86_64")]
pub fn getpid_of_i386() -> Result<i64, Errno> {
    let result: i32;
    // SAFETY: getpid takes no arguments and touches no memory; the entry may zero r8 to r11, named below.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("eax") 20_i32 => result,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _, options(nostack));
    }
    if result < 0 { Err(Errno(-result)) } else { Ok(result.into()) }
}

/// `prctl(2)` with numbers only.
pub fn prctl(option: i32, argument: u64) -> Result<i32, Errno> {
    // SAFETY: no option used here takes an address.
    let result = unsafe { libc::prctl(option, argument, 0, 0, 0) };
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

/// Width and height of the terminal behind a descriptor, in characters.
pub fn window_size(fd: &impl AsRawFd) -> Result<(u16, u16), Errno> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize, which lives in this frame.
    if unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) } == -1 {
        return Err(Errno::last());
    }
    Ok((size.ws_col, size.ws_row))
}

/// The foreground process group of the terminal behind a descriptor.
pub fn foreground_group(fd: &impl AsRawFd) -> Result<i32, Errno> {
    // SAFETY: the call takes a number only.
    let group = unsafe { libc::tcgetpgrp(fd.as_raw_fd()) };
    if group == -1 { Err(Errno::last()) } else { Ok(group) }
}

/// Waits for one of the signals after `ready` has run; they are blocked before, so none is missed.
pub fn wait_for_signal(signals: &[i32], ready: impl FnOnce()) -> Result<i32, Errno> {
    // SAFETY: an all-zero sigset_t is a valid, empty set on Linux.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    for signal in signals {
        // SAFETY: the set is initialised above.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    // SAFETY: the set is initialised; the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    ready();
    let mut signal = 0;
    // SAFETY: both live in this frame.
    match unsafe { libc::sigwait(&raw const set, &raw mut signal) } {
        0 => Ok(signal),
        errno => Err(Errno(errno)),
    }
}

/// The soft and hard limit; `RLIM_INFINITY` as −1.
pub fn limit(resource: u32) -> Result<(i64, i64), Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let result =
        // SAFETY: the limit lives in this frame; the kernel writes nothing else.
        unsafe { libc::getrlimit(resource as _, &raw mut limit) };
    if result == -1 { Err(Errno::last()) } else { Ok((limit.rlim_cur as i64, limit.rlim_max as i64)) }
}

/// The call that the last SIGSYS was for.
static CAUGHT: AtomicI32 = AtomicI32::new(0);

extern "C" fn on_sigsys(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    /// The part of `siginfo_t` that SIGSYS fills (sigaction(2)): after three integers and padding.
    #[repr(C)]
    struct SigSys {
        signal: [libc::c_int; 4],
        address: usize,
        number: libc::c_int,
        arch: libc::c_uint,
    }
    // SAFETY: the kernel passes a siginfo_t, which is larger than this and laid out so for SIGSYS.
    let number = unsafe { (*info.cast::<SigSys>()).number };
    CAUGHT.store(number, Ordering::Relaxed);
}

/// Catches SIGSYS from here on, instead of dying of it.
pub fn catch_sigsys() {
    // SAFETY: an all-zero sigaction is a valid one, with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_sigsys as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler only stores an integer, and the old action is not asked for.
    unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
}

/// The number of the call that the last SIGSYS was for, 0 without one.
pub fn caught_sigsys() -> i32 {
    CAUGHT.load(Ordering::Relaxed)
}
