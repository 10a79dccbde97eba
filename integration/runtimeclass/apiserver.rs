//! The same requests, asked of a real API server: `etcd` and `kube-apiserver` (1.30 or newer) in the directory that
//! KUBEBUILDER_ASSETS names, as `setup-envtest` lays them out. It listens on loopback and ends with the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::admission::{Case, accepted};
use super::cluster::manifests;
use crate::support::Scratch;

/// Longer than a start takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// Longer than it takes the server to notice policies, labels and pods.
const NOTICE: Duration = Duration::from_secs(5);

struct ApiServer {
    home: Scratch,
    programs: Vec<Child>,
}

impl ApiServer {
    fn start(assets: &Path) -> ApiServer {
        let home = Scratch::new("apiserver");
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let dir = home.path().to_owned();
        let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        fs::write(file("tokens"), "token,admin,admin,system:masters\n").unwrap();
        let key = Command::new("openssl").args(["genrsa", "-out", &file("key"), "2048"]).output().unwrap();
        assert!(key.status.success(), "{key:?}");
        let mut server = ApiServer { home, programs: Vec::new() };
        let etcd = [
            ("data-dir", file("etcd")),
            ("listen-client-urls", url(ports[0])),
            ("advertise-client-urls", url(ports[0])),
            ("listen-peer-urls", url(ports[1])),
            ("initial-advertise-peer-urls", url(ports[1])),
            ("initial-cluster", format!("default={}", url(ports[1]))),
        ];
        server.run(&assets.join("etcd"), &etcd);
        let apiserver = [
            ("etcd-servers", url(ports[0])),
            ("bind-address", "127.0.0.1".to_owned()),
            ("secure-port", ports[2].to_string()),
            ("cert-dir", file("certificates")),
            ("token-auth-file", file("tokens")),
            ("authorization-mode", "AlwaysAllow".to_owned()),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            ("service-account-key-file", file("key")),
            ("service-account-signing-key-file", file("key")),
            ("endpoint-reconciler-type", "none".to_owned()),
            ("service-cluster-ip-range", "10.0.0.0/24".to_owned()),
            // Nobody makes service accounts here.
            ("disable-admission-plugins", "ServiceAccount".to_owned()),
            ("allow-privileged", "true".to_owned()),
        ];
        server.run(&assets.join("kube-apiserver"), &apiserver);
        server.write_access("admin", ports[2], &json!({"token": "token"}));
        let deadline = Instant::now() + PATIENCE;
        while server.kubectl("admin", &["get", "--raw", "/readyz"], None).is_err() {
            assert!(Instant::now() < deadline, "the API server does not answer");
            std::thread::sleep(Duration::from_millis(200));
        }
        let user = |name: &str, extra: Value| json!({"token": "token", "as": name, "as-user-extra": extra});
        let installer = "system:serviceaccount:sandrun-system:sandrun-installer";
        server.write_access("alice", ports[2], &user("alice", json!({})));
        server.write_access("nowhere", ports[2], &user(installer, json!({})));
        for node in ["one", "two"] {
            let extra = json!({"authentication.kubernetes.io/node-name": [node]});
            server.write_access(node, ports[2], &user(installer, extra));
        }
        server
    }

    fn run(&mut self, program: &Path, options: &[(&str, String)]) {
        let log =
            File::create(self.home.path().join(program.file_name().unwrap()).with_extension("log")).unwrap();
        let mut command = Command::new(program);
        command.args(options.iter().map(|(name, value)| format!("--{name}={value}")));
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self.programs.push(child.unwrap_or_else(|error| panic!("{}: {error}", program.display())));
    }

