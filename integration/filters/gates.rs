//! By which system calls known exploits enter the kernel. A gate is judged by the filters alone: the kernel that runs the
//! tests need not have the module behind it.

use sandrun::plan::seccomp::names::Abi;

use super::ABIS;
use super::program::{Call, Filters, lets_through};

/// A call and its first arguments; the others are 0.
type Attempt = (&'static str, &'static [u64]);

/// What an exploit does first. It needs every step, and any one attempt of a step will do.
pub struct Gate {
    pub name: &'static str,
    /// How many of the exploited bugs are behind it.
    pub cves: usize,
    steps: &'static [&'static [Attempt]],
}

const fn gate(name: &'static str, cves: usize, steps: &'static [&'static [Attempt]]) -> Gate {
    Gate { name, cves, steps }
}

const NEWUSER: u64 = 0x1000_0000;
const USER_NAMESPACE: &[Attempt] = &[
    ("unshare", &[NEWUSER]),
    ("unshare", &[NEWUSER | 0x4000_0000]),
    ("clone", &[NEWUSER | 17]),
    ("clone3", &[]),
    ("setns", &[3, NEWUSER]),
];
const KERNEL_TLS: &[Attempt] = &[("setsockopt", &[3, 6, 31])];
const AF_ALG: &[Attempt] = &[("socket", &[38, 5, 0]), ("socket", &[38, 0x80005, 0])];
const AF_VSOCK: &[Attempt] = &[("socket", &[40, 1, 0]), ("socket", &[40, 2, 0]), ("socket", &[40, 5, 0])];
const URGENT: &[Attempt] = &[("sendto", &[3, 0, 0, 1]), ("sendmsg", &[3, 0, 1]), ("sendmmsg", &[3, 0, 0, 1])];
const JOIN: &[Attempt] =
    &[("setsockopt", &[3, 0, 35]), ("setsockopt", &[3, 0, 39]), ("setsockopt", &[3, 0, 42])];
const RAW: &[Attempt] = &[("socket", &[2, 3, 2]), ("socket", &[2, 3, 255]), ("socket", &[17, 3, 0x300])];
const XFRM: &[Attempt] = &[("socket", &[16, 3, 6]), ("socket", &[16, 2, 6])];

/// The 78 bugs with a public exploit in Google's kernelCTF, 2023 to 2025
/// (github.com/google/security-research, `pocs/linux/kernelctf`).
pub const KERNELCTF: &[Gate] = &[
    gate("user namespace, then its capabilities (nf_tables 26, net/sched 18, …)", 50, &[USER_NAMESPACE]),
    gate("kernel TLS", 9, &[KERNEL_TLS]),
    gate("`bpf`", 6, &[&[("bpf", &[]), ("bpf", &[5])]]),
    gate("io_uring", 5, &[&[("io_uring_setup", &[8])]]),
    gate("`perf_event_open`", 2, &[&[("perf_event_open", &[])]]),
    gate("AF_ALG", 2, &[AF_ALG]),
    gate("AF_UNIX, MSG_OOB", 1, &[URGENT]),
    gate("AF_UNIX, pages of a file (`splice`, `sendfile`)", 1, &[&[("splice", &[]), ("sendfile", &[3, 4])]]),
    gate("AF_VSOCK", 1, &[AF_VSOCK]),
    gate("IGMP: a multicast join, then a raw packet", 1, &[JOIN, RAW]),
];

/// What the bugs of 2022 and 2026 in the page cache need (Dirty Pipe CVE-2022-0847, Copy Fail CVE-2026-31431, Dirty Frag
/// CVE-2026-43284 and CVE-2026-43500, Fragnesia CVE-2026-46300).
pub const PAGE_CACHE: &[Gate] = &[
    gate("AF_ALG", 1, &[AF_ALG]),
    gate("AF_RXRPC", 1, &[&[("socket", &[33, 2, 2]), ("socket", &[33, 2, 10])]]),
    gate("NETLINK_XFRM", 1, &[XFRM]),
    gate("UDP_ENCAP", 1, &[&[("setsockopt", &[3, 17, 100])]]),
    gate("TCP_ULP", 1, &[KERNEL_TLS]),
    gate("`add_key`", 1, &[&[("add_key", &[])]]),
    gate("nested user namespace", 1, &[USER_NAMESPACE]),
    gate("`splice`, `tee`", 1, &[&[("splice", &[]), ("tee", &[])]]),
    gate("`vmsplice`", 1, &[&[("vmsplice", &[])]]),
];

impl Gate {
    /// Whether no attempt of some step gets through, in any ABI.
    pub fn is_shut(&self, filters: &Filters) -> bool {
        let shut =
            |step: &[Attempt]| step.iter().flat_map(calls).all(|call| !lets_through(filters.answer(&call)));
        self.steps.iter().any(|step| shut(step))
    }
}

/// How many bugs are behind the gates that are shut.
pub fn shut(gates: &[Gate], filters: &Filters) -> usize {
    gates.iter().filter(|gate| gate.is_shut(filters)).map(|gate| gate.cves).sum()
}

/// The attempt through each ABI, and through i386's `socketcall`, which hides its arguments in memory.
fn calls((name, first): &Attempt) -> Vec<Call> {
    let mut args = [0; 6];
    args[..first.len()].copy_from_slice(first);
    let of = |abi: Abi, name: &str, args| {
        abi.number(name).map(|number| Call { arch: abi.audit_arch(), number, args })
    };
    let plain = ABIS.iter().filter_map(|(_, abi)| of(*abi, name, args));
    let hidden = [("socket", 1), ("sendto", 11), ("setsockopt", 14), ("sendmsg", 16), ("sendmmsg", 20)];
    let hidden = hidden.iter().filter(|(call, _)| call == name);
    plain.chain(hidden.filter_map(|(_, code)| of(Abi::X86, "socketcall", [*code, 0, 0, 0, 0, 0]))).collect()
}
