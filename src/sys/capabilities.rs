//! Capability sets of the calling thread (`capabilities(7)`).

use super::error::{CallError, Syscall, check};
use super::process::prctl;
use crate::plan::caps::CapabilityMasks;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: 64-bit sets (Linux 2.6.26).
const VERSION_3: CapabilityHeader = CapabilityHeader { version: 0x2008_0522, pid: 0 };

/// Sets effective, permitted and inheritable in one `capset(2)`.
///
/// # Errors
/// EPERM when a set grows beyond what is permitted.
pub fn set_capabilities(masks: &CapabilityMasks) -> Result<(), CallError> {
    let half = |shift: u32| CapabilityData {
        effective: (masks.effective >> shift) as u32,
        permitted: (masks.permitted >> shift) as u32,
        inheritable: (masks.inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    let header = VERSION_3;
    // SAFETY: version 3 reads one header and two data structs, which is what is passed.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    check(result).map(drop).call(|| {
        let CapabilityMasks { effective, permitted, inheritable, .. } = masks;
        format!("capset(effective {effective:#x}, permitted {permitted:#x}, inheritable {inheritable:#x})")
    })
}

/// Reads all five sets of the calling thread; the kernel is asked, not `/proc`.
///
/// # Errors
/// Those of `capget(2)` and `prctl(2)`.
pub fn capabilities() -> Result<CapabilityMasks, CallError> {
    let mut masks = base_sets()?;
    for number in 0..64 {
        let Ok(present) = prctl(libc::PR_CAPBSET_READ, number, 0) else { break };
        masks.bounding |= u64::from(present == 1) << number;
        let ambient = prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET as u64, number);
        masks.ambient |= u64::from(ambient == Ok(1)) << number;
    }
    Ok(masks)
}

/// The permitted set of the calling thread.
///
/// # Errors
/// Those of `capget(2)`.
pub fn permitted_capabilities() -> Result<u64, CallError> {
    base_sets().map(|masks| masks.permitted)
}

fn base_sets() -> Result<CapabilityMasks, CallError> {
    let mut data = [CapabilityData::default(); 2];
    let mut header = VERSION_3;
    // SAFETY: version 3 writes two data structs, which is what is passed.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    check(result).call(|| "capget(2)".to_owned())?;
    let join = |field: fn(&CapabilityData) -> u32| {
        let [low, high] = &data;
        u64::from(field(low)) | u64::from(field(high)) << 32
    };
    Ok(CapabilityMasks {
        effective: join(|data| data.effective),
        permitted: join(|data| data.permitted),
        inheritable: join(|data| data.inheritable),
        ..CapabilityMasks::default()
    })
}

/// Removes every capability from the bounding set that is not in `keep`, up to the kernel's last one.
///
/// # Errors
/// EPERM without `CAP_SETPCAP`.
pub fn limit_bounding_set(keep: u64) -> Result<(), CallError> {
    for number in 0..64 {
        match prctl(libc::PR_CAPBSET_READ, number, 0) {
            Ok(1) if keep & (1 << number) == 0 => {
                prctl(libc::PR_CAPBSET_DROP, number, 0)
                    .call(|| format!("prctl(PR_CAPBSET_DROP, {number})"))?;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

/// Raises the ambient set, which `capset` must already allow: each in permitted and inheritable.
///
/// # Errors
/// EPERM when a capability is not in both.
pub fn raise_ambient(mask: u64) -> Result<(), CallError> {
    for number in (0..64).filter(|number| mask & (1 << number) != 0) {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, number)
            .call(|| format!("prctl(PR_CAP_AMBIENT_RAISE, {number})"))?;
    }
    Ok(())
}
