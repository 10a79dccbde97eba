//! Messages with descriptors over `unix(7)` stream sockets.
//!
//! A message is its length (native `u64`), its number of descriptors (native `u64`) and its bytes; the
//! descriptors travel with single bytes behind it, as many at a time as the kernel takes (`SCM_MAX_FD`, 253).

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use super::error::{CallError, Syscall};

const AT_ONCE: usize = 64;

/// A message larger than this is not one of ours.
const LARGEST: u64 = 64 << 20;

/// The bytes of a message, and the descriptors that came with it.
pub type Message = (Vec<u8>, Vec<OwnedFd>);

/// Sends one message with descriptors.
///
/// # Errors
/// EPIPE when the other side is gone.
pub fn send(socket: impl AsFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), CallError> {
    let socket = socket.as_fd();
    let mut bytes = Vec::with_capacity(16 + message.len());
    bytes.extend((message.len() as u64).to_ne_bytes());
    bytes.extend((descriptors.len() as u64).to_ne_bytes());
    bytes.extend(message);
    write_all(socket, &bytes)?;
    descriptors.chunks(AT_ONCE).try_for_each(|chunk| send_descriptors(socket, chunk))
}

/// Receives one message; `None` when the other side has closed.
///
/// # Errors
/// ECONNRESET when it closed in the middle of one, and those of `recvmsg(2)`.
pub fn receive(socket: impl AsFd) -> Result<Option<Message>, CallError> {
    let socket = socket.as_fd();
    let mut header = [0u8; 16];
    if !read_exact(socket, &mut header)? {
        return Ok(None);
    }
    let [length, count] = [0, 8].map(|at| {
        let mut number = [0u8; 8];
        number.copy_from_slice(header.get(at..at + 8).unwrap_or(&[0; 8]));
        u64::from_ne_bytes(number)
    });
    if length > LARGEST || count > LARGEST {
        return Err(CallError { call: format!("recv({length} bytes)"), errno: Errno::MSGSIZE });
    }
    let mut message = vec![0u8; length as usize];
    if !read_exact(socket, &mut message)? {
        return Err(CallError { call: "recv(message)".to_owned(), errno: Errno::CONNRESET });
    }
    let mut descriptors = Vec::with_capacity(count as usize);
    while descriptors.len() < count as usize {
        receive_descriptors(socket, &mut descriptors)?;
    }
    Ok(Some((message, descriptors)))
}

/// Sends data with descriptors, which come with its first bytes, as a console socket expects a terminal (runc,
/// "docs/terminals") and a seccomp agent its listener.
///
/// # Errors
/// EPIPE when the other side is gone, those of `sendmsg(2)`.
pub fn send_with_data(
    socket: impl AsFd,
    data: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), CallError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    let first = [IoSlice::new(data)];
    let sent = retry(|| sendmsg(socket.as_fd(), &first, &mut control, SendFlags::NOSIGNAL))
        .call(|| format!("sendmsg(SCM_RIGHTS, {} descriptors)", descriptors.len()))?;
    write_all(socket.as_fd(), data.get(sent..).unwrap_or_default())
}

fn send_descriptors(socket: BorrowedFd<'_>, descriptors: &[BorrowedFd<'_>]) -> Result<(), CallError> {
    send_with_data(socket, &[0], descriptors)
}

/// Receives the descriptors that came with the next byte.
///
/// # Errors
/// ECONNRESET when none came, those of `recvmsg(2)`.
pub fn receive_descriptors(socket: impl AsFd, into: &mut Vec<OwnedFd>) -> Result<(), CallError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0u8; 1];
    let mut data = [IoSliceMut::new(&mut byte)];
    let received = retry(|| recvmsg(socket.as_fd(), &mut data, &mut control, RecvFlags::CMSG_CLOEXEC))
        .call(|| "recvmsg(SCM_RIGHTS)".to_owned())?;
    let before = into.len();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            into.extend(descriptors);
        }
    }
    if received.bytes == 0 || into.len() == before {
        return Err(CallError { call: "recvmsg(SCM_RIGHTS)".to_owned(), errno: Errno::CONNRESET });
    }
    Ok(())
}

/// Receives one packet of a `SOCK_SEQPACKET` socket with what came along; an empty one when the other side is
/// gone.
///
/// # Errors
/// EMSGSIZE for a packet that is longer than any should be, those of `recvmsg(2)`.
pub fn receive_packet(socket: impl AsFd) -> Result<Message, CallError> {
    const LONGEST: usize = 64 << 10;
    let call = || "recvmsg(packet)".to_owned();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0u8; LONGEST];
    let mut data = [IoSliceMut::new(&mut bytes)];
    let received =
        retry(|| recvmsg(socket.as_fd(), &mut data, &mut control, RecvFlags::CMSG_CLOEXEC)).call(call)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            descriptors.extend(sent);
        }
    }
    if received.bytes == LONGEST {
        return Err(Errno::MSGSIZE).call(call);
    }
    bytes.truncate(received.bytes);
    Ok((bytes, descriptors))
}

fn write_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), CallError> {
    while !bytes.is_empty() {
        let sent = retry(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))
            .call(|| format!("send({} bytes)", bytes.len()))?;
        bytes = bytes.get(sent..).unwrap_or_default();
    }
    Ok(())
}

/// Fills the buffer; `false` when the other side closed before the first byte.
///
/// # Errors
/// ECONNRESET when it closed after it.
pub fn read_exact(socket: impl AsFd, buffer: &mut [u8]) -> Result<bool, CallError> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = buffer.get_mut(filled..).unwrap_or_default();
        let read = retry(|| rustix::io::read(socket.as_fd(), &mut *rest)).call(|| "read(socket)".to_owned());
        match read {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => {
                return Err(CallError { call: "read(socket)".to_owned(), errno: Errno::CONNRESET });
            }
            Ok(count) => filled += count,
            Err(error) if error.errno == Errno::CONNRESET && filled == 0 => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
