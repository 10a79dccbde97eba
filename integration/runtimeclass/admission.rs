//! The admission policies, on requests that they let pass and requests that they refuse (`runtimeclass/tests`).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::cluster::{Cluster, Refusal, manifests, yaml_files};

/// The words of `runtimeclass/tests` for the namespace that a request is for.
const NAMESPACE: &str = "NAMESPACE";

/// One faulty request.
pub struct Case {
    /// The policy that refuses it.
    pub policy: String,
    /// What is wrong with it.
    pub what: String,
    /// A part of what the policy says.
    pub message: String,
    pub request: Value,
}

impl Case {
    /// All there are, of the policy in each file of `runtimeclass/tests`.
    pub fn all(cluster: &Cluster) -> Vec<Case> {
        yaml_files("tests")
            .iter()
            .flat_map(|file| {
                let name = file.file_stem().unwrap().to_str().unwrap();
                let cases = cluster.load(file).remove(0);
                let refused = cases["refused"].as_array().unwrap().clone();
                refused.into_iter().map(move |refused| Case::of(name, &refused, &cases["accepted"]))
            })
            .collect()
    }

    fn of(file: &str, refused: &Value, accepted: &Value) -> Case {
        let text = |key: &str| refused[key].as_str().map(str::to_owned);
        let (what, of) = (text("what").unwrap(), text("of").unwrap());
        // One that passes, but for its fault.
        let mut request = accepted[&of].clone();
        assert!(request.is_object(), "{file}: {what}: no {of}");
        for operation in refused["fault"].as_array().unwrap() {
            patch(&mut request, operation);
        }
        let policy = text("policy").unwrap_or_else(|| format!("sandrun-{file}"));
        Case { policy, what, message: text("message").unwrap(), request }
    }

    /// The words of the message, for a namespace.
    pub fn message(&self, namespace: &str) -> String {
        self.message.replace(NAMESPACE, namespace)
    }
}

/// One operation of a JSON patch (RFC 6902).
fn patch(document: &mut Value, operation: &Value) {
    let path = operation["path"].as_str().unwrap();
    let (parent, last) = path.rsplit_once('/').unwrap();
    let last = last.replace("~1", "/").replace("~0", "~");
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {path}"));
    let value = operation["value"].clone();
    match (operation["op"].as_str().unwrap(), parent) {
        ("add", Value::Object(object)) => assert!(object.insert(last, value).is_none(), "{path} is there"),
        ("add", Value::Array(array)) => array.insert(last.parse().unwrap(), value),
        ("replace", Value::Object(object)) => *object.get_mut(&last).unwrap() = value,
        ("replace", Value::Array(array)) => *array.get_mut(last.parse::<usize>().unwrap()).unwrap() = value,
        ("remove", Value::Object(object)) => assert!(object.remove(&last).is_some(), "nothing at {path}"),
        (operation, _) => panic!("{operation} at {path}"),
    }
}

/// Every accepted request of every file.
pub fn accepted(cluster: &Cluster) -> Vec<(String, Value)> {
    let files = yaml_files("tests");
    files
        .iter()
        .flat_map(|file| {
            let Value::Object(accepted) = cluster.load(file).remove(0)["accepted"].take() else {
                panic!("no requests")
            };
            accepted.into_iter().map(|(what, request)| (format!("{}: {what}", file.display()), request))
        })
        .collect()
}

fn words(refusals: &[Refusal]) -> String {
    refusals.iter().map(|refusal| format!("{}: {}\n", refusal.policy, refusal.message)).collect()
}

#[test]
fn what_no_policy_is_against_passes() {
    let cluster = cluster!();
    let (names, requests): (Vec<_>, Vec<_>) = accepted(&cluster).into_iter().unzip();
    for (name, refusals) in names.iter().zip(cluster.admit(&requests)) {
        assert!(refusals.is_empty(), "{name}: {}", words(&refusals));
    }
}

