//! A pod and its containers, as a kubelet asks for them.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::image;
use super::node::Node;
use crate::engines::enclave::cgroups_named;
use crate::support::Output;
use crate::support::bundle::unique;

pub struct Pod<'a> {
    pub node: &'a Node,
    pub id: String,
    config: Value,
}

pub struct Container<'a> {
    pub pod: &'a Pod<'a>,
    pub id: String,
    log: PathBuf,
}

impl Node {
    /// What a kubelet would write for a pod with the defaults; a test edits it.
    pub fn pod_config(&self) -> Value {
        let name = unique("pod").replace("sandrun-test-", "");
        json!({
            "metadata": { "name": name, "uid": name, "namespace": "default" }, "hostname": "probed",
            "log_directory": self.home.path().join("logs").join(&name),
            "linux": {
                "cgroup_parent": format!("/{}/pod-{name}", self.cgroup),
                "security_context": {
                    "namespace_options": { "pid": "CONTAINER" }, "seccomp": { "profile_type": "RuntimeDefault" }
                }
            }
        })
    }

    /// A running pod by this handler, which must come up.
    #[track_caller]
    pub fn pod_by(&self, handler: &str, edit: impl FnOnce(&mut Value)) -> Pod<'_> {
        let mut config = self.pod_config();
        edit(&mut config);
        without_the_nodes_name(&mut config);
        let answer = self.call("RunPodSandbox", &json!({ "config": config, "runtime_handler": handler }));
        Pod { node: self, id: text(&answer["pod_sandbox_id"]), config }
    }

    /// A running pod of the node's own handler.
    #[track_caller]
    pub fn pod(&self) -> Pod<'_> {
        self.pod_by(self.way.handler(), |_| {})
    }

    /// What a pod that must not come up is refused with.
    #[track_caller]
    pub fn refused_pod(&self, handler: &str, edit: impl FnOnce(&mut Value)) -> String {
        let mut config = self.pod_config();
        edit(&mut config);
        without_the_nodes_name(&mut config);
        let request = json!({ "config": config, "runtime_handler": handler });
        let output = self.try_call("RunPodSandbox", &request.to_string());
        assert_ne!(output.code, 0, "it runs: {output}");
        output.stderr
    }
}

/// A kubelet names no host in a pod of the node's network.
fn without_the_nodes_name(config: &mut Value) {
    if config["linux"]["security_context"]["namespace_options"]["network"] == "NODE" {
        config["hostname"] = json!("");
    }
}

