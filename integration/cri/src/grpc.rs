//! Unary gRPC calls over a unix socket: each is one HTTP/2 request, whose trailers tell how it went.

use std::error::Error;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use tokio::net::UnixStream;

type Failure = Box<dyn Error + Send + Sync>;

/// One call, on a connection of its own. The answer's message; an error is printed as crictl and the kubelet do.
pub fn call(socket: &str, path: &str, message: &[u8]) -> Result<Vec<u8>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let connection = Connection::open(socket).await.map_err(|error| format!("{path}: {error}"))?;
        connection.call(path, message).await
    })
}

/// A connection, on which calls may go on beside each other.
#[derive(Clone)]
pub struct Connection(SendRequest<Bytes>);

impl Connection {
    /// Connects.
    pub async fn open(socket: &str) -> Result<Connection, Failure> {
        let stream = UnixStream::connect(socket).await?;
        let (client, connection) = h2::client::handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Connection(client))
    }

    /// The answer's message; an error is printed as crictl and the kubelet do.
    pub async fn call(&self, path: &str, message: &[u8]) -> Result<Vec<u8>, String> {
        let (trailers, body) =
            self.exchange(path, message).await.map_err(|error| format!("{path}: {error}"))?;
        let trailer = |name: &str| trailers.get(name).map(|value| percent_decoded(value.as_bytes()));
        match trailer("grpc-status").as_deref() {
            Some("0") => body.get(5..).map(<[u8]>::to_vec).ok_or_else(|| "no message".to_owned()),
            Some(code) => Err(format!(
                "rpc error: code = {code} desc = {}",
                trailer("grpc-message").unwrap_or_default()
            )),
            None => Err(format!("{path}: no grpc-status")),
        }
    }

    /// The trailers, or the headers where an error has nothing else, and the body.
    async fn exchange(&self, path: &str, message: &[u8]) -> Result<(HeaderMap, Vec<u8>), Failure> {
        let request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (response, mut sending) = self.0.clone().ready().await?.send_request(request, false)?;
        sending.send_data(framed(message), true)?;
        let (head, mut receiving) = response.await?.into_parts();
        let mut body = Vec::new();
        while let Some(part) = receiving.data().await {
            let part = part?;
            receiving.flow_control().release_capacity(part.len())?;
            body.extend_from_slice(&part);
        }
        Ok((receiving.trailers().await?.unwrap_or(head.headers), body))
    }
}

/// Not compressed, then the length.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(message.len().try_into().expect("a small message"));
    frame.put_slice(message);
    frame.freeze()
}

/// `grpc-message` is percent-encoded UTF-8.
fn percent_decoded(value: &[u8]) -> String {
    let mut decoded = Vec::new();
    let mut rest = value;
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                decoded.push(code);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
