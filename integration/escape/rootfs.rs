//! Links in the root filesystem that lead the runtime's own writes outside: CVE-2018-15664, CVE-2019-18837, CVE-2021-30465,
//! CVE-2024-45310, CVE-2026-41579.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use super::Outside;
use crate::support::{Bundle, Runtime, Scratch, is_root, leaks};

/// How often the race is run.
const ROUNDS: usize = 150;

/// A bundle whose `name` is a link; without the mounts on and below it, so that the runtime itself writes there.
fn linked(name: &str, target: &Path, keep_mounts: bool) -> Bundle {
    let bundle = Bundle::probe(&["exit", "0"]).edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        let below = |mount: &serde_json::Value| {
            mount["destination"].as_str().is_some_and(|at| at.starts_with(&format!("/{name}")))
        };
        mounts.retain(|mount| keep_mounts || !below(mount));
        config["process"]["cwd"] = json!(format!("/{name}/work"));
    });
    let place = bundle.rootfs().join(name);
    if place.exists() {
        fs::remove_dir(&place).expect("cannot make room for the link");
    }
    symlink(target, place).expect("cannot plant the link");
    bundle
}

#[test]
fn a_directory_of_the_image_is_a_link() {
    skip_unless!(is_root(), "needs root");
    for name in ["dev", "proc", "sys", "etc", "run"] {
        let outside = Outside::new();
        let climbing = PathBuf::from(format!("../../../../../../../..{}", outside.path().display()));
        for (target, keep_mounts) in
            [(outside.path(), false), (outside.path(), true), (climbing.clone(), false), (climbing, true)]
        {
            let runtime = Runtime::sandrun();
            let bundle = linked(name, &target, keep_mounts);
            runtime.run(&bundle);
            outside.assert_untouched(&format!("/{name} is a link to {target:?}"));
            leaks::assert_none(&runtime, &bundle);
        }
    }
}

#[test]
fn the_dev_link_works_on_an_older_runc() {
    skip_unless!(is_root(), "needs root");
    let Some(runc) = Runtime::peer("runc") else { skip!("needs runc to compare with") };
    let version = runc.call(&["--version"]).stdout;
    skip_unless!(version.contains("1.1.5"), "runc is not 1.1.5");
    let outside = Outside::new();
    let bundle = linked("dev", &outside.path(), false).edit(|config| config["process"]["cwd"] = json!("/"));
    runc.run(&bundle);
    assert!(!outside.intruders().is_empty(), "the attack does not work on {version}");
}

/// Exchanges a directory and a link for as long as `meanwhile` runs.
fn racing<T>(volume: &Path, meanwhile: impl FnOnce() -> T) -> T {
    exchanging(&volume.join("place"), &volume.join("link"), meanwhile)
}

fn exchanging<T>(one: &Path, other: &Path, meanwhile: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).expect("cannot exchange them");
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
        stop.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn volume(outside: &Outside) -> Scratch {
    let volume = Scratch::new("volume");
    fs::create_dir(volume.path().join("place")).expect("cannot make the volume");
    symlink(outside.path(), volume.path().join("link")).expect("cannot plant the link");
    volume
}

#[test]
fn a_mount_point_is_exchanged_for_a_link_all_the_time() {
    skip_unless!(is_root(), "needs root");
    let outside = Outside::new();
    let careless = volume(&outside);
    racing(careless.path(), || {
        let deadline = Instant::now() + Duration::from_secs(20);
        while outside.intruders().is_empty() {
            assert!(Instant::now() < deadline, "the race is never won, so it shows nothing");
            // It fails when the exchange comes in the middle.
            let _ = fs::create_dir(careless.path().join("place/made"));
        }
    });
    let outside = Outside::new();
    let volume = volume(&outside);
    let mounts = [
        json!({ "destination": "/volume", "type": "bind", "source": volume.path(), "options": ["rbind"] }),
        json!({ "destination": "/volume/place/made", "type": "tmpfs", "source": "tmpfs" }),
        json!({ "destination": "/volume/place/file", "type": "bind", "source": outside.canary(), "options": ["bind", "ro"] }),
    ];
    let runtime = Runtime::sandrun();
    let bundle = mounts.into_iter().fold(Bundle::probe(&["exit", "0"]), Bundle::mount).edit(|config| {
        config["process"]["cwd"] = json!("/volume/place/work");
        config["linux"]["maskedPaths"] = json!(["/volume/place/made"]);
        config["linux"]["readonlyPaths"] = json!(["/volume/place"]);
    });
    racing(volume.path(), || {
        for round in 0..ROUNDS {
            // It may fail; it may not reach outside.
            runtime.run(&bundle);
            outside.assert_untouched(&format!("round {round}"));
        }
    });
    leaks::assert_none(&runtime, &bundle);
}

/// Whoever owns the image may rename the mount point of `/proc` while masks are put on it: by path, they would
/// land beside the procfs, and the workload could write the host's parameters as user 0.
#[test]
fn masks_stay_on_a_procfs_whose_mount_point_is_renamed() {
    skip_unless!(is_root(), "needs root");
    // Opens, and writes nothing.
    const TRY: &str = "for place in /proc /other; do [ -e $place/self ] && echo procfs && \
        (: >> $place/sys/kernel/core_pattern) 2>/dev/null && echo writable; done; true";
    let runtime = Runtime::at_level("oci");
    let open = Bundle::shell(TRY).edit(|config| config["linux"]["readonlyPaths"] = json!([]));
    assert_eq!(runtime.run(&open).ok().stdout, "procfs\nwritable\n", "without the mask it can be written");
    let bundle = Bundle::shell(TRY);
    let (proc, other) = (bundle.rootfs().join("proc"), bundle.rootfs().join("other"));
    for place in [&proc, &other] {
        fs::create_dir_all(place).expect("cannot make a mount point");
    }
    let seen = exchanging(&proc, &other, || {
        (0..2 * ROUNDS)
            .filter(|_| {
                let output = runtime.run(&bundle);
                assert!(!output.stdout.contains("writable"), "{output}");
                output.stdout.contains("procfs")
            })
            .count()
    });
    assert!(seen > 0, "no container was made while its mount point was renamed");
}
