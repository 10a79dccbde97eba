//! A seccomp agent: it takes listeners on a socket and answers notified calls as the test says (seccomp_unotify(2)).

use std::io::{IoSliceMut, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::Value;

use super::bundle::Scratch;

/// What a notified call is answered with.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    /// It is not made, and returns this.
    Value(i64),
    /// It is not made, and fails with this errno.
    Errno(i32),
    /// It is made (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`).
    Continue,
}

/// A call by its number, and the process that makes it, in the agent's pid namespace.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub number: libc::c_long,
    pub pid: u32,
}

type Policy = dyn Fn(Asked) -> Reply + Send + Sync;

struct Shared {
    policy: Box<Policy>,
    asked: Mutex<Vec<Asked>>,
    states: Mutex<Vec<Value>>,
    ends: AtomicBool,
}

/// A running agent.
pub struct Agent {
    dir: Scratch,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// Listens on a socket of its own.
    pub fn start(policy: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Agent {
        let dir = Scratch::new("agent");
        let socket = UnixListener::bind(dir.path().join("socket")).expect("cannot listen");
        let shared = Arc::new(Shared {
            policy: Box::new(policy),
            asked: Mutex::default(),
            states: Mutex::default(),
            ends: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serving.serve(&socket));
        Agent { dir, shared, thread: Some(thread) }
    }

    /// The socket.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// Lets an ordinary user connect.
    pub fn open_to(self, id: u32) -> Agent {
        for path in [self.dir.path(), &self.path()] {
            std::os::unix::fs::chown(path, Some(id), Some(id)).expect("cannot give the socket away");
        }
        self
    }

    /// The calls that it was asked about, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().expect("no agent panics while it holds the list").clone()
    }

    /// What it was told, one message for each listener.
    pub fn states(&self) -> Vec<Value> {
        self.shared.states.lock().expect("no agent panics while it holds the list").clone()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the agent has panicked");
    }
}

impl Shared {
    /// Until there is something to read; false when the test is over.
    fn await_input(&self, fd: &impl AsRawFd) -> bool {
        // SAFETY: the descriptor stays open for as long as the borrow that is waited with.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd.as_raw_fd()) };
        while !self.ends.load(Ordering::Relaxed) {
            let mut watched = [PollFd::new(fd, PollFlags::POLLIN)];
            if poll(&mut watched, PollTimeout::from(20_u8)).expect("cannot poll") > 0 {
                return watched[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN));
            }
        }
        false
    }

    fn serve(self: Arc<Self>, socket: &UnixListener) {
        let mut answering = Vec::new();
        while self.await_input(socket) {
            let (stream, _) = socket.accept().expect("cannot accept");
            let (state, listener) = receive(stream);
            self.states.lock().expect("not poisoned").push(state);
            let shared = Arc::clone(&self);
            answering.push(std::thread::spawn(move || shared.answer(&listener)));
        }
        answering.into_iter().for_each(|thread| thread.join().expect("an answering thread has panicked"));
    }

    /// Until no process has the filter any more, which ends what can be read.
    fn answer(&self, listener: &OwnedFd) {
        while self.await_input(listener) {
            // SAFETY: all zeroes are valid, and what the kernel wants to be given.
            let mut notification: libc::seccomp_notif = unsafe { std::mem::zeroed() };
            if !control(listener, NOTIF_RECV, (&raw mut notification).cast()) {
                continue;
            }
            let asked = Asked { number: notification.data.nr.into(), pid: notification.pid };
            self.asked.lock().expect("not poisoned").push(asked);
            let (val, error, flags) = match (self.policy)(asked) {
                Reply::Value(value) => (value, 0, 0),
                Reply::Errno(errno) => (0, -errno, 0),
                Reply::Continue => (0, 0, 1),
            };
            let mut response = libc::seccomp_notif_resp { id: notification.id, val, error, flags };
            // A process that has died meanwhile needs no answer.
            control(listener, NOTIF_SEND, (&raw mut response).cast());
        }
    }
}

/// `SECCOMP_IOCTL_NOTIF_RECV` and `SECCOMP_IOCTL_NOTIF_SEND`.
const NOTIF_RECV: u64 = 0xc050_2100;
const NOTIF_SEND: u64 = 0xc018_2101;

fn control(listener: &OwnedFd, request: u64, argument: *mut libc::c_void) -> bool {
    // SAFETY: the kernel reads and writes the struct of the request, which the caller's frame holds.
    unsafe { libc::ioctl(listener.as_raw_fd(), request as _, argument) == 0 }
}

fn receive(mut stream: UnixStream) -> (Value, OwnedFd) {
    let mut bytes = vec![0; 1 << 16];
    let mut space = nix::cmsg_space!([i32; 4]);
    let mut data = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut data, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
        .expect("cannot receive");
    let received: Vec<i32> = message
        .cmsgs()
        .expect("the control data fits")
        .filter_map(|part| match part {
            ControlMessageOwned::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let length = message.bytes;
    assert_eq!(received.len(), 1, "one descriptor, the listener");
    bytes.truncate(length);
    stream.read_to_end(&mut bytes).expect("cannot read the rest");
    let state = serde_json::from_slice(&bytes).expect("the state is JSON");
    // SAFETY: the kernel has just given us the descriptor.
    (state, unsafe { OwnedFd::from_raw_fd(received[0]) })
}

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A socket that nobody listens on.
pub fn deaf(dir: &Path) -> PathBuf {
    let path = dir.join("deaf");
    drop(UnixListener::bind(&path).expect("cannot bind"));
    path
}
