//! Places in memory at which a thread waits for another one without making a system call, so that no filter has a
//! say in it: pages that are not there, until the other thread puts them there (`userfaultfd(2)`).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use super::error::{CallError, Syscall, check};

/// Faults of the program's own accesses only, which needs no privilege (Linux 5.11).
const USER_MODE_ONLY: libc::c_int = 1;
/// ioctl_userfaultfd(2).
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_ZEROPAGE: u64 = 0xc020_aa04;
const API_VERSION: u64 = 0xaa;
const REGISTER_MODE_MISSING: u64 = 1;

/// Gates that are all shut, and are opened once.
pub struct Gates {
    userfaultfd: OwnedFd,
    /// The first page; each gate is one.
    start: usize,
    page: usize,
}

impl Gates {
    /// Makes `count` gates, for as long as the process lives.
    ///
    /// # Errors
    /// ENOSYS where the kernel is built without `CONFIG_USERFAULTFD`, EPERM where a filter of the caller's hides it.
    pub fn new(count: usize) -> Result<Self, CallError> {
        let page = rustix::param::page_size();
        let gates = Self { userfaultfd: userfaultfd()?, start: reserve(count * page)?, page };
        let mut api = [API_VERSION, 0, 0];
        gates.control("UFFDIO_API", UFFDIO_API, &mut api)?;
        let mut range = [gates.start as u64, (count * page) as u64, REGISTER_MODE_MISSING, 0];
        gates.control("UFFDIO_REGISTER", UFFDIO_REGISTER, &mut range)?;
        Ok(gates)
    }

    /// Waits until a gate is open.
    pub fn pass(&self, index: usize) {
        let page = (self.start + index * self.page) as *const u8;
        // SAFETY: the page is in a mapping of ours that stays, and is readable once it is there.
        unsafe { page.read_volatile() };
    }

    /// Waits until another thread waits at a gate.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub fn await_arrival(&self) -> Result<(), CallError> {
        /// The size of `struct uffd_msg`.
        const MESSAGE: usize = 32;
        rustix::io::retry_on_intr(|| rustix::io::read(&self.userfaultfd, &mut [0u8; MESSAGE]))
            .map(drop)
            .call(|| "read(userfaultfd)".to_owned())
    }

    /// Opens a gate, and wakes who waits there.
    ///
    /// # Errors
    /// Those of `UFFDIO_ZEROPAGE`.
    pub fn open(&self, index: usize) -> Result<(), CallError> {
        let mut range = [(self.start + index * self.page) as u64, self.page as u64, 0, 0];
        self.control("UFFDIO_ZEROPAGE", UFFDIO_ZEROPAGE, &mut range)
    }

    fn control<const N: usize>(
        &self,
        name: &str,
        request: u64,
        words: &mut [u64; N],
    ) -> Result<(), CallError> {
        let fd = self.userfaultfd.as_raw_fd();
        // SAFETY: the kernel reads and writes as many words as the request's struct has, which is what is passed.
        let result = unsafe { libc::ioctl(fd, request as _, words.as_mut_ptr()) };
        check(result.into()).map(drop).call(|| format!("ioctl({fd}, {name})"))
    }
}

fn userfaultfd() -> Result<OwnedFd, CallError> {
    // SAFETY: the call takes a number.
    let result = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | USER_MODE_ONLY) };
    let fd = check(result).call(|| "userfaultfd(O_CLOEXEC | UFFD_USER_MODE_ONLY)".to_owned())?;
    // SAFETY: the kernel has just made this descriptor, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

fn reserve(size: usize) -> Result<usize, CallError> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new private mapping at an address of the kernel's choice touches nothing that exists.
    let start = unsafe { libc::mmap(ptr::null_mut(), size, libc::PROT_READ, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return check(-1).map(|_| 0).call(|| format!("mmap({size} bytes)"));
    }
    Ok(start as usize)
}
