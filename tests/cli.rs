//! The command line as a person and a script have it: the real program against a real service, its words, its codes,
//! its pipes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::disallowed_methods, reason = "a stranger at the port has a thread of its own")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::agent::Agent;
use support::process::Process;
use support::service::{CALLSCOOT, Service, line_to, with};
use support::wait::until;

const NUMBER: &str = "5550100";
/// What a caller says who wants to own the terminal of whoever reads it.
const HOSTILE: &str = "Hello\u{1b}[2J\u{1b}]0;owned\u{7} \u{9b}31m \u{202e}drow and a sentence \
    that is much longer than a line of eighty columns can ever be";

/// A person at this service: nothing else of the environment.
struct Person {
    home: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// What a command left.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Person {
    fn at(port: u16) -> Self {
        let environment =
            vec![("CALLSCOOT_API_PORT".into(), port.to_string()), ("COLUMNS".into(), "80".into())];
        Self { home: tempfile::tempdir().unwrap(), environment }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap());
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }

    fn types(&self, arguments: &[&str]) -> Done {
        done(self.command(CALLSCOOT, arguments))
    }

    /// The words of a command that succeeds: they fit the terminal and nothing in them is obeyed by it.
    fn reads(&self, arguments: &[&str]) -> String {
        let done = self.types(arguments);
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{arguments:?}: {done:?}");
        check(arguments, &done.out);
        done.out
    }

    /// The one JSON document of a command that succeeds.
    fn json(&self, arguments: &[&str]) -> Value {
        let done = self.types(arguments);
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{arguments:?}: {done:?}");
        assert_eq!(done.out.lines().count(), 1, "{}", done.out);
        assert!(!done.out.chars().any(|c| c.is_control() && c != '\n'), "{:?}", done.out);
        serde_json::from_str(&done.out).unwrap()
    }

    fn code(&self, arguments: &[&str]) -> (i32, String) {
        let done = self.types(arguments);
        assert!(done.code == Some(0) || done.out.is_empty(), "{arguments:?}: {done:?}");
        (done.code.unwrap(), done.err)
    }
}

