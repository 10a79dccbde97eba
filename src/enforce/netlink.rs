//! Just enough of `rtnetlink(7)`: links by name, addresses, and changes that the kernel acknowledges.
//!
//! Not a crate: those know every attribute of every message, and stop at one that they do not.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use crate::sys::{CallError, Syscall};

/// Message types.
pub const RTM_NEWLINK: u16 = 16;
pub const RTM_GETLINK: u16 = 18;
pub const RTM_NEWADDR: u16 = 20;
pub const RTM_GETADDR: u16 = 22;

/// Flags of a request.
pub const DUMP: u16 = 0x300;
pub const CREATE_OR_REPLACE: u16 = 0x500;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
/// The table changed while it was told.
const DUMP_INTERRUPTED: u16 = 0x10;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;

/// A request under construction: the header of its family, then attributes.
pub struct Request {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Request {
    /// A request with the fixed part of its kind: `struct ifinfomsg` or `struct ifaddrmsg`.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        Self { kind, flags, body: fixed.to_vec() }
    }

    /// A request about links: all of them, or that with an index; `up` brings it up.
    pub fn link(kind: u16, flags: u16, index: u32, up: bool) -> Self {
        let up = u32::from(up);
        let fixed: Vec<u8> = [0, index, up, up].into_iter().flat_map(u32::to_ne_bytes).collect();
        Self::new(kind, flags, &fixed)
    }

    /// Adds an attribute.
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.body.extend(length.to_ne_bytes());
        self.body.extend(kind.to_ne_bytes());
        self.body.extend(value);
        self.body.resize(aligned(self.body.len()), 0);
        self
    }

    fn bytes(&self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(HEADER + self.body.len()).unwrap_or(u32::MAX);
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend((self.flags | REQUEST | ACK).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(&self.body);
        bytes
    }
}

/// One message of an answer, without its header.
pub struct Answer(Vec<u8>);

impl Answer {
    /// A number of the fixed part.
    pub fn u32_at(&self, offset: usize) -> Option<u32> {
        number(self.0.get(offset..)?)
    }

    /// The fixed part, of which the caller knows the length.
    pub fn fixed(&self, length: usize) -> Option<&[u8]> {
        self.0.get(..length)
    }

    /// The attributes behind the fixed part.
    pub fn attributes(&self, fixed: usize) -> Vec<(u16, &[u8])> {
        let mut attributes = Vec::new();
        let mut rest = self.0.get(fixed..).unwrap_or_default();
        while let (Some(length), Some(kind)) = (half(rest), rest.get(2..).and_then(half)) {
            let length = usize::from(length);
            let Some(value) = rest.get(4..length) else { break };
            attributes.push((kind & 0x3fff, value));
            rest = rest.get(aligned(length)..).unwrap_or_default();
        }
        attributes
    }
}

/// A socket of the network namespace in which it was made.
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens one in the calling thread's namespace.
    ///
    /// # Errors
    /// Those of `socket(2)`.
    pub fn open() -> Result<Self, CallError> {
        // NETLINK_ROUTE is the protocol number 0.
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .call(|| "socket(AF_NETLINK, NETLINK_ROUTE)".to_owned())?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Makes a request, and waits for what the kernel says to it. A table that changes meanwhile is asked for again.
    ///
    /// # Errors
    /// The kernel's errno for the request, with the given name of it.
    pub fn ask(&mut self, request: &Request, name: impl Fn() -> String) -> Result<Vec<Answer>, CallError> {
        const PATIENCE: usize = 16;
        for _ in 0..PATIENCE {
            self.sequence += 1;
            send(&self.fd, &request.bytes(self.sequence), SendFlags::empty()).call(&name)?;
            match self.answers().call(&name)? {
                Some(answers) => return Ok(answers),
                None => continue,
            }
        }
        Err(Errno::AGAIN).call(name)
    }

    /// All answers to the last request; nothing when they do not fit together.
    fn answers(&self) -> Result<Option<Vec<Answer>>, Errno> {
        let (mut answers, mut consistent) = (Vec::new(), true);
        let mut buffer = vec![0u8; 1 << 16];
        loop {
            let (count, _) = match recv(&self.fd, buffer.as_mut_slice(), RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                received => received?,
            };
            let mut rest = buffer.get(..count).unwrap_or_default();
            while let Some(message) = Message::first(rest) {
                rest = message.rest;
                if message.sequence != self.sequence {
                    continue;
                }
                consistent &= message.flags & DUMP_INTERRUPTED == 0;
                match message.kind {
                    NLMSG_ERROR => match number(message.body).unwrap_or(0).cast_signed() {
                        0 => return Ok(consistent.then_some(answers)),
                        errno => return Err(Errno::from_raw_os_error(-errno)),
                    },
                    NLMSG_DONE => return Ok(consistent.then_some(answers)),
                    _ => answers.push(Answer(message.body.to_vec())),
                }
            }
        }
    }
}

/// The first message of what was received.
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
    /// What comes after it.
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let length = number(bytes)? as usize;
        Some(Self {
            kind: half(bytes.get(4..)?)?,
            flags: half(bytes.get(6..)?)?,
            sequence: number(bytes.get(8..)?)?,
            body: bytes.get(HEADER..length)?,
            rest: bytes.get(aligned(length)..).unwrap_or_default(),
        })
    }
}

fn aligned(length: usize) -> usize {
    length.div_ceil(4) * 4
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().copied().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_back_as_it_was_written() {
        let bytes = Request::link(RTM_NEWLINK, CREATE_OR_REPLACE, 7, true)
            .with(3, b"eth0\0")
            .with(28, &[1, 0, 0, 0])
            .bytes(9);
        assert_eq!(bytes.len() % 4, 0);
        let Message { kind, flags, sequence, body, rest } = Message::first(&bytes).unwrap();
        assert_eq!(
            (kind, flags, sequence, rest.len()),
            (RTM_NEWLINK, CREATE_OR_REPLACE | REQUEST | ACK, 9, 0)
        );
        let answer = Answer(body.to_vec());
        assert_eq!((answer.u32_at(4), answer.u32_at(8), answer.u32_at(12)), (Some(7), Some(1), Some(1)));
        assert_eq!(answer.attributes(16), [(3, b"eth0\0".as_slice()), (28, &[1, 0, 0, 0])]);
    }

    #[test]
    fn a_torn_message_is_no_message() {
        let bytes = Request::link(RTM_GETLINK, DUMP, 0, false).with(3, b"eth0\0").bytes(1);
        for end in 0..bytes.len() {
            assert!(Message::first(&bytes[..end]).is_none(), "{end} bytes");
        }
        assert!(Answer(vec![5, 0]).attributes(0).is_empty());
        assert!(Answer(vec![0, 0, 1, 0]).attributes(0).is_empty(), "a length of 0 does not go on for ever");
    }

    #[test]
    fn the_loopback_device_is_found() {
        let mut socket = Socket::open().unwrap();
        let links = socket.ask(&Request::link(RTM_GETLINK, DUMP, 0, false), || "links".to_owned()).unwrap();
        let named = |link: &Answer| link.attributes(16).contains(&(3, b"lo\0".as_slice()));
        assert!(links.iter().any(named));
        let missing = Request::link(RTM_GETLINK, 0, 0, false).with(3, b"no-such-device\0");
        let error = socket.ask(&missing, || "link".to_owned()).err().unwrap();
        assert_eq!(error.errno, Errno::NODEV);
    }
}
