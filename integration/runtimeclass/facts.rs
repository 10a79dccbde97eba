//! What the manifests say of sandrun: that it is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use sandrun::plan::annotations::KNOWN;
use sandrun::plan::caps::BASELINE;
use serde_json::{Value, json};

use super::cluster::{Cluster, manifests};
use crate::support::{Bundle, Runtime, is_root};

fn of_kind(documents: Vec<Value>, kind: &str) -> Vec<Value> {
    let found: Vec<Value> = documents.into_iter().filter(|document| document["kind"] == kind).collect();
    assert!(!found.is_empty(), "no {kind}");
    found
}

fn classes(cluster: &Cluster) -> Vec<Value> {
    of_kind(cluster.build("."), "RuntimeClass")
}

/// The policy of this name, and one of its variables.
fn variable(cluster: &Cluster, policy: &str, name: &str) -> String {
    let policies = of_kind(cluster.build("policies"), "ValidatingAdmissionPolicy");
    let policy = policies.iter().find(|found| found["metadata"]["name"] == policy).unwrap();
    let variables = policy["spec"]["variables"].as_array().unwrap();
    let variable = variables.iter().find(|variable| variable["name"] == name).unwrap();
    variable["expression"].as_str().unwrap().to_owned()
}

/// The texts of an expression.
fn texts(expression: &str) -> Vec<&str> {
    expression.split('\'').skip(1).step_by(2).collect()
}

