//! The programs that know Kubernetes: `kubectl` for kustomizations, and `cluster.py` for schemas and admission policies.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The folder of manifests.
pub fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("runtimeclass")
}

/// What is needed, where it is there.
pub struct Cluster {
    python: PathBuf,
}

impl Cluster {
    /// Both programs, or what is missing.
    pub fn find() -> Result<Cluster, String> {
        // `patches`, for which kubectl has to have Kustomize 4, came with 1.21.
        let version = Command::new("kubectl").args(["version", "--client", "--output=json"]).output();
        let version = version.map_err(|error| format!("kubectl: {error}"))?;
        let version: Value = serde_json::from_slice(&version.stdout).unwrap_or_default();
        if version["kustomizeVersion"].is_null() {
            return Err("kubectl is too old for these kustomizations".to_owned());
        }
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let python = home.join(".cache/sandrun/cluster/bin/python");
        match python.exists() {
            true => Ok(Cluster { python }),
            false => {
                Err("scripts/test has not installed what integration/runtimeclass/requirements.txt lists"
                    .to_owned())
            }
        }
    }

    /// What `kubectl apply -k` would send of a folder of manifests.
    pub fn build(&self, folder: &str) -> Vec<Value> {
        let built = Command::new("kubectl").arg("kustomize").arg(manifests().join(folder)).output().unwrap();
        let warnings = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success() && warnings.is_empty(), "{folder}: {warnings}");
        documents(self.ask(&["load", "/dev/stdin"], &built.stdout))
    }

    /// The documents of a file.
    pub fn load(&self, file: &Path) -> Vec<Value> {
        documents(self.ask(&["load", file.to_str().unwrap()], b""))
    }

    /// Which documents are not of the form that a version of Kubernetes knows, and where.
    pub fn complaints(&self, version: &str, documents: &[Value]) -> Vec<String> {
        let answer = self.ask(&["schemas", version], Value::from(documents).to_string().as_bytes());
        serde_json::from_value(answer).unwrap()
    }

    /// What all admission policies say of each request.
    pub fn admit(&self, requests: &[Value]) -> Vec<Vec<Refusal>> {
        let mut files: Vec<String> =
            yaml_files("policies").iter().map(|file| file.to_str().unwrap().to_owned()).collect();
        files.insert(0, "admit".to_owned());
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let answer = self.ask(&files, Value::from(requests).to_string().as_bytes());
        let answer: Vec<Vec<(String, Option<usize>, String)>> = serde_json::from_value(answer).unwrap();
        let refusal = |(policy, rule, message)| Refusal { policy, rule, message };
        answer.into_iter().map(|refusals| refusals.into_iter().map(refusal).collect()).collect()
    }

    #[track_caller]
    fn ask(&self, arguments: &[&str], input: &[u8]) -> Value {
        let mut command = Command::new(&self.python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/runtimeclass/cluster.py"));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that ends early says why.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        eprint!("{errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Why a request is refused.
#[derive(Debug)]
pub struct Refusal {
    /// The policy.
    pub policy: String,
    /// Which of its validations; none where it did not come to these.
    pub rule: Option<usize>,
    pub message: String,
}

fn documents(answer: Value) -> Vec<Value> {
    let Value::Array(documents) = answer else { panic!("no list: {answer}") };
    documents
}

/// The manifests in a folder.
pub fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let dir = std::fs::read_dir(manifests().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = dir.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| {
        file.extension().is_some_and(|extension| extension == "yaml") && !file.ends_with("kustomization.yaml")
    });
    files.sort();
    files
}
