//! TCP by port: `dev.sandrun.tcp-bind`, `dev.sandrun.tcp-connect`, and the flags of the same names.
//!
//! Landlock (ABI 4, Linux 6.7) asks at `bind(2)` and `connect(2)` of a TCP socket. Other ways to speak TCP do not pass
//! there, so a filter shuts them: `seccomp-profiles/tcp-ports.json`. UDP is not restricted; nor is `listen(2)` on a
//! socket that was never bound, which gets a port that the kernel chooses.

use std::collections::BTreeSet;

use super::origin::Origin;
use super::rights::{BIND_TCP, CONNECT_TCP};
use super::{Landlock, NetPort};
use crate::error::Error;
use crate::plan::Input;
use crate::plan::seccomp::Filter;

/// The annotation that lists the ports to bind to.
pub const BIND: &str = "dev.sandrun.tcp-bind";
/// The annotation that lists the ports to connect to.
pub const CONNECT: &str = "dev.sandrun.tcp-connect";

/// Each port is a rule that the kernel keeps in memory.
const MOST: usize = 4096;

/// Ports; none for every port there is.
type Ports = Option<BTreeSet<u16>>;

/// The domain of the ports that are asked for. An annotation and a flag count both: a port has to be in each.
pub(super) fn resolve(input: &Input<'_>, abi: u32) -> Result<Option<Landlock>, Vec<Error>> {
    let options = &input.options;
    let wishes = [
        (Origin::annotation(BIND), input.annotation(BIND), BIND_TCP),
        (Origin::flag("--tcp-bind"), options.tcp_bind.as_deref(), BIND_TCP),
        (Origin::annotation(CONNECT), input.annotation(CONNECT), CONNECT_TCP),
        (Origin::flag("--tcp-connect"), options.tcp_connect.as_deref(), CONNECT_TCP),
    ];
    let mut errors = Vec::new();
    let mut limits = Vec::new();
    for (origin, text, right) in wishes {
        match text.map(|text| read(text, &origin)).transpose() {
            Ok(ports) => limits.extend(ports.flatten().map(|ports| (origin, ports, right))),
            Err(error) => errors.push(error),
        }
    }
    let origins: Vec<String> = limits.iter().map(|(origin, ..)| origin.name()).collect();
    let Some((first, ..)) = limits.first() else {
        return if errors.is_empty() { Ok(None) } else { Err(errors) };
    };
    let domain = Landlock {
        origin: origins.join(", "),
        abi,
        handled_access_net: limits.iter().fold(0, |bits, (_, _, right)| bits | right),
        net_port: rules(&limits),
        ..Landlock::default()
    };
    match first.enforceable(domain) {
        Ok(domain) if errors.is_empty() => Ok(Some(domain)),
        Ok(_) => Err(errors),
        Err(error) => Err(errors.into_iter().chain([error]).collect()),
    }
}

fn rules(limits: &[(Origin, BTreeSet<u16>, u64)]) -> Vec<NetPort> {
    let ports: BTreeSet<u16> = limits.iter().flat_map(|(_, ports, _)| ports).copied().collect();
    let allowed = |port: u16, right: u64| {
        let mut of_right = limits.iter().filter(|(_, _, limited)| *limited == right).peekable();
        of_right.peek().is_some() && of_right.all(|(_, ports, _)| ports.contains(&port))
    };
    let rule = |port: u16| NetPort {
        port,
        allowed_access: [BIND_TCP, CONNECT_TCP].into_iter().filter(|right| allowed(port, *right)).sum(),
    };
    ports.into_iter().map(rule).filter(|rule| rule.allowed_access != 0).collect()
}

/// `80,443,8000-8010`; `none`, or nothing, for no port; `any` for no restriction.
fn read(text: &str, origin: &Origin) -> Result<Ports, Error> {
    let fix = "write ports and ranges with commas between them, such as 80,443,8000-8010, or none, or any";
    let mut ports = BTreeSet::new();
    match text.trim() {
        "any" | "0-65535" | "1-65535" => return Ok(None),
        "" | "none" => return Ok(Some(ports)),
        list => {
            for part in list.split(',').map(str::trim) {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let port = |text: &str| text.trim().parse::<u16>();
                match (port(first), port(last)) {
                    (Ok(first), Ok(last)) if first <= last => {
                        if usize::from(last - first) + ports.len() >= MOST {
                            return Err(
                                origin.invalid(format!("more than {MOST} ports"), "list fewer, or any")
                            );
                        }
                        ports.extend(first..=last);
                    }
                    _ => return Err(origin.invalid(format!("{part:?} is no port and no range"), fix)),
                }
            }
        }
    }
    Ok(Some(ports))
}

/// Where a domain restricts TCP by port, a filter shuts the ways to speak it that Landlock does not see. It allows all
/// else, the loading of further filters too, so it can come first.
///
/// # Errors
/// Programs that together are too long for the kernel.
pub fn shut_ways_round(filters: Vec<Filter>, domains: &[Landlock]) -> Result<Vec<Filter>, Vec<Error>> {
    let by_port = domains.iter().any(|domain| domain.handled_access_net & (BIND_TCP | CONNECT_TCP) != 0);
    if !by_port || filters.iter().any(Filter::shuts_ways_round_ports) {
        return Ok(filters);
    }
    let ports = Filter::tcp_ports();
    match filters.iter().any(|filter| filter.listener.is_some()) {
        true => {
            filters.into_iter().map(|filter| filter.joined(&ports).map_err(|error| vec![error])).collect()
        }
        false => Ok(std::iter::once(ports).chain(filters).collect()),
    }
}
