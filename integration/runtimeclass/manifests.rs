//! That every manifest is of the form that Kubernetes knows, misspelt fields included, and that none is forgotten.

use serde_json::Value;

use super::cluster::{manifests, yaml_files};

/// Folders to apply, each with the first Kubernetes (1.x) that has its kinds.
const FOLDERS: [(&str, u32); 5] =
    [(".", 25), ("uninstall", 25), ("network", 25), ("samples", 25), ("policies", 30)];
/// The oldest and the newest that has schemas here, and some between.
const VERSIONS: [u32; 5] = [25, 28, 30, 33, 37];

#[test]
fn every_manifest_has_the_form_that_kubernetes_knows() {
    let cluster = cluster!();
    for (folder, oldest) in FOLDERS {
        let documents = cluster.build(folder);
        assert!(documents.len() >= 3, "{folder}: {documents:?}");
        for version in VERSIONS.into_iter().filter(|version| *version >= oldest) {
            let complaints = cluster.complaints(&format!("1.{version}"), &documents);
            assert!(complaints.is_empty(), "{folder}, Kubernetes 1.{version}: {complaints:?}");
        }
    }
}

#[test]
fn a_misspelt_field_is_found() {
    let cluster = cluster!();
    let mut documents = cluster.build(".");
    let class = documents.iter_mut().find(|document| document["kind"] == "RuntimeClass").unwrap();
    class["overhead"]["podFix"] = class["overhead"]["podFixed"].clone();
    let complaints = cluster.complaints("1.30", &documents);
    assert!(complaints.len() == 1 && complaints[0].contains("podFix"), "{complaints:?}");
}

#[test]
fn every_file_is_applied_with_its_folder() {
    let cluster = cluster!();
    let name = |document: &Value| (document["kind"].clone(), document["metadata"]["name"].clone());
    // By hand, because no namespace of the samples takes it.
    let alone = manifests().join("samples/oci.yaml");
    for folder in ["install", "policies", "network", "samples"] {
        let applied: Vec<_> = cluster.build(folder).iter().map(name).collect();
        for file in yaml_files(folder).iter().filter(|file| **file != alone) {
            for document in cluster.load(file) {
                assert!(applied.contains(&name(&document)), "{} is not applied", file.display());
            }
        }
    }
}

/// The way in and the way out are about the same objects, so that `kubectl delete -k` removes what was applied.
#[test]
fn uninstalling_changes_only_what_the_installer_is_told() {
    let cluster = cluster!();
    let (install, mut uninstall) = (cluster.build("."), cluster.build("uninstall"));
    let daemonset = |document: &&mut Value| document["kind"] == "DaemonSet";
    let arguments = &mut uninstall.iter_mut().find(daemonset).unwrap()["spec"]["template"]["spec"]["containers"]
        [0]["args"];
    assert_eq!(arguments[0], "uninstall");
    arguments[0] = "install".into();
    assert_eq!(install, uninstall);
}