impl Pod<'_> {
    fn container_config(&self, command: &[&str]) -> Value {
        let name = unique("c").replace("sandrun-test-", "");
        // A container shares what its pod shares.
        let namespaces = &self.config["linux"]["security_context"]["namespace_options"];
        json!({
            "metadata": { "name": name }, "image": { "image": image::BUSYBOX }, "command": command,
            "log_path": format!("{name}.log"),
            "linux": {
                "resources": { "cpu_period": 100_000, "cpu_shares": 102, "oom_score_adj": 900 },
                "security_context": {
                    "namespace_options": namespaces, "no_new_privs": true,
                    "seccomp": { "profile_type": "RuntimeDefault" },
                    "masked_paths": crate::support::bundle::MASKED,
                    "readonly_paths": crate::support::bundle::READONLY
                }
            }
        })
    }

    /// The answer to asking for a container, which is not started, and where its log will be.
    #[track_caller]
    pub fn try_create(&self, command: &[&str], edit: impl FnOnce(&mut Value)) -> (Output, PathBuf) {
        let mut config = self.container_config(command);
        edit(&mut config);
        let log = PathBuf::from(text(&self.config["log_directory"])).join(text(&config["log_path"]));
        let request = json!({ "pod_sandbox_id": self.id, "config": config, "sandbox_config": self.config });
        (self.node.try_call("CreateContainer", &request.to_string()), log)
    }

    #[track_caller]
    pub fn create(&self, command: &[&str], edit: impl FnOnce(&mut Value)) -> Container<'_> {
        let (output, log) = self.try_create(command, edit);
        assert_eq!(output.code, 0, "{output}\n{}", self.node.log());
        Container { pod: self, id: text(&output.json()["container_id"]), log }
    }

    /// A started container.
    #[track_caller]
    pub fn run_with(&self, command: &[&str], edit: impl FnOnce(&mut Value)) -> Container<'_> {
        let container = self.create(command, edit);
        let output = container.try_start();
        assert_eq!(output.code, 0, "{output}\n{}", self.node.log());
        container
    }

    #[track_caller]
    pub fn run(&self, command: &[&str]) -> Container<'_> {
        self.run_with(command, |_| {})
    }

    /// A shell script in a container.
    #[track_caller]
    pub fn shell(&self, script: &str) -> Container<'_> {
        self.run(&["/bin/sh", "-c", script])
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.node.call("PodSandboxStatus", &json!({ "pod_sandbox_id": self.id }))["status"].clone()
    }

    /// Its containers are stopped and removed with it.
    #[track_caller]
    pub fn remove(&self) {
        self.node.call("StopPodSandbox", &json!({ "pod_sandbox_id": self.id }));
        self.node.call("RemovePodSandbox", &json!({ "pod_sandbox_id": self.id }));
    }

    #[track_caller]
    pub fn stats(&self) -> Value {
        self.node.call("PodSandboxStats", &json!({ "pod_sandbox_id": self.id }))["stats"].clone()
    }

    /// Sends to a port of the pod by way of the streaming server; what comes back.
    #[track_caller]
    pub fn forward(&self, port: u16, words: &str) -> String {
        let answer = self.node.call("PortForward", &json!({ "pod_sandbox_id": self.id, "port": [port] }));
        let mut stream = Stream::start(self.node.cri(&["forward", &text(&answer["url"]), &port.to_string()]));
        stream.say(words.as_bytes());
        stream.end().ok().stdout
    }
}

impl Container<'_> {
    #[track_caller]
    fn call(&self, method: &str, more: Value) -> Value {
        self.pod.node.call(method, &self.request(more))
    }

    fn request(&self, mut more: Value) -> Value {
        more["container_id"] = json!(self.id);
        more
    }

    pub fn try_start(&self) -> Output {
        self.pod.node.try_call("StartContainer", &self.request(json!({})).to_string())
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.call("ContainerStatus", json!({}))["status"].clone()
    }

    /// Its status once it has ended.
    #[track_caller]
    pub fn ended(&self) -> Value {
        let mut status = Value::Null;
        self.pod.node.until(&format!("{} ends", self.id), || {
            status = self.status();
            status["state"] == "CONTAINER_EXITED"
        });
        status
    }

    /// What a finished exec said; a negative time is none at all.
    #[track_caller]
    pub fn exec_within(&self, seconds: i64, command: &[&str]) -> Output {
        let request = self.request(json!({ "cmd": command, "timeout": seconds }));
        let output = self.pod.node.try_call("ExecSync", &request.to_string());
        if output.code != 0 {
            return output;
        }
        let answer = output.json();
        let code = answer["exit_code"].as_i64().unwrap() as i32;
        Output { code, stdout: text(&answer["stdout"]), stderr: text(&answer["stderr"]) }
    }

    #[track_caller]
    pub fn exec(&self, command: &[&str]) -> Output {
        self.exec_within(20, command)
    }

    /// The probe's answer inside.
    #[track_caller]
    pub fn ask(&self, words: &[&str]) -> Value {
        self.exec(&[&["/probe"], words].concat()).ok().json()
    }

    /// An exec by way of the streaming server.
    #[track_caller]
    pub fn exec_stream(&self, tty: bool, command: &[&str]) -> Stream {
        let request = json!({ "cmd": command, "tty": tty, "stdin": true, "stdout": true, "stderr": !tty });
        let answer = self.call("Exec", request);
        Stream::start(self.pod.node.cri(&["stream", &text(&answer["url"])]))
    }

    #[track_caller]
    pub fn attach(&self, tty: bool) -> Stream {
        let answer =
            self.call("Attach", json!({ "tty": tty, "stdin": true, "stdout": true, "stderr": !tty }));
        Stream::start(self.pod.node.cri(&["stream", &text(&answer["url"])]))
    }

    /// Its log file, as `STREAM TAG TEXT` a line, without the time.
    pub fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().map(|line| line.split_once(' ').map_or("", |(_, rest)| rest).to_owned()).collect()
    }

    #[track_caller]
    pub fn await_log(&self, line: &str) {
        self.pod.node.until(&format!("{line:?} is logged, but {:?}", self.log()), || {
            self.log().iter().any(|logged| logged == line)
        });
    }

    #[track_caller]
    pub fn stats(&self) -> Value {
        self.call("ContainerStats", json!({}))["stats"].clone()
    }

    #[track_caller]
    pub fn update(&self, resources: Value) {
        self.call("UpdateContainerResources", json!({ "linux": resources }));
    }

    #[track_caller]
    pub fn stop(&self, grace: u32) {
        self.call("StopContainer", json!({ "timeout": grace }));
    }

    #[track_caller]
    pub fn remove(&self) {
        self.call("RemoveContainer", json!({}));
    }

    /// A file of its cgroup, where there is such a file.
    pub fn cgroup_file(&self, name: &str) -> Option<String> {
        let parent = text(&self.pod.config["linux"]["cgroup_parent"]);
        let dirs = cgroups_named(&format!("{}/{}", parent.trim_start_matches('/'), self.id));
        dirs.iter().find_map(|dir| fs::read_to_string(dir.join(name)).ok()).map(|text| text.trim().to_owned())
    }
}

