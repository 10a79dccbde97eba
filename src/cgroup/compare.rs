//! Whether what a cgroup file says is what was written to it.

use rustix::param::page_size;

/// What in `text` speaks of the value written, and whether it means the same.
pub(super) fn holds(file: &str, asked: &str, text: &str) -> (Option<String>, bool) {
    let text = text.trim();
    if file.starts_with("devices.") {
        return devices(file, asked, text);
    }
    if file == "memory.oom_control" {
        let actual = text.lines().find_map(|line| line.strip_prefix("oom_kill_disable "));
        return (actual.map(str::to_owned), actual == Some(asked));
    }
    if file.starts_with("cpuset.") {
        return (Some(text.to_owned()), list(asked) == list(text));
    }
    if let Some((key, wanted)) = asked.split_once(' ').filter(|(key, _)| is_key(file, key)) {
        return line(key, wanted, text);
    }
    let actual = text.strip_prefix("default ").unwrap_or(text);
    let actual = actual.lines().next().unwrap_or_default();
    (Some(actual.to_owned()), same(file, asked, actual))
}

/// Files with a line for each device or interface; not `cpu.max`, which has two numbers.
fn is_key(file: &str, key: &str) -> bool {
    key.contains(':') || matches!(file, "net_prio.ifpriomap" | "rdma.max" | "misc.max")
}

/// The line of one device: every word asked for is among its words; no line means no limit.
fn line(key: &str, wanted: &str, text: &str) -> (Option<String>, bool) {
    let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    match found {
        Some(words) => {
            let has = |word: &str| words.split_whitespace().any(|other| other == word);
            (Some(format!("{key} {words}")), wanted.split_whitespace().all(has))
        }
        None => (None, wanted == "0" || wanted.split_whitespace().all(|word| word.ends_with("max"))),
    }
}

/// `devices.list` has the exceptions of a list that refuses by default, and one line for all of one that
/// allows by default, where the exceptions cannot be seen.
fn devices(file: &str, asked: &str, list: &str) -> (Option<String>, bool) {
    const EVERYTHING: &str = "a *:* rwm";
    let open = list.lines().any(|line| line == EVERYTHING);
    match (file, asked) {
        ("devices.deny", "a") => (Some(list.lines().next().unwrap_or_default().to_owned()), !open),
        ("devices.allow", "a") => (Some(EVERYTHING.to_owned()).filter(|_| open), open),
        ("devices.deny", _) => (None, open),
        _ => {
            let found = list.lines().find(|line| *line == asked);
            (found.map(str::to_owned), found.is_some())
        }
    }
}

/// Numbers are the same if the kernel rounded down to a page; "no limit" has three spellings.
fn same(file: &str, asked: &str, actual: &str) -> bool {
    if asked == actual {
        return true;
    }
    match (asked.parse::<i64>(), actual.parse::<i64>()) {
        (Ok(-1), Ok(actual)) => actual >= i64::MAX - 0xffff,
        (Ok(asked), Ok(actual)) => actual <= asked && asked - actual < granule(file),
        _ => asked.trim() == actual.trim(),
    }
}

/// The step in which the kernel counts, in the unit of the file.
fn granule(file: &str) -> i64 {
    let in_pages = file.starts_with("memory.") && file != "memory.swappiness";
    match file.strip_prefix("hugetlb.").and_then(|rest| rest.split('.').next()) {
        Some(size) => bytes(size),
        None if in_pages => i64::try_from(page_size()).unwrap_or(1),
        None => 1,
    }
}

/// `2MB` in bytes.
fn bytes(size: &str) -> i64 {
    let units = [("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30)];
    let parsed = units
        .iter()
        .find_map(|(unit, factor)| size.strip_suffix(unit)?.parse::<i64>().ok()?.checked_mul(*factor));
    parsed.unwrap_or(1)
}

/// `0-2,5` as ranges that touch no other: the kernel joins and sorts what it was given.
fn list(text: &str) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = text
        .trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        })
        .collect();
    ranges.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn what_the_kernel_says_in_its_own_words_holds() {
        for (file, asked, text) in [
            ("memory.limit_in_bytes", "33554432", "33554432\n"),
            ("memory.max", "33558000", "33554432\n"),
            ("memory.max", "max", "max\n"),
            ("memory.limit_in_bytes", "-1", "9223372036854771712\n"),
            ("cpu.cfs_quota_us", "-1", "-1\n"),
            ("cpu.max", "50000 100000", "50000 100000\n"),
            ("io.weight", "100", "default 100\n8:0 50\n"),
            ("io.max", "8:0 rbps=1048576", "8:0 rbps=1048576 wbps=max riops=max wiops=max\n"),
            ("io.max", "8:16 rbps=max", "8:0 rbps=1048576 wbps=max riops=max wiops=max\n"),
            ("blkio.throttle.read_bps_device", "8:0 1048576", "8:0 1048576\n"),
            ("cpuset.cpus", "0,1,3", "0-1,3\n"),
            ("memory.oom_control", "1", "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n"),
            ("hugetlb.2MB.max", "3145728", "2097152\n"),
            ("devices.deny", "a", "c 1:3 rwm\n"),
            ("devices.allow", "c 1:3 rwm", "c 1:3 rwm\nc 5:0 rwm\n"),
        ] {
            assert!(holds(file, asked, text).1, "{file}: {asked} is {text}");
        }
    }

    #[test]
    fn another_value_does_not_hold() {
        for (file, asked, text) in [
            ("memory.max", "33554432", "33558528\n"),
            ("memory.max", "33554432", "max\n"),
            ("memory.max", "33554432", "33550336\n"),
            ("pids.max", "5", "4\n"),
            ("pids.max", "5", "max\n"),
            ("memory.limit_in_bytes", "-1", "33554432\n"),
            ("cpu.max", "50000 100000", "max 100000\n"),
            ("io.max", "8:0 rbps=1048576", "8:0 rbps=max wbps=1048576 riops=max wiops=max\n"),
            ("io.max", "8:0 rbps=1048576", ""),
            ("cpuset.cpus", "0-2", "0-1\n"),
            ("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\n"),
            ("devices.deny", "a", "a *:* rwm\n"),
            ("devices.allow", "c 1:3 rwm", "c 1:3 rw\n"),
        ] {
            assert!(!holds(file, asked, text).1, "{file}: {asked} is not {text}");
        }
    }
}
