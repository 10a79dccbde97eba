//! An ordinary image: what a Debian root filesystem holds runs unchanged at `baseline`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;

use crate::support::bundle::ENGINE_CAPABILITIES as USUAL;
use crate::support::{Bundle, Runtime, is_root};

/// The tree is made once; the script keeps what it downloads.
fn rootfs() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/rootfs/debian.sh");
        let made = Command::new(script).arg(&dir).output().expect("cannot run the script");
        if !made.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&made.stderr));
        }
        made.status.success().then_some(dir)
    };
    MADE.get_or_init(make).as_deref()
}

fn debian(script: &str) -> Option<Bundle> {
    let rootfs = rootfs()?;
    Some(Bundle::probe(&[]).edit(|config| {
        config["root"] = json!({ "path": rootfs, "readonly": false });
        config["process"]["args"] = json!(["bash", "-ec", script]);
        config["process"]["capabilities"] =
            json!({ "bounding": USUAL, "effective": USUAL, "permitted": USUAL });
    }))
}

/// Runs a script, and returns what it said.
fn say(script: &str) -> Option<String> {
    let output = Runtime::sandrun().run(&debian(script)?);
    assert_eq!(output.code, 0, "{output}");
    Some(output.stdout)
}

#[test]
fn shell_package_manager_and_interpreters_run() {
    skip_unless!(is_root(), "needs root");
    let said = say("apt-get --version | head -n 1; dpkg -l | wc -l; perl -e 'print 6*7, \"\\n\"'; \
         python3 -c 'import threading; t = threading.Thread(target=print, args=(\"thread\",)); t.start(); t.join()'");
    let Some(said) = said else { skip!("no Debian root filesystem can be made here") };
    assert!(said.starts_with("apt "), "{said}");
    assert!(said.contains("42\n") && said.ends_with("thread\n"), "{said}");
}

#[test]
fn root_becomes_another_user() {
    skip_unless!(is_root(), "needs root");
    let said = say("su nobody -s /bin/sh -c 'id -un; touch /etc/refused 2>/dev/null || echo refused'");
    let Some(said) = said else { skip!("no Debian root filesystem can be made here") };
    assert_eq!(said, "nobody\nrefused\n");
}

#[test]
fn a_server_answers_in_the_background() {
    skip_unless!(is_root(), "needs root");
    const SERVER: &str = "import socket\n\
        s = socket.create_server((\"127.0.0.1\", 80))\n\
        print(\"up\", flush=True)\n\
        c, _ = s.accept(); c.sendall(b\"served\\n\"); c.close()\n";
    let said = say(&format!(
        "cd /tmp; cat > server.py <<'EOF'\n{SERVER}EOF\nmkfifo up; python3 server.py > up & read line < up; \
         exec 3<>/dev/tcp/127.0.0.1/80; cat <&3; wait; rm server.py up"
    ));
    let Some(said) = said else { skip!("no Debian root filesystem can be made here") };
    assert_eq!(said, "served\n");
}
