//! A pod's life, as a kubelet asks for it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use cri::grpc::Connection;
use cri::messages::Schema;
use serde_json::{Value, json};

use crate::image;
use crate::node::{Node, SOCKET};

/// Whoever asks.
pub struct Client<'a> {
    connection: Connection,
    schema: Schema,
    pub node: &'a Node,
    count: Cell<usize>,
}

/// How long each part took.
#[derive(Clone, Copy)]
pub struct Life {
    /// Pod sandbox: the shim and the first container.
    pub pod: Duration,
    /// A further container, created and started.
    pub container: Duration,
    /// `/bin/true` in it, to its end.
    pub exec: Duration,
    /// Killed, and removed.
    pub end: Duration,
    /// The pod stopped and removed.
    pub pod_end: Duration,
}

/// How long it took until all were there, and until they were gone.
#[derive(Clone, Copy)]
pub struct Crowd {
    pub start: Duration,
    pub end: Duration,
}

/// A pod that runs.
pub struct Pod {
    pub id: String,
    /// Beneath each hierarchy.
    pub cgroup: String,
    config: Value,
}

impl Client<'_> {
    pub async fn connect(node: &Node) -> Result<Client<'_>, String> {
        let connection = Connection::open(SOCKET).await.map_err(|error| format!("{SOCKET}: {error}"))?;
        Ok(Client { connection, schema: Schema::of_the_cri(), node, count: Cell::new(0) })
    }

    async fn call(&self, method: &str, request: Value) -> Result<Value, String> {
        let request = self.schema.encode(&format!("{method}Request"), &request.to_string())?;
        let answer = self.connection.call(&format!("/runtime.v1.RuntimeService/{method}"), &request).await?;
        let answer = self.schema.decode(&format!("{method}Response"), &answer)?;
        serde_json::from_str(&answer).map_err(|error| error.to_string())
    }

    pub async fn life(&self, handler: &str) -> Result<Life, String> {
        let mut clock = Clock(Instant::now());
        let pod = self.pod(handler).await?;
        let to_pod = clock.lap();
        let container = self.container(&pod).await?;
        let to_container = clock.lap();
        let exec = json!({ "container_id": container, "cmd": ["/bin/true"], "timeout": 10 });
        self.call("ExecSync", exec).await?;
        let exec = clock.lap();
        self.call("StopContainer", json!({ "container_id": container, "timeout": 0 })).await?;
        self.call("RemoveContainer", json!({ "container_id": container })).await?;
        let end = clock.lap();
        self.remove(&pod).await?;
        Ok(Life { pod: to_pod, container: to_container, exec, end, pod_end: clock.lap() })
    }

    /// Many pods at once.
    pub async fn crowd(&self, handler: &str, count: usize) -> Result<Crowd, String> {
        let mut clock = Clock(Instant::now());
        let pods = together((0..count).map(|_| self.pod(handler))).await?;
        let start = clock.lap();
        together(pods.iter().map(|pod| self.remove(pod))).await?;
        Ok(Crowd { start, end: clock.lap() })
    }

    /// A running pod.
    pub async fn pod(&self, handler: &str) -> Result<Pod, String> {
        self.count.set(self.count.get() + 1);
        let name = format!("pod{}", self.count.get());
        let cgroup = format!("/{}/{name}", self.node.name);
        let config = json!({
            "metadata": { "name": name, "uid": name, "namespace": "default" },
            "log_directory": format!("/run/logs/{name}"),
            "linux": {
                "cgroup_parent": cgroup,
                "security_context": {
                    "namespace_options": { "network": "NODE", "pid": "CONTAINER" },
                    "seccomp": { "profile_type": "RuntimeDefault" }
                }
            }
        });
        make_cgroup(&cgroup)?;
        let answer =
            self.call("RunPodSandbox", json!({ "config": config, "runtime_handler": handler })).await?;
        Ok(Pod { id: text(&answer["pod_sandbox_id"]), cgroup, config })
    }

    /// A running container of a pod, that sleeps; its id.
    pub async fn container(&self, pod: &Pod) -> Result<String, String> {
        let security = &pod.config["linux"]["security_context"];
        let config = json!({
            "metadata": { "name": "c" }, "image": { "image": image::BUSYBOX },
            "command": ["/bin/sleep", "1000"], "log_path": "c.log",
            "linux": {
                "resources": { "cpu_period": 100_000, "cpu_shares": 102, "memory_limit_in_bytes": 64 << 20 },
                "security_context": {
                    "namespace_options": security["namespace_options"], "no_new_privs": true,
                    "seccomp": { "profile_type": "RuntimeDefault" },
                    "masked_paths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
                    "readonly_paths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
                }
            }
        });
        let request = json!({ "pod_sandbox_id": pod.id, "config": config, "sandbox_config": pod.config });
        let id = text(&self.call("CreateContainer", request).await?["container_id"]);
        self.call("StartContainer", json!({ "container_id": id })).await?;
        Ok(id)
    }

    /// Ends a pod with all its containers.
    pub async fn remove(&self, pod: &Pod) -> Result<(), String> {
        self.call("StopPodSandbox", json!({ "pod_sandbox_id": pod.id })).await?;
        self.call("RemovePodSandbox", json!({ "pod_sandbox_id": pod.id })).await?;
        Ok(())
    }
}

/// As the kubelet does: a pod's own cgroup is there before its first container.
fn make_cgroup(cgroup: &str) -> Result<(), String> {
    for hierarchy in ["memory", "cpu", "cpuacct", "pids"] {
        let root = std::path::Path::new("/sys/fs/cgroup").join(hierarchy);
        if root.join("cgroup.procs").exists() {
            let dir = format!("{}{cgroup}", root.display());
            std::fs::create_dir_all(&dir).map_err(|error| format!("{dir}: {error}"))?;
        }
    }
    Ok(())
}

/// All at the same time.
async fn together<T>(
    calls: impl Iterator<Item = impl Future<Output = Result<T, String>>>,
) -> Result<Vec<T>, String> {
    let mut waiting: Vec<_> = calls.map(|call| (Box::pin(call), None)).collect();
    std::future::poll_fn(|context| {
        for (call, result) in &mut waiting {
            if result.is_none()
                && let std::task::Poll::Ready(ready) = call.as_mut().poll(context)
            {
                *result = Some(ready);
            }
        }
        let done = waiting.iter().all(|(_, result)| result.is_some());
        if done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(|(_, result)| result).collect()
}

struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> Duration {
        let before = std::mem::replace(&mut self.0, Instant::now());
        self.0 - before
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
