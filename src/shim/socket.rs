//! The socket of a pod's server, whose name everyone who knows the pod can compute.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::error::{Context, Result};
use crate::sys::Syscall;

/// Where containerd's own shims have theirs: a short path, as a socket's has to be.
pub const DIR: &str = "/run/containerd/s";

/// What became of the wish for a socket.
pub enum Socket {
    /// A server answers there.
    Served,
    /// Nobody did: this is the socket to serve.
    Fresh(UnixListener),
}

/// The path: the hash of containerd's socket, namespace and group, as every shim of containerd's has it.
pub fn path(dir: &Path, containerd: &str, namespace: &str, group: &str) -> PathBuf {
    let name = Path::new(containerd).join(namespace).join(group);
    let hash = Sha256::digest(name.as_os_str().as_encoded_bytes());
    dir.join(hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Finds the server of a group, or becomes it. One that was killed leaves its socket, which is replaced.
///
/// # Errors
/// The failed call.
pub fn find_or_make(path: &Path) -> Result<Socket> {
    let what = || format!("cannot make the socket {}", path.display());
    let dir = path.parent().ok_or("it has no directory").context(what)?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir).context(what)?;
    // Of two that find the same dead socket, one replaces it, and the other finds that one's.
    let lock = File::open(dir).context(what)?;
    flock(&lock, FlockOperation::LockExclusive).call(|| "flock(2)".to_owned()).context(what)?;
    if UnixStream::connect(path).is_ok() {
        return Ok(Socket::Served);
    }
    remove(path)?;
    let listener = UnixListener::bind(path).context(what)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).context(what)?;
    Ok(Socket::Fresh(listener))
}

/// Removes a socket; one that is not there is no error.
///
/// # Errors
/// The failed call.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.context(|| format!("cannot remove the socket {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_containerds_own_shim() {
        // printf %s /run/containerd/containerd.sock/k8s.io/abc | sha256sum
        let path = path(Path::new(DIR), "/run/containerd/containerd.sock", "k8s.io", "abc");
        assert_eq!(path.to_str(), Some("/run/containerd/s/a99a1752d3a0fadfb1f869026f16760475df03a572e20f4ccea9e6c1e5470b72"));
    }
}
