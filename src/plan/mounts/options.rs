//! Mount options (OCI config, "Mounts", table of Linux mount options; `mount(8)`).

use super::{Propagation, Source};

/// `MOUNT_ATTR_RDONLY`.
pub const RDONLY: u64 = 0x1;
pub(in crate::plan) const NOSUID: u64 = 0x2;
pub(in crate::plan) const NODEV: u64 = 0x4;
pub(in crate::plan) const NOEXEC: u64 = 0x8;
const ATIME: u64 = 0x70;
const RELATIME: u64 = 0x0;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
/// What the host's own files get.
pub(super) const SEALED: u64 = RDONLY | NOSUID | NODEV;
const NOSYMFOLLOW: u64 = 0x0020_0000;

/// What an option does.
#[derive(Debug, Clone, Copy)]
enum Effect {
    /// `MOUNT_ATTR_*` to set and to clear on this mount.
    Own(u64, u64),
    /// The same on this mount and everything below it.
    Recursive(u64, u64),
    /// The propagation type; `true` where it reaches everything below.
    Propagate(Propagation, bool),
    /// A flag of the superblock, by the name that `fsconfig(2)` knows it under.
    Superblock(&'static str),
    /// A flag that the kernel has no use for by now.
    Moot,
    /// Bind; `true` with the mounts below the source.
    Bind(bool),
    Remount,
    CopyUp,
    CopySymlink,
    SourceNofollow,
    DestinationNofollow,
    /// Map ids; `true` for those of the mounts below too.
    Idmap(bool),
}

/// Every option that is no filesystem's own. Access times are one field of several values: each of them clears the
/// whole field first; what takes one of them away leaves the kernel's default, `relatime`. Filesystems that count versions of inodes always do (ext4 since Linux 6.1), and what a mount
/// says goes to the caller, not to the kernel's log.
const OPTIONS: [(&str, Effect); 65] = {
    use self::Propagation::{Private, Shared, Slave, Unbindable};
    use Effect::{
        Bind, CopySymlink, CopyUp, DestinationNofollow, Idmap, Moot, Own, Propagate, Recursive, Remount,
        SourceNofollow, Superblock,
    };
    [
        ("async", Superblock("async")),
        ("atime", Own(RELATIME, ATIME)),
        ("bind", Bind(false)),
        ("copy-symlink", CopySymlink),
        ("defaults", Own(0, 0)),
        ("dest-nofollow", DestinationNofollow),
        ("dev", Own(0, NODEV)),
        ("diratime", Own(0, NODIRATIME)),
        ("dirsync", Superblock("dirsync")),
        ("exec", Own(0, NOEXEC)),
        ("idmap", Idmap(false)),
        ("iversion", Moot),
        ("lazytime", Superblock("lazytime")),
        ("loud", Moot),
        ("mand", Superblock("mand")),
        ("noatime", Own(NOATIME, ATIME)),
        ("nodev", Own(NODEV, 0)),
        ("nodiratime", Own(NODIRATIME, 0)),
        ("noexec", Own(NOEXEC, 0)),
        ("noiversion", Moot),
        ("nolazytime", Superblock("nolazytime")),
        ("nomand", Superblock("nomand")),
        ("norelatime", Own(RELATIME, ATIME)),
        ("nostrictatime", Own(RELATIME, ATIME)),
        ("nosuid", Own(NOSUID, 0)),
        ("nosymfollow", Own(NOSYMFOLLOW, 0)),
        ("private", Propagate(Private, false)),
        ("ratime", Recursive(RELATIME, ATIME)),
        ("rbind", Bind(true)),
        ("rdev", Recursive(0, NODEV)),
        ("rdiratime", Recursive(0, NODIRATIME)),
        ("relatime", Own(RELATIME, ATIME)),
        ("remount", Remount),
        ("rexec", Recursive(0, NOEXEC)),
        ("ridmap", Idmap(true)),
        ("rnoatime", Recursive(NOATIME, ATIME)),
        ("rnodev", Recursive(NODEV, 0)),
        ("rnodiratime", Recursive(NODIRATIME, 0)),
        ("rnoexec", Recursive(NOEXEC, 0)),
        ("rnorelatime", Recursive(RELATIME, ATIME)),
        ("rnostrictatime", Recursive(RELATIME, ATIME)),
        ("rnosuid", Recursive(NOSUID, 0)),
        ("rnosymfollow", Recursive(NOSYMFOLLOW, 0)),
        ("ro", Own(RDONLY, 0)),
        ("rprivate", Propagate(Private, true)),
        ("rrelatime", Recursive(RELATIME, ATIME)),
        ("rro", Recursive(RDONLY, 0)),
        ("rrw", Recursive(0, RDONLY)),
        ("rshared", Propagate(Shared, true)),
        ("rslave", Propagate(Slave, true)),
        ("rstrictatime", Recursive(STRICTATIME, ATIME)),
        ("rsuid", Recursive(0, NOSUID)),
        ("rsymfollow", Recursive(0, NOSYMFOLLOW)),
        ("runbindable", Propagate(Unbindable, true)),
        ("rw", Own(0, RDONLY)),
        ("shared", Propagate(Shared, false)),
        ("silent", Moot),
        ("slave", Propagate(Slave, false)),
        ("src-nofollow", SourceNofollow),
        ("strictatime", Own(STRICTATIME, ATIME)),
        ("suid", Own(0, NOSUID)),
        ("symfollow", Own(0, NOSYMFOLLOW)),
        ("sync", Superblock("sync")),
        ("tmpcopyup", CopyUp),
        ("unbindable", Propagate(Unbindable, false)),
    ]
};

/// The names of all options but the filesystems' own, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}

/// What a list of options says; data is what only the filesystem understands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub set: u64,
    pub clear: u64,
    pub set_recursive: u64,
    pub clear_recursive: u64,
    pub propagation: Vec<(Propagation, bool)>,
    pub bind: bool,
    pub recursive: bool,
    pub remount: bool,
    pub copy_up: bool,
    pub copy_symlink: bool,
    pub source_nofollow: bool,
    pub destination_nofollow: bool,
    /// `Some(true)` for `ridmap`.
    pub idmap: Option<bool>,
    /// Flags of the superblock.
    pub superblock: Vec<&'static str>,
    pub data: Vec<(String, Option<String>)>,
}

