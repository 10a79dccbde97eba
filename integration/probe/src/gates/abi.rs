//! The other two system call tables of x86_64.

use super::gate::{Call, Gate};
use crate::sys::getpid_of_i386;

pub const GATES: &[Gate] = &[
    Gate::new("i386", "the 32-bit system call table", || getpid_of_i386().map(drop)).by(Call::of_table(
        "x86",
        20,
        &[],
    )),
    Gate::plain("x32", "the x32 system call table", Call::new(X32_BIT | libc::SYS_getpid, &[])),
];

const X32_BIT: libc::c_long = 0x4000_0000;
