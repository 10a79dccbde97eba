//! Programs that people run, from Debian's packages: at `baseline` as ordinary images run them, as root or with an own user,
//! and servers at `strict` as ordinary users. What each does is in the script of its name. WORKLOADS.md has the results.

mod image;

use std::time::Duration;

use image::Image;

use crate::support::{Runtime, is_root};

/// What a container does.
#[derive(Clone, Copy)]
struct Workload {
    script: &'static str,
    /// Who does it at `strict`; at other levels it is root.
    user: &'static str,
}

macro_rules! workload {
    ($script:literal) => {
        Workload { script: include_str!($script), user: "root" }
    };
    ($script:literal as $user:literal) => {
        Workload { script: include_str!($script), user: $user }
    };
}

const NGINX: Workload = workload!("nginx.sh" as "www-data");
const REDIS: Workload = workload!("redis.sh" as "redis");
const POSTGRESQL: Workload = workload!("postgresql.sh" as "postgres");
const PYTHON: Workload = workload!("python.sh");
const PYTHON_SERVER: Workload = workload!("python-server.sh" as "nobody");
const NODE: Workload = workload!("node.sh");
const NODE_SERVER: Workload = workload!("node-server.sh" as "nobody");
const GIT: Workload = workload!("git.sh");
const GCC: Workload = workload!("gcc.sh");
const JAVA: Workload = workload!("java.sh");
const APT: Workload = workload!("apt.sh");
const RUST: Workload = workload!("rust.sh");
const GO: Workload = workload!("go.sh");
const GO_SERVER: Workload = workload!("go-server.sh" as "nobody");

/// Workloads that compile run long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs one workload after the other in one image, each in a container of its own at its level.
fn work(steps: &[(Workload, &str)]) {
    skip_unless!(is_root(), "needs root");
    let Some(mut image) = Image::new() else { skip!("no Debian root filesystem can be made here") };
    for (workload, level) in steps {
        let user = if *level == "strict" { workload.user } else { "root" };
        image = image.script(workload.script, user);
        let runtime = Runtime::at_level(level).waiting(PATIENCE);
        let output = runtime.run(&image).ok();
        assert_eq!(output.stdout, "works\n", "{output}");
    }
}

#[test]
fn nginx_at_baseline() {
    work(&[(NGINX, "baseline")]);
}

#[test]
fn nginx_at_strict() {
    work(&[(NGINX, "strict")]);
}

#[test]
fn redis_at_baseline() {
    work(&[(REDIS, "baseline")]);
}

#[test]
fn redis_at_strict() {
    work(&[(REDIS, "strict")]);
}

#[test]
fn postgresql_at_baseline() {
    work(&[(POSTGRESQL, "baseline")]);
}

#[test]
fn postgresql_at_strict() {
    work(&[(POSTGRESQL, "strict")]);
}

#[test]
fn python_at_baseline() {
    work(&[(PYTHON, "baseline")]);
}

#[test]
fn python_server_at_strict() {
    work(&[(PYTHON_SERVER, "strict")]);
}

#[test]
fn node_at_baseline() {
    work(&[(NODE, "baseline")]);
}

#[test]
fn node_server_at_strict() {
    work(&[(NODE_SERVER, "strict")]);
}

#[test]
fn git_at_baseline() {
    work(&[(GIT, "baseline")]);
}

#[test]
fn gcc_at_baseline() {
    work(&[(GCC, "baseline")]);
}

#[test]
fn java_at_baseline() {
    work(&[(JAVA, "baseline")]);
}

#[test]
fn apt_at_baseline() {
    work(&[(APT, "baseline")]);
}

#[test]
fn rust_at_baseline() {
    work(&[(RUST, "baseline")]);
}

#[test]
fn go_at_baseline_and_its_server_at_strict() {
    work(&[(GO, "baseline"), (GO_SERVER, "strict")]);
}