#[test]
fn each_class_is_its_handler_and_costs_the_same() {
    let cluster = cluster!();
    let classes = classes(&cluster);
    let names: BTreeSet<&str> =
        classes.iter().map(|class| class["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["sandrun", "sandrun-oci", "sandrun-strict"]));
    for class in &classes {
        assert_eq!(class["handler"], class["metadata"]["name"]);
        assert_eq!(class["overhead"], classes[0]["overhead"]);
        assert_eq!(class["scheduling"], classes[0]["scheduling"]);
        assert_eq!(class["scheduling"]["nodeSelector"], json!({"sandrun.dev/ready": "true"}));
    }
    let overhead = &classes[0]["overhead"]["podFixed"];
    let quoted =
        format!("{} CPU, {} memory", overhead["cpu"].as_str().unwrap(), overhead["memory"].as_str().unwrap());
    let readme = fs::read_to_string(manifests().join("README.md")).unwrap();
    assert!(readme.contains(&quoted), "runtimeclass/README.md does not say {quoted}");
}

/// The DaemonSet's command line is one that the installer has, and the classes are the handlers that it writes.
#[test]
fn the_installer_is_called_as_it_can_be() {
    let cluster = cluster!();
    for (folder, verb) in [(".", "install"), ("uninstall", "uninstall")] {
        let daemonset = of_kind(cluster.build(folder), "DaemonSet").remove(0);
        let arguments = &daemonset["spec"]["template"]["spec"]["containers"][0]["args"];
        let arguments: Vec<&str> =
            arguments.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        assert_eq!(arguments[0], verb);
        let help = Runtime::sandrun().call(&[verb, "--help"]);
        skip_unless!(help.code == 0, "this sandrun has no {verb}");
        // `--stay` is for the program around it, which looks at the node from then on (runtimeclass/installer).
        for flag in arguments.iter().filter(|word| word.starts_with("--") && **word != "--stay") {
            assert!(
                help.stdout.contains(&format!("{flag} ")) || help.stdout.contains(&format!("{flag}\n")),
                "{verb} {flag}"
            );
        }
    }
    let help = Runtime::sandrun().call(&["install", "--help"]).stdout;
    let handlers: Vec<String> =
        classes(&cluster).iter().map(|class| class["handler"].as_str().unwrap().to_owned()).collect();
    let words: BTreeSet<&str> = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    for word in &handlers {
        assert!(words.contains(word.as_str()), "no handler {word}: {help}");
    }
    let named = words.iter().filter(|word| word.starts_with("sandrun-") && !word.ends_with("LEVEL")).count();
    assert_eq!(named + 1, handlers.len(), "a handler without a class: {help}");
}

/// Asked of sandrun itself: which annotation with which value is refused as one that loosens, at which level.
#[test]
fn the_policy_names_the_annotations_that_loosen_and_no_other() {
    skip_unless!(is_root(), "a policy file belongs to root");
    let cluster = cluster!();
    let mut loosening: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for annotation in KNOWN {
        for value in ["oci", "baseline", "strict", "true", "false", "none", "8080", "/data", "[]", "{}"] {
            if ["baseline", "strict"].into_iter().any(|level| loosens(level, annotation, value)) {
                loosening.entry(annotation).or_default().insert(value);
            }
        }
    }
    let expression = variable(&cluster, "sandrun-no-loosening", "loosening");
    let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut last = "";
    // Words of the condition are no values: the class.
    for text in texts(&expression).into_iter().filter(|text| !text.is_empty() && *text != "sandrun-strict") {
        if text.starts_with("dev.sandrun.") {
            last = text;
        } else {
            named.entry(last).or_default().insert(text);
        }
    }
    assert_eq!(named, loosening);
    assert!(!named.is_empty());
}

/// Whether a container of a node with this default level is refused an annotation because it loosens.
fn loosens(level: &str, annotation: &str, value: &str) -> bool {
    let bundle = Bundle::probe(&[]).edit(|config| config["annotations"] = json!({annotation: value}));
    let policy = bundle.path().join("policy.toml");
    fs::write(&policy, format!("[level]\ndefault = \"{level}\"\n")).unwrap();
    let file = write(&bundle);
    let flags = ["--policy", policy.to_str().unwrap(), "policy", "check", &file];
    // A value that it cannot read at all is no answer.
    Runtime::sandrun().call(&flags).stdout.contains("loosens the confinement")
}

/// Writes config.json.
fn write(bundle: &Bundle) -> String {
    let file = bundle.path().join("config.json");
    fs::write(&file, bundle.config.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// What `sandrun policy check` has against a bundle.
fn refusals(runtime: &Runtime, bundle: &Bundle) -> Vec<Value> {
    let output = runtime.call(&["policy", "check", "--json", &write(bundle)]);
    output.json()["refusals"].as_array().unwrap().clone()
}

#[test]
fn the_policy_lets_add_what_baseline_leaves() {
    let cluster = cluster!();
    let expression = variable(&cluster, "sandrun-no-host-access", "allowed");
    let names: BTreeSet<String> = texts(&expression).into_iter().map(|name| format!("CAP_{name}")).collect();
    assert_eq!(names, BASELINE.iter().map(ToString::to_string).collect());
}

/// The samples ask sandrun for nothing that it does not know, and nothing that the policy `baseline` of a node refuses.
#[test]
fn the_samples_are_what_sandrun_takes() {
    let cluster = cluster!();
    let documents = cluster.build("samples");
    let pods = documents.iter().filter_map(|document| match document["kind"].as_str().unwrap() {
        "Pod" => Some(document),
        "Deployment" | "StatefulSet" | "Job" => Some(&document["spec"]["template"]),
        _ => None,
    });
    let mut checked = 0;
    for pod in pods {
        let level = match pod["spec"]["runtimeClassName"].as_str().unwrap() {
            "sandrun" => "baseline",
            class => class.strip_prefix("sandrun-").unwrap(),
        };
        let annotations = pod["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
        for name in annotations.keys().filter(|name| name.starts_with("dev.sandrun.")) {
            assert!(KNOWN.contains(&name.as_str()), "nothing reads {name}");
        }
        for container in pod["spec"]["containers"].as_array().unwrap() {
            let bundle = as_containerd_has_it(pod, container, &annotations);
            let found = refusals(&Runtime::at_level(level).flags(&["--policy", "builtin:baseline"]), &bundle);
            assert!(found.is_empty(), "{container}: {found:?}");
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked}");
}

/// The parts of config.json that a pod decides.
fn as_containerd_has_it(
    pod: &Value,
    container: &Value,
    annotations: &serde_json::Map<String, Value>,
) -> Bundle {
    let mut annotations = annotations.clone();
    annotations.insert("io.kubernetes.cri.sandbox-uid".to_owned(), "uid".into());
    let user = &pod["spec"]["securityContext"];
    Bundle::probe(&[]).edit(|config| {
        config["annotations"] = Value::Object(annotations);
        config["process"]["user"] = json!({
            "uid": user["runAsUser"].as_u64().unwrap_or(0), "gid": user["runAsGroup"].as_u64().unwrap_or(0),
        });
        config["process"]["args"] = container["command"].clone();
        config["root"]["readonly"] = json!(container["securityContext"]["readOnlyRootFilesystem"] == true);
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let name = mount["name"].as_str().unwrap();
            let source = format!("/var/lib/kubelet/pods/uid/volumes/kubernetes.io~empty-dir/{name}");
            let access = if mount["readOnly"] == true { "ro" } else { "rw" };
            config["mounts"].as_array_mut().unwrap().push(json!({
                "destination": mount["mountPath"], "type": "bind", "source": source,
                "options": ["rbind", "rprivate", access],
            }));
        }
        if container["command"].is_null() {
            config["process"]["args"] = json!(["/probe"]);
        }
    })
}
