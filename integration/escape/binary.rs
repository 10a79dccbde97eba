//! The runtime's own binary and the host's files, through `/proc/PID` of a process that enters the container: CVE-2019-5736,
//! CVE-2016-9962.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Outside;
use crate::support::{Bundle, Runtime, Scratch, is_root};

/// How many execs the hunter has to catch.
const EXECS: usize = 100;

/// A container with every capability we have, in the host's user namespace; its program hunts.
fn hunter(outside: &Outside, seconds: &str) -> Bundle {
    Bundle::probe(&["hunt", seconds, &outside.canary()]).privileged()
}

fn start(runtime: &Runtime, bundle: &Bundle) -> String {
    runtime.create(bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    runtime.call(&["state", &bundle.id]).ok().json()["pid"].to_string()
}

fn answer(runtime: &Runtime, bundle: &Bundle) -> Value {
    runtime.await_status(bundle, "stopped");
    let said = runtime.said(bundle);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("no answer ({error}): {said}"))
}

#[test]
fn a_careless_entry_is_caught() {
    skip_unless!(is_root(), "needs root");
    let (outside, home) = (Outside::new(), Scratch::new("careless"));
    let runtime = Runtime::at_level("oci");
    let bundle = hunter(&outside, "1.5");
    let pid = start(&runtime, &bundle);
    let unsealed = home.path().join("unsealed");
    fs::copy(bundle.rootfs().join("probe"), &unsealed).expect("cannot copy a program");
    // A process of the host's that joins the pid namespace before anything else, and waits.
    let mut entry = Command::new("nsenter");
    entry.args(["--target", &pid, "--pid"]).arg(&unsealed).args(["sleep", "0.3"]).stdout(Stdio::null());
    assert!(entry.status().expect("cannot start nsenter").success());
    let seen = answer(&runtime, &bundle);
    assert!(
        seen["root"].as_i64() > Some(0) && seen["descriptor"].is_i64(),
        "the hunter catches nobody: {seen}"
    );
}

#[test]
fn exec_shows_neither_the_binary_nor_the_host() {
    skip_unless!(is_root(), "needs root");
    let outside = Outside::new();
    let runtime = Runtime::at_level("oci");
    let before = fs::read(runtime.program()).expect("cannot read our binary");
    let bundle = hunter(&outside, "6");
    start(&runtime, &bundle);
    for _ in 0..EXECS {
        // The last ones may come too late.
        runtime.call(&["exec", &bundle.id, "/probe", "exit", "0"]);
    }
    let seen = answer(&runtime, &bundle);
    assert!(seen["seen"].as_i64() > Some(0), "it saw nobody: {seen}");
    for way in ["binary", "root", "descriptor"] {
        // The program of the exec is the hunter's own, which cannot be written while it runs.
        assert_eq!(seen[way], 0, "{way}: {seen}");
    }
    assert!(fs::read(runtime.program()).expect("cannot read our binary") == before, "our binary was changed");
}

#[test]
fn the_program_is_the_runtime_itself() {
    skip_unless!(is_root(), "needs root");
    for level in ["oci", "baseline"] {
        let runtime = Runtime::at_level(level);
        let before = fs::read(runtime.program()).expect("cannot read our binary");
        let scripted = |bundle: Bundle| {
            let script = bundle.rootfs().join("script");
            fs::write(&script, "#!/proc/self/exe\n").expect("cannot write the script");
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
                .expect("cannot make it executable");
            symlink("/proc/self/exe", bundle.rootfs().join("link")).expect("cannot plant the link");
            bundle
        };
        let container = scripted(Bundle::shell("sleep 60"));
        start(&runtime, &container);
        for program in ["/proc/self/exe", "/script", "/link", "/proc/1/exe"] {
            let bundle =
                scripted(Bundle::probe(&[])).edit(|config| config["process"]["args"] = json!([program]));
            let output = runtime.run(&bundle);
            assert_ne!(output.code, 0, "{level}: {program} was run: {output}");
            let output = runtime.call(&["exec", &container.id, program]);
            assert!(!output.stdout.contains("sandrun"), "{level}: {program} is ours: {output}");
        }
        assert!(
            fs::read(runtime.program()).expect("cannot read our binary") == before,
            "our binary was changed"
        );
    }
}
