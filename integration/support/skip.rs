//! Tests that this machine cannot run say so, and are counted at the end.

use std::sync::Mutex;

static REASONS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Ends the test with a reason that is printed and counted.
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::support::skip::record(module_path!(), format!($($reason)*));
        return;
    }};
}

/// Ends the test unless the condition holds.
macro_rules! skip_unless {
    ($condition:expr, $($reason:tt)*) => {
        if !$condition {
            skip!($($reason)*);
        }
    };
}

/// Remembers a skipped test for the summary.
pub fn record(module: &str, reason: String) {
    println!("skipped in {module}: {reason}");
    let mut reasons = REASONS.lock().expect("no test panics while it holds the list");
    if reasons.is_empty() {
        // SAFETY: the handler is a function that lives as long as the program and only reads a static.
        assert_eq!(unsafe { libc::atexit(summary) }, 0, "cannot register the summary of skipped tests");
    }
    reasons.push(reason);
}

extern "C" fn summary() {
    let Ok(mut reasons) = REASONS.lock() else { return };
    reasons.sort();
    let count = reasons.len();
    let counted = reasons
        .chunk_by(PartialEq::eq)
        .map(|same| format!("{} ({})", same.first().map_or("", String::as_str), same.len()));
    eprintln!("{count} skipped: {}", counted.collect::<Vec<_>>().join("; "));
}

/// True if the tests run as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
