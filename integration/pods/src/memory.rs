//! What stays in memory beside the workload.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::pod::{Client, Pod};

/// How long pods are left alone before they are looked at.
const REST: Duration = Duration::from_secs(4);

/// KiB for each pod.
#[derive(Clone, Copy, Default)]
pub struct Resident {
    /// Of the shim: memory shared with others is divided among them.
    pub proportional: f64,
    pub private: f64,
    pub anonymous: f64,
    pub threads: f64,
    /// Of the pause process.
    pub pause: f64,
    /// What the pod's cgroup is charged with, less what its one container is: now, and at most so far.
    pub charged: f64,
    pub charged_at_most: f64,
}

/// Of pods that are made for it, with one container each.
pub async fn of_pods(client: &Client<'_>, handler: &str, count: usize) -> Result<Resident, String> {
    let mut pods = Vec::new();
    for _ in 0..count {
        let pod = client.pod(handler).await?;
        let container = client.container(&pod).await?;
        pods.push((pod, container));
    }
    tokio::time::sleep(REST).await;
    let mut sum = Resident::default();
    for (pod, container) in &pods {
        add(&mut sum, pod, container);
    }
    for (pod, _) in &pods {
        client.remove(pod).await?;
    }
    let each = |value: f64| value / count as f64;
    Ok(Resident {
        proportional: each(sum.proportional),
        private: each(sum.private),
        anonymous: each(sum.anonymous),
        threads: each(sum.threads),
        pause: each(sum.pause),
        charged: each(sum.charged),
        charged_at_most: each(sum.charged_at_most),
    })
}

fn add(sum: &mut Resident, pod: &Pod, container: &str) {
    let shim = processes().find(|(_, words)| {
        words.first().is_some_and(|name| name.contains("containerd-shim")) && words.contains(&pod.id)
    });
    if let Some((pid, _)) = shim {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        sum.proportional += field(&rollup, "Pss:");
        sum.private += field(&rollup, "Private_Clean:") + field(&rollup, "Private_Dirty:");
        sum.anonymous += field(&rollup, "Anonymous:");
        sum.threads +=
            field(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), "Threads:");
    }
    let memory = Path::new("/sys/fs/cgroup/memory").join(pod.cgroup.trim_start_matches('/'));
    let number = |file: &str| -> f64 {
        fs::read_to_string(memory.join(file))
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(f64::NAN)
            / 1024.0
    };
    let of_container = number(&format!("{container}/memory.usage_in_bytes"));
    sum.charged += number("memory.usage_in_bytes") - of_container;
    sum.charged_at_most += number("memory.max_usage_in_bytes") - of_container;
    let pause = fs::read_to_string(memory.join(&pod.id).join("cgroup.procs")).unwrap_or_default();
    for pid in pause.lines() {
        sum.pause +=
            field(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default(), "Pss:");
    }
}

/// All there are, with their command lines.
fn processes() -> impl Iterator<Item = (u32, Vec<String>)> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        Some((pid, line.split_terminator('\0').map(str::to_owned).collect()))
    })
}

fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}
