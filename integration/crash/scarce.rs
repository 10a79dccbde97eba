//! Too little of something: a clear error, and nothing left.

use std::process::Command;

use crate::support::{Bundle, Runtime, is_root, leaks};

/// What went wrong is told in one line, and nothing of the container is left. Whether it went wrong.
#[track_caller]
fn fails_cleanly(runtime: &Runtime, bundle: &Bundle, what: &str) -> bool {
    let output = runtime.create(bundle);
    if output.code == 0 {
        return false;
    }
    assert_eq!(output.code, 125, "{what}: {output}");
    assert_eq!(output.stderr.lines().count(), 1, "{what}: {output}");
    let left = leaks::all(runtime, bundle);
    assert!(left.is_empty(), "{what}: {output}\nleft: {left:#?}");
    true
}

#[test]
fn few_descriptors() {
    skip_unless!(is_root(), "needs root");
    let failed = (8..=40).filter(|limit| {
        let limited =
            Runtime::sandrun().wrapped(&["sh", "-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh"]);
        fails_cleanly(&limited, &Bundle::probe(&["exit", "0"]), &format!("{limit} descriptors"))
    });
    assert!(failed.count() > 4, "so few are enough, so this shows nothing");
}

/// A tmpfs over a directory, taken away when dropped.
struct Full<'a>(&'a std::path::Path);

impl Drop for Full<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "left behind: a tmpfs on {:?}", self.0);
    }
}

#[test]
fn a_full_state_directory() {
    skip_unless!(is_root(), "needs root");
    let mut failed = 0;
    for blocks in 1..8 {
        let runtime = Runtime::sandrun();
        let root = runtime.root();
        std::fs::create_dir(&root).expect("cannot make the state directory");
        let options = format!("size={}k", blocks * 4);
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&root);
        assert!(mount.status().expect("cannot start mount").success());
        let full = Full(&root);
        let bundle = Bundle::probe(&["exit", "0"]);
        if fails_cleanly(&runtime, &bundle, &options) {
            failed += 1;
        } else {
            runtime.call(&["delete", "--force", &bundle.id]).ok();
        }
        drop(full);
    }
    assert!(failed > 0, "so little is enough, so this shows nothing");
}
