//! Mount options (OCI config, "Mounts", table of Linux mount options; `mount(8)`).

use super::{Propagation, Source};
use crate::error::{Error, Kind};

pub(super) const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;
const ATIME: u64 = 0x70;
const RELATIME: u64 = 0x0;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
/// What the host's own files get.
pub(super) const SEALED: u64 = RDONLY | NOSUID | NODEV;
const NOSYMFOLLOW: u64 = 0x0020_0000;

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
    pub source_nofollow: bool,
    /// `Some(true)` for `ridmap`.
    pub idmap: Option<bool>,
    pub data: Vec<(String, Option<String>)>,
}

/// Stands for several, of one mount only.
const DEFAULTS: &str = "defaults";

/// `(name, attributes to set, attributes to clear)`. Access times are one field of several values: each of
/// them clears the whole field first.
const ATTRIBUTES: [(&str, u64, u64); 19] = [
    ("ro", RDONLY, 0),
    ("rw", 0, RDONLY),
    ("nosuid", NOSUID, 0),
    ("suid", 0, NOSUID),
    ("nodev", NODEV, 0),
    ("dev", 0, NODEV),
    ("noexec", NOEXEC, 0),
    ("exec", 0, NOEXEC),
    ("noatime", NOATIME, ATIME),
    ("atime", RELATIME, ATIME),
    ("relatime", RELATIME, ATIME),
    ("norelatime", STRICTATIME, ATIME),
    ("strictatime", STRICTATIME, ATIME),
    ("nostrictatime", RELATIME, ATIME),
    ("nodiratime", NODIRATIME, 0),
    ("diratime", 0, NODIRATIME),
    ("nosymfollow", NOSYMFOLLOW, 0),
    ("symfollow", 0, NOSYMFOLLOW),
    (DEFAULTS, 0, RDONLY | NOSUID | NODEV | NOEXEC),
];

/// Options of the superblock, by the names that `fsconfig(2)` knows them under; `None` is what it has no name for:
/// the default, and change counters, which a filesystem that has them keeps unasked (tmpfs Linux 6.6, ext4 6.0).
const SUPERBLOCK: [(&str, Option<&str>); 10] = [
    ("sync", Some("sync")),
    ("async", Some("async")),
    ("dirsync", Some("dirsync")),
    ("lazytime", Some("lazytime")),
    ("nolazytime", Some("nolazytime")),
    ("mand", Some("mand")),
    ("nomand", Some("nomand")),
    ("iversion", None),
    ("noiversion", None),
    ("silent", None),
];

type Apply = fn(&mut Options);

/// What is neither an attribute, nor the superblock's, nor a propagation type.
const OTHERS: [(&str, Apply); 8] = [
    ("bind", |options| options.bind = true),
    ("rbind", |options| (options.bind, options.recursive) = (true, true)),
    ("remount", |options| options.remount = true),
    ("tmpcopyup", |options| options.copy_up = true),
    ("src-nofollow", |options| options.source_nofollow = true),
    ("idmap", |options| options.idmap = Some(false)),
    ("ridmap", |options| options.idmap = Some(true)),
    ("loud", |_| ()),
];

/// The propagation types.
const PROPAGATION: [(&str, Propagation); 4] = [
    ("shared", Propagation::Shared),
    ("slave", Propagation::Slave),
    ("private", Propagation::Private),
    ("unbindable", Propagation::Unbindable),
];

/// Every option that has a meaning of its own, whatever the filesystem; sorted.
pub(crate) fn known() -> Vec<String> {
    let attributes = ATTRIBUTES.iter().map(|(name, ..)| (*name).to_owned());
    let below = ATTRIBUTES.iter().map(|(name, ..)| *name).filter(|name| *name != DEFAULTS);
    let propagation = PROPAGATION.iter().map(|(name, _)| *name);
    let recursive = below.chain(propagation.clone()).map(|name| format!("r{name}"));
    let superblock = SUPERBLOCK.iter().map(|(name, _)| *name);
    let others = OTHERS.iter().map(|(name, _)| *name);
    let plain = superblock.chain(propagation).chain(others).map(str::to_owned);
    let mut known: Vec<String> = attributes.chain(recursive).chain(plain).collect();
    known.sort();
    known
}

