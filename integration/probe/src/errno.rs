//! Numbers of the kernel, by name.

use crate::json::Json;

/// An error number of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Why the last call of this thread failed.
    pub fn last() -> Errno {
        Errno::of(&std::io::Error::last_os_error())
    }

    /// The number inside an error of the standard library; EIO if it has none.
    pub fn of(error: &std::io::Error) -> Errno {
        Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

macro_rules! names {
    ($($name:ident)*) => {
        &[$((libc::$name, stringify!($name))),*]
    };
}

const ERRNOS: &[(i32, &str)] = names! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY
    EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK
    EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENODATA EPROTO EBADMSG EOVERFLOW
    ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP
    EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNABORTED ECONNRESET ENOBUFS
    EISCONN ENOTCONN ETIMEDOUT ECONNREFUSED EHOSTUNREACH EALREADY EINPROGRESS ESTALE EDQUOT ECANCELED
    ENOPKG ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED
};

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match ERRNOS.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

/// What came of something that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel did it and returned this.
    Done(i64),
    /// The kernel said no.
    Refused(Errno),
    /// The kernel ended the process that tried it.
    Killed(i32),
}

impl Outcome {
    /// The members `value` (0 where the attempt has no other), `errno` and `signal`; the two that do not apply are null.
    pub fn members(self) -> Vec<(String, Json)> {
        let (value, errno, signal) = match self {
            Outcome::Done(value) => (Json::Int(value), Json::Null, Json::Null),
            Outcome::Refused(errno) => (Json::Null, errno.to_string().into(), Json::Null),
            Outcome::Killed(signal) => (Json::Null, Json::Null, signal.into()),
        };
        vec![("value".into(), value), ("errno".into(), errno), ("signal".into(), signal)]
    }
}

impl<T: Into<i64>> From<Result<T, Errno>> for Outcome {
    fn from(result: Result<T, Errno>) -> Outcome {
        match result {
            Ok(value) => Outcome::Done(value.into()),
            Err(errno) => Outcome::Refused(errno),
        }
    }
}
