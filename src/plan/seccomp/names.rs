//! System call names and numbers of each ABI a kernel can be called through.

use std::ops::RangeInclusive;
use std::str::FromStr;

use syscalls::{aarch64, arm, x86, x86_64};

/// What the kernel adds to an x86_64 number that is called through the x32 ABI.
pub const X32_BIT: u32 = 0x4000_0000;

/// Numbers that exist for x32 only. They are not the newest ones, although they are the highest.
pub const X32_ONLY: RangeInclusive<u32> = 512..=547;

/// Arm's private calls start here, above every ordinary number.
pub const ARM_PRIVATE: u32 = 0x000f_0000;

/// Arm's private calls from `ARM_PRIVATE + 1` on, in order (arch/arm/include/uapi/asm/unistd.h).
const ARM_PRIVATE_NAMES: [&str; 6] = ["breakpoint", "cacheflush", "usr26", "usr32", "set_tls", "get_tls"];

/// The calls that x32 numbers from 512 on, in order (arch/x86/entry/syscalls/syscall_64.tbl).
const X32_NAMES: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// An architecture sandrun itself runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// x86_64, whose kernel may also serve i386 and x32 programs.
    X86_64,
    /// aarch64, whose kernel may also serve 32-bit Arm programs.
    Aarch64,
}

impl Arch {
    /// The architecture this program was compiled for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Arch = Arch::X86_64;
    /// The architecture this program was compiled for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Arch = Arch::Aarch64;

    /// The ABI of the architecture's own programs.
    pub fn native_abi(self) -> Abi {
        match self {
            Arch::X86_64 => Abi::X86_64,
            Arch::Aarch64 => Abi::Aarch64,
        }
    }
}

/// One way of calling the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abi {
    /// 64-bit x86.
    X86_64,
    /// 64-bit x86 with 32-bit pointers; the kernel reports it as x86_64 with a bit in the number.
    X32,
    /// i386.
    X86,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm, EABI.
    Arm,
}

impl Abi {
    /// The value of `seccomp_data.arch`: `AUDIT_ARCH_*` of linux/audit.h.
    pub fn audit_arch(self) -> u32 {
        match self {
            Abi::X86_64 | Abi::X32 => 0xc000_003e,
            Abi::X86 => 0x4000_0003,
            Abi::Aarch64 => 0xc000_00b7,
            Abi::Arm => 0x4000_0028,
        }
    }

    /// The value of `seccomp_data.nr` for a call, or nothing where the ABI does not have it.
    pub fn number(self, name: &str) -> Option<u32> {
        let id = match self {
            Abi::X86_64 => x86_64::Sysno::from_str(name).ok()?.id(),
            Abi::X32 => return x32_number(name),
            Abi::Arm if ARM_PRIVATE_NAMES.contains(&name) => {
                return Some(ARM_PRIVATE + 1 + position(&ARM_PRIVATE_NAMES, name)?);
            }
            Abi::X86 => x86::Sysno::from_str(name).ok()?.id(),
            // The one name in which the table differs from the kernel's and libseccomp's.
            Abi::Aarch64 if name == "newfstatat" => aarch64::Sysno::fstatat.id(),
            Abi::Aarch64 => aarch64::Sysno::from_str(name).ok()?.id(),
            Abi::Arm => arm::Sysno::from_str(name).ok()?.id(),
        };
        u32::try_from(id).ok()
    }

    /// Whether numbers are given out in the order in which kernels add calls, so that a higher one is a newer
    /// one. False for the two private ranges.
    pub fn is_chronological(self, number: u32) -> bool {
        match self {
            Abi::X32 => !X32_ONLY.contains(&(number & !X32_BIT)),
            Abi::Arm => number < ARM_PRIVATE,
            Abi::X86_64 | Abi::X86 | Abi::Aarch64 => true,
        }
    }
}

fn x32_number(name: &str) -> Option<u32> {
    let number = match position(&X32_NAMES, name) {
        Some(index) => X32_ONLY.start() + index,
        None => Abi::X86_64.number(name)?,
    };
    Some(number | X32_BIT)
}

fn position(names: &[&str], name: &str) -> Option<u32> {
    names.iter().position(|own| *own == name).and_then(|index| u32::try_from(index).ok())
}
