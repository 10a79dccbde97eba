//! The program's own code, as far as it is in memory for this process.

use rustix::mm::{Advice, madvise};

use super::error::{CallError, Syscall};

/// Unmaps the pages of the program's code, which come back, from the page cache, one by one as they are needed. What was
/// needed once, to start something, is most of what a program that waits has in memory.
///
/// # Errors
/// Those of `madvise(2)`.
pub fn forget() -> Result<(), CallError> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, end) in maps.lines().filter_map(code) {
        // SAFETY: the range is a private mapping of a file that is executable and was never writable, so it has no
        // page of its own that could be lost: the kernel reads the same bytes again.
        let result = unsafe { madvise(start as *mut _, end.saturating_sub(start), Advice::LinuxDontNeed) };
        result.call(|| format!("madvise({start:#x}, {end:#x}, MADV_DONTNEED)"))?;
    }
    Ok(())
}

/// The range of a line that is about code of a file: `start-end r-xp offset device inode path`.
fn code(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let private_code = fields.next()? == "r-xp";
    let of_file = fields.nth(2)? != "0";
    let number = |text: &str| usize::from_str_radix(text, 16).ok();
    (private_code && of_file).then_some((number(start)?, number(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files() {
        let line = "7f2c20c14000-7f2c20f72000 r-xp 00014000 08:01 123 /usr/bin/shim";
        assert_eq!(code(line), Some((0x7f2c20c14000, 0x7f2c20f72000)));
        for line in [
            "7f2c20ff9000-7f2c2100b000 rw-p 003f9000 08:01 123 /usr/bin/shim",
            "7f2c20f72000-7f2c20ff9000 r--p 00372000 08:01 123 /usr/bin/shim",
            "7f2c210ff000-7f2c21101000 r-xp 00000000 00:00 0 [vdso]",
            "7f2c20c14000-7f2c20f72000 rwxp 00014000 08:01 123 /usr/bin/shim",
            "",
        ] {
            assert_eq!(code(line), None, "{line}");
        }
    }

    #[test]
    fn the_program_goes_on_without() {
        forget().unwrap();
        assert_eq!((1..=4).product::<u32>(), 24);
    }
}
