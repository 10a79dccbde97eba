//! A bump allocator for a program that ends before it could run out: `sandrun`, never the shim.
//!
//! Start-up is dominated by `mmap(2)` and `munmap(2)` of a general allocator (ARCHITECTURE.md, "Speed").
//! Memory is handed out from chunks, one after the other. Only the newest allocation can be given back or
//! grown in place, which serves what is built up at the end: strings, vectors, a loop's temporaries.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr;

/// Taken from the kernel at once; a page of it costs memory only when it is touched.
const CHUNK: usize = 1 << 20;

/// The allocator. Not for two threads at a time.
pub struct Bump {
    next: Cell<usize>,
    end: Cell<usize>,
    newest: Cell<usize>,
}

// SAFETY: the `sandrun` program clones processes, never threads, but for one that takes turns with the first
// (`sys::listener`), by atomics that order what both do. So the cells are never used by two at a time.
unsafe impl Sync for Bump {}

impl Bump {
    /// An allocator that has no memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { next: Cell::new(0), end: Cell::new(0), newest: Cell::new(0) }
    }

    fn take(&self, layout: Layout) -> Option<usize> {
        let start = self.next.get().checked_next_multiple_of(layout.align())?;
        let end = start.checked_add(layout.size())?;
        if end > self.end.get() {
            return None;
        }
        self.next.set(end);
        self.newest.set(start);
        Some(start)
    }

    fn refill(&self, least: usize) -> bool {
        let size = least.max(CHUNK);
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new private mapping at an address of the kernel's choice touches nothing that exists.
        let chunk = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
        if chunk == libc::MAP_FAILED {
            return false;
        }
        self.next.set(chunk as usize);
        self.end.set(chunk as usize + size);
        true
    }
}

impl Default for Bump {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: `take` only returns ranges that lie in a mapping of ours and were not handed out, or were given back.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let retry = || {
            let least = layout.size().checked_add(layout.align())?;
            if self.refill(least) { self.take(layout) } else { None }
        };
        self.take(layout).or_else(retry).map_or(ptr::null_mut(), |start| start as *mut u8)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _: Layout) {
        if pointer as usize == self.newest.get() {
            self.next.set(pointer as usize);
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let start = pointer as usize;
        if start == self.newest.get() && start.checked_add(size).is_some_and(|end| end <= self.end.get()) {
            self.next.set(start + size);
            return pointer;
        }
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return ptr::null_mut() };
        // SAFETY: the layout has a size that is not zero, as the caller of `realloc` guarantees.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both ranges are ours, at least as long as the shorter of the two, and do not overlap.
            unsafe { ptr::copy_nonoverlapping(pointer, moved, layout.size().min(size)) };
        }
        moved
    }
}

#[cfg(test)]
#[allow(clippy::multiple_unsafe_ops_per_block)] // one allocation's life is one invariant
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    #[test]
    fn ranges_do_not_overlap_and_the_newest_comes_back() {
        let bump = Bump::new();
        // SAFETY: every layout has a size that is not zero, and each pointer is only used with its own.
        unsafe {
            let (a, b) = (bump.alloc(layout(24)), bump.alloc(layout(8)));
            assert!(a as usize + 24 <= b as usize);
            bump.dealloc(b, layout(8));
            assert_eq!(bump.alloc(layout(16)), b);
            bump.dealloc(a, layout(24));
            assert_ne!(bump.alloc(layout(8)), a);
        }
    }

    #[test]
    fn growing_keeps_the_bytes() {
        let bump = Bump::new();
        // SAFETY: as above; the bytes written and read are within what was asked for.
        unsafe {
            let a = bump.alloc(layout(8));
            a.write(7);
            assert_eq!(bump.realloc(a, layout(8), 64), a, "the newest grows in place");
            bump.alloc(layout(8));
            let moved = bump.realloc(a, layout(64), 3 * CHUNK);
            assert_ne!(moved, a);
            assert_eq!(moved.read(), 7);
        }
    }
}
