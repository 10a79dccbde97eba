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
    let target = std::env::var("CARGO_CFG_TARGET_ARCH")?;
    let arch = match target.as_str() {
        "x86_64" => Arch::X86_64,
        "aarch64" => Arch::Aarch64,
        other => return Err(format!("there is no seccomp profile for {other}").into()),
    };
    for read in ["build.rs", "src/plan/seccomp", "seccomp-profiles"] {
        println!("cargo::rerun-if-changed={read}");
    }
    let source = program("baseline", arch)? + &program("strict", arch)? + &program("tcp-ports", arch)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("seccomp.rs");
    std::fs::write(out, source)?;
    Ok(())
}

/// A profile as a static of its name.
fn program(profile_name: &str, arch: Arch) -> Result<String, Box<dyn Error>> {
    let path = format!("seccomp-profiles/{profile_name}.json");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let seccomp = serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
    // A program of a foreign ABI finds a kernel without that ABI, as many hosts are built.
    let profile =
        Profile::read(&seccomp, arch, Answer::ENOSYS).map_err(|problems| format!("{path}: {problems:#?}"))?;
    let program = compile(&profile);
    if program.len() > MAX_INSTRUCTIONS {
        return Err(format!("{path} compiles to {} instructions", program.len()).into());
    }
    let list: Vec<String> = program.iter().map(|instruction| format!("{instruction:#018x}")).collect();
    let (name, length, list) =
        (profile_name.to_uppercase().replace('-', "_"), program.len(), list.join(",\n    "));
    Ok(format!("pub static {name}: [u64; {length}] = [\n    {list},\n];\n"))
}