    /// A kubeconfig by which kubectl is this user.
    fn write_access(&self, name: &str, port: u16, user: &Value) {
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster":
                {"server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}]});
        fs::write(self.home.path().join(name), config.to_string()).unwrap();
    }

    /// What kubectl prints, or what it says is wrong.
    fn kubectl(&self, user: &str, arguments: &[&str], input: Option<&Value>) -> Result<String, String> {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(self.home.path().join(user)).args(arguments);
        if let Some(input) = input {
            let file = self.home.path().join("input.json");
            fs::write(&file, input.to_string()).unwrap();
            command.arg("--filename").arg(file);
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn post(&self, url: &str, object: &Value) {
        self.kubectl("admin", &["create", "--raw", url], Some(object)).unwrap();
    }

    /// What has to be there before a request can be made: its namespace, still without labels, and older objects.
    fn prepare(&self, request: &Value, namespace: &str) {
        self.post("/api/v1/namespaces", &json!({"metadata": {"name": namespace}}));
        let pods = request["pods"].as_array().cloned().unwrap_or_default();
        let older = request
            .get("oldObject")
            .filter(|older| pods.iter().all(|pod| pod["metadata"]["name"] != older["metadata"]["name"]));
        for object in pods.iter().chain(older) {
            // Nodes are there for all.
            let url = Url::of(request, namespace);
            if self.kubectl("admin", &["get", "--raw", &url.of_object(object)], None).is_err() {
                self.post(&url.collection, object);
            }
        }
    }

    fn label(&self, request: &Value, namespace: &str) {
        let labels = request["namespace"].as_object().cloned().unwrap_or_default();
        for (name, value) in labels {
            let label = format!("{name}={}", value.as_str().unwrap());
            self.kubectl("admin", &["label", "namespace", namespace, &label], None).unwrap();
        }
    }

    /// Whether it is let in, and the server's word if not.
    fn admits(&self, request: &Value, namespace: &str) -> Result<(), String> {
        let url = Url::of(request, namespace);
        let object = &request["object"];
        match request["operation"].as_str().unwrap() {
            "CREATE" => {
                let url = format!("{}?dryRun=All", url.collection);
                self.kubectl("admin", &["create", "--raw", &url], Some(object)).map(drop)
            }
            "UPDATE" => {
                let stored = self.kubectl("admin", &["get", "--raw", &url.of_object(object)], None).unwrap();
                let mut changed: Value = serde_json::from_str(&stored).unwrap();
                lay_over(&mut changed, object);
                let url = format!("{}{}?dryRun=All", url.of_object(object), url.subresource);
                self.kubectl(who(request), &["replace", "--raw", &url], Some(&changed)).map(drop)
            }
            // No such pod runs anywhere, so it comes to nothing; but not for being forbidden.
            "CONNECT" => {
                let object = json!({"metadata": {"name": request["name"]}});
                let url = format!(
                    "{}{}?container=main&command=id&stdout=true",
                    url.of_object(&object),
                    url.subresource
                );
                let answer = self.kubectl("admin", &["create", "--raw", &url], Some(&json!({})));
                let said = answer.expect_err("nothing runs");
                if said.contains("Forbidden") { Err(said) } else { Ok(()) }
            }
            other => panic!("{other}"),
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        for program in self.programs.iter_mut().rev() {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// Where the objects of a request are.
struct Url {
    collection: String,
    /// With its slash, or nothing.
    subresource: String,
}

impl Url {
    fn of(request: &Value, namespace: &str) -> Url {
        let (resource, subresource) = match request["resource"].as_str().unwrap().split_once('/') {
            Some((resource, subresource)) => (resource, format!("/{subresource}")),
            None => (request["resource"].as_str().unwrap(), String::new()),
        };
        let group = match request["group"].as_str().unwrap() {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/v1"),
        };
        let namespace = if resource == "nodes" { String::new() } else { format!("/namespaces/{namespace}") };
        Url { collection: format!("{group}{namespace}/{resource}"), subresource }
    }

    fn of_object(&self, object: &Value) -> String {
        format!("{}/{}", self.collection, object["metadata"]["name"].as_str().unwrap())
    }
}

/// The access of whoever makes a request.
fn who(request: &Value) -> &str {
    let user = &request["userInfo"];
    match user["extra"]["authentication.kubernetes.io/node-name"][0].as_str() {
        Some(node) => node,
        None if user["username"] == "alice" => "alice",
        None if user.is_object() => "nowhere",
        None => "admin",
    }
}

/// The stored object with what a request changes, but not without what the server has added to its specification.
fn lay_over(stored: &mut Value, object: &Value) {
    for name in ["labels", "annotations", "finalizers"] {
        stored["metadata"][name] = object["metadata"][name].clone();
    }
    merge(&mut stored["spec"], &object["spec"]);
}

fn merge(stored: &mut Value, over: &Value) {
    match (stored, over) {
        (Value::Object(stored), Value::Object(over)) => {
            over.iter().for_each(|(name, value)| merge(stored.entry(name).or_insert(Value::Null), value));
        }
        (Value::Array(stored), Value::Array(over)) if stored.len() == over.len() => {
            stored.iter_mut().zip(over).for_each(|(stored, over)| merge(stored, over));
        }
        (stored, over) => *stored = over.clone(),
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_real_api_server_says_the_same() {
    let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from) else {
        skip!("KUBEBUILDER_ASSETS names no etcd and kube-apiserver")
    };
    let cluster = cluster!();
    let server = ApiServer::start(&assets);
    for folder in [".", "policies"] {
        let folder = manifests().join(folder);
        server.kubectl("admin", &["apply", "--kustomize", folder.to_str().unwrap()], None).unwrap();
    }
    // A class of somebody else's, with sandrun's name at its beginning.
    let class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
        "metadata": {"name": "sandrun-but-not"}, "handler": "runc"});
    server.post("/apis/node.k8s.io/v1/runtimeclasses", &class);
    let mut cases = Case::all(&cluster);
    let fair = accepted(&cluster);
    // Of nodes there is one for all, as it was before.
    for (number, case) in cases.iter().enumerate() {
        server.prepare(&case.request, &format!("refused-{number}"));
    }
    for (number, (_, request)) in fair.iter().enumerate() {
        server.prepare(request, &format!("accepted-{number}"));
    }
    std::thread::sleep(NOTICE);
    // An attack first succeeds.
    for (number, case) in cases.iter_mut().enumerate() {
        let mut anybody = case.request.clone();
        anybody["userInfo"] = json!({"username": "alice"});
        let said = server.admits(&anybody, &format!("refused-{number}"));
        assert!(said.is_ok(), "{} without the label: {said:?}", case.what);
        server.label(&case.request, &format!("refused-{number}"));
    }
    for (number, (_, request)) in fair.iter().enumerate() {
        server.label(request, &format!("accepted-{number}"));
    }
    std::thread::sleep(NOTICE);
    for (number, case) in cases.iter().enumerate() {
        let namespace = format!("refused-{number}");
        let said = server.admits(&case.request, &namespace).expect_err(&case.what);
        let named = format!("ValidatingAdmissionPolicy '{}'", case.policy);
        let message = case.message(&namespace);
        assert!(said.contains(&named) && said.contains(&message), "{}: {said}", case.what);
    }
    for (number, (what, request)) in fair.iter().enumerate() {
        let said = server.admits(request, &format!("accepted-{number}"));
        assert!(said.is_ok(), "{what}: {said:?}");
    }
    let samples = manifests().join("samples");
    server.kubectl("admin", &["apply", "--kustomize", samples.to_str().unwrap()], None).unwrap();
}
