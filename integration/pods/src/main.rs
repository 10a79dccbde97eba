//! Measures pods on a real containerd, as a kubelet makes them: sandrun's own shim beside runc, crun and sandrun under
//! containerd's shim, in random order within each round. Prints Markdown.
//!
//! containerd runs in mount, network and pid namespaces that end with the measuring, with its state in memory, on cgroup
//! v1 without the v2 part of a hybrid host (which crun does not take). Pods have the node's network: what a CNI plugin
//! takes is the same for all.

mod image;
mod memory;
mod node;
mod options;
mod pod;
mod table;

use std::process::ExitCode;

use node::Node;
use options::Options;
use pod::{Client, Life};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("pods: {problem}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    let result = match &options.inside {
        None => node::enter(std::env::args_os().skip(1)),
        Some(_) => measure(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("pods: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let node = Node::start(options)?;
        let client = Client::connect(&node).await?;
        println!(
            "containerd {}, {} CPUs\n",
            node.version()?,
            std::thread::available_parallelism().map_or(0, usize::from)
        );
        let able = able(&client, options).await;
        lives(&client, &able, options).await?;
        resident(&client, &able, options).await?;
        crowds(&client, &able, options).await
    })
}

/// Those that can run a pod here; the others are told with their reason.
async fn able(client: &Client<'_>, options: &Options) -> Vec<String> {
    let mut able = Vec::new();
    for handler in options.handlers() {
        match client.life(&handler).await {
            Ok(_) => able.push(handler),
            Err(why) => println!("{handler} is left out: {why}\n"),
        }
    }
    able
}

async fn lives(client: &Client<'_>, able: &[String], options: &Options) -> Result<(), String> {
    let mut all: Vec<(String, Life)> = Vec::new();
    for round in 0..options.rounds {
        for handler in options::in_turn(able, round) {
            all.push((handler.clone(), client.life(&handler).await?));
        }
    }
    print!("{}", table::lives(able, &all));
    Ok(())
}

async fn resident(client: &Client<'_>, able: &[String], options: &Options) -> Result<(), String> {
    let mut all = Vec::new();
    for count in &options.resident {
        for handler in able {
            all.push((handler.clone(), *count, memory::of_pods(client, handler, *count).await?));
        }
    }
    print!("{}", table::resident(&all));
    Ok(())
}

async fn crowds(client: &Client<'_>, able: &[String], options: &Options) -> Result<(), String> {
    let mut all = Vec::new();
    for round in 0..options.crowds {
        for handler in options::in_turn(able, round) {
            all.push((handler.clone(), client.crowd(&handler, options.crowd).await?));
        }
    }
    print!("{}", table::crowds(able, &all, options.crowd));
    Ok(())
}
