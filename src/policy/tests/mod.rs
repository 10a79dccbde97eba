//! Every rule broken once, with what it says; what it leaves alone; and how files are read.

mod clamp;
mod exec;
mod mounts;
mod reading;
mod rules;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::Origin;
use super::judge::{LEAST_MASKED, LEAST_READONLY};
use crate::container::create::{Wish, consider};
use crate::error::Error;
use crate::host::Host;
use crate::level::Level;
use crate::oci;
use crate::plan::Draft;
use crate::plan::tests::{good, root, v2, with};

/// A file of the test's own, removed with it.
struct Written(PathBuf);

impl Written {
    fn new(text: &str) -> Written {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sandrun-policy-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Written(path)
    }

    fn origin(&self) -> Origin {
        Origin::File(self.0.clone())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn consider_at(policy: &str, level: Option<Level>, host: &Host, config: &Value) -> Draft {
    let file = Written::new(policy);
    let wish = Wish {
        id: "web".to_owned(),
        bundle: "/bundle".into(),
        config: Some(oci::parse(&config.to_string()).unwrap()),
        policy: file.origin(),
        level,
        ..Wish::default()
    };
    consider(&wish, host, None).unwrap().0
}

/// What comes of a configuration at the level that it gets by itself, by root of a host with cgroup v2.
fn considered(policy: &str, config: &Value) -> Draft {
    consider_at(policy, None, &root(v2(), 7), config)
}

/// The only refusal.
#[track_caller]
fn refused(policy: &str, config: &Value) -> Error {
    let mut draft = considered(policy, config);
    assert_eq!(draft.refusals.len(), 1, "{:?}", draft.refusals);
    draft.refusals.remove(0)
}

#[track_caller]
fn allowed(policy: &str, config: &Value) -> Draft {
    let draft = considered(policy, config);
    assert!(draft.refusals.is_empty(), "{:?}", draft.refusals);
    draft
}

/// A pod's container as a strict author writes it.
fn careful() -> Value {
    let config = with(
        good(),
        "/linux/namespaces",
        json!([
            { "type": "mount" }, { "type": "pid" }, { "type": "uts" }, { "type": "ipc" }, { "type": "network" }
        ]),
    );
    let config = with(config, "/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let config = with(config, "/linux/maskedPaths", json!(LEAST_MASKED));
    let config = with(config, "/linux/readonlyPaths", json!(LEAST_READONLY));
    with(config, "/process/noNewPrivileges", json!(true))
}

/// The same, at level `oci`, where nothing is tightened.
fn to_the_letter(config: Value) -> Value {
    with(config, "/annotations", json!({ "dev.sandrun.level": "oci" }))
}

/// What lets a container ask for that.
const LETTER: &str = "[annotations.allow]\n\"dev.sandrun.level\" = [\"oci\"]\n";
