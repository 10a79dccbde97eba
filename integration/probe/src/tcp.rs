//! Every known way to a TCP port, tried on one of this container's own loopback device.

use std::os::fd::{AsRawFd, OwnedFd};

use crate::errno::Errno;
use crate::json::Json;
use crate::sys::{call, call_for_fd, iovec};

const IPPROTO_SMC: i32 = 256;
const AF_SMC: i32 = 43;
const TCP_ULP: i32 = 31;
const TCP_FASTOPEN_CONNECT: i32 = 30;

/// Each way has the errno that stopped it, or null. Nobody need listen: a connection that is refused by the other
/// side was not stopped, and a port that is taken is one that may be bound to.
pub fn every_way_to(port: u16) -> Json {
    let (inet, inet6) = (libc::AF_INET, libc::AF_INET6);
    let ways: [(&str, Result<(), Errno>); 19] = [
        ("bind", tcp(inet).and_then(|it| bind(&it, port))),
        ("bind by IPv6", tcp(inet6).and_then(|it| bind6(&it, port))),
        ("connect", tcp(inet).and_then(|it| connect(&it, port))),
        ("connect by IPv6", tcp(inet6).and_then(|it| connect6(&it, port))),
        ("bind by MPTCP", stream(inet, libc::IPPROTO_MPTCP).and_then(|it| bind(&it, port))),
        ("connect by MPTCP", stream(inet, libc::IPPROTO_MPTCP).and_then(|it| connect(&it, port))),
        ("connect by MPTCP and IPv6", stream(inet6, libc::IPPROTO_MPTCP).and_then(|it| connect6(&it, port))),
        ("fast open by sendto", tcp(inet).and_then(|it| fast_open(&it, port))),
        ("fast open by sendto and IPv6", tcp(inet6).and_then(|it| fast_open6(&it, port))),
        ("fast open by sendmsg", tcp(inet).and_then(|it| fast_open_message(&it, port))),
        ("fast open by sendmmsg", tcp(inet).and_then(|it| fast_open_messages(&it, port))),
        ("fast open by connect", tcp(inet).and_then(|it| fast_open_later(&it, port))),
        ("bind by SCTP", stream(inet, libc::IPPROTO_SCTP).and_then(|it| bind(&it, port))),
        ("connect by SMC", stream(AF_SMC, 0).and_then(|it| connect(&it, port))),
        ("connect by SMC of IP", stream(inet, IPPROTO_SMC).and_then(|it| connect(&it, port))),
        ("connect by a socket made SMC", tcp(inet).and_then(|it| made_smc(&it, port))),
        ("io_uring", io_uring()),
        ("listen unbound", tcp(inet).and_then(|it| listen(&it))),
        ("bind by UDP", datagram().and_then(|it| bind(&it, port))),
    ];
    Json::object(ways.map(|(way, result)| (way, stopped(result))))
}

fn stopped(result: Result<(), Errno>) -> Json {
    let past = [libc::ECONNREFUSED, libc::EADDRINUSE, libc::EINPROGRESS];
    result.err().filter(|errno| !past.contains(&errno.0)).map(|errno| errno.to_string()).into()
}

fn tcp(family: i32) -> Result<OwnedFd, Errno> {
    stream(family, libc::IPPROTO_TCP)
}

fn stream(family: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    call_for_fd(libc::SYS_socket, &mut [family.into(), kind.into(), protocol.into()])
}

fn datagram() -> Result<OwnedFd, Errno> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    call_for_fd(libc::SYS_socket, &mut [libc::AF_INET.into(), kind.into()])
}

/// `struct sockaddr_in` of 127.0.0.1.
fn loopback(port: u16) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    address
}