/// A client of the streaming server.
pub struct Stream {
    client: Child,
    /// What it said, on the terminal or on both of its streams.
    said: PathBuf,
}

impl Stream {
    fn start(mut command: Command) -> Stream {
        let said = std::env::temp_dir().join(unique("stream"));
        let open = |end: &str| fs::File::create(said.with_extension(end)).expect("cannot capture a stream");
        let client = command.stdin(Stdio::piped()).stdout(open("out")).stderr(open("err")).spawn();
        Stream { client: client.expect("cannot start the CRI client"), said }
    }

    #[track_caller]
    pub fn say(&mut self, words: &[u8]) {
        self.client.stdin.as_mut().expect("it is open").write_all(words).expect("cannot write");
    }

    /// The size of the terminal's window.
    #[track_caller]
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.say(format!("\x1b[8;{rows};{columns}t").as_bytes());
    }

    fn output(&self, code: i32) -> Output {
        let read = |end: &str| fs::read(self.said.with_extension(end)).unwrap_or_default();
        let [stdout, stderr] = ["out", "err"].map(|end| String::from_utf8_lossy(&read(end)).into_owned());
        Output { code, stdout, stderr }
    }

    #[track_caller]
    pub fn until_it_says(&self, words: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.output(0).stdout.contains(words) {
            assert!(Instant::now() < deadline, "it does not say {words:?} but {}", self.output(0));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it said until it ended.
    #[track_caller]
    pub fn end(mut self) -> Output {
        let deadline = Instant::now() + Duration::from_secs(20);
        let port_is_forwarded = self.client.stdin.take();
        drop(port_is_forwarded);
        loop {
            if let Some(status) = self.client.try_wait().expect("cannot wait for the CRI client") {
                return self.output(status.code().unwrap_or(-1));
            }
            assert!(Instant::now() < deadline, "it does not end but says {}", self.output(0));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // An error means that it has ended, which is what we want.
        let _ = self.client.kill();
        let _ = self.client.wait();
        for end in ["out", "err"] {
            let _ = fs::remove_file(self.said.with_extension(end));
        }
    }
}

/// A number, which the client writes as a string where it has 64 bits; fields of wrapped ones have them in `value`.
#[track_caller]
pub fn number(value: &Value) -> u64 {
    let plain = value.get("value").unwrap_or(value);
    let number = plain.as_u64().or_else(|| plain.as_str()?.parse().ok());
    number.unwrap_or_else(|| panic!("no number: {value}"))
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
