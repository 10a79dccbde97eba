use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{AtFlags, statat};

use super::*;
use crate::plan::mounts::stack::{Layer, Overlay};

/// A directory of the test's own, removed whatever happens.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sandrun-rootfs-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn rootfs(scratch: &Scratch, stack: Vec<Origin>, set: u64) -> Rootfs {
    let one = |(i, from): (usize, Origin)| Stacked {
        at: format!("rootfs[{i}]"),
        target: String::new(),
        from,
        set,
        propagation: Vec::new(),
        uid_mappings: Vec::new(),
        gid_mappings: Vec::new(),
    };
    let stack = stack.into_iter().enumerate().map(one).collect();
    Rootfs { path: scratch.path("rootfs"), stack, ..Rootfs::default() }
}

/// `mount(2)` takes a page of options, of which these fill two.
#[test]
fn an_overlay_may_have_many_layers_with_long_names() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("many");
    let lower = (0..40).map(|i| {
        let path = scratch.path(&format!("{i}-{}", "x".repeat(200)));
        fs::create_dir(&path).unwrap();
        fs::write(format!("{path}/{i}"), "").unwrap();
        Layer { path, data: false }
    });
    let overlay = Overlay { lower: lower.collect(), ..Overlay::default() };
    let rootfs = rootfs(&scratch, vec![Origin::Overlay(overlay)], 0);
    let trees = make(&rootfs, None).unwrap();
    for name in ["0", "39"] {
        statat(&trees[0], name, AtFlags::empty()).unwrap();
    }
    assert!(!Path::new(&rootfs.path).exists(), "nobody sees it yet");
}

#[test]
fn mounts_stack_and_go_with_what_is_below() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("stack");
    let mut stack = Vec::new();
    for name in ["first", "second"] {
        fs::create_dir_all(scratch.0.join(name).join("place")).unwrap();
        fs::write(scratch.0.join(name).join(name), "").unwrap();
        stack.push(Origin::Bind { path: scratch.path(name), recursive: true });
    }
    let mut rootfs = rootfs(&scratch, stack, 0);
    rootfs.stack[1].target = "/place".to_owned();
    let path = PathBuf::from(&rootfs.path);
    let clone = attach(&rootfs, &make(&rootfs, None).unwrap()).unwrap();
    assert!(path.join("first").exists() && path.join("place/second").exists());
    statat(&clone, "place/second", AtFlags::empty()).unwrap();
    drop(clone);
    unmount(&path).unwrap();
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    unmount(&path).unwrap();
    unmount(&scratch.0.join("nothing")).unwrap();
}

#[test]
fn a_file_is_mounted_by_a_loop_device_that_goes_with_it() {
    if !is_root() || !Path::new("/dev/loop-control").exists() {
        return;
    }
    let scratch = Scratch::new("loop");
    let file = scratch.path("ext4");
    fs::write(&file, vec![0u8; 4 << 20]).unwrap();
    let mut made = Command::new("mkfs.ext4");
    made.args(["-q", "-F", &file]).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    if !made.status().is_ok_and(|status| status.success()) {
        return;
    }
    let of_file = || {
        let devices = fs::read_dir("/sys/block").unwrap().flatten();
        let backing = |device: fs::DirEntry| fs::read_to_string(device.path().join("loop/backing_file")).ok();
        devices.filter_map(backing).filter(|backing| backing.trim() == file).count()
    };
    let (fstype, source) = ("ext4".to_owned(), file.clone());
    let options = vec![("ro".to_owned(), None)];
    let from = Origin::Filesystem { fstype, source, options, loop_device: Some(false) };
    let trees = make(&rootfs(&scratch, vec![from], READONLY), None).unwrap();
    statat(&trees[0], "lost+found", AtFlags::empty()).unwrap();

    assert_eq!(of_file(), 1);
    drop(trees);
    // The kernel takes its time.
    for _ in 0..500 {
        if of_file() == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the loop device is still there");
}

#[test]
fn a_layer_that_is_not_there_is_named() {
    let scratch = Scratch::new("missing");
    let lower = vec![Layer { path: scratch.path("gone"), data: false }];
    let rootfs = rootfs(&scratch, vec![Origin::Overlay(Overlay { lower, ..Overlay::default() })], 0);
    let error = make(&rootfs, None).unwrap_err();
    assert!(error.to_string().contains("gone") && error.at.as_deref() == Some("rootfs[0]"), "{error}");
    assert!(error.fix.is_some_and(|fix| fix.contains("pull the image again")));
}
