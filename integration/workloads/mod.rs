//! Programs that people run, from Debian's packages: at `baseline` as ordinary images run them, as root or with a user of
//! their own, and servers at `strict` as ordinary users. What each does is in the script of its name. WORKLOADS.md has the
//! results.

mod denials;
mod image;
mod overhead;
mod report;

use std::time::Duration;

use image::{Image, words};

use crate::containerd::Containerd;
use crate::support::{Runtime, is_root};

/// What a container does.
struct Workload {
    name: &'static str,
    /// Its first comment says what it does.
    script: &'static str,
    /// The package of Debian's that is tried.
    package: &'static str,
    /// Who does it at `strict`, if it is to run there. At other levels it is root.
    user: Option<&'static str>,
    /// What has to run before in the same image, at `baseline`.
    after: Option<&'static Workload>,
}

impl Workload {
    const fn new(name: &'static str, script: &'static str, package: &'static str) -> Workload {
        Workload { name, script, package, user: None, after: None }
    }

    /// A server: at `strict` it runs as this user.
    const fn server(self, user: &'static str) -> Workload {
        Workload { user: Some(user), ..self }
    }

    fn user_at(&self, level: &str) -> &'static str {
        self.user.filter(|_| level == "strict").unwrap_or("root")
    }

    /// An image that it can run in. None where none can be made.
    fn image(&self) -> Option<Image> {
        Some(match self.after {
            Some(before) => before.run(before.image()?, "baseline"),
            None => Image::new()?,
        })
    }

    /// Runs it in an image at a level.
    fn run(&self, image: Image, level: &str) -> Image {
        let image = image.script(self.script, self.user_at(level));
        let output = Runtime::at_level(level).waiting(PATIENCE).run(&image).ok();
        assert_eq!(output.stdout, "works\n", "{output}");
        image
    }
}

const NGINX: Workload = Workload::new("nginx", include_str!("nginx.sh"), "nginx").server("www-data");
const REDIS: Workload = Workload::new("redis", include_str!("redis.sh"), "redis-server").server("redis");
const POSTGRESQL: Workload =
    Workload::new("postgresql", include_str!("postgresql.sh"), "postgresql-15").server("postgres");
const PYTHON: Workload = Workload::new("python", include_str!("python.sh"), "python3.11");
const PYTHON_SERVER: Workload =
    Workload::new("python-server", include_str!("python-server.sh"), "python3.11").server("nobody");
const NODE: Workload = Workload::new("node", include_str!("node.sh"), "nodejs");
const NODE_SERVER: Workload =
    Workload::new("node-server", include_str!("node-server.sh"), "nodejs").server("nobody");
const SHELL: Workload = Workload::new("shell", include_str!("shell.sh"), "coreutils").server("nobody");
const MUSL: Workload = Workload::new("musl", include_str!("musl.sh"), "musl");
const MUSL_PROGRAM: Workload = Workload {
    after: Some(&MUSL),
    ..Workload::new("musl-program", include_str!("musl-program.sh"), "musl").server("nobody")
};
const GIT: Workload = Workload::new("git", include_str!("git.sh"), "git");
const GCC: Workload = Workload::new("gcc", include_str!("gcc.sh"), "gcc-12");
const JAVA: Workload = Workload::new("java", include_str!("java.sh"), "openjdk-17-jdk-headless");
const APT: Workload = Workload::new("apt", include_str!("apt.sh"), "apt");
const RUST: Workload = Workload::new("rust", include_str!("rust.sh"), "rustc");
const GO: Workload = Workload::new("go", include_str!("go.sh"), "golang-1.19-go");
const GO_SERVER: Workload = Workload {
    after: Some(&GO),
    ..Workload::new("go-server", include_str!("go-server.sh"), "golang-1.19-go").server("nobody")
};

/// Workloads that compile run long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

fn works(workload: &Workload, level: &str) {
    skip_unless!(is_root(), "needs root");
    let Some(image) = workload.image() else { skip!("no Debian root filesystem can be made here") };
    workload.run(image, level);
}

#[test]
fn nginx_at_baseline() {
    works(&NGINX, "baseline");
}

#[test]
fn nginx_at_strict() {
    works(&NGINX, "strict");
}

#[test]
fn redis_at_baseline() {
    works(&REDIS, "baseline");
}

#[test]
fn redis_at_strict() {
    works(&REDIS, "strict");
}

#[test]
fn postgresql_at_baseline() {
    works(&POSTGRESQL, "baseline");
}

#[test]
fn postgresql_at_strict() {
    works(&POSTGRESQL, "strict");
}

#[test]
fn python_at_baseline() {
    works(&PYTHON, "baseline");
}

#[test]
fn python_server_at_strict() {
    works(&PYTHON_SERVER, "strict");
}

#[test]
fn node_at_baseline() {
    works(&NODE, "baseline");
}

#[test]
fn node_server_at_strict() {
    works(&NODE_SERVER, "strict");
}

#[test]
fn shell_at_baseline() {
    works(&SHELL, "baseline");
}

#[test]
fn shell_at_strict() {
    works(&SHELL, "strict");
}

#[test]
fn musl_at_baseline_and_its_program_at_strict() {
    works(&MUSL_PROGRAM, "strict");
}

#[test]
fn git_at_baseline() {
    works(&GIT, "baseline");
}

#[test]
fn gcc_at_baseline() {
    works(&GCC, "baseline");
}

#[test]
fn java_at_baseline() {
    works(&JAVA, "baseline");
}

#[test]
fn apt_at_baseline() {
    works(&APT, "baseline");
}

#[test]
fn rust_at_baseline() {
    works(&RUST, "baseline");
}

#[test]
fn go_at_baseline_and_its_server_at_strict() {
    works(&GO_SERVER, "strict");
}

/// Under the real containerd, whose own profile is in config.json: both are in force.
fn works_beside_the_profile_of_containerd(workload: &Workload) {
    skip_unless!(is_root(), "needs root");
    let Some(containerd) = Containerd::start() else { skip!("containerd is not installed") };
    let Some(image) = workload.image() else { skip!("no Debian root filesystem can be made here") };
    let output = containerd
        .run(&image, &["--rm", "--seccomp"], &words(workload.script).each_ref().map(String::as_str))
        .ok();
    assert_eq!(output.stdout, "works\n", "{output}");
}

#[test]
fn nginx_with_both_profiles() {
    works_beside_the_profile_of_containerd(&NGINX);
}

#[test]
fn postgresql_with_both_profiles() {
    works_beside_the_profile_of_containerd(&POSTGRESQL);
}

#[test]
fn apt_with_both_profiles() {
    works_beside_the_profile_of_containerd(&APT);
}
