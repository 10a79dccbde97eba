//! Past escapes from other runtimes, one file for each class of CVE. A test first lets the attack succeed against something
//! weaker: another runtime, level `oci`, or the same steps done carelessly by the test itself.
//!
//! Hooks (CVE-2019-14271, CVE-2025-23266) are refused by this version, see `badinput`.

mod binary;
mod cgroup;
mod handles;
mod identity;
mod masks;
mod names;
mod parser;
mod procfs;
mod rootfs;
mod shared;

use std::fs;
use std::path::PathBuf;

use crate::support::Scratch;

/// A directory of the host with one file, which nobody may change or read.
pub struct Outside(Scratch);

impl Outside {
    pub fn new() -> Outside {
        let dir = Scratch::new("outside");
        fs::write(dir.path().join("canary"), "SECRET").expect("cannot write the canary");
        Outside(dir)
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().to_path_buf()
    }

    pub fn canary(&self) -> String {
        self.path().join("canary").display().to_string()
    }

    /// What is in it besides the canary.
    pub fn intruders(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("it is still there").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "canary").collect()
    }

    #[track_caller]
    fn assert_untouched(&self, what: &str) {
        assert_eq!(self.intruders(), Vec::<String>::new(), "{what}: made outside");
        let content = fs::read_to_string(self.path().join("canary")).expect("the canary is still there");
        assert_eq!(content, "SECRET", "{what}: written outside");
    }
}
