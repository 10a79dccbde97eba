//! `sandrun-node install|uninstall [--stay] [WORDS OF sandrun install…]`: what the DaemonSet's container runs.
//!
//! It runs the `sandrun` beside it, and labels the node NODE_NAME with what that finds, so that pods come to nodes which can
//! run them and to no others. With `--stay` it looks again every minute: a node whose containerd has lost the handlers is
//! not ready any more. Before it uninstalls, the labels go. It does nothing when it is ended: a pod ends for many reasons.

mod api;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Map, Value, json};

use api::Node;

/// How often `--stay` looks.
const INTERVAL: Duration = Duration::from_secs(60);
/// All labels that a node may have of this program.
const LABELS: [&str; 5] = ["ready", "version", "landlock-abi", "layers", "cgroup"];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sandrun-node: error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let stay = words.iter().any(|word| word == "--stay");
    words.retain(|word| word != "--stay");
    let sandrun = Sandrun { program: std::env::current_exe()?.with_file_name("sandrun"), words };
    let node = match std::env::var("NODE_NAME") {
        Ok(name) => Some(Node::in_cluster(&name)?),
        Err(_) => None,
    };
    match sandrun.words.first().map(String::as_str) {
        Some("install") => install(&sandrun, node.as_ref(), stay),
        Some("uninstall") => uninstall(&sandrun, node.as_ref(), stay),
        _ => Err("usage: sandrun-node install|uninstall [--stay] [WORDS OF sandrun install...]".into()),
    }
}

fn install(sandrun: &Sandrun, node: Option<&Node>, stay: bool) -> Result<ExitCode> {
    let installed = sandrun.run()?;
    let mut said = Map::new();
    loop {
        let labels = sandrun.labels()?;
        if labels != said {
            println!("labels   {}", Value::Object(labels.clone()));
            // A node whose API server is away for a while is looked at again like any other.
            match node.map_or(Ok(()), |node| node.label(&labels)) {
                Ok(()) => said = labels,
                Err(error) if stay => eprintln!("sandrun-node: error: {error}"),
                Err(error) => return Err(error),
            }
        }
        if !installed || !stay {
            return Ok(if installed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        sleep(INTERVAL);
    }
}

/// No pod is to come any more before the handlers go; those that are there are waited for.
fn uninstall(sandrun: &Sandrun, node: Option<&Node>, stay: bool) -> Result<ExitCode> {
    let gone = LABELS.map(|name| (format!("sandrun.dev/{name}"), Value::Null));
    node.map_or(Ok(()), |node| node.label(&Map::from_iter(gone)))?;
    loop {
        let done = sandrun.run()?;
        if !stay {
            return Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        sleep(INTERVAL);
        if done {
            return stay_forever();
        }
    }
}

/// A container of a DaemonSet that ends is started anew.
fn stay_forever() -> Result<ExitCode> {
    loop {
        sleep(INTERVAL);
    }
}

/// The program beside this one, and the words for it.
struct Sandrun {
    program: PathBuf,
    words: Vec<String>,
}

impl Sandrun {
    /// Whether it did what it was told to; it says itself what was wrong.
    fn run(&self) -> Result<bool> {
        Ok(self.command().stdin(Stdio::null()).status()?.success())
    }

    /// The labels, whether the node is ready or not.
    fn labels(&self) -> Result<Map<String, Value>> {
        let output = self.command().arg("--check").stderr(Stdio::inherit()).output()?;
        let standing: Value = serde_json::from_slice(&output.stdout)?;
        if let Some(why) = standing["why"].as_str() {
            eprintln!("sandrun-node: not ready: {why}");
        }
        standing["labels"].as_object().cloned().ok_or_else(|| format!("no labels in {standing}").into())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.words);
        command
    }
}

/// The change of a node's labels; one that is null goes.
fn patch(labels: &Map<String, Value>) -> Value {
    json!({ "metadata": { "labels": labels } })
}
