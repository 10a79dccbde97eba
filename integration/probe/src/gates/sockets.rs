//! Address families, protocols and options beyond ordinary networking.

use std::os::fd::{AsRawFd, OwnedFd};

use super::gate::{Call, Gate};
use crate::errno::Errno;
use crate::sys::{call, call_for_fd};

pub const GATES: &[Gate] = &[
    Gate::plain(
        "af-packet",
        "every frame on the network",
        socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0).needing("CAP_NET_RAW"),
    ),
    Gate::plain(
        "raw-icmp",
        "forged packets",
        socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP).needing("CAP_NET_RAW"),
    ),
    Gate::plain(
        "af-alg",
        "the kernel's cryptography (CVE-2026-31431)",
        socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    ),
    Gate::plain("af-vsock", "the hypervisor", socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
    Gate::plain(
        "af-tipc",
        "a cluster protocol (CVE-2021-43267)",
        socket(libc::AF_TIPC, libc::SOCK_STREAM, 0),
    ),
    Gate::plain(
        "af-rxrpc",
        "a remote procedure protocol (CVE-2026-43500)",
        socket(AF_RXRPC, libc::SOCK_DGRAM, libc::PF_INET),
    ),
    Gate::plain("af-can", "a vehicle's bus", socket(libc::AF_CAN, libc::SOCK_RAW, CAN_RAW)),
    Gate::plain(
        "af-xdp",
        "the network driver's rings",
        socket(libc::AF_XDP, libc::SOCK_RAW, 0).needing("CAP_NET_RAW"),
    ),
    Gate::plain(
        "mptcp",
        "TCP past Landlock's port rules",
        socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
    ),
    Gate::plain(
        "sctp",
        "a transport protocol past Landlock's port rules",
        socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
    ),
    Gate::plain("netlink-netfilter", "the packet filter", netlink(libc::NETLINK_NETFILTER)),
    Gate::plain("netlink-xfrm", "IPsec", netlink(libc::NETLINK_XFRM)),
    Gate::plain("netlink-audit", "the audit log", netlink(libc::NETLINK_AUDIT)),
    Gate::plain("netlink-sock-diag", "a list of sockets", netlink(libc::NETLINK_SOCK_DIAG)),
    Gate::plain("netlink-uevent", "the host's hardware events", netlink(libc::NETLINK_KOBJECT_UEVENT)),
    Gate::plain("netlink-generic", "every other kernel subsystem", netlink(libc::NETLINK_GENERIC)),
    Gate::new("iptables-replace", "the packet filter's tables (CVE-2021-22555)", || {
        on_socket(libc::SOCK_STREAM, libc::IPPROTO_IP, IPT_SO_SET_REPLACE, &[0; 8])
    })
    .by(option(libc::IPPROTO_IP, IPT_SO_SET_REPLACE).needing("CAP_NET_ADMIN"))
    .past(&[libc::EINVAL]),
    Gate::new("multicast-join", "packets of groups it was not sent (CVE-2023-6932)", || {
        on_socket(libc::SOCK_DGRAM, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &ALL_HOSTS_ON_LOOPBACK)
    })
    .by(option(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP)),
    Gate::new("udp-encap", "IPsec inside UDP (CVE-2026-43284)", || {
        on_socket(libc::SOCK_DGRAM, libc::IPPROTO_UDP, UDP_ENCAP, &UDP_ENCAP_ESPINUDP.to_ne_bytes())
    })
    .by(option(libc::IPPROTO_UDP, UDP_ENCAP)),
    Gate::new("tcp-ulp-tls", "kernel TLS (9 exploited bugs in 3 years)", || upper_layer(b"tls\0"))
        .by(option(libc::IPPROTO_TCP, libc::TCP_ULP))
        .past(NO_SUCH_LAYER),
    Gate::new("tcp-ulp-espintcp", "IPsec inside TCP (CVE-2026-46300)", || upper_layer(b"espintcp\0"))
        .by(option(libc::IPPROTO_TCP, libc::TCP_ULP))
        .past(NO_SUCH_LAYER),
    Gate::new("unix-oob", "out-of-band bytes on local sockets (CVE-2025-38236)", unix_oob)
        .by(Call::new(libc::SYS_sendto, &[0, 0, 1, libc::MSG_OOB as i64])),
];

const AF_RXRPC: i32 = 33;
const CAN_RAW: i32 = 1;
const IPT_SO_SET_REPLACE: i32 = 64;
const UDP_ENCAP: i32 = 100;
const UDP_ENCAP_ESPINUDP: i32 = 2;
/// `struct ip_mreq`: 224.0.0.251 on 127.0.0.1.
const ALL_HOSTS_ON_LOOPBACK: [u8; 8] = [224, 0, 0, 251, 127, 0, 0, 1];
/// The kernel has looked for the layer, or has it and wants a connection first.
const NO_SUCH_LAYER: &[i32] = &[libc::ENOENT, libc::ENOTCONN];

const fn socket(family: i32, kind: i32, protocol: i32) -> Call {
    Call::new(libc::SYS_socket, &[family as i64, (kind | libc::SOCK_CLOEXEC) as i64, protocol as i64])
}

const fn netlink(protocol: i32) -> Call {
    socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol)
}

const fn option(level: i32, name: i32) -> Call {
    Call::new(libc::SYS_setsockopt, &[0, level as i64, name as i64])
}

fn open(kind: i32) -> Result<OwnedFd, Errno> {
    call_for_fd(libc::SYS_socket, &mut [libc::AF_INET.into(), (kind | libc::SOCK_CLOEXEC).into()])
}

fn on_socket(kind: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let (socket, length) = (open(kind)?, value.len() as i64);
    let mut arguments = [socket.as_raw_fd().into(), level.into(), name.into(), value.into(), length.into()];
    call(libc::SYS_setsockopt, &mut arguments).map(drop)
}

fn upper_layer(name: &[u8]) -> Result<(), Errno> {
    on_socket(libc::SOCK_STREAM, libc::IPPROTO_TCP, libc::TCP_ULP, name)
}

fn unix_oob() -> Result<(), Errno> {
    let (one, other) = std::os::unix::net::UnixStream::pair().map_err(|error| Errno::of(&error))?;
    let mut arguments = [one.as_raw_fd().into(), b"x".into(), 1.into(), libc::MSG_OOB.into()];
    call(libc::SYS_sendto, &mut arguments)?;
    drop(other);
    Ok(())
}
