//! What containerd is told: in the order in which it happened, over a connection that may break and come back.

use std::time::Duration;

use containerd_shim_protos::api::ForwardRequest;
use containerd_shim_protos::events::task;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim_async::EventsClient;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::sleep;
use ttrpc::context;
use ttrpc::r#async::Client;

use super::process::timestamp;
use super::sink::Sink;

/// How long containerd may take for one event.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to reach it, the first and the longest pause.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];
/// How often an event is offered that containerd does not want.
const ATTEMPTS: u32 = 5;

/// An event, with the name that its type and its topic have.
pub trait Event: Message {
    /// The type, after `containerd.events.`.
    const TYPE: &'static str;
    /// Where containerd listens for it.
    const TOPIC: &'static str;
}

macro_rules! events {
    ($($type:ident $topic:literal),* $(,)?) => {$(
        impl Event for task::$type {
            const TYPE: &'static str = concat!("containerd.events.", stringify!($type));
            const TOPIC: &'static str = $topic;
        }
    )*};
}

events! {
    TaskCreate "/tasks/create",
    TaskStart "/tasks/start",
    TaskOOM "/tasks/oom",
    TaskExit "/tasks/exit",
    TaskDelete "/tasks/delete",
    TaskExecAdded "/tasks/exec-added",
    TaskExecStarted "/tasks/exec-started",
    TaskPaused "/tasks/paused",
    TaskResumed "/tasks/resumed",
    TaskCheckpointed "/tasks/checkpointed",
}

enum Item {
    Event(Box<Envelope>),
    /// Answered once all that came before is told.
    Mark(oneshot::Sender<()>),
}

/// Where events are put.
#[derive(Clone)]
pub struct Events {
    queue: UnboundedSender<Item>,
    namespace: String,
}

impl Events {
    /// Starts to tell events to the socket of containerd's, `unix://` or a path.
    pub fn to(address: &str, namespace: &str, sink: Sink) -> Self {
        let (queue, items) = unbounded_channel();
        let address = match address.contains("://") {
            true => address.to_owned(),
            false => format!("unix://{address}"),
        };
        tokio::spawn(forward(items, address, sink));
        Self { queue, namespace: namespace.to_owned() }
    }

    /// Puts an event at the end.
    pub fn send<E: Event>(&self, event: &E) {
        let value = event.write_to_bytes().unwrap_or_default();
        let any = Any { type_url: E::TYPE.to_owned(), value, ..Any::default() };
        let envelope = Envelope {
            timestamp: MessageField::some(timestamp(std::time::SystemTime::now())),
            namespace: self.namespace.clone(),
            topic: E::TOPIC.to_owned(),
            event: MessageField::some(any),
            ..Envelope::default()
        };
        // Who receives lives as long as the server.
        self.queue.send(Item::Event(Box::new(envelope))).unwrap_or_default();
    }

    /// Waits until everything is told that was sent so far.
    pub async fn told(&self) {
        let (mark, reached) = oneshot::channel();
        if self.queue.send(Item::Mark(mark)).is_ok() {
            reached.await.unwrap_or_default();
        }
    }
}

async fn forward(mut items: UnboundedReceiver<Item>, address: String, sink: Sink) {
    let mut connection = None;
    while let Some(item) = items.recv().await {
        match item {
            Item::Event(envelope) => tell(*envelope, &address, &mut connection, &sink).await,
            // Whoever asked may have given up.
            Item::Mark(mark) => mark.send(()).unwrap_or_default(),
        }
    }
}

/// Tells one event, however long containerd is away: the next one must not overtake it.
async fn tell(envelope: Envelope, address: &str, connection: &mut Option<EventsClient>, sink: &Sink) {
    let [mut pause, longest] = PAUSES;
    let request = ForwardRequest { envelope: MessageField::some(envelope), ..ForwardRequest::default() };
    let mut refused = 0;
    loop {
        if connection.is_none() {
            *connection = Client::connect(address).await.ok().map(EventsClient::new);
        }
        if let Some(client) = &connection {
            let context = context::with_duration(PATIENCE);
            match client.forward(context, &request).await {
                Ok(_) => return,
                Err(ttrpc::Error::RpcStatus(status)) => {
                    refused += 1;
                    if refused == ATTEMPTS {
                        let topic = request.envelope.topic.as_str();
                        return sink.error(&format!("containerd does not take {topic}: {}", status.message()));
                    }
                }
                Err(_) => *connection = None,
            }
        }
        sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}
