//! The program as a pod runs it, with an API server of the test's own that speaks TLS, and a `sandrun` that says what it is
//! told to.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// A directory of the test's own.
struct Pod {
    dir: PathBuf,
    requests: Receiver<String>,
    port: u16,
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Pod {
    /// `standing` is what `sandrun install --check` prints; `answer` what the API server says.
    fn new(name: &str, standing: &Value, answer: &'static str) -> Pod {
        let dir = std::env::temp_dir().join(format!("sandrun-node-{}-{name}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_sandrun-node"), dir.join("sandrun-node")).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$@\" >>{0}/calls\ncase \"$*\" in *--check*) echo '{standing}'; exit 1;; esac\nexit $(cat {0}/code)\n",
            dir.display()
        );
        fs::write(dir.join("sandrun"), script).unwrap();
        fs::set_permissions(dir.join("sandrun"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.join("code"), "0").unwrap();
        fs::write(dir.join("token"), "secret\n").unwrap();
        certify(&dir);
        let (port, requests) = serve(&dir, answer);
        Pod { dir, requests, port }
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(self.dir.join("sandrun-node"))
            .args(words)
            .env("NODE_NAME", "node-1.example")
            .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .env("KUBERNETES_SERVICE_PORT", self.port.to_string())
            .env("SERVICE_ACCOUNT_DIR", &self.dir)
            .output()
            .unwrap()
    }

    fn request(&self) -> Option<String> {
        self.requests.recv_timeout(Duration::from_secs(5)).ok()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.dir.join("calls")).unwrap_or_default()
    }
}

/// An authority, and a server's certificate of it for 127.0.0.1.
fn certify(dir: &Path) {
    let script = "set -e
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ca -keyout ca.key -out ca.crt
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=api -keyout api.key -out api.csr
        printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE' >api.ext
        openssl x509 -req -in api.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile api.ext -out api.crt";
    let output = Command::new("sh").args(["-c", script]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Answers every request in the same way, and passes it on.
fn serve(dir: &Path, answer: &'static str) -> (u16, Receiver<String>) {
    let chain = vec![CertificateDer::from_pem_file(dir.join("api.crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(dir.join("api.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream =
                StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream.unwrap());
            let Ok(request) = request(&mut stream) else { continue };
            let text = format!("HTTP/1.1 {answer}");
            stream.write_all(text.as_bytes()).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            if send.send(request).is_err() {
                return;
            }
        }
    });
    (port, receive)
}

fn request(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> std::io::Result<String> {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        text.push(byte[0] as char);
    }
    let lower = text.to_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok(text + &String::from_utf8_lossy(&body))
}

const OK: &str = "200 OK\r\nContent-Length: 2\r\n\r\n{}";

fn body(request: &str) -> Value {
    serde_json::from_str(request.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

#[test]
fn a_node_is_labelled_with_what_is_there() {
    let labels = json!({ "sandrun.dev/ready": "true", "sandrun.dev/landlock-abi": "7" });
    let pod = Pod::new("labels", &json!({ "ready": true, "labels": labels }), OK);
    let output = pod.run(&["install", "--host-root", "/host"]);
    assert!(output.status.success(), "{output:?}");
    let request = pod.request().unwrap();
    assert!(request.starts_with("PATCH /api/v1/nodes/node-1.example HTTP/1.1\r\n"), "{request}");
    let lower = request.to_lowercase();
    assert!(lower.contains("authorization: bearer secret\r\n"), "{request}");
    assert!(lower.contains("content-type: application/merge-patch+json\r\n"), "{request}");
    assert_eq!(body(&request), json!({ "metadata": { "labels": labels } }));
    assert_eq!(pod.calls(), "install --host-root /host\ninstall --host-root /host --check\n");
}

/// It fails, so that the pod is seen to; and says on the node why no pods are to come.
#[test]
fn a_node_on_which_it_does_not_work_is_not_ready() {
    let labels = json!({ "sandrun.dev/ready": "false" });
    let pod = Pod::new("fails", &json!({ "ready": false, "why": "no handler", "labels": labels }), OK);
    fs::write(pod.dir.join("code"), "125").unwrap();
    let output = pod.run(&["install", "--stay"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not ready: no handler"), "{output:?}");
    assert_eq!(body(&pod.request().unwrap())["metadata"]["labels"], labels);
}

#[test]
fn the_labels_go_before_the_handlers() {
    let pod = Pod::new("uninstall", &json!({}), OK);
    assert!(pod.run(&["uninstall", "--host-root", "/host"]).status.success());
    let labels = body(&pod.request().unwrap())["metadata"]["labels"].clone();
    assert_eq!(labels["sandrun.dev/ready"], Value::Null);
    assert_eq!(labels.as_object().unwrap().len(), 5);
    assert_eq!(pod.calls(), "uninstall --host-root /host\n");
}

#[test]
fn what_the_api_server_says_is_told() {
    let refusal = "403 Forbidden\r\nContent-Length: 28\r\n\r\n{\"message\":\"not this node\"} ";
    let pod = Pod::new("refused", &json!({ "labels": { "sandrun.dev/ready": "true" } }), refusal);
    let output = pod.run(&["install"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("403 Forbidden: not this node"), "{said}");
    // A label that cannot be taken away: the handlers stay.
    assert!(!pod.run(&["uninstall"]).status.success());
    assert!(!pod.calls().contains("uninstall"), "{}", pod.calls());
}

#[test]
fn another_authority_is_not_believed() {
    let pod = Pod::new("authority", &json!({ "labels": { "sandrun.dev/ready": "true" } }), OK);
    // Its server keeps the certificate of the first one.
    certify(&pod.dir);
    let output = pod.run(&["install"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("invalid peer certificate"), "{output:?}");
    assert_eq!(pod.request(), None, "the token was not sent");
}
