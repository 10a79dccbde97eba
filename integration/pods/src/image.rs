//! Two images in one archive of docker's form: busybox, and a pause that is as small as Kubernetes' own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

pub const BUSYBOX: &str = "sandrun.test/busybox:1";
pub const PAUSE: &str = "sandrun.test/pause:1";

/// What Kubernetes' pause does, but for the reaping.
const PAUSE_SOURCE: &str = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n";

/// Writes the archive beneath a directory.
pub fn archive(dir: &Path) -> Result<PathBuf, String> {
    let (busybox, pause, images) = (dir.join("busybox"), dir.join("pause"), dir.join("images"));
    for dir in [&pause, &images] {
        fs::create_dir_all(dir).map_err(|error| error.to_string())?;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rootfs/busybox.sh");
    finish(Command::new(script).arg(&busybox))?;
    let source = dir.join("pause.c");
    fs::write(&source, PAUSE_SOURCE).map_err(|error| error.to_string())?;
    finish(Command::new("cc").args(["-static", "-Os", "-s", "-o"]).arg(pause.join("pause")).arg(&source))?;
    let manifest = [
        image(&images, BUSYBOX, &busybox, json!({ "Cmd": ["/bin/sh"], "Env": ["PATH=/bin:/sbin"] }))?,
        image(&images, PAUSE, &pause, json!({ "Entrypoint": ["/pause"], "User": "65535:65535" }))?,
    ];
    fs::write(images.join("manifest.json"), json!(manifest).to_string())
        .map_err(|error| error.to_string())?;
    let archive = dir.join("images.tar");
    finish(Command::new("tar").arg("-C").arg(&images).arg("-cf").arg(&archive).arg("."))?;
    Ok(archive)
}

/// An image of one layer; its entry in the manifest.
fn image(images: &Path, name: &str, root: &Path, config: Value) -> Result<Value, String> {
    let plain: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    let (layer, file) = (format!("{plain}.tar"), format!("{plain}.json"));
    finish(Command::new("tar").arg("-C").arg(root).arg("-cf").arg(images.join(&layer)).arg("."))?;
    let digest = Command::new("sha256sum").arg(images.join(&layer)).output();
    let digest = digest.map_err(|error| format!("sha256sum: {error}"))?.stdout;
    let digest = String::from_utf8_lossy(&digest).split(' ').next().unwrap_or_default().to_owned();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture, "os": "linux", "config": config,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] }
    });
    fs::write(images.join(&file), config.to_string()).map_err(|error| error.to_string())?;
    Ok(json!({ "Config": file, "RepoTags": [name], "Layers": [layer] }))
}

pub fn finish(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}
