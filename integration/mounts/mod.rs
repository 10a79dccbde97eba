//! Mounts, each looked at from inside, and wherever runc and crun have the same compared with them.

mod idmapped;
mod options;
mod places;
mod propagation;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime};

/// What a shell in the container says, with config.json to the letter.
#[track_caller]
fn say(bundle: &Bundle) -> String {
    Runtime::at_level("oci").run(bundle).ok().stdout
}

/// The refusal of a bundle.
#[track_caller]
fn refusal(bundle: &Bundle) -> String {
    let output = Runtime::at_level("oci").run(bundle);
    assert_eq!(output.code, 125, "{output}");
    output.stderr
}

fn tmpfs(destination: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options })
}

/// A directory of the bundle's, with these files, each of which holds its own name.
fn volume(bundle: &Bundle, name: &str, files: &[&str]) -> std::path::PathBuf {
    let volume = bundle.path().join(name);
    std::fs::create_dir_all(&volume).expect("cannot make a volume");
    for file in files {
        std::fs::write(volume.join(file), file).expect("cannot write a file");
    }
    volume
}
