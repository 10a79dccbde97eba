//! The level by the name of the program: all that an engine can choose which takes a path and no flags.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::json;

use super::gorunc::{Shim, Spelling};
use crate::support::{Bundle, Output, Runtime, Scratch, is_root};

struct Named {
    dir: Scratch,
    runtime: Runtime,
}

impl Named {
    fn new() -> Named {
        Named { dir: Scratch::new("names"), runtime: Runtime::sandrun() }
    }

    fn link(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        if !path.exists() {
            symlink(self.runtime.program(), &path).expect("cannot make a link");
        }
        path
    }

    /// What a container says of its level that is run by this name.
    #[track_caller]
    fn level(&self, name: &str, flags: &[&str], bundle: &Bundle) -> Result<String, Output> {
        bundle.write();
        self.runtime.adopt(bundle);
        let mut command = std::process::Command::new(self.link(name));
        command.arg("--root").arg(self.runtime.root()).args(flags).args(["create", "--bundle"]);
        command.arg(bundle.path()).arg(&bundle.id);
        let output = self.runtime.finish(command, &bundle.path().join("said"));
        if output.code != 0 {
            return Err(output);
        }
        let state = self.runtime.call(&["state", &bundle.id]).ok().json();
        Ok(state["sandrun"]["level"].as_str().expect("a level").to_owned())
    }
}

fn bundle() -> Bundle {
    Bundle::probe(&["sleep", "60"])
}

fn asking_for(level: &str) -> Bundle {
    bundle().edit(|config| config["annotations"] = json!({ "dev.sandrun.level": level }))
}

#[test]
fn a_link_names_the_level() {
    skip_unless!(is_root(), "needs root");
    let named = Named::new();
    for (name, level) in [
        ("sandrun-oci", "oci"),
        ("sandrun-baseline", "baseline"),
        ("sandrun-strict", "strict"),
        ("sandrun", "baseline"),
        ("sandrun-x86_64", "baseline"),
    ] {
        assert_eq!(
            named.level(name, &[], &bundle()).map_err(|output| output.stderr),
            Ok(level.to_owned()),
            "{name}"
        );
    }
}

#[test]
fn the_command_line_the_container_and_the_policy_still_decide() {
    skip_unless!(is_root(), "needs root");
    let named = Named::new();
    let level = |name: &str, flags: &[&str], bundle: &Bundle| {
        named.level(name, flags, bundle).map_err(|output| output.stderr)
    };
    assert_eq!(level("sandrun-oci", &["--level", "strict"], &bundle()).as_deref(), Ok("strict"));
    assert_eq!(level("sandrun-oci", &[], &asking_for("strict")).as_deref(), Ok("strict"), "more");
    let less = level("sandrun-strict", &[], &asking_for("baseline")).expect_err("less than the handler's");
    assert!(less.contains("dev.sandrun.level"), "{less}");
    let policy = named.dir.path().join("policy.toml");
    let policy = policy.display().to_string();
    std::fs::write(&policy, "[level]\nminimum = \"baseline\"\n").expect("cannot write");
    let refused = level("sandrun-oci", &["--policy", &policy], &bundle()).expect_err("the least is baseline");
    assert!(refused.contains("level oci is less than baseline"), "{refused}");
    std::fs::write(&policy, "mode = \"clamp\"\n[level]\nminimum = \"baseline\"\n").expect("cannot write");
    assert_eq!(level("sandrun-oci", &["--policy", &policy], &bundle()).as_deref(), Ok("baseline"));
    std::fs::write(&policy, "[level]\ndefault = \"strict\"\n").expect("cannot write");
    assert_eq!(level("sandrun", &["--policy", &policy], &bundle()).as_deref(), Ok("strict"));
    assert_eq!(
        level("sandrun-oci", &["--policy", &policy], &bundle()).as_deref(),
        Ok("oci"),
        "no default is needed"
    );
}

/// As `BinaryName` of a handler.
#[test]
fn the_shim_has_a_level_by_the_path_that_it_calls() {
    skip_unless!(is_root(), "needs root");
    let named = Named::new();
    let mut shim = Shim::new(Spelling::Apart, Some(named.link("sandrun-strict")));
    let bundle = Bundle::probe(&["status"]);
    let pid = shim.create(&bundle);
    shim.ask("start", &[], &[&bundle.id]);
    assert_eq!(shim.reap(pid), 0);
    let status: serde_json::Value = serde_json::from_str(&shim.said()).expect("JSON");
    assert_eq!(
        (&status["CapBnd"], &status["NoNewPrivs"]),
        (&json!("0000000000000000"), &json!("1")),
        "{status}"
    );
    shim.ask("delete", &[], &[&bundle.id]);
}

#[test]
fn the_help_tells_of_it() {
    let help = Runtime::sandrun().call(&["--help"]).ok().stdout;
    assert!(help.contains("sandrun-LEVEL"), "{help}");
}
