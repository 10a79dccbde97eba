//! Files as block devices (`loop(4)`).

use std::ffi::{c_int, c_ulong};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::error::{CallError, Syscall, check};

const LOOP_CTL_GET_FREE: c_ulong = 0x4C82;
const LOOP_CONFIGURE: c_ulong = 0x4C0A;
const READ_ONLY: u32 = 1;
const AUTOCLEAR: u32 = 4;
const DIRECT_IO: u32 = 16;

/// How often another program may be faster with a device that was free.
const TRIES: u32 = 100;

/// `struct loop_info64`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` (Linux 5.8).
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// A device that reads a file. It goes when nobody has it open and nothing of it is mounted.
pub struct LoopDevice {
    /// Its path.
    pub path: String,
    /// Keeps it until something of it is mounted.
    pub device: OwnedFd,
}

/// Makes a free device that of a file; `direct` reads past the page cache.
///
/// # Errors
/// `open(2)`'s and `ioctl(2)`'s; EBUSY when others took every free device first.
pub fn attach(file: &Path, readonly: bool, direct: bool) -> Result<LoopDevice, CallError> {
    let flags = if readonly { OFlags::RDONLY } else { OFlags::RDWR };
    let open = |path: &Path, flags: OFlags| {
        rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?})"))
    };
    let backing = open(file, flags)?;
    let control = open(Path::new("/dev/loop-control"), OFlags::RDWR)?;
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    let config = config(
        backing.as_fd().as_raw_fd(),
        AUTOCLEAR | flag(readonly, READ_ONLY) | flag(direct, DIRECT_IO),
        file.as_os_str().as_encoded_bytes(),
    );
    let mut busy = None;
    for _ in 0..TRIES {
        let path = format!("/dev/loop{}", free(&control)?);
        let device = open(Path::new(&path), flags)?;
        match configure(&device, &config) {
            Err(error) if error.errno == Errno::BUSY => busy = Some(error),
            configured => return configured.map(|()| LoopDevice { path, device }),
        }
    }
    Err(busy.unwrap_or(CallError { call: "ioctl(LOOP_CONFIGURE)".to_owned(), errno: Errno::BUSY }))
}

fn config(backing: c_int, flags: u32, name: &[u8]) -> Config {
    let mut file_name = [0u8; 64];
    // The last byte stays a NUL.
    file_name.iter_mut().take(63).zip(name).for_each(|(to, from)| *to = *from);
    let info = Info {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags,
        file_name,
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    Config { fd: backing as u32, block_size: 0, info, reserved: [0; 8] }
}

fn free(control: &OwnedFd) -> Result<i64, CallError> {
    // SAFETY: the request takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
    check(number.into()).call(|| "ioctl(LOOP_CTL_GET_FREE)".to_owned())
}

fn configure(device: &OwnedFd, config: &Config) -> Result<(), CallError> {
    // SAFETY: the kernel reads a `struct loop_config`, which `config` points to and outlives the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, std::ptr::from_ref(config)) };
    check(result.into()).map(drop).call(|| format!("ioctl({}, LOOP_CONFIGURE)", device.as_raw_fd()))
}
