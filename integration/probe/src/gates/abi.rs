//! The other two system call tables of x86_64.

use super::Gate;
use crate::errno::Errno;
use crate::sys::{call, getpid_of_i386};

pub const GATES: &[Gate] = &[
    Gate {
        name: "i386",
        gives: "the 32-bit system call table",
        past_the_door: &[],
        attempt: || getpid_of_i386().map(drop),
    },
    Gate { name: "x32", gives: "the x32 system call table", past_the_door: &[], attempt: getpid_of_x32 },
];

fn getpid_of_x32() -> Result<(), Errno> {
    const X32_BIT: libc::c_long = 0x4000_0000;
    call(X32_BIT | libc::SYS_getpid, &mut []).map(drop)
}
