//! Address families, protocols and options beyond ordinary networking. An error other than EPERM may also mean
//! that this kernel lacks the protocol.

use std::os::fd::{AsRawFd, OwnedFd};

use super::Gate;
use crate::errno::Errno;
use crate::sys::{call, call_for_fd};

const IPPROTO_MPTCP: i32 = 262;

pub const GATES: &[Gate] = &[
    Gate {
        name: "af-packet",
        gives: "every frame on the network",
        past_the_door: &[],
        attempt: || socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0),
    },
    Gate {
        name: "raw-icmp",
        gives: "forged packets",
        past_the_door: &[],
        attempt: || socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
    },
    Gate {
        name: "af-alg",
        gives: "the kernel's cryptography (CVE-2026-31431)",
        past_the_door: &[],
        attempt: || socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    },
    Gate {
        name: "af-vsock",
        gives: "the hypervisor",
        past_the_door: &[],
        attempt: || socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    },
    Gate {
        name: "af-tipc",
        gives: "a cluster protocol (CVE-2021-43267)",
        past_the_door: &[],
        attempt: || socket(libc::AF_TIPC, libc::SOCK_STREAM, 0),
    },
    Gate {
        name: "af-rxrpc",
        gives: "a remote procedure protocol (CVE-2026-43500)",
        past_the_door: &[],
        attempt: || socket(33, libc::SOCK_DGRAM, libc::PF_INET),
    },
    Gate {
        name: "af-xdp",
        gives: "the network driver's rings",
        past_the_door: &[],
        attempt: || socket(libc::AF_XDP, libc::SOCK_RAW, 0),
    },
    Gate {
        name: "mptcp",
        gives: "TCP past Landlock's port rules",
        past_the_door: &[],
        attempt: || socket(libc::AF_INET, libc::SOCK_STREAM, IPPROTO_MPTCP),
    },
    Gate {
        name: "netlink-netfilter",
        gives: "the packet filter",
        past_the_door: &[],
        attempt: || netlink(libc::NETLINK_NETFILTER),
    },
    Gate {
        name: "netlink-xfrm",
        gives: "IPsec",
        past_the_door: &[],
        attempt: || netlink(libc::NETLINK_XFRM),
    },
    Gate {
        name: "netlink-audit",
        gives: "the audit log",
        past_the_door: &[],
        attempt: || netlink(libc::NETLINK_AUDIT),
    },
    Gate {
        name: "netlink-sock-diag",
        gives: "a list of sockets",
        past_the_door: &[],
        attempt: || netlink(libc::NETLINK_SOCK_DIAG),
    },
    Gate {
        name: "netlink-uevent",
        gives: "the host's hardware events",
        past_the_door: &[],
        attempt: || netlink(libc::NETLINK_KOBJECT_UEVENT),
    },
    Gate {
        name: "netlink-generic",
        gives: "every other kernel subsystem",
        past_the_door: &[],
        attempt: || netlink(libc::NETLINK_GENERIC),
    },
    Gate {
        name: "udp-encap",
        gives: "IPsec inside UDP (CVE-2026-43284)",
        past_the_door: &[],
        attempt: udp_encap,
    },
    Gate {
        name: "tcp-ulp",
        gives: "kernel TLS and other layers above TCP",
        past_the_door: &[libc::ENOENT, libc::ENOTCONN],
        attempt: tcp_ulp,
    },
    Gate {
        name: "unix-oob",
        gives: "out-of-band bytes on local sockets",
        past_the_door: &[],
        attempt: unix_oob,
    },
];

fn socket(family: i32, kind: i32, protocol: i32) -> Result<(), Errno> {
    open(family, kind, protocol).map(drop)
}

fn open(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    call_for_fd(libc::SYS_socket, &mut [family.into(), (kind | libc::SOCK_CLOEXEC).into(), protocol.into()])
}

fn netlink(protocol: i32) -> Result<(), Errno> {
    socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol)
}

fn set_option(socket: &OwnedFd, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let length = value.len() as i64;
    let mut arguments = [socket.as_raw_fd().into(), level.into(), name.into(), value.into(), length.into()];
    call(libc::SYS_setsockopt, &mut arguments).map(drop)
}

fn udp_encap() -> Result<(), Errno> {
    const UDP_ENCAP: i32 = 100;
    const UDP_ENCAP_ESPINUDP: i32 = 2;
    let socket = open(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    set_option(&socket, libc::IPPROTO_UDP, UDP_ENCAP, &UDP_ENCAP_ESPINUDP.to_ne_bytes())
}

fn tcp_ulp() -> Result<(), Errno> {
    let socket = open(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls\0")
}

fn unix_oob() -> Result<(), Errno> {
    let (one, other) = std::os::unix::net::UnixStream::pair().map_err(|error| Errno::of(&error))?;
    let mut arguments = [one.as_raw_fd().into(), b"x".into(), 1.into(), libc::MSG_OOB.into()];
    call(libc::SYS_sendto, &mut arguments)?;
    drop(other);
    Ok(())
}
