//! `containerd.task.v2.Task` and `containerd.task.v3.Task`, which differ by name only: each call finds its operation.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use containerd_shim_protos::api::*;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::shim_async::{Task, create_task};
use tokio::sync::Notify;
use tokio::time::timeout;
use ttrpc::r#async::transport::Listener;
use ttrpc::r#async::{Server, TtrpcContext};

use super::errors::status;
use super::io::{Streams, Wanted};
use super::pod::Pod;
use super::process::{exited_at, timestamp};
use crate::container::status::Status as Doing;

/// How long output may take to be read once its process has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// The name of the service from containerd 2.0 on, and before.
const NAMES: [&str; 2] = ["containerd.task.v3.Task", "containerd.task.v2.Task"];

/// The service of a pod.
pub struct Service {
    pod: Arc<Mutex<Pod>>,
    done: Arc<Notify>,
}

/// Nobody holds it while waiting for something, so it is free; and no panic ends but the whole process.
pub fn lock(pod: &Mutex<Pod>) -> MutexGuard<'_, Pod> {
    pod.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The listening socket, in the form that the server takes.
///
/// # Errors
/// When it cannot be made non-blocking.
pub fn listener(socket: OwnedFd) -> std::io::Result<Listener> {
    Listener::try_from(std::os::unix::net::UnixListener::from(socket))
}

/// Has a server answer under both names.
pub fn register(mut server: Server, service: Arc<Service>) -> Server {
    for name in NAMES {
        let methods = create_task(service.clone());
        server = server.register_service(methods.into_values().map(|all| (name.to_owned(), all)).collect());
    }
    server
}

impl Service {
    /// The service; `done` hears that the server may end.
    pub fn new(pod: Arc<Mutex<Pod>>, done: Arc<Notify>) -> Self {
        Self { pod, done }
    }

    fn pod(&self) -> MutexGuard<'_, Pod> {
        lock(&self.pod)
    }
}

type Answer<T> = ttrpc::Result<T>;

#[async_trait]
impl Task for Service {
    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> Answer<StateResponse> {
        let pod = self.pod();
        let doing = pod.status(&request.id, &request.exec_id).map_err(|error| status(&error))?;
        let process = pod.process(&request.id, &request.exec_id).map_err(|error| status(&error))?;
        let stdio = process.stdio.clone();
        Ok(StateResponse {
            bundle: pod.bundle(&request.id).map_err(|error| status(&error))?,
            id: if request.exec_id.is_empty() { request.id } else { request.exec_id.clone() },
            exec_id: request.exec_id,
            pid: process.number(),
            status: task_status(doing).into(),
            stdin: stdio.stdin,
            stdout: stdio.stdout,
            stderr: stdio.stderr,
            terminal: stdio.terminal,
            exit_status: process.exit().map_or(0, |exit| exit.status),
            exited_at: exited_at(process.exit()),
            ..StateResponse::default()
        })
    }

