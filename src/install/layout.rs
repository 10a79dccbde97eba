//! Where each distribution of Kubernetes keeps its containerd: a table, and the question which of them this node is.

use std::path::{Path, PathBuf};

/// What has to be known of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// What it is called in messages.
    pub name: &'static str,
    /// The configuration that containerd reads.
    pub main: PathBuf,
    /// Whether `main` is written anew at every start: from these templates, for containerd 1.x and 2.x.
    pub templates: Option<[PathBuf; 2]>,
    /// Where the file of ours goes if `main` imports no directory.
    pub drop_ins: PathBuf,
    /// The CRI section that the distribution merges from the files in `drop_ins` by itself, as k0s does.
    pub merged: Option<PathBuf>,
    /// Where containerd is, the first that exists.
    pub programs: Vec<PathBuf>,
    /// Where it listens.
    pub socket: PathBuf,
    /// Units of systemd of which one runs it.
    pub units: &'static [&'static str],
}

impl Layout {
    /// What containerd shows before it starts: `main`, or what k0s made of the files beside it.
    pub fn base(&self) -> &Path {
        self.merged.as_ref().unwrap_or(&self.main)
    }

    /// Every directory of configurations that is written to.
    pub fn dirs(&self) -> impl Iterator<Item = &Path> {
        let files = [Some(&self.main), self.merged.as_ref()].into_iter().flatten();
        files.filter_map(|file| file.parent()).chain([self.drop_ins.as_path()])
    }
}

/// The layout that a node has with no distribution of its own: kubeadm, kind, managed clusters.
pub fn standard() -> Layout {
    Layout {
        name: "containerd",
        main: "/etc/containerd/config.toml".into(),
        templates: None,
        drop_ins: "/etc/containerd".into(),
        merged: None,
        programs: ["/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/bin", "/opt/bin"]
            .map(|dir| Path::new(dir).join("containerd"))
            .to_vec(),
        socket: "/run/containerd/containerd.sock".into(),
        units: &["containerd"],
    }
}

/// k3s and RKE2 write `config.toml` at every start, from `config.toml.tmpl` or `config-v3.toml.tmpl` if there is one; newer
/// ones import `config.toml.d` or `config-v3.toml.d`.
fn rancher(name: &'static str, units: &'static [&'static str]) -> Layout {
    let home = Path::new("/var/lib/rancher").join(name);
    let dir = home.join("agent/etc/containerd");
    Layout {
        name,
        main: dir.join("config.toml"),
        templates: Some([dir.join("config.toml.tmpl"), dir.join("config-v3.toml.tmpl")]),
        drop_ins: dir.join("config-v3.toml.d"),
        merged: None,
        programs: vec![home.join("data/current/bin/containerd"), home.join("bin/containerd")],
        socket: "/run/k3s/containerd/containerd.sock".into(),
        units,
    }
}

/// k0s reads `/etc/k0s/containerd.d` and merges what is there with its own CRI section, into a file in `/run`.
fn k0s() -> Layout {
    Layout {
        name: "k0s",
        main: "/etc/k0s/containerd.toml".into(),
        templates: None,
        drop_ins: "/etc/k0s/containerd.d".into(),
        merged: Some("/run/k0s/containerd-cri.toml".into()),
        programs: vec!["/var/lib/k0s/bin/containerd".into()],
        socket: "/run/k0s/containerd.sock".into(),
        units: &["k0sworker", "k0scontroller"],
    }
}

/// The distribution of this node, by the file that it has and no other.
pub fn detect(exists: impl Fn(&Path) -> bool) -> Layout {
    let known =
        [rancher("k3s", &["k3s", "k3s-agent"]), rancher("rke2", &["rke2-server", "rke2-agent"]), k0s()];
    known.into_iter().find(|layout| exists(&layout.main)).unwrap_or_else(standard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_known_by_its_configuration() {
        let with = |file: &'static str| detect(move |path| path == Path::new(file));
        assert_eq!(with("/var/lib/rancher/k3s/agent/etc/containerd/config.toml").name, "k3s");
        let rke2 = with("/var/lib/rancher/rke2/agent/etc/containerd/config.toml");
        assert_eq!((rke2.name, rke2.units), ("rke2", ["rke2-server", "rke2-agent"].as_slice()));
        assert_eq!(with("/etc/k0s/containerd.toml").name, "k0s");
        assert_eq!(with("/etc/containerd/config.toml"), standard());
        assert_eq!(with("/nothing"), standard());
    }
}
