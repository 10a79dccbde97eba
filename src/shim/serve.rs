//! The server: one thread that answers containerd, reaps children and moves bytes, until its pod is gone.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::timeout;
use ttrpc::r#async::Server;

use super::events::Events;
use super::flags::Flags;
use super::pod::Pod;
use super::process::Exit;
use super::service::{self, Service};
use super::sink::Sink;
use super::start::{SOCKET, TTRPC_ADDRESS};
use super::{exits, socket};
use crate::error::{Context, Result};
use crate::sys::process::adopt_descriptor;

/// How long the end may wait for containerd to hear the last events.
const FAREWELL: Duration = Duration::from_secs(5);

/// Where the server's pid is, in the bundle.
const PID: &str = "shim.pid";

/// Serves the socket that was inherited, until there is no container and containerd says so.
///
/// # Errors
/// When it cannot begin to.
pub fn serve(flags: Flags) -> Result<()> {
    let sink = Sink::open(flags.debug);
    let served = run(flags, &sink);
    if let Err(error) = &served {
        sink.error(&error.to_string());
    }
    served
}

fn run(flags: Flags, sink: &Sink) -> Result<()> {
    let what = || "cannot serve".to_owned();
    exits::become_subreaper()?;
    let listener = UnixListener::from(adopt_descriptor(SOCKET));
    let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
    std::fs::write(PID, std::process::id().to_string()).context(|| format!("cannot write {PID}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.context(what)?.block_on(converse(listener, flags, sink))?;
    path.map_or(Ok(()), |path| socket::remove(&path))
}

async fn converse(listener: UnixListener, flags: Flags, sink: &Sink) -> Result<()> {
    let what = || "cannot serve".to_owned();
    let mut children = signal(SignalKind::child()).context(what)?;
    let mut end = signal(SignalKind::terminate()).context(what)?;
    let mut interrupt = signal(SignalKind::interrupt()).context(what)?;
    let address = std::env::var(TTRPC_ADDRESS).unwrap_or_else(|_| format!("{}.ttrpc", flags.address));
    let events = Events::to(&address, &flags.namespace, sink.clone());
    let pod = Arc::new(Mutex::new(Pod::new(flags.namespace, events.clone(), sink.clone())));
    let done = Arc::new(Notify::new());
    let service = Arc::new(Service::new(pod.clone(), done.clone()));
    let mut server = service::register(Server::new(), service);
    server = server.add_listener(service::listener(OwnedFd::from(listener)).context(what)?);
    server.start().await.map_err(|error| error.to_string()).context(what)?;
    loop {
        tokio::select! {
            _ = children.recv() => {
                while let Some((pid, status)) = exits::next() {
                    service::lock(&pod).exited(pid, Exit::now(status));
                }
            }
            _ = end.recv() => break,
            _ = interrupt.recv() => break,
            () = done.notified() => break,
        }
    }
    server.stop_listen().await;
    // The answer to Shutdown is on its way meanwhile.
    timeout(FAREWELL, events.told()).await.unwrap_or_default();
    Ok(())
}