fn done(mut command: Command) -> Done {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn check(arguments: &[&str], out: &str) {
    for line in out.lines() {
        let widest = line.chars().count();
        // A command that mends is never wrapped, so that it can be copied.
        assert!(
            widest <= 80 || line.trim_start().starts_with("$ "),
            "{arguments:?}: {widest} columns: {line}"
        );
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{arguments:?}: {line:?}");
    }
}

fn phone(arguments: &[&str]) -> (Process, u16) {
    let mut command = Command::new(CALLSCOOT);
    command.args(["sim", "phone"]).args(arguments);
    let mut phone = Process::start("the simulated phone", &command);
    let line = phone.event("its port", |line| line["event"] == "status");
    let port = line["local"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    (phone, port)
}

#[test]
fn a_call_is_made_watched_steered_and_read_from_the_command_line() {
    let (_phone, port) = phone(&["--ring-ms", "0"]);
    let agent = Agent::public("ulaw_8000");
    let service = Service::start(&line_to(port), Some(&agent));
    let person = Person::at(service.api.port());
    assert!(person.reads(&["status"]).starts_with("ready"));
    assert!(person.reads(&["calls"]).starts_with("no calls yet"));
    assert!(person.reads(&[]).contains("callscoot doctor"));

    let dial = ["dial", NUMBER, "--follow", "--var", "name=Efe", "--metadata", "lead=7", "--ttl", "60"];
    let mut watched = Process::start("callscoot dial --follow", &person.command(CALLSCOOT, &dial));
    let mut conversation = agent.conversation();
    assert_eq!(conversation.initiation["dynamic_variables"]["name"], "Efe");
    conversation.understood(HOSTILE);
    let heard = || watched.out().iter().any(|line| line.contains("caller  Hello\u{fffd}[2J")).then_some(());
    until("the caller's words", heard);

    assert!(person.reads(&["say", "Ask", "for a time."]).starts_with("said to the agent of 20"));
    assert_eq!(conversation.message("user_message")["text"], "Ask for a time.");
    let told = person.json(&["context", "A warm lead.", "--json"]);
    assert_eq!(told["command"]["payload"]["text"], "A warm lead.");
    assert_eq!(conversation.message("contextual_update")["text"], "A warm lead.");

    let id = person.json(&["status", "--json"])["current_call"]["id"].as_str().unwrap().to_owned();
    assert!(person.reads(&["status"]).contains(&format!("to {NUMBER}, {id}")));
    assert!(person.reads(&["calls"]).contains("active"));
    assert!(person.reads(&["call-show"]).contains("name=Efe"));
    let shown = person.reads(&["call-show", &id]);
    assert!(shown.contains("caller     Hello\u{fffd}[2J"), "{shown}");
    let events = person.types(&["events", "--json"]);
    assert!(
        events.out.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["call_id"] == id.as_str()),
        "{events:?}"
    );
    assert!(person.reads(&["events", "all"]).starts_with(&id));

    assert_eq!(person.json(&["hangup", &id, "--json"])["session_id"], id.as_str());
    assert_eq!(watched.ended().code(), Some(0), "it was answered");
    let all = watched.out().join("\n");
    check(&dial, &all);
    assert!(all.contains("the call has ended: local hangup") && all.contains("transcript"), "{all}");
    assert_eq!(person.json(&["call-show", &id, "--json"])["meta"]["id"], id.as_str());
    assert_eq!(person.json(&["calls", "--limit", "1", "--json"])["calls"][0]["id"], id.as_str());
    assert_eq!(person.code(&["hangup", &id]).0, 3, "it has ended");
    assert!(person.reads(&["events", "--follow", &id]).contains("the call has ended"));
}

#[test]
fn the_code_of_a_call_says_whether_it_was_answered() {
    for (refusal, code) in [("busy", 11), ("declined", 12)] {
        let (_phone, port) = phone(&["--refuse", refusal]);
        let agent = Agent::public("ulaw_8000");
        let service = Service::start(&line_to(port), Some(&agent));
        let person = Person::at(service.api.port());
        let done = person.types(&["dial", NUMBER, "--wait", "--json"]);
        assert_eq!(done.code, Some(code), "{done:?}");
        assert!(done.err.starts_with("callscoot: not answered: "), "{done:?}");
        let session: Value = serde_json::from_str(&done.out).unwrap();
        assert!(session["meta"]["offhook_started_at"].is_null(), "{session}");
    }
}

#[test]
fn every_refusal_has_its_code_and_says_what_to_do() {
    let service = Service::start(&json!({}), None);
    let person = Person::at(service.api.port());
    for (arguments, code, said) in [
        (&["hangup"] as &[&str], 3, "no active call"),
        (&["answer"], 3, "no active call"),
        (&["say", "x"], 3, "no active call"),
        (&["call-show"], 3, "callscoot calls"),
        (&["events"], 3, "no active call"),
        (&["events", "--follow"], 3, "no active call"),
        (&["call-show", "no/such"], 66, "callscoot calls"),
        (&["events", "--follow", "nobody"], 66, "no active session"),
        (&["hangup", "nobody"], 66, "session not found"),
        (&["pending", "delete", "nobody"], 66, "callscoot pending"),
        (&["configure", "sip_sever=x"], 64, "did you mean sip_server?"),
        (&["configure", "sip_port=x"], 65, "sip_port must be an integer"),
        (&["configure", "agents=x"], 64, "NAME=VALUE"),
        (&["dial", "*21#"], 65, "number"),
        (&["dial", "112"], 77, "emergency"),
        (&["dial", "22333"], 77, "allowed_short_numbers"),
        (&["dial", NUMBER], 78, "callscoot doctor"),
        (&["dial"], 64, "NUMBER"),
        (&["nonsense"], 64, "nonsense"),
        (&["calls", "--limit", "many"], 64, "many"),
    ] {
        let (found, err) = person.code(arguments);
        assert_eq!(found, code, "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
        assert!(!err.contains('\u{1b}') && !err.contains("panicked"), "{err:?}");
    }
    assert!(person.reads(&["configure", "--help"]).contains("allowed_callers+="));
    assert!(person.types(&["--help"]).out.contains("Exit codes:"));
}

#[test]
fn a_service_that_is_gone_or_wants_a_token_is_told_apart() {
    let service = Service::start_with(&json!({}), None, &[("CALLSCOOT_API_TOKEN", "of the tests")]);
    let port = service.api.port();
    let stranger = Person::at(port).with("CALLSCOOT_API_TOKEN", "sesame");
    let (code, err) = stranger.code(&["status"]);
    assert_eq!(code, 77, "{err}");
    assert!(err.contains("CALLSCOOT_API_TOKEN") && !err.contains("sesame"), "{err}");
    let doctor = stranger.types(&["doctor", "--json"]);
    assert_eq!(doctor.code, Some(1));
    assert!(
        doctor.out.contains("another CALLSCOOT_API_TOKEN") && !doctor.out.contains("sesame"),
        "{doctor:?}"
    );
    // The env file of the service is enough: no settings on a Pi.
    let person = Person::at(port);
    let folder = person.home.path().join(".config/callscoot");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("elevenagents.env"), "CALLSCOOT_API_TOKEN='of the tests'\n").unwrap();
    assert_eq!(person.types(&["status"]).code, Some(0));
    drop(service);

    let (code, err) = person.code(&["status"]);
    assert_eq!(code, 69, "{err}");
    assert!(err.contains("`callscoot serve` starts it"), "{err}");
    let alone = person.reads(&[]);
    assert!(alone.starts_with("the service is not running"), "{alone}");
    let nobody = person.with("CALLSCOOT_API_BASE", "http://127.0.0.1:1");
    assert_eq!(nobody.code(&["events", "--follow", "some"]).0, 69);
}

#[test]
fn whoever_leaves_the_pipe_or_presses_ctrl_c_ends_the_watching() {
    let (_phone, port) = phone(&["--ring-ms", "0"]);
    let agent = Agent::public("ulaw_8000");
    let service = Service::start(&line_to(port), Some(&agent));
    let person = Person::at(service.api.port());
    let mut child = person.command(CALLSCOOT, &["events", "--follow", "all"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    // Nothing is there to be written: the closed pipe alone ends it.
    drop(child.stdout.take());
    let status = until("the end without a reader", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    let mut err = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut err).unwrap();
    assert_eq!(err, "");

    let id = service.call(NUMBER);
    let _conversation = agent.conversation();
    let mut child = person.command(CALLSCOOT, &["events", "--follow", "--json"]);
    let mut child = child.stdout(Stdio::piped()).process_group(0).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&first).unwrap()["event_type"], "call_started");
    assert_eq!(until("the end after the first line", || child.try_wait().unwrap()).code(), Some(0));

    for arguments in [&["events", "--follow", "current"] as &[&str], &["events", "--follow", &id]] {
        let mut watch = Process::start("callscoot events --follow", &person.command(CALLSCOOT, arguments));
        let lines =
            |watch: &Process| watch.out().iter().any(|line| line.contains("the call begins")).then_some(());
        until("the first event", || lines(&watch));
        watch.signal(Signal::INT);
        assert_eq!(watch.ended().code(), Some(130));
    }
    service.phase(&id, "active");
    service.hang_up(&id);
    let full = person.command("sh", &["-c", &format!("{CALLSCOOT} calls > /dev/full")]);
    assert_eq!(done(full).code, Some(74));
}

#[test]
fn settings_are_shown_typed_and_masked() {
    let service = Service::start(&json!({"sip_password": "hunter2"}), None);
    let person = Person::at(service.api.port());
    let all = person.reads(&["configure"]);
    assert!(all.contains("sip_password") && all.contains("***") && !all.contains("hunter2"), "{all}");
    let saved = person.reads(&[
        "configure",
        "allowed_callers=+49301,+49302",
        "auto_answer=true",
        "business_hours=09:00-17:00",
    ]);
    assert!(
        saved.contains("allowed_callers = +49301,+49302  (default: (empty))")
            || saved.contains("+49301,+49302"),
        "{saved}"
    );
    let config = person.json(&[
        "configure",
        "allowed_callers+=+49303",
        "allowed_callers-=+49301",
        "agents=+49301=a",
        "--json",
    ]);
    assert_eq!(config["config"]["allowed_callers"], json!(["+49302", "+49303"]));
    assert_eq!(config["config"]["agents"], json!({"+49301": "a"}));
    assert_eq!((&config["config"]["auto_answer"], &config["saved"]), (&json!(true), &json!(true)));
    let reset = person.json(&["configure", "--reset", "allowed_callers", "business_hours=", "--json"]);
    assert_eq!(
        (&reset["config"]["allowed_callers"], &reset["config"]["business_hours"]),
        (&json!([]), &Value::Null)
    );
    assert!(person.reads(&["configure", "ring_timeout_sec"]).contains("Seconds of ringing"));

    let mut child = person.command(CALLSCOOT, &["configure", "sip_password=-", "--json"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"swordfish\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && !String::from_utf8(output.stdout).unwrap().contains("swordfish"));
    let folder = service.state("").join("../../config/callscoot/config.json");
    assert!(std::fs::read_to_string(folder).unwrap().contains("swordfish"));

    assert!(person.reads(&["pending"]).starts_with("nothing waits"));
    let added = person.json(&["pending", "add", "+49 30 1", "--var", "a=b", "--ttl", "90", "--json"]);
    assert_eq!(added["request"]["target_number"], "+49301");
    let id = added["request"]["request_id"].as_str().unwrap();
    assert!(person.reads(&["pending", "list"]).contains(id));
    assert!(person.reads(&["pending", "delete", id]).starts_with("deleted"));
}

#[test]
fn a_terminal_has_colours_its_own_width_and_no_echo_of_secrets() {
    let service = Service::start(&json!({}), None);
    let person = Person::at(service.api.port()).with("TERM", "xterm");
    let at = |person: &Person, columns: u16, typed: &str| {
        let line = format!("stty cols {columns}; {typed}");
        done(person.command("timeout", &["60", "script", "-qec", &line, "/dev/null"]))
    };
    let plain = |text: &str| -> String {
        let mut parts = text.split("\u{1b}[");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| all + part.split_once('m').map_or(part, |(_, rest)| rest))
    };
    let done = at(&person, 60, &format!("{CALLSCOOT} configure"));
    assert!(done.out.contains("\u{1b}[2mKEY\u{1b}[0m"), "{done:?}");
    let widths = plain(&done.out).lines().map(|line| line.trim_end().chars().count()).max();
    assert!(widths.is_some_and(|width| width <= 60), "{widths:?} of 60: {}", done.out);
    let uncoloured = person.with("NO_COLOR", "1");
    assert!(!at(&uncoloured, 60, &format!("{CALLSCOOT} status")).out.contains('\u{1b}'));

    // What hangs ends, and so does what it shows.
    let line = format!("{CALLSCOOT} configure sip_password=-");
    let mut child = uncoloured.command("timeout", &["60", "script", "-qec", &line, "/dev/null"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut typed = child.stdin.take().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains("sip_password: ") {
        let mut byte = [0];
        assert_eq!(
            std::io::Read::read(&mut out, &mut byte).unwrap(),
            1,
            "{:?}",
            String::from_utf8_lossy(&shown)
        );
        shown.extend(byte);
    }
    typed.write_all(b"swordfish\n").unwrap();
    until("the password to be taken", || {
        (service.api.get("/v1/config").1["config"]["sip_password"] == "***").then_some(())
    });
    drop(typed);
    std::io::Read::read_to_end(&mut out, &mut shown).unwrap();
    child.wait().unwrap();
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("saved") && !shown.contains("swordfish"), "{shown:?}");
}

#[test]
fn the_doctor_names_each_fault_with_the_command_that_mends_it() {
    let agent = Agent::public("ulaw_8000");
    let (_phone, port) = phone(&[]);
    let mut service =
        Service::start(&with(line_to(port), json!({"business_hours": "09:00-17:00"})), Some(&agent));
    let person = Person::at(service.api.port()).with("ELEVENLABS_BASE_URL", &agent.base_url());
    let checks =
        |done: &Done| -> Value { serde_json::from_str::<Value>(&done.out).unwrap()["checks"].clone() };
    let one = |checks: &Value, name: &str| {
        checks
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["name"] == name)
            .cloned()
            .unwrap_or_else(|| panic!("{name}: {checks}"))
    };
    let config = service.state("").join("../../config/callscoot/config.json");
    std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let well = person.types(&["doctor", "--json"]);
    assert_eq!(well.code, Some(0), "{well:?}");
    for name in [
        "service",
        "configuration",
        "state folder",
        "disk",
        "SIP line",
        "UDP ports",
        "agent",
        "agent service",
    ] {
        assert_eq!(one(&checks(&well), name)["state"], "ok", "{name}: {well:?}");
    }
    assert!(person.types(&["doctor"]).out.contains(" 0 to mend"));

    assert_eq!(service.api.patch("/v1/config", &json!({"sip_transport": "tls"})).0, 200);
    std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let ill = person.types(&["doctor", "--json"]);
    assert_eq!(ill.code, Some(1), "{ill:?}");
    assert_eq!(one(&checks(&ill), "SIP line")["mend"], "callscoot configure sip_transport=udp");
    assert!(
        one(&checks(&ill), "configuration")["mend"]
            .as_str()
            .is_some_and(|mend| mend.starts_with("chmod 600 /"))
    );

    service.process().kill();
    let down = person.types(&["doctor", "--json"]);
    assert_eq!((down.code, &one(&checks(&down), "service")["mend"]), (Some(1), &json!("callscoot serve")));
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in stranger.incoming() {
            let _ = socket
                .unwrap()
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
        }
    });
    let held = Person::at(port).types(&["doctor", "--json"]);
    let found = one(&checks(&held), "service");
    assert!(
        found["found"].as_str().unwrap().contains(&format!("(process {})", std::process::id())),
        "{found}"
    );
}
