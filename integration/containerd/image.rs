//! Images made by hand, in one OCI archive: busybox with the probe, and the same as what holds a pod together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::{Bundle, Scratch};

pub const BUSYBOX: &str = "sandrun.test/busybox:1";
pub const PAUSE: &str = "sandrun.test/pause:1";

/// The archive, made once a run.
pub fn archive() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image-{}.tar", std::process::id()));
        write(&file);
        file
    })
}

fn write(file: &Path) {
    let (layout, bundle) = (Layout(Scratch::new("image")), Bundle::shell(""));
    let layer = layout.0.path().join("layer");
    tar(&bundle.rootfs(), &layer);
    let layer = layout.blob("application/vnd.oci.image.layer.v1.tar", &fs::read(&layer).unwrap());
    fs::remove_file(layout.0.path().join("layer")).unwrap();
    let busybox = layout.manifest(BUSYBOX, &layer, json!({ "Cmd": ["/bin/sh"], "Env": ["PATH=/bin:/sbin"] }));
    let pause = json!({ "Entrypoint": ["/probe", "sleep", "100000"], "User": "65535:65535" });
    let pause = layout.manifest(PAUSE, &layer, pause);
    let index = json!({ "schemaVersion": 2, "manifests": [busybox, pause] });
    fs::write(layout.0.path().join("index.json"), index.to_string()).unwrap();
    fs::write(layout.0.path().join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())
        .unwrap();
    tar(layout.0.path(), file);
}

/// A directory as the image specification lays one out.
struct Layout(Scratch);

impl Layout {
    /// Adds a blob; its descriptor.
    fn blob(&self, kind: &str, content: &[u8]) -> Value {
        let dir = self.0.path().join("blobs/sha256");
        fs::create_dir_all(&dir).unwrap();
        let fresh = dir.join("fresh");
        fs::write(&fresh, content).unwrap();
        let said = Command::new("sha256sum").arg(&fresh).output().expect("cannot run sha256sum").stdout;
        let digest = String::from_utf8_lossy(&said).split_whitespace().next().expect("a digest").to_owned();
        fs::rename(&fresh, dir.join(&digest)).unwrap();
        json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": content.len() })
    }

    /// Adds an image with one layer; its descriptor, with its name.
    fn manifest(&self, name: &str, layer: &Value, config: Value) -> Value {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let config = json!({
            "architecture": architecture, "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] }
        });
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer] });
        let mut descriptor = self.blob(kind, manifest.to_string().as_bytes());
        descriptor["annotations"] = json!({ "io.containerd.image.name": name });
        descriptor
    }
}

fn tar(dir: &Path, file: &Path) {
    let status = Command::new("tar").arg("-C").arg(dir).arg("-cf").arg(file).arg(".").status();
    assert!(status.expect("cannot start tar").success());
}
