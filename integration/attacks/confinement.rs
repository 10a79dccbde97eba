//! What decides on calls that this kernel lacks: the filters of a container's process, read back from the kernel, and its
//! capabilities.

use std::fs;
use std::str::FromStr;

use caps::Capability;
use libc::c_long;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde_json::Value;

/// A system call as a filter sees it (`struct seccomp_data`), and the capability that the kernel wants beside it.
pub struct Call {
    number: u32,
    arch: u32,
    arguments: [u64; 6],
    capability: Option<Capability>,
}

impl Call {
    /// From what the probe says of a gate; none where the gate is more than one call.
    pub fn of_gate(described: &Value) -> Option<Call> {
        let arguments =
            described["arguments"].as_array()?.iter().map(|word| word.as_i64().expect("a number"));
        let capability = described["capability"].as_str();
        Some(Call {
            number: described["number"].as_u64()?.try_into().expect("a call number"),
            arch: match described["arch"].as_str()? {
                "x86_64" => 0xc000_003e,
                "x86" => 0x4000_0003,
                "aarch64" => 0xc000_00b7,
                arch => panic!("no number for the architecture {arch}"),
            },
            arguments: Vec::from_iter(arguments.map(i64::cast_unsigned)).try_into().expect("six arguments"),
            capability: capability.map(|name| Capability::from_str(name).expect("a capability")),
        })
    }

    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.arch,
            // The instruction pointer, which no filter here asks for.
            8 | 12 => 0,
            _ => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                (argument >> (8 * (offset % 8))) as u32
            }
        }
    }
}

/// What confines a process.
pub struct Confinement {
    filters: Vec<Vec<libc::sock_filter>>,
    /// CapEff.
    capabilities: u64,
}

impl Confinement {
    /// Of a process of another container, which is stopped meanwhile.
    pub fn of(process: Pid) -> Confinement {
        ptrace::seize(process, ptrace::Options::empty()).expect("cannot trace the process");
        ptrace::interrupt(process).expect("cannot stop the process");
        waitpid(process, Some(WaitPidFlag::__WALL)).expect("the process does not stop");
        let filters = (0..).map_while(|place| filter(process, place)).collect();
        ptrace::detach(process, None).expect("cannot let the process go on");
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("cannot read its status");
        let effective =
            status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("CapEff is there");
        let capabilities = u64::from_str_radix(effective.trim(), 16).expect("CapEff is hexadecimal");
        Confinement { filters, capabilities }
    }

    /// Whether the kernel would do the call if it had it.
    pub fn lets_through(&self, call: &Call) -> bool {
        let held = call.capability.is_none_or(|capability| self.capabilities & capability.bitmask() != 0);
        held && matches!(self.answer(call) & libc::SECCOMP_RET_ACTION_FULL, libc::SECCOMP_RET_ALLOW)
    }

    /// The errno that the filters answer with, if that is what they do.
    pub fn errno(&self, call: &Call) -> Option<i32> {
        let answer = self.answer(call);
        let refused = answer & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_ERRNO;
        refused.then_some((answer & libc::SECCOMP_RET_DATA).cast_signed())
    }

    /// The strictest answer; of several alike, that of the filter that was loaded last (seccomp(2)).
    fn answer(&self, call: &Call) -> u32 {
        let answers = self.filters.iter().map(|filter| run(filter, call));
        let action = |answer: &u32| (answer & libc::SECCOMP_RET_ACTION_FULL).cast_signed();
        answers.min_by_key(action).unwrap_or(libc::SECCOMP_RET_ALLOW)
    }
}

/// One filter of a stopped process, the last one that was loaded first; none if it has no more.
fn filter(process: Pid, place: c_long) -> Option<Vec<libc::sock_filter>> {
    const PTRACE_SECCOMP_GET_FILTER: libc::c_uint = 0x420c;
    let nowhere = std::ptr::null_mut::<libc::sock_filter>();
    // SAFETY: without a buffer the call only returns the number of instructions.
    let length = unsafe { libc::ptrace(PTRACE_SECCOMP_GET_FILTER, process.as_raw(), place, nowhere) };
    let empty = libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 };
    let mut filter = vec![empty; usize::try_from(length).ok()?];
    // SAFETY: the buffer has room for as many instructions as the filter of the stopped process has.
    let read =
        unsafe { libc::ptrace(PTRACE_SECCOMP_GET_FILTER, process.as_raw(), place, filter.as_mut_ptr()) };
    assert_eq!(read, length, "the filter has changed");
    Some(filter)
}

/// What a filter answers to a call: the part of classic BPF that libseccomp and we use.
fn run(filter: &[libc::sock_filter], call: &Call) -> u32 {
    let (mut accumulator, mut at) = (0, 0);
    loop {
        let libc::sock_filter { code, jt, jf, k } = filter[at];
        at += 1;
        let holds = match code {
            // Load, mask, jump, return.
            0x20 => {
                accumulator = call.word(k);
                continue;
            }
            0x54 => {
                accumulator &= k;
                continue;
            }
            0x05 => {
                at += k as usize;
                continue;
            }
            0x06 => return k,
            0x15 => accumulator == k,
            0x25 => accumulator > k,
            0x35 => accumulator >= k,
            0x45 => accumulator & k != 0,
            _ => panic!("an instruction of code {code:#x}"),
        };
        at += usize::from(if holds { jt } else { jf });
    }
}
