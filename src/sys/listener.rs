//! Executing a program under a filter that has a listener (`seccomp_unotify(2)`).
//!
//! Once the filter is loaded, any call of the thread may be one that waits for an agent, who does not have the
//! listener yet. So that thread makes one call more, `execve`, and a second one, which the filter does not bind,
//! does what else is to be done: send the listener, wait until the program may run, and tell if the `execve` fails.
//! The kernel ends the second thread within a successful `execve`, before the program's first instruction, and with
//! the process: there is nothing to reap and nothing for the program to find.
//!
//! The two take turns, handed over at [`Gates`]: only one of them is ever between two of them.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;

use super::error::{CallError, Syscall};
use super::gate::Gates;
use super::process::{Program, exit};
use super::seccomp::{NEW_LISTENER, TSYNC, load};

/// What the second thread hears of the first one.
pub enum News {
    /// The filter is in force, and this descriptor answers its notifications. The program is executed when the
    /// second thread has done what it has to do.
    Loaded(OwnedFd),
    /// The program could not be executed.
    NotExecuted(Errno),
}

/// What is done with it, in the second thread; a number is the exit code that the process ends with at once.
pub type Hear<'a> = dyn Fn(News) -> Option<u8> + Sync + 'a;

/// Where the first thread waits once the filter is loaded, or could not be: the value is the listener, or -1.
const LOADED: usize = 0;
/// Where it waits for its end: the value is why the program was not executed.
const NOT_EXECUTED: usize = 1;

struct Shared<'a> {
    gates: Gates,
    value: AtomicI32,
    hear: &'a Hear<'a>,
}

/// Loads a filter and executes a program; only returns when the filter could not be loaded.
///
/// `TSYNC` is left out of `flags`: the thread that the program runs in is the only one that stays.
///
/// # Errors
/// As [`load`] and [`Gates::new`]; EAGAIN where no second thread may be made.
pub fn load_and_execute(instructions: &[u64], flags: u32, program: &Program, hear: &Hear<'_>) -> CallError {
    let second = Gates::new(2).and_then(|gates| {
        let shared = Box::new(Shared { gates, value: AtomicI32::new(-1), hear });
        start(&shared).map(|thread| (thread, shared))
    });
    let (thread, shared) = match second {
        Ok(second) => second,
        Err(error) => return error,
    };
    match load(instructions, flags & !TSYNC | NEW_LISTENER) {
        Ok(listener) => shared.wait(LOADED, listener.map_or(-1, IntoRawFd::into_raw_fd)),
        Err(error) => {
            shared.wait(LOADED, -1);
            join(thread);
            return error;
        }
    }
    let errno = program.execute();
    shared.wait(NOT_EXECUTED, errno.raw_os_error());
    // The gate is never opened; if it were, this is what would be left to do.
    exit(1)
}

impl Shared<'_> {
    fn wait(&self, gate: usize, value: i32) {
        self.value.store(value, Ordering::Release);
        self.gates.pass(gate);
    }

    /// What the second thread does.
    fn attend(&self) -> Result<(), CallError> {
        self.gates.await_arrival()?;
        match self.value.load(Ordering::Acquire) {
            -1 => return self.gates.open(LOADED),
            number => {
                // SAFETY: the kernel has just made this descriptor, and the first thread has given it up.
                let listener = unsafe { OwnedFd::from_raw_fd(number) };
                if let Some(code) = (self.hear)(News::Loaded(listener)) {
                    exit(code);
                }
            }
        }
        self.gates.open(LOADED)?;
        self.gates.await_arrival()?;
        let errno = Errno::from_raw_os_error(self.value.load(Ordering::Acquire));
        exit((self.hear)(News::NotExecuted(errno)).unwrap_or(1))
    }
}

fn start(shared: &Shared<'_>) -> Result<libc::pthread_t, CallError> {
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    let argument = ptr::from_ref(shared).cast_mut().cast();
    // SAFETY: `shared` outlives the thread: it is let go only once the thread was joined.
    let result = unsafe { libc::pthread_create(thread.as_mut_ptr(), ptr::null(), attend, argument) };
    match result {
        // SAFETY: it was made, and its id stored.
        0 => Ok(unsafe { thread.assume_init() }),
        errno => Err(Errno::from_raw_os_error(errno)).call(|| "pthread_create(3)".to_owned()),
    }
}

extern "C" fn attend(shared: *mut c_void) -> *mut c_void {
    // SAFETY: this is what `start` was given, shared by the two threads, and alive.
    let shared = unsafe { &*shared.cast::<Shared<'_>>() };
    // A gate that cannot be opened would hold the first thread for good.
    if shared.attend().is_err() {
        exit(1);
    }
    ptr::null_mut()
}

/// Waits until the thread is gone; it cannot fail for one that was made and not joined yet.
fn join(thread: libc::pthread_t) {
    // SAFETY: the thread was made by `start`, is joined once, and its result is not asked for.
    unsafe { libc::pthread_join(thread, ptr::null_mut()) };
}
