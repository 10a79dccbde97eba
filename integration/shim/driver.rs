//! In the place of containerd: starts the shim, calls it, and hears its events.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use containerd_shim_protos::api::*;
use containerd_shim_protos::events::task as told;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::{Client, Events, TaskClient, create_events};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use ttrpc::context::with_duration;
use ttrpc::{Server, TtrpcContext};

use crate::support::bundle::unique;
use crate::support::{Bundle, Runtime, Scratch, leaks};

/// Longer than anything here should take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The namespace of these tests.
pub const NAMESPACE: &str = "sandrun-test";

pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_containerd-shim-sandrun-v2"))
}

/// Who listens where containerd would.
pub struct Containerd {
    pub home: Scratch,
    /// Where containers are kept.
    pub runtime: Runtime,
    told: Arc<Mutex<Vec<String>>>,
    server: Mutex<Option<Server>>,
}

struct Listener(Arc<Mutex<Vec<String>>>);

impl Events for Listener {
    fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
        let envelope = &request.envelope;
        assert_eq!(envelope.namespace, NAMESPACE);
        let event = words(&envelope.topic, &envelope.event);
        self.0.lock().unwrap().push(event);
        Ok(Empty::default())
    }
}

/// An event in short: what, whose, and how it ended.
fn words(topic: &str, event: &Any) -> String {
    fn read<M: Message>(event: &Any) -> M {
        M::parse_from_bytes(&event.value).unwrap()
    }
    let kind = event.type_url.strip_prefix("containerd.events.").expect("its type");
    match kind {
        "TaskExit" => {
            let exit: told::TaskExit = read(event);
            let id = if exit.id == exit.container_id { String::new() } else { format!(" {}", exit.id) };
            format!("{topic}{id} {}", exit.exit_status)
        }
        "TaskDelete" => format!("{topic} {}", read::<told::TaskDelete>(event).exit_status),
        "TaskExecAdded" => format!("{topic} {}", read::<told::TaskExecAdded>(event).exec_id),
        "TaskExecStarted" => format!("{topic} {}", read::<told::TaskExecStarted>(event).exec_id),
        "TaskCreate" => {
            assert_ne!(read::<told::TaskCreate>(event).pid, 0);
            topic.to_owned()
        }
        _ => topic.to_owned(),
    }
}

impl Containerd {
    pub fn new() -> Containerd {
        let home = Scratch::new("shim");
        let told = Arc::default();
        let containerd = Containerd { home, runtime: Runtime::sandrun(), told, server: Mutex::default() };
        containerd.listen();
        containerd
    }

    pub fn listen(&self) {
        let _ = fs::remove_file(self.home.path().join("s.ttrpc"));
        let server = Server::new().bind(&format!("unix://{}", self.ttrpc())).unwrap();
        let mut server = server.register_service(create_events(Arc::new(Listener(self.told.clone()))));
        server.start().unwrap();
        *self.server.lock().unwrap() = Some(server);
    }

    /// Goes away, as when it is started again.
    pub fn go_away(&self) {
        self.server.lock().unwrap().take().expect("it listens").shutdown();
    }

    fn ttrpc(&self) -> String {
        self.home.path().join("s.ttrpc").display().to_string()
    }

    /// Where containers of the namespace are kept.
    pub fn kept(&self) -> PathBuf {
        self.runtime.root().join(NAMESPACE)
    }

    /// A command of the shim's, in a bundle.
    pub fn command(&self, bundle: &Bundle, more: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("-namespace").arg(NAMESPACE).arg("-address").arg(self.home.path().join("s"));
        command.args(["-publish-binary", "containerd", "-id", &bundle.id]).args(more);
        command.current_dir(bundle.path()).env("TTRPC_ADDRESS", self.ttrpc()).stdin(Stdio::null());
        command
    }

