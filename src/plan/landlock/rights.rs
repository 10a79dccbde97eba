//! The rights of Landlock, by name, bit and ABI (`linux/landlock.h`). Names are those of LandlockConfig.

use serde::Deserialize;

use super::Landlock;

/// The newest ABI whose rights are known; a newer kernel is asked for no more than these.
pub const NEWEST_ABI: u32 = 10;

pub(in crate::plan) const EXECUTE: u64 = 1 << 0;
pub(in crate::plan) const WRITE_FILE: u64 = 1 << 1;
pub(super) const READ_FILE: u64 = 1 << 2;
/// To list a directory.
pub const READ_DIR: u64 = 1 << 3;
pub(super) const MAKE_CHAR: u64 = 1 << 6;
/// To make a directory.
pub const MAKE_DIR: u64 = 1 << 7;
pub(super) const MAKE_BLOCK: u64 = 1 << 11;
/// To move or link a file to another directory.
pub(super) const REFER: u64 = 1 << 13;
pub(super) const IOCTL_DEV: u64 = 1 << 15;
pub(in crate::plan) const RESOLVE_UNIX: u64 = 1 << 16;
/// To bind to a port of TCP.
pub const BIND_TCP: u64 = 1 << 0;
/// To connect to a port of TCP.
pub const CONNECT_TCP: u64 = 1 << 1;
pub(super) const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1 << 0;
pub(super) const SCOPE_SIGNAL: u64 = 1 << 1;

/// What a right is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Files beneath a path.
    Fs,
    /// Ports.
    Net,
    /// Others outside the domain.
    Scope,
}

/// Rights in the order of their bits, each with the ABI that has it first.
type Table = &'static [(&'static str, u32)];

const FS: Table = &[
    ("execute", 1),
    ("write_file", 1),
    ("read_file", 1),
    ("read_dir", 1),
    ("remove_dir", 1),
    ("remove_file", 1),
    ("make_char", 1),
    ("make_dir", 1),
    ("make_reg", 1),
    ("make_sock", 1),
    ("make_fifo", 1),
    ("make_block", 1),
    ("make_sym", 1),
    ("refer", 2),
    ("truncate", 3),
    ("ioctl_dev", 5),
    ("resolve_unix", 9),
];
const NET: Table = &[("bind_tcp", 4), ("connect_tcp", 4), ("bind_udp", 10), ("connect_send_udp", 10)];
const SCOPE: Table = &[("abstract_unix_socket", 6), ("signal", 6)];

/// The first kernel of each ABI, from 1 on.
const KERNELS: [&str; NEWEST_ABI as usize] =
    ["5.13", "5.19", "6.2", "6.7", "6.10", "6.12", "6.15", "7.0", "7.1", "7.2"];

/// A right in JSON: its name, or the bits of `linux/landlock.h` as a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Word {
    /// `read_file`, `LANDLOCK_ACCESS_FS_READ_FILE`, or a group such as `abi.read_execute`.
    Name(String),
    /// One bit or several.
    Number(u64),
}

impl Kind {
    fn table(self) -> Table {
        match self {
            Kind::Fs => FS,
            Kind::Net => NET,
            Kind::Scope => SCOPE,
        }
    }

    /// How the kernel's constants begin.
    fn prefix(self) -> &'static str {
        match self {
            Kind::Fs => "LANDLOCK_ACCESS_FS_",
            Kind::Net => "LANDLOCK_ACCESS_NET_",
            Kind::Scope => "LANDLOCK_SCOPE_",
        }
    }
}

/// The first kernel that has an ABI.
pub fn first_kernel(abi: u32) -> &'static str {
    let index = (abi.max(1) - 1) as usize;
    KERNELS.get(index).copied().unwrap_or("newer than this version knows")
}

/// Every right of a kind that an ABI has.
pub fn all(kind: Kind, abi: u32) -> u64 {
    let known = kind.table().iter().enumerate().filter(|(_, (_, since))| *since <= abi);
    known.fold(0, |bits, (bit, _)| bits | 1 << bit)
}

