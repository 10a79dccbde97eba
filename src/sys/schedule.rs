//! When a process gets the CPU and the disk, and where it gets memory: calls that libc has no functions for.

use rustix::io::Errno;

use super::error::{CallError, Syscall, check};

/// `struct sched_attr` (`sched_setattr(2)`), with the two fields of Linux 5.3.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedAttr {
    /// The size of this struct.
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// −20 to 19.
    pub nice: i32,
    /// 1 to 99 for a realtime policy.
    pub priority: u32,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
    /// Least and greatest utilization that is assumed, 0 to 1024.
    pub clamp: [u32; 2],
}

/// Sets the attributes of a process (Linux 3.14).
///
/// # Errors
/// EPERM without `CAP_SYS_NICE` of the initial user namespace for more than it has, and for a realtime policy in a
/// cgroup without realtime CPU time; EBUSY when the CPUs cannot keep the deadlines; EOPNOTSUPP for a clamp without
/// `CONFIG_UCLAMP_TASK`; EINVAL.
pub fn set_scheduler(pid: i32, attributes: &SchedAttr) -> Result<(), CallError> {
    let attributes = SchedAttr { size: size_of::<SchedAttr>() as u32, ..*attributes };
    // SAFETY: the kernel reads `size` bytes from the struct, which is that large.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attributes, 0) };
    check(result).map(drop).call(|| format!("sched_setattr({pid}, {attributes:?})"))
}

/// Reads the attributes of a process (Linux 3.14).
///
/// # Errors
/// ESRCH when it is gone.
pub fn scheduler(pid: i32) -> Result<SchedAttr, CallError> {
    let mut attributes = SchedAttr::default();
    let size = size_of::<SchedAttr>();
    // SAFETY: the kernel writes at most `size` bytes into the struct, which is that large.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, pid, &raw mut attributes, size, 0) };
    check(result).map(|_| attributes).call(|| format!("sched_getattr({pid})"))
}

const IOPRIO_WHO_PROCESS: i32 = 1;
const IOPRIO_CLASS_SHIFT: u32 = 13;

/// Sets class and level of a process (Linux 2.6.13).
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN` or `CAP_SYS_NICE` for the realtime class, EINVAL for a class that is none.
pub fn set_io_priority(pid: i32, class: u32, level: u32) -> Result<(), CallError> {
    let value = class << IOPRIO_CLASS_SHIFT | level;
    // SAFETY: the call takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, value) };
    check(result).map(drop).call(|| format!("ioprio_set(IOPRIO_WHO_PROCESS, {pid}, {value:#x})"))
}

/// Reads class and level of a process (Linux 2.6.13).
///
/// # Errors
/// ESRCH when it is gone.
pub fn io_priority(pid: i32) -> Result<(u32, u32), CallError> {
    // SAFETY: the call takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid) };
    let value = check(result).call(|| format!("ioprio_get(IOPRIO_WHO_PROCESS, {pid})"))?;
    let value = u32::try_from(value).unwrap_or(0);
    Ok((value >> IOPRIO_CLASS_SHIFT & 7, value & 7))
}

/// Words of a mask of nodes that covers every node a kernel can have.
const WORDS: usize = 1024 / 64;

/// Sets the memory policy of the calling thread, for what it allocates from now on (Linux 2.6.7).
///
/// # Errors
/// EINVAL for a mode or flag that this kernel does not have, and for nodes of which none is there and allowed;
/// ENOSYS without `CONFIG_NUMA`.
pub fn set_memory_policy(mode: u32, nodes: &[u32]) -> Result<(), CallError> {
    let mut mask = [0u64; WORDS];
    for &node in nodes {
        if let Some(word) = mask.get_mut(node as usize / 64) {
            *word |= 1 << (node % 64);
        }
    }
    // The kernel counts one bit less than it is told.
    let (pointer, bits) =
        if nodes.is_empty() { (std::ptr::null(), 0) } else { (mask.as_ptr(), WORDS * 64 + 1) };
    // SAFETY: the kernel reads `bits - 1` bits from the mask, which is that large, or none from a null pointer.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) };
    check(result).map(drop).call(|| format!("set_mempolicy({mode:#x}, nodes {nodes:?})"))
}

/// Reads the memory policy of the calling thread: mode with flags, and nodes (Linux 2.6.7).
///
/// # Errors
/// ENOSYS without `CONFIG_NUMA`.
pub fn memory_policy() -> Result<(u32, Vec<u32>), CallError> {
    let mut mode: i32 = 0;
    let mut mask = [0u64; WORDS];
    let bits = WORDS * 64;
    // SAFETY: the kernel writes one integer and at most `bits` bits of the mask; no address is asked about.
    let result =
        unsafe { libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, mask.as_mut_ptr(), bits, 0usize, 0) };
    check(result).call(|| "get_mempolicy(2)".to_owned())?;
    let set = |node: &u32| mask.get(*node as usize / 64).is_some_and(|word| word >> (node % 64) & 1 == 1);
    Ok((mode.cast_unsigned(), (0..bits as u32).filter(set).collect()))
}

/// Sets the execution domain of the calling thread; `None` leaves it. What it was before is returned.
///
/// # Errors
/// None that is documented for the domains in use.
pub fn personality(domain: Option<u32>) -> Result<u32, CallError> {
    let domain = domain.unwrap_or(u32::MAX);
    // SAFETY: the call takes a number only.
    let result = unsafe { libc::personality(domain.into()) };
    match result {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
            .call(|| format!("personality({domain:#x})")),
        before => Ok(before.cast_unsigned()),
    }
}
