//! The Python client: its types, what it makes of hostile replies, and the service as it sees it, killed and all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::process::Process;
use support::sims::{Line, NUMBER, TOKEN, python};
use support::wait::until;

/// Oldest Python for which the client is written, and a current one.
const PYTHONS: [&str; 2] = ["3.8", "3.13"];

/// Runs to the end, bounded; what it said is shown when it failed.
fn succeeds(command: &mut Command) {
    let mut bounded = Command::new("timeout");
    bounded.arg("240").arg(command.get_program()).args(command.get_args());
    bounded.current_dir(command.get_current_dir().unwrap());
    bounded.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = bounded.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", said(&output.stdout), said(&output.stderr));
}

fn unit_tests(files: &[&str]) -> Command {
    let mut command = python();
    command.args(["-W", "error::ResourceWarning", "-m", "unittest"]).args(files);
    command.env("PYTHONPATH", "tests/client");
    command
}

#[test]
fn client_and_examples_are_fully_typed_from_python_3_8_on() {
    for version in PYTHONS {
        let mut mypy = python();
        mypy.args(["-m", "mypy", "--strict", "--no-incremental", "--cache-dir=/dev/null"]);
        mypy.args(["--python-version", version, "src/callscoot_client.py"]);
        mypy.args(["examples/minimal_client_app.py", "examples/lead_campaign_app.py"]);
        succeeds(&mut mypy);
    }
}

#[test]
fn odd_late_and_hostile_replies_are_errors_and_broken_streams_are_mended() {
    succeeds(&mut unit_tests(&["test_sse", "test_hostile", "test_streams"]));
}

#[test]
fn a_file_of_leads_keeps_its_form() {
    succeeds(&mut unit_tests(&["test_leads"]));
}

#[test]
fn every_method_does_what_it_says_with_the_service_itself() {
    let line = Line::start(&[], json!({}), Some(TOKEN));
    let mut tests = unit_tests(&["test_service"]);
    tests.env("CALLSCOOT_API_BASE", line.base_url()).env("CALLSCOOT_API_TOKEN", TOKEN);
    succeeds(&mut tests);
}

#[test]
fn the_minimal_application_shows_a_call() {
    let line = Line::start(&["--hang-up-ms", "1500"], json!({}), None);
    let mut app = line.python("examples/minimal_client_app.py");
    app.args([NUMBER, "Efe"]);
    let mut app = Process::start("the minimal application", &app);
    assert!(app.ended().success());
    let said = until("its last line", || Some(app.out()).filter(|out| out.len() == 3));
    assert_eq!(said[..2], ["agent:  Good morning.", "ended: remote_hangup"]);
    assert!(said[2].starts_with("summary: ") && said[2].len() > 12, "{said:?}");
}

#[test]
fn a_stream_outlives_the_service_without_loss_or_repeat() {
    let mut line = Line::start(&[], json!({}), None);
    let id = line.service.call(NUMBER);
    let mut follow = line.python("tests/client/follow.py");
    follow.arg(&id);
    let mut follow = Process::start("a follower", &follow);
    follow.event("the greeting", |event| event["event_type"] == "agent_response_finished");
    line.service.process().kill();
    line.service.run();
    assert!(follow.ended().success());
    let is_end = |event: &Value| !event["end_reason"].is_null();
    let end = follow.event("the end", is_end);
    assert_eq!(end["end_reason"], "recovered_after_crash");
    let mut told = follow.events();
    told.retain(|event| !is_end(event));
    assert_eq!(json!(told), line.service.api.get(&format!("/v1/calls/{id}/events")).1["events"]);
    assert_eq!(told.last().unwrap()["event_type"], "call_ended");
}
