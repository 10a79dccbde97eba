.DEFAULT_GOAL := help
PREFIX ?= /usr/local
STATIC := $(or $(CARGO_TARGET_DIR),target)/static
MANUAL := $(or $(CARGO_TARGET_DIR),target)/manual

.PHONY: help build release image man check advisories test test-vm test-k8s workload-denials bench bench-pods demo install clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## debug build of everything
	cargo build --workspace

release: ## static release build: musl where there is one, else glibc
	scripts/build-release

image: ## the image of runtimeclass/'s DaemonSet, in target/sandrun-image.tar
	scripts/build-image

man: ## manual pages and shell completions, in target/manual
	cargo run --quiet --locked -p manual -- $(MANUAL)

check: ## format, lints, documentation, licences (needs cargo-deny)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked
	cargo deny --workspace check licenses bans sources

advisories: ## known vulnerabilities of dependencies (fetches the advisory database)
	cargo deny --workspace check advisories

test: ## all tests; as root for those that start containers
	scripts/test

test-vm: release ## on Linux 6.1 and 6.12, cgroup v2, v1, hybrid and systemd, in VMs without KVM
	integration/vm/test $(STATIC)/sandrun

test-k8s: release ## on a real Kubernetes of one node, built from Debian's source package (the first time 20 minutes, then 10)
	integration/kubernetes/test $(STATIC)/sandrun $(wildcard $(STATIC)/containerd-shim-sandrun-v2)

workload-denials: ## what confinement refuses to real programs: writes integration/WORKLOADS.md (strace; ~5 minutes)
	UPDATE_GOLDEN=1 cargo test --locked --test integration workloads::denials -- --ignored --nocapture

bench: release ## sandrun against crun and runc (docs in integration/bench)
	cargo run --release --locked -p bench -- --runtime sandrun=$(STATIC)/sandrun --runtime crun --runtime runc

bench-pods: release ## pods on containerd: the own shim against runc and crun under containerd's (root)
	cargo run --release --locked -p pods -- --runtime sandrun=$(STATIC)/sandrun \
	  --runtime crun=$$(PATH=$$PATH:/usr/sbin command -v crun) --runtime runc=$$(PATH=$$PATH:/usr/sbin command -v runc)

demo: ## a Debian container that says what it cannot do
	scripts/demo

install: release man ## install under PREFIX (default /usr/local)
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(STATIC)/sandrun
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(MANUAL)/man8/*
	install -D -m 644 $(MANUAL)/completions/sandrun.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sandrun
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(MANUAL)/completions/_sandrun
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d $(MANUAL)/completions/sandrun.fish
	if [ -e $(STATIC)/containerd-shim-sandrun-v2 ]; then \
	  install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(STATIC)/containerd-shim-sandrun-v2; fi

clean: ## remove what was built
	cargo clean