#[test]
fn each_fault_is_refused_by_its_policy_which_says_why() {
    let cluster = cluster!();
    let cases = Case::all(&cluster);
    let requests: Vec<Value> = cases.iter().map(|case| case.request.clone()).collect();
    for (case, refusals) in cases.iter().zip(cluster.admit(&requests)) {
        // A policy with parameters says it once for each.
        let own = refusals.iter().all(|refusal| refusal.policy == case.policy);
        assert!(own && !refusals.is_empty(), "{}: {}: {}", case.policy, case.what, words(&refusals));
        let message = case.message("test");
        let said = refusals.iter().any(|refusal| refusal.message.contains(&message));
        assert!(said, "{}: {} does not say {message}", case.what, words(&refusals));
    }
}

#[test]
fn the_same_passes_where_the_namespace_has_no_label() {
    let cluster = cluster!();
    let mut cases = Case::all(&cluster);
    // This policy is about one service account, in whatever namespace: anybody else may.
    for case in &mut cases {
        case.request["namespace"] = Value::Object(Map::new());
        case.request["userInfo"] = serde_json::json!({"username": "alice", "extra": {}});
    }
    let requests: Vec<Value> = cases.iter().map(|case| case.request.clone()).collect();
    for (case, refusals) in cases.iter().zip(cluster.admit(&requests)) {
        assert!(refusals.is_empty(), "{}: {}", case.what, words(&refusals));
    }
}

#[test]
fn every_rule_of_every_policy_is_tried() {
    let cluster = cluster!();
    let documents: Vec<Value> = yaml_files("policies").iter().flat_map(|file| cluster.load(file)).collect();
    let policies = documents.iter().filter(|document| document["kind"] == "ValidatingAdmissionPolicy");
    let rules: BTreeSet<(String, usize)> = policies
        .flat_map(|policy| {
            let name = policy["metadata"]["name"].as_str().unwrap();
            (0..policy["spec"]["validations"].as_array().unwrap().len()).map(|rule| (name.to_owned(), rule))
        })
        .collect();
    let requests: Vec<Value> = Case::all(&cluster).into_iter().map(|case| case.request).collect();
    let refusals = cluster.admit(&requests).into_iter().flatten();
    let tried: BTreeSet<(String, usize)> =
        refusals.filter_map(|refusal| Some((refusal.policy, refusal.rule?))).collect();
    assert_eq!(tried, rules);
    assert!(rules.len() > 10, "{rules:?}");
}

/// The samples are what the policies are for, so they have to pass in their own namespace.
#[test]
fn the_samples_pass() {
    let cluster = cluster!();
    let documents = cluster.build("samples");
    let namespace = documents.iter().find(|document| document["kind"] == "Namespace").unwrap();
    let labels = &namespace["metadata"]["labels"];
    assert!(labels["sandrun.dev/enforce"].is_string(), "{labels}");
    let request = |document: &Value| {
        let kind = document["kind"].as_str().unwrap();
        let (group, _) = document["apiVersion"].as_str().unwrap().split_once('/').unwrap_or_default();
        serde_json::json!({"operation": "CREATE", "resource": format!("{}s", kind.to_lowercase()), "group": group,
            "name": document["metadata"]["name"], "namespace": labels, "object": document})
    };
    let requests: Vec<Value> = documents.iter().map(request).collect();
    for (document, refusals) in documents.iter().zip(cluster.admit(&requests)) {
        assert!(refusals.is_empty(), "{}: {}", document["metadata"]["name"], words(&refusals));
    }
    // And the one beside them, which asks for no sandbox, would not.
    let oci = cluster.load(&manifests().join("samples/oci.yaml"));
    let refusals = cluster.admit(&[request(&oci[0])]).remove(0);
    assert!(words(&refusals).contains("runtimeClassName is sandrun-oci"), "{}", words(&refusals));
}
