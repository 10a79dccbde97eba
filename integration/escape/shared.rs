//! Objects of the kernel that no file system shows: keyrings, abstract sockets, System V IPC.
//! (Abstract sockets are in `landlock`.)

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root};

/// A key in our session keyring that only its possessor may see, removed when dropped.
struct Key(libc::c_long);

const SESSION_KEYRING: libc::c_long = -3;

impl Key {
    fn new() -> Option<Key> {
        let (kind, name, secret) = (c"user".as_ptr(), c"sandrun-test".as_ptr(), c"TOPSECRET".as_ptr());
        // SAFETY: the strings outlive the call, and the length is that of the secret.
        let key = unsafe { libc::syscall(libc::SYS_add_key, kind, name, secret, 9, SESSION_KEYRING) };
        let key = (key > 0).then_some(Key(key))?;
        // SAFETY: KEYCTL_SETPERM takes numbers only.
        let set = unsafe { libc::syscall(libc::SYS_keyctl, 5, key.0, 0x3f00_0000) };
        assert_eq!(set, 0, "cannot keep the key to ourselves");
        Some(key)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: KEYCTL_UNLINK takes numbers only.
        unsafe { libc::syscall(libc::SYS_keyctl, 9, self.0, SESSION_KEYRING) };
    }
}

#[test]
fn the_callers_keys_are_out_of_reach() {
    skip_unless!(is_root(), "needs root");
    let Some(key) = Key::new() else { skip!("this kernel has no keys") };
    let serial = key.0.to_string();
    // KEYCTL_DESCRIBE, without a buffer.
    let bundle = || Bundle::probe(&["syscall", "keyctl", "6", &serial, "0", "0"]);
    let kept = Runtime::at_level("oci").run_with(&bundle(), &["--no-new-keyring"]).ok().json();
    assert!(kept["errno"].is_null(), "the probe cannot tell: {kept}");
    assert_eq!(Runtime::at_level("oci").ask(&bundle())["errno"], "EACCES");
    assert_eq!(Runtime::sandrun().ask(&bundle())["errno"], "EPERM");
}

/// A segment of shared memory, removed when dropped.
struct Segment(i32);

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: removing takes no buffer.
        unsafe { libc::shmctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

#[test]
fn shared_memory_of_the_host_is_out_of_reach() {
    skip_unless!(is_root(), "needs root");
    const KEY: i32 = 0x5a4d_0001;
    // SAFETY: the call takes numbers only.
    let segment = Segment(unsafe { libc::shmget(KEY, 4096, libc::IPC_CREAT | 0o600) });
    assert!(segment.0 >= 0, "cannot make a segment");
    let table = |bundle: Bundle| Runtime::sandrun().ask(&bundle)["content"].to_string();
    let read = || Bundle::probe(&["read", "/proc/sysvipc/shm"]);
    let shared = read().without_namespace("ipc").edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| mount["destination"] != "/dev/mqueue");
        config["linux"]["maskedPaths"] = json!([]);
    });
    assert!(table(shared).contains(&KEY.to_string()), "the probe cannot tell");
    assert!(!table(read()).contains(&KEY.to_string()));
}