/// The names of bits, in their order.
pub fn names(kind: Kind, bits: u64) -> Vec<&'static str> {
    let table = kind.table().iter().enumerate();
    table.filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, (name, _))| *name).collect()
}

/// The bits that a word stands for. `abi` is what the groups `abi.*` are of.
///
/// # Errors
/// Why it stands for nothing.
pub fn read(kind: Kind, word: &Word, abi: Option<u32>) -> Result<u64, String> {
    match word {
        Word::Number(bits) if bits & !all(kind, NEWEST_ABI) == 0 && *bits != 0 => Ok(*bits),
        Word::Number(bits) => Err(format!("{bits} has bits that are no right of Landlock ABI {NEWEST_ABI}")),
        Word::Name(name) => match name.strip_prefix("abi.") {
            Some(group) => {
                let abi =
                    abi.ok_or_else(|| format!("{name:?} without \"abi\": no version says what it is"))?;
                group_bits(kind, group, abi).ok_or_else(|| format!("there is no group {name:?}"))
            }
            None => {
                let plain = name.strip_prefix(kind.prefix()).map(str::to_ascii_lowercase);
                let plain = plain.as_deref().unwrap_or(name);
                let bit = kind.table().iter().position(|(known, _)| *known == plain);
                bit.map(|bit| 1 << bit).ok_or_else(|| {
                    let known = names(kind, u64::MAX).join(", ");
                    format!("there is no right {name:?}; those that are known: {known}")
                })
            }
        },
    }
}

/// LandlockConfig's groups; moving between directories is part of each.
fn group_bits(kind: Kind, group: &str, abi: u32) -> Option<u64> {
    let all = all(kind, abi);
    match (kind, group) {
        (_, "all") => Some(all),
        (Kind::Fs, "read_execute") => Some(all & (EXECUTE | READ_FILE | READ_DIR | REFER)),
        (Kind::Fs, "read_write") => Some(all & !EXECUTE),
        _ => None,
    }
}

/// What of a domain its ABI does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct Unenforceable {
    /// The ABI that is there, 0 for none.
    pub abi: u32,
    /// The rights, by name.
    pub names: String,
    /// The ABI that would be needed.
    pub needed: u32,
}

/// The part of a domain that its ABI cannot enforce.
pub fn unenforceable(domain: &Landlock) -> Option<Unenforceable> {
    let wanted = [
        (Kind::Fs, domain.handled_access_fs),
        (Kind::Net, domain.handled_access_net),
        (Kind::Scope, domain.scoped),
    ];
    let mut lacking = Vec::new();
    let mut needed = 0;
    for (kind, bits) in wanted {
        let missing = bits & !all(kind, domain.abi);
        lacking.extend(names(kind, missing));
        let since = kind.table().iter().enumerate().filter(|(bit, _)| missing >> bit & 1 == 1);
        needed = since.map(|(_, (_, since))| *since).fold(needed, u32::max);
    }
    (!lacking.is_empty()).then(|| Unenforceable { abi: domain.abi, names: lacking.join(", "), needed })
}

/// Leaves out what the ABI does not have.
pub fn only_enforceable(domain: &mut Landlock) {
    domain.handled_access_fs &= all(Kind::Fs, domain.abi);
    domain.handled_access_net &= all(Kind::Net, domain.abi);
    domain.scoped &= all(Kind::Scope, domain.abi);
    let (fs, net) = (domain.handled_access_fs, domain.handled_access_net);
    domain.path_beneath.iter_mut().for_each(|rule| rule.allowed_access &= fs);
    domain.net_port.iter_mut().for_each(|rule| rule.allowed_access &= net);
    domain.path_beneath.retain(|rule| rule.allowed_access != 0);
    domain.net_port.retain(|rule| rule.allowed_access != 0);
}
