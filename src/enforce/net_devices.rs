//! Moves network devices of the host into the container's network namespace, from outside (OCI config-linux,
//! "Network Devices").
//!
//! Their addresses do not survive a move, so they are read before and given again after it; routes to their networks
//! come with them. Nothing is moved back: with the namespace the kernel returns physical devices to the host, under
//! the name that they had inside, and removes virtual ones.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::netlink::{
    Answer, CREATE_OR_REPLACE, DUMP, RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK, Request, Socket,
};
use super::receipt::{Receipt, State};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::net_devices::NetDevice;
use crate::sys::{CallError, Syscall};

/// The length of `struct ifinfomsg` and of `struct ifaddrmsg`.
const LINK: usize = 16;
const ADDRESS: usize = 8;

/// Attributes of a link.
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;

/// Attributes of an address that mean the same elsewhere: the address, the own one of a pair, broadcast, the metric of
/// its route, who made it.
const IFA_KEPT: [u16; 5] = [1, 2, 4, 9, 11];
const IFA_FLAGS: u16 = 8;

/// Made by an administrator, not by the kernel or a router's advertisement.
const IFA_F_PERMANENT: u32 = 0x80;
/// Flags that say how to treat an address, not how it fares: NODAD, HOMEADDRESS, MANAGETEMPADDR, NOPREFIXROUTE,
/// MCAUTOJOIN.
const IFA_F_KEPT: u32 = 0x02 | 0x10 | 0x100 | 0x200 | 0x400;
const RT_SCOPE_UNIVERSE: u8 = 0;

/// Moves the devices into the namespace of a process, and says what became of each.
///
/// # Errors
/// What went wrong with which one; those that were moved before stay where they are.
pub fn move_in(devices: &[NetDevice], pid: i32) -> Result<Vec<String>> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    let what = || "cannot reach the container's network namespace".to_owned();
    let (own, theirs) = (File::open("/proc/thread-self/ns/net"), File::open(format!("/proc/{pid}/ns/net")));
    let (own, theirs) = (own.context(what)?, theirs.context(what)?);
    let mut here = Socket::open().context(what)?;
    let mut there = socket_in(&theirs, &own)?;
    let mut move_one = |device| {
        move_device(device, &theirs, &mut here, &mut there).map_err(|error: Error| error.at(&device.at))
    };
    devices.iter().map(&mut move_one).collect()
}

/// Notes what was moved.
pub fn note(moved: &[String], receipt: &mut Receipt) {
    if !moved.is_empty() {
        receipt.add("netDevices", State::Enforced, moved.join("; "));
    }
}

/// A socket belongs for ever to the namespace in which it was made.
fn socket_in(theirs: &File, own: &File) -> Result<Socket> {
    let enter = |namespace: &File| {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .call(|| "setns(CLONE_NEWNET)".to_owned())
            .context(|| "cannot enter the container's network namespace".to_owned())
    };
    enter(theirs)?;
    let socket = Socket::open();
    enter(own)?;
    socket.context(|| "cannot reach the container's network namespace".to_owned())
}

fn move_device(device: &NetDevice, theirs: &File, here: &mut Socket, there: &mut Socket) -> Result<String> {
    let NetDevice { outside, inside, .. } = device;
    let what = || format!("cannot move the network device {outside}");
    let index = index_of(here, outside).context(what)?.ok_or_else(|| {
        Error::new(Kind::NotFound, what(), "the caller's network namespace has none of that name")
    })?;
    let addresses = lasting_addresses(here, index).context(what)?;
    let before = indices(there).context(what)?;
    if !inside.contains('%') && index_of(there, inside).context(what)?.is_some() {
        let why = format!("the container's network namespace has a device {inside} already");
        return Err(
            Error::new(Kind::Exists, what(), why).fix("give it another name inside, or a pattern: net%d")
        );
    }
    let request = Request::link(RTM_NEWLINK, 0, index, false)
        .with(IFLA_IFNAME, &with_nul(inside))
        .with(IFLA_NET_NS_FD, &theirs.as_raw_fd().to_ne_bytes());
    here.ask(&request, || format!("RTM_NEWLINK({outside} to {inside}, IFLA_NET_NS_FD)"))
        .map_err(|error| explain(error, what()))?;
    // Its number there may be another one.
    let arrived = indices(there).context(what)?.into_iter().find(|index| !before.contains(index));
    let arrived = arrived.ok_or("it did not arrive").context(what)?;
    for address in &addresses {
        there
            .ask(&again(address, arrived), || format!("RTM_NEWADDR({inside})"))
            .context(|| format!("cannot give {inside} an address of {outside} again"))?;
    }
    there
        .ask(&Request::link(RTM_NEWLINK, 0, arrived, true), || format!("RTM_NEWLINK({inside}, IFF_UP)"))
        .context(|| format!("cannot bring the network device {inside} up"))?;
    let name = confirm(there, arrived).context(what)?;
    Ok(format!("{outside} as {name}, up, {} addresses", addresses.len()))
}