impl Options {
    /// Reads options in order; later ones win.
    ///
    /// # Errors
    /// The index of an option that cannot be honoured, and why.
    pub fn parse(list: &[String]) -> Result<Self, (usize, Error)> {
        let mut options = Options::default();
        for (i, option) in list.iter().enumerate() {
            options.add(option).map_err(|error| (i, error))?;
        }
        Ok(options)
    }

    fn add(&mut self, option: &str) -> Result<(), Error> {
        if let Some((set, clear)) = attribute(option) {
            self.set = (self.set & !clear) | set;
            self.clear |= set | clear;
        } else if let Some((set, clear)) = below(option) {
            self.set_recursive = (self.set_recursive & !clear) | set;
            self.clear_recursive |= set | clear;
        } else if let Some(propagation) = propagation(option) {
            self.propagation.push(propagation);
        } else if let Some((_, name)) = SUPERBLOCK.iter().find(|(name, _)| *name == option) {
            self.data.extend(name.map(|name| (name.to_owned(), None)));
        } else {
            self.add_other(option)?;
        }
        Ok(())
    }

    fn add_other(&mut self, option: &str) -> Result<(), Error> {
        if let Some((_, apply)) = OTHERS.iter().find(|(name, _)| *name == option) {
            apply(self);
            return Ok(());
        }
        match option.split_once('=') {
            Some((key, value)) if value.len() < 256 => {
                self.data.push((key.to_owned(), Some(value.to_owned())));
            }
            Some((key, _)) => {
                return Err(Error::new(
                    Kind::Unsupported,
                    format!("the value of {key} is longer than 255 bytes"),
                    "fsconfig(2) takes no more",
                ));
            }
            None if option.is_empty() => {}
            None => self.data.push((option.to_owned(), None)),
        }
        Ok(())
    }
}

impl Options {
    /// The first option that nothing would be done about on such a mount.
    pub fn misplaced(&self, source: &Source) -> Option<&str> {
        let data = || self.data.first().map(|(key, _)| key.as_str());
        let copy_up = || self.copy_up.then_some("tmpcopyup");
        let nofollow = || self.source_nofollow.then_some("src-nofollow");
        match source {
            Source::Bind { .. } => data().or_else(copy_up),
            Source::Filesystem { fstype, .. } if fstype == "tmpfs" => nofollow(),
            Source::Filesystem { .. } => copy_up().or_else(nofollow),
            Source::Cgroup { .. } => data().or_else(copy_up).or_else(nofollow),
            Source::Remount => {
                let propagation = || (!self.propagation.is_empty()).then_some("a propagation type");
                data().or_else(copy_up).or_else(nofollow).or_else(propagation)
            }
        }
    }
}

fn attribute(name: &str) -> Option<(u64, u64)> {
    ATTRIBUTES.iter().find(|(known, ..)| *known == name).map(|(_, set, clear)| (*set, *clear))
}

/// An attribute with an `r` in front, which reaches the mounts below.
fn below(name: &str) -> Option<(u64, u64)> {
    name.strip_prefix('r').filter(|name| *name != DEFAULTS).and_then(attribute)
}

/// A propagation type by name, and whether it is recursive.
pub(super) fn propagation(name: &str) -> Option<(Propagation, bool)> {
    let (name, recursive) = match name.strip_prefix('r') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (_, propagation) = PROPAGATION.iter().find(|(known, _)| *known == name)?;
    Some((*propagation, recursive))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &[&str]) -> Options {
        let list: Vec<String> = list.iter().map(|option| (*option).to_owned()).collect();
        Options::parse(&list).unwrap()
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
    fn every_known_option_is_read_and_is_not_the_filesystems() {
        let passed_on: Vec<&str> = SUPERBLOCK.iter().filter_map(|(_, name)| *name).collect();
        for option in known() {
            let data = parse(&[&option]).data;
            assert!(data.iter().all(|(key, _)| passed_on.contains(&key.as_str())), "{option}: {data:?}");
        }
    }

    #[test]
    fn values_that_fsconfig_cannot_take_are_refused() {
        let (at, error) =
            Options::parse(&["ro".into(), format!("lowerdir={}", "x".repeat(300))]).unwrap_err();
        assert_eq!((at, error.kind), (1, Kind::Unsupported));
    }
}
