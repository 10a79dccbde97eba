//! What confinement costs work that is done: the same script under each runtime in turn, the best time of each.

use std::time::{Duration, Instant};

use super::{PATIENCE, Workload};
use crate::support::Runtime;

const ROUNDS: usize = 7;

/// Many small calls: requests that are answered from memory, over loopback.
const REQUESTS: Workload = Workload::new(
    "redis-benchmark",
    "redis-server --save '' --port 6379 &\nawait redis-cli ping\n\
     redis-benchmark -q -n 200000 -c 20 -t set,get\nredis-cli SHUTDOWN || true\nwait\nworks",
    "redis-server",
);

/// Many processes and files: a parallel make of 200 files.
const BUILD: Workload = Workload::new(
    "make",
    "mkdir /tmp/build && cd /tmp/build\n\
     for n in $(seq 200); do printf '#include <stdio.h>\\nint f%s(void) { return puts(\"\"); }\\n' $n >f$n.c; done\n\
     printf 'all: $(patsubst %%.c,%%.o,$(wildcard *.c))\\n' >Makefile\nmake -s -j 2\nworks",
    "gcc-12",
);

fn runtimes() -> Vec<(&'static str, Runtime)> {
    let ours = ["oci", "baseline", "strict"].map(|level| (level, Some(Runtime::at_level(level))));
    let peers = ["crun", "runc"].map(|name| (name, Runtime::peer(name)));
    let all = ours.into_iter().chain(peers);
    all.filter_map(|(name, runtime)| Some((name, runtime?.waiting(PATIENCE)))).collect()
}

fn once(workload: &Workload, runtime: &Runtime) -> Duration {
    let image = workload.image().expect("needs a Debian root filesystem").script(workload.script, "root");
    let start = Instant::now();
    let output = runtime.run(&image).ok();
    let took = start.elapsed();
    assert_eq!(output.stdout, "works\n", "{output}");
    took
}

#[test]
#[ignore = "measures; wants a machine with nothing else to do"]
fn time_beside_the_peers() {
    let runtimes = runtimes();
    for workload in [&REQUESTS, &BUILD] {
        let mut best = vec![Duration::MAX; runtimes.len()];
        for _ in 0..ROUNDS {
            for (best, (_, runtime)) in best.iter_mut().zip(&runtimes) {
                *best = once(workload, runtime).min(*best);
            }
        }
        let base = best[0].as_secs_f64();
        for ((name, _), best) in runtimes.iter().zip(&best) {
            let seconds = best.as_secs_f64();
            println!("{} {name}: {seconds:.2} s, {:.3} of oci", workload.name, seconds / base);
        }
    }
}
