//! System calls by name, for the verb `syscall`.

use crate::errno::Errno;
use crate::json::Json;
use crate::sys::{Arg, call, in_child};

macro_rules! numbers {
    ($($name:ident)*) => {
        &[$((stringify!($name), libc::$name)),*]
    };
}

/// Calls that exist on every architecture; any other is given by number.
const NUMBERS: &[(&str, libc::c_long)] = numbers! {
    SYS_acct SYS_add_key SYS_adjtimex SYS_bpf SYS_chdir SYS_chroot SYS_clock_settime SYS_clone SYS_clone3 SYS_close
    SYS_delete_module SYS_dup SYS_fanotify_init SYS_finit_module SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick
    SYS_getcwd SYS_getegid SYS_geteuid SYS_getpid SYS_getppid SYS_getuid SYS_init_module SYS_io_setup
    SYS_io_uring_enter SYS_io_uring_register SYS_io_uring_setup SYS_ioctl SYS_kcmp SYS_kexec_load SYS_keyctl
    SYS_kill SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_lookup_dcookie SYS_mbind SYS_memfd_create
    SYS_migrate_pages SYS_mount SYS_mount_setattr SYS_move_mount SYS_move_pages SYS_mq_open SYS_name_to_handle_at
    SYS_open_by_handle_at SYS_open_tree SYS_perf_event_open SYS_personality SYS_pidfd_getfd SYS_pidfd_open
    SYS_pivot_root SYS_prctl SYS_process_madvise SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace SYS_quotactl
    SYS_reboot SYS_request_key SYS_seccomp SYS_setdomainname SYS_setgid SYS_sethostname SYS_setns SYS_setresgid
    SYS_setresuid SYS_settimeofday SYS_setuid SYS_shmget SYS_socket SYS_socketpair SYS_splice SYS_swapoff SYS_swapon
    SYS_sync SYS_syslog SYS_tee SYS_umount2 SYS_unshare SYS_userfaultfd SYS_vhangup SYS_vmsplice
};

/// Makes the call with these integers in a child, and says what came of it; none if an argument is not a number.
pub fn raw_call(name: &str, integers: &[&str]) -> Option<Json> {
    let known = NUMBERS.iter().find(|(known, _)| known.trim_start_matches("SYS_") == name);
    let number = known.map_or_else(|| name.parse().ok(), |(_, number)| Some(*number))?;
    let integers: Option<Vec<i64>> = integers.iter().map(|text| integer(text)).collect();
    let integers = integers?;
    let outcome = in_child(|| {
        let mut arguments: Vec<Arg<'_>> = integers.iter().map(|integer| Arg::Int(*integer)).collect();
        let result: Result<i64, Errno> = call(number, &mut arguments);
        result.map(drop)
    });
    Some(Json::Object(outcome.members()))
}

/// Decimal, or hexadecimal after `0x`.
fn integer(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
