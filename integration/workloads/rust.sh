# A Rust program of two crates, with a build script, threads and a socket: built and tested, by the distribution's Rust.
export CARGO_HOME=/tmp/cargo USER=builder
cd /tmp
cargo new --quiet --vcs none program
cargo new --quiet --vcs none --lib program/part
cd program
echo 'part = { path = "part" }' >>Cargo.toml
cat >build.rs <<'RUST'
fn main() {
    println!("cargo:rustc-env=BUILT=yes");
}
RUST
cat >src/main.rs <<'RUST'
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"served").unwrap());
    let mut said = String::new();
    TcpStream::connect(place).unwrap().read_to_string(&mut said).unwrap();
    server.join().unwrap();
    std::fs::copy("/proc/self/exe", "copied").unwrap();
    let child = std::process::Command::new("echo").arg("child").output().unwrap();
    println!("{} {} {} {}", said, part::sum(), String::from_utf8(child.stdout).unwrap().trim(), env!("BUILT"));
}

#[test]
fn parts_add_up() {
    assert_eq!(part::sum(), 45);
}
RUST
cat >part/src/lib.rs <<'RUST'
pub fn sum() -> u32 {
    let parts: Vec<_> = (0..10).map(|n| std::thread::spawn(move || n)).collect();
    parts.into_iter().map(|part| part.join().unwrap()).sum()
}
RUST
cargo build --offline --release
[ "$(target/release/program)" = 'served 45 child yes' ]
cargo test --offline --quiet
works
