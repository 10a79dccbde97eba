//! Compiles the built-in seccomp profiles, with the code that compiles those of a config.json.

use std::error::Error;
use std::path::PathBuf;

#[path = "src/plan/seccomp"]
#[allow(dead_code)]
mod seccomp {
    pub mod code;
    pub mod compile;
    pub mod names;
    pub mod profile;
    pub mod table;
}

use seccomp::compile::{MAX_INSTRUCTIONS, compile};
use seccomp::names::Arch;
use seccomp::profile::{Answer, Profile};

fn main() -> Result<(), Box<dyn Error>> {
    const BASELINE: &str = "seccomp-profiles/baseline.json";
    for read in ["build.rs", "src/plan/seccomp", BASELINE] {
        println!("cargo::rerun-if-changed={read}");
    }
    let target = std::env::var("CARGO_CFG_TARGET_ARCH")?;
    let arch = match target.as_str() {
        "x86_64" => Arch::X86_64,
        "aarch64" => Arch::Aarch64,
        other => return Err(format!("there is no seccomp profile for {other}").into()),
    };
    let text = std::fs::read_to_string(BASELINE)?;
    let seccomp = serde_json::from_str(&text).map_err(|error| format!("{BASELINE}: {error}"))?;
    // A program of a foreign ABI finds a kernel without that ABI, as many hosts are built.
    let profile = Profile::read(&seccomp, arch, Answer::ENOSYS)
        .map_err(|problems| format!("{BASELINE}: {problems:#?}"))?;
    let program = compile(&profile);
    if program.len() > MAX_INSTRUCTIONS {
        return Err(format!("{BASELINE} compiles to {} instructions", program.len()).into());
    }
    let list: Vec<String> = program.iter().map(|instruction| format!("{instruction:#018x}")).collect();
    let source =
        format!("pub static BASELINE: [u64; {}] = [\n    {},\n];\n", program.len(), list.join(",\n    "));
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("seccomp.rs");
    std::fs::write(out, source)?;
    Ok(())
}