    async fn create(&self, _: &TtrpcContext, request: CreateTaskRequest) -> Answer<CreateTaskResponse> {
        let stdio = Wanted {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
            namespace: self.pod().namespace.clone(),
            id: request.id.clone(),
        };
        self.pod().check_new(&request.id).map_err(|error| status(&error))?;
        let streams = Streams::open(&stdio).await.map_err(|error| status(&error))?;
        let pid = self.pod().create(&request, stdio, streams).map_err(|error| status(&error))?;
        Ok(CreateTaskResponse { pid, ..CreateTaskResponse::default() })
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> Answer<StartResponse> {
        let StartRequest { id, exec_id, .. } = request;
        if exec_id.is_empty() {
            let pid = self.pod().start(&id).map_err(|error| status(&error))?;
            return Ok(StartResponse { pid, ..StartResponse::default() });
        }
        let stdio = self.pod().check_exec(&id, &exec_id).map_err(|error| status(&error))?;
        let streams = Streams::open(&stdio).await.map_err(|error| status(&error))?;
        let pid = self.pod().start_exec(&id, &exec_id, streams).map_err(|error| status(&error))?;
        Ok(StartResponse { pid, ..StartResponse::default() })
    }

    async fn delete(&self, _: &TtrpcContext, request: DeleteRequest) -> Answer<DeleteResponse> {
        let ending = self.pod().end(&request.id, &request.exec_id).map_err(|error| status(&error))?;
        if let Some(ended) = ending.ended {
            timeout(PATIENCE, ended).await.map(drop).unwrap_or_default();
        }
        if let Some(drained) = ending.drained {
            timeout(PATIENCE, drained).await.unwrap_or_default();
        }
        let (pid, exit) =
            self.pod().delete(&request.id, &request.exec_id).map_err(|error| status(&error))?;
        Ok(DeleteResponse {
            pid,
            exit_status: exit.map_or(0, |exit| exit.status),
            exited_at: exited_at(exit),
            ..DeleteResponse::default()
        })
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> Answer<PidsResponse> {
        let processes = self.pod().pids(&request.id).map_err(|error| status(&error))?;
        Ok(PidsResponse { processes, ..PidsResponse::default() })
    }

    async fn pause(&self, _: &TtrpcContext, request: PauseRequest) -> Answer<Empty> {
        self.pod().pause(&request.id).map_err(|error| status(&error))?;
        Ok(Empty::default())
    }

    async fn resume(&self, _: &TtrpcContext, request: ResumeRequest) -> Answer<Empty> {
        self.pod().resume(&request.id).map_err(|error| status(&error))?;
        Ok(Empty::default())
    }

    async fn checkpoint(&self, _: &TtrpcContext, request: CheckpointTaskRequest) -> Answer<Empty> {
        self.pod().checkpoint(&request).map_err(|error| status(&error))?;
        Ok(Empty::default())
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> Answer<Empty> {
        self.pod().kill(&request).map_err(|error| status(&error))?;
        Ok(Empty::default())
    }

    async fn exec(&self, _: &TtrpcContext, request: ExecProcessRequest) -> Answer<Empty> {
        self.pod().exec(&request).map_err(|error| status(&error))?;
        Ok(Empty::default())
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: ResizePtyRequest) -> Answer<Empty> {
        let ResizePtyRequest { id, exec_id, width, height, .. } = request;
        self.pod().resize(&id, &exec_id, width, height).map_err(|error| status(&error))?;
        Ok(Empty::default())
    }

    async fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> Answer<Empty> {
        if request.stdin {
            self.pod().close_stdin(&request.id, &request.exec_id).map_err(|error| status(&error))?;
        }
        Ok(Empty::default())
    }

    async fn update(&self, _: &TtrpcContext, request: UpdateTaskRequest) -> Answer<Empty> {
        self.pod().update(&request).map_err(|error| status(&error))?;
        Ok(Empty::default())
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> Answer<WaitResponse> {
        let ended = {
            let pod = self.pod();
            pod.process(&request.id, &request.exec_id).map_err(|error| status(&error))?.ended()
        };
        let exit = ended.await;
        Ok(WaitResponse {
            exit_status: exit.status,
            exited_at: MessageField::some(timestamp(exit.at)),
            ..WaitResponse::default()
        })
    }

    async fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> Answer<StatsResponse> {
        let stats = self.pod().stats(&request.id).map_err(|error| status(&error))?;
        Ok(StatsResponse { stats: MessageField::some(stats), ..StatsResponse::default() })
    }

    async fn connect(&self, _: &TtrpcContext, request: ConnectRequest) -> Answer<ConnectResponse> {
        let task_pid = self.pod().process(&request.id, "").map_or(0, |process| process.number());
        Ok(ConnectResponse { shim_pid: std::process::id(), task_pid, ..ConnectResponse::default() })
    }

    async fn shutdown(&self, _: &TtrpcContext, _: ShutdownRequest) -> Answer<Empty> {
        if self.pod().is_empty() {
            self.done.notify_one();
        }
        Ok(Empty::default())
    }
}

fn task_status(doing: Doing) -> Status {
    match doing {
        Doing::Creating => Status::UNKNOWN,
        Doing::Created => Status::CREATED,
        Doing::Running => Status::RUNNING,
        Doing::Paused => Status::PAUSED,
        Doing::Stopped => Status::STOPPED,
    }
}