    /// The action `start`.
    pub fn start(&self, bundle: Bundle) -> Shim<'_> {
        bundle.write();
        let output = self.command(&bundle, &["start"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let address = String::from_utf8(output.stdout).unwrap();
        let client = Client::connect(&address).expect("the server answers");
        let client = TaskClient::new(client);
        let connected = client.connect(context(), &ConnectRequest::default()).unwrap();
        Shim { of: self, bundle, address, client, pid: connected.shim_pid as i32 }
    }

    /// What was told so far.
    pub fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    /// Waits until something is told; all that was until then.
    #[track_caller]
    pub fn until_told(&self, event: &str) -> Vec<String> {
        until(&format!("{event} is told, after {:?}", self.told()), || {
            self.told().iter().any(|told| told == event)
        });
        self.told()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Some(server) = self.server.lock().unwrap().take() {
            server.shutdown();
        }
    }
}

pub fn context() -> ttrpc::context::Context {
    with_duration(PATIENCE)
}

#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server, and the container that it was started for.
pub struct Shim<'a> {
    pub of: &'a Containerd,
    pub bundle: Bundle,
    pub address: String,
    pub client: TaskClient,
    pub pid: i32,
}

/// The text of an error.
pub fn text<T: std::fmt::Debug>(result: ttrpc::Result<T>) -> String {
    match result.expect_err("it is refused") {
        ttrpc::Error::RpcStatus(status) => status.message().to_owned(),
        other => panic!("{other:?}"),
    }
}

pub fn code<T: std::fmt::Debug>(result: ttrpc::Result<T>) -> ttrpc::Code {
    match result.expect_err("it is refused") {
        ttrpc::Error::RpcStatus(status) => status.code(),
        other => panic!("{other:?}"),
    }
}

