//! Devices of the image that are links, where a runtime masks with them or mounts on them: CVE-2025-31133, CVE-2025-52565.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::support::terminal::{Running, Terminal};
use crate::support::{Bundle, Runtime, is_root, leaks};

const TARGET: &str = "/proc/sys/kernel/core_pattern";

/// Without a tmpfs on /dev, the image's own is used.
fn own_dev(bundle: Bundle) -> Bundle {
    bundle.edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| !mount["destination"].as_str().unwrap_or_default().starts_with("/dev"));
    })
}

#[test]
fn a_device_of_the_image_is_a_link() {
    skip_unless!(is_root(), "needs root");
    let before = fs::read_to_string(TARGET).expect("cannot read it");
    for device in ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"] {
        for level in ["oci", "baseline"] {
            let bundle = own_dev(Bundle::probe(&["masked", TARGET, "/proc/kcore"]));
            symlink(TARGET, bundle.rootfs().join("dev").join(device)).expect("cannot plant the link");
            let runtime = Runtime::at_level(level);
            let output = runtime.run(&bundle);
            if output.code == 0 {
                let seen = output.json();
                assert!(seen[TARGET]["write"].is_string(), "{device}: {seen}");

                assert_ne!(seen["/proc/kcore"]["state"], "content", "{device}: {seen}");
            } else {
                assert_eq!(output.code, 125, "{device}: {output}");
            }
            leaks::assert_none(&runtime, &bundle);
        }
    }
    assert_eq!(fs::read_to_string(TARGET).expect("cannot read it"), before);
    // Without the masks it can be written, so the probe can tell.
    let bundle =
        Bundle::probe(&["masked", TARGET]).edit(|config| config["linux"]["readonlyPaths"] = json!([]));
    assert!(Runtime::at_level("oci").ask(&bundle)[TARGET]["write"].is_null());
}

#[test]
fn the_console_is_mounted_on_a_link() {
    skip_unless!(is_root(), "needs root");
    for place in ["dev/console", "dev/pts"] {
        let bundle = own_dev(Bundle::probe(&["masked", TARGET]))
            .mount(json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"] }))
            .edit(|config| config["process"]["terminal"] = json!(true));
        symlink(if place == "dev/pts" { "/tmp" } else { TARGET }, bundle.rootfs().join(place))
            .expect("cannot plant the link");
        let runtime = Runtime::sandrun();
        bundle.write();
        runtime.adopt(&bundle);
        let mut terminal = Terminal::new(80, 24);
        let path = bundle.path().display().to_string();
        let running = Running(terminal.start(&runtime.command(&["run", "--bundle", &path, &bundle.id])));
        // An answer of the probe, or an error.
        let screen = terminal.read_until("\n");
        assert!(screen.contains("\"write\":\"") || screen.contains("sandrun: "), "{place}: {screen}");
        let code = running.finish();
        assert!(matches!(code, Some(0 | 125)), "{place}: {code:?}");
        leaks::assert_none(&runtime, &bundle);
    }
}
