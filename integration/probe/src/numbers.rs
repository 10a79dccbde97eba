//! System calls by name, for the verb `syscall`.

use crate::errno::{Errno, Outcome};
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
    SYS_getcwd SYS_getegid SYS_geteuid SYS_getgid SYS_getpid SYS_getppid SYS_gettid SYS_getuid SYS_init_module
    SYS_io_setup
    SYS_io_uring_enter SYS_io_uring_register SYS_io_uring_setup SYS_ioctl SYS_kcmp SYS_kexec_load SYS_keyctl
    SYS_kill SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_lookup_dcookie SYS_mbind SYS_memfd_create
    SYS_migrate_pages SYS_mount SYS_mount_setattr SYS_move_mount SYS_move_pages SYS_mq_open SYS_munlockall SYS_name_to_handle_at
    SYS_open_by_handle_at SYS_open_tree SYS_perf_event_open SYS_personality SYS_pidfd_getfd SYS_pidfd_open
    SYS_pivot_root SYS_prctl SYS_process_madvise SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace SYS_quotactl
    SYS_reboot SYS_request_key SYS_sched_yield SYS_seccomp SYS_setdomainname SYS_setgid SYS_sethostname SYS_setns SYS_setresgid
    SYS_setresuid SYS_settimeofday SYS_setuid SYS_shmget SYS_socket SYS_socketpair SYS_splice SYS_swapoff SYS_swapon
    SYS_sync SYS_syslog SYS_tee SYS_umount2 SYS_unshare SYS_userfaultfd SYS_vhangup SYS_vmsplice
};

/// Makes the call with these integers in a child, and says what came of it; none if an argument is not a number.
pub fn raw_call(name: &str, integers: &[&str]) -> Option<Json> {
    let wanted = Wanted::new(name, integers)?;
    Some(Json::Object(in_child(|| wanted.make().map(drop)).members()))
}

/// Makes calls, each given as `NAME[:INTEGER...]`, in this process: their values are told, but none may be deadly.
pub fn calls(words: &[&str]) -> Option<Json> {
    each(words, |wanted| Outcome::from(wanted.make()))
}

/// Makes calls, each in a child of its own: only their values are not told.
pub fn tries(words: &[&str]) -> Option<Json> {
    each(words, |wanted| in_child(|| wanted.make().map(drop)))
}

/// Makes each call in a second thread of a child: one that ends only the thread is done.
pub fn in_threads(words: &[&str]) -> Option<Json> {
    each(words, |wanted| {
        in_child(|| {
            let wanted = wanted.clone();
            drop(std::thread::spawn(move || wanted.make()));
            // A thread that is killed cannot be joined.
            while std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() > 1) {
                std::thread::yield_now();
            }
            Ok(())
        })
    })
}

/// Makes each call in a child that catches SIGSYS, and answers with the number of the call that it was for.
pub fn caught(words: &[&str]) -> Option<Json> {
    each(words, |wanted| {
        in_child(|| {
            crate::sys::catch_sigsys();
            wanted.make()?;
            Err(Errno(crate::sys::caught_sigsys()))
        })
    })
}

fn each(words: &[&str], outcome: impl Fn(&Wanted) -> Outcome) -> Option<Json> {
    let one = |word: &&str| {
        let parts: Vec<&str> = word.split(':').collect();
        let (name, integers) = parts.split_first()?;
        let wanted = Wanted::new(name, integers)?;
        Some(((*word).to_owned(), Json::Object(outcome(&wanted).members())))
    };
    let members: Option<Vec<(String, Json)>> = words.iter().map(one).collect();
    members.map(Json::Object)
}

/// A call with integers only.
#[derive(Clone)]
struct Wanted {
    number: libc::c_long,
    integers: Vec<i64>,
}

impl Wanted {
    fn new(name: &str, integers: &[&str]) -> Option<Self> {
        let known = NUMBERS.iter().find(|(known, _)| known.trim_start_matches("SYS_") == name);
        let number = known.map_or_else(|| name.parse().ok(), |(_, number)| Some(*number))?;
        let integers: Option<Vec<i64>> = integers.iter().map(|text| integer(text)).collect();
        Some(Self { number, integers: integers? })
    }

    fn make(&self) -> Result<i64, Errno> {
        let mut arguments: Vec<Arg<'_>> = self.integers.iter().map(|integer| Arg::Int(*integer)).collect();
        call(self.number, &mut arguments)
    }
}

/// Decimal, or hexadecimal after `0x`.
fn integer(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
        None => text.parse().ok(),
    }
}