impl Shim<'_> {
    pub fn id(&self) -> String {
        self.bundle.id.clone()
    }

    /// Options as containerd has them in its configuration for a handler; the tests' containers are kept apart.
    fn options(&self, more: &str) -> MessageField<Any> {
        let body = format!("root = {:?}\n{more}", self.of.runtime.root());
        let length = [(body.len() & 0x7f) as u8 | 0x80, (body.len() >> 7) as u8];
        let value = [&[0x1a], &length[..], body.as_bytes()].concat();
        MessageField::some(Any { type_url: "runtimeoptions.v1.Options".to_owned(), value, ..Any::default() })
    }

    /// A fifo of containerd's, for output.
    pub fn fifo(&self, name: &str) -> String {
        let path = self.of.home.path().join(format!("{}-{name}", self.bundle.id));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        path.display().to_string()
    }

    pub fn request(&self, options: &str) -> CreateTaskRequest {
        CreateTaskRequest {
            id: self.id(),
            bundle: self.bundle.path().display().to_string(),
            options: self.options(options),
            ..CreateTaskRequest::default()
        }
    }

    pub fn create(&self) -> u32 {
        self.client.create(context(), &self.request("")).unwrap().pid
    }

    pub fn try_start(&self, exec_id: &str) -> ttrpc::Result<StartResponse> {
        let request = StartRequest { id: self.id(), exec_id: exec_id.to_owned(), ..StartRequest::default() };
        self.client.start(context(), &request)
    }

    pub fn start(&self) -> u32 {
        self.try_start("").unwrap().pid
    }

    /// Creates and starts it.
    pub fn run(self) -> Self {
        assert_eq!(self.create(), self.start());
        self
    }

    pub fn wait(&self, exec_id: &str) -> u32 {
        let request = WaitRequest { id: self.id(), exec_id: exec_id.to_owned(), ..WaitRequest::default() };
        self.client.wait(context(), &request).unwrap().exit_status
    }

    pub fn try_kill(&self, exec_id: &str, signal: u32, all: bool) -> ttrpc::Result<Empty> {
        let request =
            KillRequest { id: self.id(), exec_id: exec_id.to_owned(), signal, all, ..KillRequest::default() };
        self.client.kill(context(), &request)
    }

    pub fn kill(&self, signal: u32) {
        self.try_kill("", signal, false).unwrap();
    }

    pub fn try_delete(&self, exec_id: &str) -> ttrpc::Result<DeleteResponse> {
        let request =
            DeleteRequest { id: self.id(), exec_id: exec_id.to_owned(), ..DeleteRequest::default() };
        self.client.delete(context(), &request)
    }

    pub fn delete(&self) -> DeleteResponse {
        self.try_delete("").unwrap()
    }

    pub fn state(&self, exec_id: &str) -> StateResponse {
        let request = StateRequest { id: self.id(), exec_id: exec_id.to_owned(), ..StateRequest::default() };
        self.client.state(context(), &request).unwrap()
    }

    pub fn exec_request(&self, exec_id: &str, script: &str) -> ExecProcessRequest {
        let mut process: Value = self.bundle.config["process"].clone();
        process["args"] = json!(["/bin/sh", "-c", script]);
        let spec = Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/Process".to_owned(),
            value: process.to_string().into_bytes(),
            ..Any::default()
        };
        ExecProcessRequest {
            id: self.id(),
            exec_id: exec_id.to_owned(),
            spec: MessageField::some(spec),
            ..ExecProcessRequest::default()
        }
    }

    /// Adds a process.
    pub fn exec(&self, exec_id: &str, script: &str) {
        self.client.exec(context(), &self.exec_request(exec_id, script)).unwrap();
    }

    pub fn pids(&self) -> Vec<ProcessInfo> {
        let request = PidsRequest { id: self.id(), ..PidsRequest::default() };
        self.client.pids(context(), &request).unwrap().processes
    }

    pub fn shut_down(&self) {
        // It may be gone before its answer is read.
        let _ =
            self.client.shutdown(context(), &ShutdownRequest { id: self.id(), ..ShutdownRequest::default() });
    }

    /// Whether the server runs.
    pub fn alive(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
            && fs::read_link(format!("/proc/{}/exe", self.pid)).is_ok_and(|exe| exe == program())
    }

    pub fn kill_server(&self) {
        kill(Pid::from_raw(self.pid), Signal::SIGKILL).unwrap();
        until("the server is gone", || !self.alive());
    }

    /// The action `delete`.
    pub fn delete_action(&self) -> Output {
        let bundle = self.bundle.path().display().to_string();
        self.of.command(&self.bundle, &["-bundle", &bundle, "delete"]).output().unwrap()
    }

    /// Fails if the container has left anything, but its bundle.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let left = leaks::all(&self.of.runtime, &self.bundle);
        let kept = self.of.kept().join(&self.bundle.id);
        assert!(left.is_empty() && !kept.exists(), "left behind: {left:#?} {}", kept.display());
    }

    pub fn socket(&self) -> PathBuf {
        PathBuf::from(self.address.strip_prefix("unix://").expect("a path"))
    }
}

impl Drop for Shim<'_> {
    fn drop(&mut self) {
        if self.alive() {
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
            until("the server is gone", || !self.alive());
        }
        let output = self.delete_action();
        if !output.status.success() {
            eprintln!(
                "left behind: {} {:?}",
                String::from_utf8_lossy(&output.stderr),
                output.status.signal()
            );
        }
        let _ = fs::remove_file(self.socket());
    }
}

/// A shell that ends, with code 3, when it is asked to.
pub const OBEDIENT: &str = "trap 'exit 3' TERM; while :; do sleep 0.02; done";

pub fn obedient() -> Bundle {
    Bundle::shell(OBEDIENT)
}

/// A group of the test's own.
pub fn in_group(bundle: Bundle, group: &str) -> Bundle {
    bundle.edit(|config| config["annotations"]["io.kubernetes.cri.sandbox-id"] = json!(group))
}

pub fn group() -> String {
    unique("group")
}
