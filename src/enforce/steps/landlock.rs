//! The Landlock domains.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use super::verify::differs;
use crate::enforce::init::Init;
use crate::enforce::receipt::State;
use crate::enforce::root::{Root, host, is_dir};
use crate::error::{Cause, Context, Error, Kind, Result};
use crate::plan::Workload;
use crate::plan::landlock::{Landlock, rights};
use crate::sys::Syscall;
use crate::sys::mount::new_filesystem;

/// Rights that apply to a file; the others are of directories.
const FILE_RIGHTS: u64 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15 | 1 << 16;

/// Makes a directory that is in no tree of the container, to try the domains on; it takes root of the mount
/// namespace, and is gone before the program runs.
pub fn prepare(workload: &Workload, init: &mut Init) -> Result<()> {
    if workload.landlock.iter().any(|domain| domain.handled_access_fs != 0) {
        let outside = new_filesystem("tmpfs", None, &[], 0);
        init.outside = Some(outside.context(|| "cannot make a directory to try Landlock on".to_owned())?);
    }
    Ok(())
}

/// Enters the domains; what is not beneath the rules of each is out of reach from here on.
pub fn restrict(workload: &Workload, init: &mut Init) -> Result<()> {
    for domain in &workload.landlock {
        init.without_landlock_rule.extend(enter(domain)?);
    }
    Ok(())
}

/// Enters a domain. The result is the paths that are not there and need not be.
///
/// The plan was made for this kernel's ABI: a right that the kernel does not know is an error, not less.
///
/// # Errors
/// A path that is not there, and whatever the kernel says.
pub fn enter(domain: &Landlock) -> Result<Vec<String>> {
    let what = || format!("cannot restrict the process by Landlock ({})", domain.origin);
    let (status, missing) = confine(domain).context(what)?;
    if status == RulesetStatus::FullyEnforced {
        return Ok(missing);
    }
    Err(Error::new(Kind::Unsupported, what(), "the kernel enforces only a part of the rules"))
}

fn confine(domain: &Landlock) -> Result<(RulesetStatus, Vec<String>), Cause> {
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if domain.handled_access_fs != 0 {
        ruleset = ruleset.handle_access(fs_rights(domain.handled_access_fs))?;
    }
    if domain.handled_access_net != 0 {
        ruleset = ruleset.handle_access(net_rights(domain.handled_access_net))?;
    }
    if domain.scoped != 0 {
        ruleset = ruleset.scope(BitFlags::<Scope>::from_bits_truncate(domain.scoped))?;
    }
    let mut ruleset = ruleset.create()?;
    let mut missing = Vec::new();
    // The workload of an exec has had time to put links in the way; none may lead out by way of /proc.
    let root = Root::new(host(Path::new("/"), false)?);
    let mut grant = |path: OwnedFd, allowed: u64| -> Result<(), Cause> {
        let mask = if is_dir(&path) { u64::MAX } else { FILE_RIGHTS };
        let access = fs_rights(allowed & mask);
        if !access.is_empty() {
            (&mut ruleset).add_rule(PathBeneath::new(path, access))?;
        }
        Ok(())
    };
    for rule in &domain.path_beneath {
        match root.open(&rule.path, OFlags::PATH) {
            Err(error) if rule.optional && error.errno == Errno::NOENT => missing.push(rule.path.clone()),
            opened => grant(opened?, rule.allowed_access)?,
        }
    }
    if let Some(rule) = &domain.top_level {
        let found =
            root.top_level(&rule.neither).map_err(|error| Cause { kind: error.kind, why: error.why })?;
        for entry in found {
            let program = !is_dir(&entry.fd) || rule.programs.contains(&entry.path);
            grant(entry.fd, if program { rule.execute } else { rule.write })?;
        }
    }
    for rule in &domain.net_port {
        ruleset = ruleset.add_rule(NetPort::new(rule.port, net_rights(rule.allowed_access)))?;
    }
    // That is a step of its own, which not every plan has.
    Ok((ruleset.no_new_privs(false).restrict_self()?.ruleset, missing))
}

fn fs_rights(bits: u64) -> BitFlags<AccessFs> {
    BitFlags::from_bits_truncate(bits)
}

fn net_rights(bits: u64) -> BitFlags<AccessNet> {
    BitFlags::from_bits_truncate(bits)
}

impl From<RulesetError> for Cause {
    fn from(source: RulesetError) -> Self {
        Cause { kind: Kind::Failed, why: source.to_string() }
    }
}

/// The kernel has no call that reads a domain, so it is tried: what no rule grants must be out of reach.
pub fn read_back(workload: &Workload, init: &mut Init) -> Result<()> {
    let domains = &workload.landlock;
    let Some(first) = domains.first() else { return Ok(()) };
    let mut tried = Vec::new();
    if let Some(outside) = init.outside.take() {
        tried.extend(try_outside(domains, &outside)?);
    }
    tried.extend(try_port(domains, rights::BIND_TCP, "bind to")?);
    tried.extend(try_port(domains, rights::CONNECT_TCP, "connect to")?);
    let count = |number: usize, one: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    };
    let rules = domains.iter().map(|domain| domain.path_beneath.len() + domain.net_port.len()).sum();
    let mut detail =
        format!("ABI {}, {}, {}", first.abi, count(domains.len(), "domain"), count(rules, "rule"));
    if !tried.is_empty() {
        detail += &format!(", tried on {}", tried.join(", "));
    }
    if !init.without_landlock_rule.is_empty() {
        detail += &format!("; not there, so nothing granted: {}", init.without_landlock_rule.join(", "));
    }
    init.receipt.add("landlock", State::Enforced, detail);
    Ok(())
}

fn try_outside(domains: &[Landlock], outside: &OwnedFd) -> Result<Option<String>> {
    let handled = |right| domains.iter().any(|domain| domain.handled_access_fs & right != 0);
    let tried = if handled(rights::READ_DIR) {
        openat(outside, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(drop)
    } else if handled(rights::MAKE_DIR) {
        mkdirat(outside, "tried", Mode::empty())
    } else {
        return Ok(None);
    };
    refused(tried)?;
    Ok(Some("a directory outside".to_owned()))
}

/// Where a port of TCP may not be used, the kernel says so before it looks at anything else.
fn try_port(domains: &[Landlock], right: u64, verb: &str) -> Result<Option<String>> {
    let denies = |domain: &Landlock, port| {
        let allowed =
            |right| domain.net_port.iter().any(|rule| rule.port == port && rule.allowed_access & right != 0);
        domain.handled_access_net & right != 0 && !allowed(right)
    };
    if !domains.iter().any(|domain| domain.handled_access_net & right != 0) {
        return Ok(None);
    }
    // From above: the lowest ports are refused to whoever lacks a capability.
    let Some(port) = (1..=u16::MAX).rev().find(|port| domains.iter().any(|domain| denies(domain, *port)))
    else {
        return Ok(None);
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
        .call(|| "socket(AF_INET)".to_owned())
        .context(|| "cannot make a socket to try Landlock on".to_owned())?;
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let tried = if right == rights::BIND_TCP { bind(&socket, &address) } else { connect(&socket, &address) };
    refused(tried)?;
    Ok(Some(format!("{verb} TCP port {port}")))
}

fn refused(tried: Result<(), Errno>) -> Result<()> {
    match tried {
        Err(Errno::ACCESS) => Ok(()),
        other => Err(differs("Landlock", Errno::ACCESS, other)),
    }
}

#[cfg(test)]
mod tests;
