//! What the library says, as containerd hears it: a gRPC code that it acts on, and the whole text.

use ttrpc::{Code, get_status};

use crate::error::{Error, Kind};

/// The error of a call.
pub fn status(error: &Error) -> ttrpc::Error {
    let code = match error.kind {
        Kind::NotFound => Code::NOT_FOUND,
        Kind::Exists => Code::ALREADY_EXISTS,
        // Not UNIMPLEMENTED: for that containerd tries the same once more by an older version of the service.
        Kind::WrongState | Kind::Unsupported => Code::FAILED_PRECONDITION,
        Kind::Invalid => Code::INVALID_ARGUMENT,
        Kind::Refused => Code::PERMISSION_DENIED,
        Kind::ProgramNotFound | Kind::ProgramNotExecutable | Kind::HookFailed | Kind::Failed => Code::UNKNOWN,
    };
    ttrpc::Error::RpcStatus(get_status(code, error.to_string()))
}

/// The container, or the process, that a call names is not there.
pub fn missing(what: String) -> Error {
    Error::new(Kind::NotFound, what, "")
}

/// A signal came too late, or too early. containerd goes on when a process is gone, and only then.
pub fn cannot_signal(error: Error) -> Error {
    match error.kind {
        Kind::WrongState => Error::new(Kind::NotFound, "process already finished", ""),
        _ => error,
    }
}
