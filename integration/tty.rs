//! A person at a terminal: the container has one of its own, of the right size, and Ctrl-C interrupts its program.

use serde_json::{Value, json};

use crate::support::terminal::{Running, Terminal};
use crate::support::{Bundle, Runtime, is_root, leaks};

fn on_terminal(bundle: Bundle) -> Bundle {
    bundle.edit(|config| config["process"]["terminal"] = json!(true))
}

fn start(runtime: &Runtime, bundle: &Bundle, terminal: &Terminal) -> Running {
    bundle.write();
    runtime.adopt(bundle);
    let path = bundle.path().display().to_string();
    Running(terminal.start(&runtime.command(&["run", "--bundle", &path, &bundle.id])))
}

fn answer(screen: &str) -> Value {
    let line = screen
        .lines()
        .find(|line| line.starts_with('{'))
        .unwrap_or_else(|| panic!("no answer in {screen:?}"));
    serde_json::from_str(line).expect("the answer is JSON")
}

#[test]
fn the_program_has_a_terminal_of_its_own() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = on_terminal(Bundle::probe(&["tty"]));
    let mut terminal = Terminal::new(91, 37);
    let running = start(&runtime, &bundle, &terminal);
    let seen = answer(&terminal.read_until("}"));
    assert_eq!(seen["isatty"], json!([true, true, true]), "{seen}");
    assert_eq!((&seen["columns"], &seen["rows"]), (&json!(91), &json!(37)), "{seen}");
    assert_eq!(seen["foregroundGroup"], seen["ownGroup"], "it is not in the foreground: {seen}");
    assert_eq!(seen["session"], seen["pid"], "it does not lead its session: {seen}");
    assert_eq!(running.finish(), Some(0));
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn a_new_window_size_reaches_the_program() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = on_terminal(Bundle::probe(&["tty", "--winch"]));
    let mut terminal = Terminal::new(80, 24);
    let running = start(&runtime, &bundle, &terminal);
    assert_eq!(answer(&terminal.read_until("}"))["columns"], 80);
    terminal.resize(132, 43);
    let seen = answer(&terminal.read_until("}"));
    assert_eq!((&seen["columns"], &seen["rows"]), (&json!(132), &json!(43)));
    assert_eq!(running.finish(), Some(0));
}

#[test]
fn control_c_interrupts_the_program() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle =
        on_terminal(Bundle::shell("trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 1; done"));
    let mut terminal = Terminal::new(80, 24);
    let running = start(&runtime, &bundle, &terminal);
    terminal.read_until("ready");
    terminal.press(b"\x03");
    terminal.read_until("caught");
    assert_eq!(running.finish(), Some(5));
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn a_size_of_the_configuration_is_the_first_one() {
    skip_unless!(is_root(), "needs root");
    let bundle = on_terminal(Bundle::probe(&["tty"])).edit(|config| {
        config["process"]["consoleSize"] = json!({ "height": 33, "width": 77 });
    });
    let seen = Runtime::sandrun().ask(&bundle);
    assert_eq!((&seen["columns"], &seen["rows"]), (&json!(77), &json!(33)), "{seen}");
}

#[test]
fn where_no_screen_is_lines_end_as_they_were_written() {
    skip_unless!(is_root(), "needs root");
    let output = Runtime::sandrun().run(&on_terminal(Bundle::shell("echo one; echo two")));
    assert_eq!(output.ok().stdout, "one\ntwo\n");
}