impl Options {
    /// Reads options in order; later ones win.
    pub fn parse(list: &[String]) -> Self {
        let mut options = Options::default();
        for option in list.iter().filter(|option| !option.is_empty()) {
            match OPTIONS.iter().find(|(name, _)| name == option) {
                Some((_, effect)) => options.add(*effect),
                None => options.data.push(data(option)),
            }
        }
        options
    }

    fn add(&mut self, effect: Effect) {
        match effect {
            Effect::Own(set, clear) => {
                self.set = (self.set & !clear) | set;
                self.clear |= set | clear;
            }
            Effect::Recursive(set, clear) => {
                self.set_recursive = (self.set_recursive & !clear) | set;
                self.clear_recursive |= set | clear;
            }
            Effect::Propagate(propagation, recursive) => self.propagation.push((propagation, recursive)),
            Effect::Superblock(name) => self.superblock.push(name),
            Effect::Moot => {}
            Effect::Bind(recursive) => (self.bind, self.recursive) = (true, recursive || self.recursive),
            Effect::Remount => self.remount = true,
            Effect::CopyUp => self.copy_up = true,
            Effect::CopySymlink => self.copy_symlink = true,
            Effect::SourceNofollow => self.source_nofollow = true,
            Effect::DestinationNofollow => self.destination_nofollow = true,
            Effect::Idmap(recursive) => self.idmap = Some(recursive),
        }
    }

    /// The first option that nothing would be done about on such a mount.
    pub fn misplaced(&self, source: &Source) -> Option<&str> {
        let data = || self.data.first().map(|(key, _)| key.as_str());
        let word = || self.data.iter().find(|(_, value)| value.is_none()).map(|(key, _)| key.as_str());
        let copy_up = || self.copy_up.then_some("tmpcopyup");
        let links = || {
            let source = self.source_nofollow.then_some("src-nofollow");
            source.or(self.copy_symlink.then_some("copy-symlink"))
        };
        match source {
            // A value is for a filesystem that is mounted anew; a word may be another option, misspelt.
            Source::Bind { .. } => word().or_else(copy_up),
            Source::Filesystem { fstype, .. } if fstype == "tmpfs" => links(),
            Source::Filesystem { .. } => copy_up().or_else(links),
            Source::Cgroup { .. } => data().or_else(copy_up).or_else(links),
            Source::Remount { options } if options.is_empty() => data().or_else(copy_up).or_else(links),
            Source::Remount { .. } => copy_up().or_else(links),
        }
    }
}

fn data(option: &str) -> (String, Option<String>) {
    match option.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (option.to_owned(), None),
    }
}

/// A propagation type by name, and whether it is recursive.
pub(super) fn propagation(name: &str) -> Option<(Propagation, bool)> {
    OPTIONS.iter().find(|(known, _)| *known == name).and_then(|(_, effect)| match effect {
        Effect::Propagate(propagation, recursive) => Some((*propagation, *recursive)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &[&str]) -> Options {
        let list: Vec<String> = list.iter().map(|option| (*option).to_owned()).collect();
        Options::parse(&list)
    }

    #[test]
    fn later_options_win() {
        let options = parse(&["ro", "nosuid", "rw"]);
        assert_eq!(options.set, NOSUID);
        assert_eq!(options.clear & !options.set, RDONLY);
    }

    #[test]
    fn access_times_are_one_field() {
        let options = parse(&["noatime", "strictatime", "nodiratime"]);
        assert_eq!(options.set, STRICTATIME | NODIRATIME);
        assert_eq!(options.clear & ATIME, ATIME);
    }

    #[test]
    fn an_r_in_front_reaches_the_mounts_below() {
        let options = parse(&["rbind", "rro", "rnosuid", "rprivate", "relatime"]);
        assert!(options.bind && options.recursive);
        assert_eq!((options.set_recursive, options.set), (RDONLY | NOSUID, RELATIME));
        assert_eq!(options.propagation, [(Propagation::Private, true)]);
    }

    #[test]
    fn what_is_not_known_is_the_filesystems() {
        let options = parse(&["size=64k", "newinstance", "mode=755", "tmpcopyup"]);
        let data = [("size", Some("64k")), ("newinstance", None), ("mode", Some("755"))];
        assert_eq!(options.data, data.map(|(key, value)| (key.to_owned(), value.map(str::to_owned))));
        assert!(options.copy_up);
    }

    #[test]
    fn names_are_sorted_and_there_once() {
        let listed: Vec<&str> = names().collect();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(listed, sorted);
        assert!(listed.contains(&"rro") && listed.contains(&"idmap"), "{listed:?}");
    }
}