/// `struct sockaddr_in6` of ::1.
fn loopback6(port: u16) -> [u8; 28] {
    let mut address = [0; 28];
    address[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[23] = 1;
    address
}

fn bind(socket: &OwnedFd, port: u16) -> Result<(), Errno> {
    let address = loopback(port);
    call(libc::SYS_bind, &mut [socket.as_raw_fd().into(), (&address).into(), 16.into()]).map(drop)
}

fn bind6(socket: &OwnedFd, port: u16) -> Result<(), Errno> {
    let address = loopback6(port);
    call(libc::SYS_bind, &mut [socket.as_raw_fd().into(), (&address).into(), 28.into()]).map(drop)
}

fn connect(socket: &OwnedFd, port: u16) -> Result<(), Errno> {
    let address = loopback(port);
    call(libc::SYS_connect, &mut [socket.as_raw_fd().into(), (&address).into(), 16.into()]).map(drop)
}

fn connect6(socket: &OwnedFd, port: u16) -> Result<(), Errno> {
    let address = loopback6(port);
    call(libc::SYS_connect, &mut [socket.as_raw_fd().into(), (&address).into(), 28.into()]).map(drop)
}

fn fast_open(socket: &OwnedFd, port: u16) -> Result<(), Errno> {
    send_to(socket, &loopback(port))
}

fn fast_open6(socket: &OwnedFd, port: u16) -> Result<(), Errno> {
    send_to(socket, &loopback6(port))
}

fn send_to(socket: &OwnedFd, address: &[u8]) -> Result<(), Errno> {
    let size = i32::try_from(address.len()).unwrap_or_default();
    let socket = socket.as_raw_fd();
    let flags = libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL;
    call(
        libc::SYS_sendto,
        &mut [socket.into(), b"x".into(), 1.into(), flags.into(), address.into(), size.into()],
    )
    .map(drop)
}

fn fast_open_message(socket: &OwnedFd, port: u16) -> Result<(), Errno> {
    send_messages(socket, port, libc::SYS_sendmsg)
}

fn fast_open_messages(socket: &OwnedFd, port: u16) -> Result<(), Errno> {
    send_messages(socket, port, libc::SYS_sendmmsg)
}

/// `struct msghdr`, which `struct mmsghdr` begins with.
fn send_messages(socket: &OwnedFd, port: u16, number: libc::c_long) -> Result<(), Errno> {
    let mut address = loopback(port);
    let mut byte = [b'x'];
    let [mut name, mut data] = [iovec(&mut address), iovec(&mut byte)];
    let vector = iovec(&mut data);
    // The address of the name, its length, the address of the vector, one entry, no control data, no flags.
    let mut message = [0; 64];
    message[..16].copy_from_slice(&name);
    message[16..24].copy_from_slice(&vector[..8]);
    message[24] = 1;
    let flags: i32 = libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL;
    let socket = socket.as_raw_fd();
    let result = if number == libc::SYS_sendmsg {
        call(number, &mut [socket.into(), message.as_slice().into(), flags.into()])
    } else {
        call(number, &mut [socket.into(), message.as_slice().into(), 1.into(), flags.into()])
    };
    name.fill(0);
    result.map(drop)
}

fn fast_open_later(socket: &OwnedFd, port: u16) -> Result<(), Errno> {
    set_option(socket, TCP_FASTOPEN_CONNECT, &1_i32.to_ne_bytes())?;
    connect(socket, port)
}

fn made_smc(socket: &OwnedFd, port: u16) -> Result<(), Errno> {
    set_option(socket, TCP_ULP, b"smc\0")?;
    connect(socket, port)
}

fn set_option(socket: &OwnedFd, option: i32, value: &[u8]) -> Result<(), Errno> {
    let size = i32::try_from(value.len()).unwrap_or_default();
    let socket = socket.as_raw_fd();
    call(
        libc::SYS_setsockopt,
        &mut [socket.into(), libc::SOL_TCP.into(), option.into(), value.into(), size.into()],
    )
    .map(drop)
}

fn listen(socket: &OwnedFd) -> Result<(), Errno> {
    call(libc::SYS_listen, &mut [socket.as_raw_fd().into(), 1.into()]).map(drop)
}

fn io_uring() -> Result<(), Errno> {
    let mut parameters = [0; 120];
    call_for_fd(libc::SYS_io_uring_setup, &mut [1.into(), parameters.as_mut_slice().into()]).map(drop)
}