fn with_nul(name: &str) -> Vec<u8> {
    name.bytes().chain([0]).collect()
}

fn links(socket: &mut Socket) -> Result<Vec<Answer>, CallError> {
    socket.ask(&Request::link(RTM_GETLINK, DUMP, 0, false), || "RTM_GETLINK(all)".to_owned())
}

fn indices(socket: &mut Socket) -> Result<Vec<u32>, CallError> {
    Ok(links(socket)?.iter().filter_map(|link| link.u32_at(4)).collect())
}

fn index_of(socket: &mut Socket, name: &str) -> Result<Option<u32>, CallError> {
    let request = Request::link(RTM_GETLINK, 0, 0, false).with(IFLA_IFNAME, &with_nul(name));
    match socket.ask(&request, || format!("RTM_GETLINK({name})")) {
        Err(error) if error.errno == Errno::NODEV => Ok(None),
        links => Ok(links?.first().and_then(|link| link.u32_at(4))),
    }
}

/// Permanent addresses of global scope: others are the host's, or will be made again by whoever made them.
fn lasting_addresses(socket: &mut Socket, index: u32) -> Result<Vec<Answer>, CallError> {
    let request = Request::new(RTM_GETADDR, DUMP, &[0; ADDRESS]);
    let mut addresses = socket.ask(&request, || "RTM_GETADDR(all)".to_owned())?;
    addresses.retain(|address| {
        let scope = address.fixed(ADDRESS).and_then(|fixed| fixed.get(3)).copied();
        address.u32_at(4) == Some(index)
            && scope == Some(RT_SCOPE_UNIVERSE)
            && flags(address) & IFA_F_PERMANENT != 0
    });
    Ok(addresses)
}

/// The attribute has more of them than the header has room for.
fn flags(address: &Answer) -> u32 {
    let attributes = address.attributes(ADDRESS);
    let attribute = attributes.iter().find(|(kind, _)| *kind == IFA_FLAGS);
    let header = address.fixed(ADDRESS).and_then(|fixed| fixed.get(2)).copied().unwrap_or(0);
    attribute
        .and_then(|(_, value)| value.first_chunk().copied())
        .map_or(u32::from(header), u32::from_ne_bytes)
}

/// The same address for the device with this number. Its label would have the old name in it.
fn again(address: &Answer, index: u32) -> Request {
    let mut fixed = address.fixed(4).unwrap_or_default().to_vec();
    fixed.extend(index.to_ne_bytes());
    let kept = address.attributes(ADDRESS).into_iter().filter(|(kind, _)| IFA_KEPT.contains(kind));
    let request = Request::new(RTM_NEWADDR, CREATE_OR_REPLACE, &fixed)
        .with(IFA_FLAGS, &(flags(address) & IFA_F_KEPT).to_ne_bytes());
    kept.fold(request, |request, (kind, value)| request.with(kind, value))
}

/// The name of a device that is up.
fn confirm(socket: &mut Socket, index: u32) -> Result<String, String> {
    const IFF_UP: u32 = 1;
    let found = links(socket).map_err(|error| error.to_string())?;
    let link = found.iter().find(|link| link.u32_at(4) == Some(index)).ok_or("it is gone")?;
    if link.u32_at(8).is_none_or(|flags| flags & IFF_UP == 0) {
        return Err("the kernel says that it is not up".to_owned());
    }
    let attributes = link.attributes(LINK);
    let name = attributes.iter().find(|(kind, _)| *kind == IFLA_IFNAME).map_or(b"".as_slice(), |(_, it)| it);
    Ok(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
}

fn explain(error: CallError, what: String) -> Error {
    let fix = match error.errno {
        Errno::INVAL => Some("a device such as lo or a bridge belongs to its namespace: name another one"),
        Errno::PERM => Some("it needs CAP_NET_ADMIN in both network namespaces"),
        Errno::EXIST => Some("give it another name inside"),
        _ => None,
    };
    let error = Error::new(Kind::Failed, what, error.to_string());
    match fix {
        Some(fix) => error.fix(fix),
        None => error,
    }
}
