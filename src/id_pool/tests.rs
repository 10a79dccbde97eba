use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::*;
use crate::plan::namespaces::private_ids::RANGE;

/// A pool of the test's own with containers, removed whatever happens.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sandrun-ids-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn pool(&self, lines: &str) -> IdPool {
        let ranges = Ranges::from_files(lines, lines).unwrap();
        IdPool::lock_at(&self.0.join("pool"), ranges).unwrap()
    }

    fn container(&self, id: &str) -> PathBuf {
        let dir = self.0.join(id);
        fs::create_dir(&dir).unwrap();
        dir
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_thousand_containers_share_no_id() {
    let scratch = Scratch::new("thousand");
    let taken: Vec<u32> = std::thread::scope(|scope| {
        let take = |worker: usize| {
            let scratch = &scratch;
            let one = move |i| scratch.pool("").take(&scratch.container(&format!("{worker}-{i}"))).unwrap();
            scope.spawn(move || (0..125).map(one).collect::<Vec<u32>>())
        };
        let workers: Vec<_> = (0..8).map(take).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let mut firsts: Vec<u32> = taken.clone();
    firsts.sort_unstable();
    assert_eq!(firsts.len(), 1000);
    assert!(firsts.windows(2).all(|pair| pair[1] - pair[0] >= RANGE), "two ranges overlap");
    assert!(firsts.iter().all(|first| (0x7800_0000..0x7ffe_0000).contains(first)));
    assert_ne!(taken, firsts, "not in order, so that none is used again at once");
}

#[test]
fn an_exhausted_pool_says_so_and_goes_on_when_one_is_given_back() {
    let scratch = Scratch::new("exhausted");
    let lines = "alice:100000:65536\nsandrun:1000000:131072\nsandrun:2000000:70000\n";
    let owners: Vec<PathBuf> = (0..4).map(|i| scratch.container(&i.to_string())).collect();
    let take = |i: usize| scratch.pool(lines).take(&owners[i]);
    let taken: BTreeSet<u32> = (0..3).map(|i| take(i).unwrap()).collect();
    assert_eq!(taken, BTreeSet::from([1_000_000, 1_065_536, 2_000_000]));
    let error = take(3).unwrap_err();
    assert!(error.to_string().contains("all 3 ranges of /etc/subuid are taken"), "{error}");
    let owner = |i: usize| File::open(&owners[i]).unwrap();
    for first in &taken {
        scratch.pool(lines).give_back(*first, owner(3).as_fd()).unwrap();
    }
    assert!(take(3).is_err(), "nobody gives back what is another's");
    scratch.pool(lines).give_all_back(owner(1).as_fd()).unwrap();
    take(3).unwrap();
    assert!(take(3).is_err());
}

#[test]
fn what_a_container_had_is_free_once_its_state_is_gone() {
    let scratch = Scratch::new("gone");
    let lines = "sandrun:1000000:65536\n";
    let owner = scratch.container("first");
    assert_eq!(scratch.pool(lines).take(&owner).unwrap(), 1_000_000);
    let next = scratch.container("next");
    assert!(scratch.pool(lines).take(&next).is_err());
    fs::remove_dir(&owner).unwrap();
    assert_eq!(scratch.pool(lines).take(&next).unwrap(), 1_000_000);
}

#[test]
fn a_container_is_known_by_its_directory_not_by_a_path() {
    let scratch = Scratch::new("paths");
    let owner = scratch.container("it");
    std::os::unix::fs::symlink(&scratch.0, scratch.0.join("other")).unwrap();
    let first = scratch.pool("").take(&scratch.0.join("other/it")).unwrap();
    scratch.pool("").give_back(first, File::open(owner).unwrap().as_fd()).unwrap();
    assert_eq!(fs::read_dir(scratch.0.join("pool")).unwrap().count(), 0);
}

#[test]
fn lines_that_cannot_be_meant_are_refused() {
    for (subuid, subgid, why) in [
        ("sandrun:1000000:65536", "", "same lines"),
        ("sandrun:1000000:65536", "sandrun:1065536:65536", "same lines"),
        ("sandrun:1000000:65535", "sandrun:1000000:65535", "no line has 65536 ids"),
        ("sandrun:0:65536", "sandrun:0:65536", "not ids to give away"),
        ("sandrun:4294901761:65536", "sandrun:4294901761:65536", "not ids to give away"),
        ("sandrun:many:65536", "sandrun:many:65536", "sandrun:many:65536"),
        ("sandrun:1000000", "sandrun:1000000", "sandrun:1000000"),
        (
            "sandrun:1000000:131072\nsandrun:1065536:65536",
            "sandrun:1065536:65536\nsandrun:1000000:131072",
            "two lines overlap",
        ),
    ] {
        let error = Ranges::from_files(subuid, subgid).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.fix.is_some(), "{error}");
    }
    assert_eq!(Ranges::from_files("alice:1:65536", "bob:1:65536").unwrap().count(), 2046);
}
