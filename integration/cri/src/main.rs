//! Calls containerd's CRI as a kubelet does, one call a run, so that the tests need no gRPC of their own.
//!
//!     cri call SOCKET METHOD JSON    prints the answer as JSON; fails with gRPC's code and description
//!     cri stream URL                 an exec or an attach: stdin, stdout, stderr and the exit code are its own
//!     cri forward URL PORT           a forwarded port: stdin and stdout are the connection

// A test's tool that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod remote;
mod websocket;

use std::process::ExitCode;

use cri::{grpc, messages};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["call", socket, method, json] => call(socket, method, json),
        ["stream", url] => remote::command(url),
        ["forward", url, port] => {
            port.parse().map_err(|_| "no port".to_owned()).and_then(|port| remote::port(url, port))
        }
        _ => Err("usage: cri call SOCKET METHOD JSON | stream URL | forward URL PORT".to_owned()),
    };
    match result {
        Ok(code) => code.into(),
        Err(why) => {
            eprintln!("{why}");
            // No program inside a container is likely to end with it.
            250.into()
        }
    }
}

fn call(socket: &str, method: &str, json: &str) -> Result<u8, String> {
    let schema = messages::Schema::of_the_cri();
    let request = schema.encode(&format!("{method}Request"), json)?;
    let answer = grpc::call(socket, &format!("/runtime.v1.RuntimeService/{method}"), &request)?;
    println!("{}", schema.decode(&format!("{method}Response"), &answer)?);
    Ok(0)
}
