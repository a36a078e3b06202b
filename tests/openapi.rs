//! The description of the API against the service at work: real answers of real calls are as described, and
//! schemathesis finds neither a request that breaks the service nor an answer that is not described.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::print_stdout, reason = "the cases by operation are what a long run has to show")]

mod support;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
#[cfg(feature = "bluez")]
use support::bus::bus;
use support::ports::Lease;
use support::process::Process;
use support::service::{CALLSCOOT, Service, line_to, with};
use support::wait::until_is;
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Threads, and a descriptor for each, that the service may keep ready.
const POOL: usize = 8;

fn sim(name: &'static str, arguments: &[&str]) -> Process {
    let mut command = Command::new(CALLSCOOT);
    command.arg("sim").args(arguments);
    Process::start(name, &command)
}

/// A service on `line` whose simulated agent does what the script says.
fn talking(script: &Value, config: Value, more: &[(&str, &str)]) -> (Process, Service, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("script.json");
    fs::write(&path, script.to_string()).unwrap();
    let mut agent = sim("the simulated agent", &["agent", "--script", path.to_str().unwrap()]);
    let listening = agent.event("its port", |line| line["event"] == "listening");
    let base = format!("http://127.0.0.1:{}", listening["port"]);
    let mut environment = vec![("ELEVENLABS_AGENT_ID", "agent_7"), ("ELEVENLABS_BASE_URL", base.as_str())];
    environment.extend(more);
    let service = Service::start_with(&config, None, &environment);
    (agent, service, folder)
}

/// A simulated phone that answers, and its SIP address.
fn phone(arguments: &[&str]) -> (Process, String) {
    let mut phone = sim("the simulated phone", &[&["phone", "--ring-ms", "100"], arguments].concat());
    let status = phone.event("its port", |line| line["local"].is_string());
    (phone, status["local"].as_str().unwrap().to_owned())
}

fn port_of(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

/// Asks as a stranger does, and keeps what came back for `conform.py`.
struct Witness {
    base: String,
    agent: ureq::Agent,
    answers: Vec<Value>,
}

impl Witness {
    fn new(service: &Service) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let base = format!("http://127.0.0.1:{}", service.api.port());
        Self { base, agent: config.into(), answers: Vec::new() }
    }

    /// `path` is the one of the document; `id` takes the place of what it has in braces.
    fn asks(&mut self, method: &str, path: &str, id: &str, body: &str, fields: &[(&str, &str)]) -> Value {
        let target = match (path.find('{'), path.find('}')) {
            (Some(from), Some(to)) => format!("{}{id}{}", &path[..from], &path[to + 1..]),
            _ => path.to_owned(),
        };
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{target}", self.base));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = match body {
            "" => self.agent.run(request.body(()).unwrap()),
            _ => self.agent.run(request.body(body).unwrap()),
        };
        let mut response = response.unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let names = response.headers().keys().map(ureq::http::HeaderName::as_str);
        let headers: Map<String, Value> = names.map(|name| (name.into(), header(name).into())).collect();
        let media_type = header("content-type").unwrap_or_default();
        let as_text = || if text.is_empty() { Value::Null } else { text.as_str().into() };
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| as_text());
        let documented = path.split('?').next().unwrap();
        self.answers.push(json!({
            "method": method, "path": documented, "status": response.status().as_u16(), "headers": headers,
            "media_type": media_type.split(';').next().unwrap(), "body": body,
        }));
        body
    }

    fn gets(&mut self, path: &str, id: &str) -> Value {
        self.asks("GET", path, id, "", &[])
    }

    fn posts(&mut self, path: &str, id: &str, body: &Value) -> Value {
        self.asks("POST", path, id, &body.to_string(), &[])
    }

    /// Follows a stream to its end.
    fn streams(&mut self, target: &str) {
        let response = self.agent.get(format!("{}{target}", self.base)).call().unwrap();
        let text = response.into_body().read_to_string().unwrap();
        for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            let event: Value = serde_json::from_str(data).unwrap();
            let schema = if event["event_type"] == "gap" { "GapEvent" } else { "AgentEvent" };
            self.answers.push(json!({"schema": schema, "body": event}));
        }
    }

    /// Fails unless every answer is as the service's own document says; tells what was seen.
    fn conforms(self) -> Vec<String> {
        let folder = TempDir::new().unwrap();
        let document = folder.path().join("openapi.json");
        let text = self.agent.get(format!("{}/v1/openapi.json", self.base)).call().unwrap();
        fs::write(&document, text.into_body().read_to_string().unwrap()).unwrap();
        let mut checker =
            python("conform.py").arg(document).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = checker.stdin.take().unwrap();
        for answer in &self.answers {
            writeln!(stdin, "{answer}").unwrap();
        }
        drop(stdin);
        let output = checker.wait_with_output().unwrap();
        assert!(output.status.success(), "some answers are not as described, see above");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn python(script: &str) -> Command {
    let mut command = Command::new(format!("{ROOT}/target/pyenv/bin/python"));
    command.arg(format!("{ROOT}/tests/openapi/{script}"));
    command
}

#[test]
fn real_answers_are_as_described() {
    let script = json!({"steps": [
        {"say": {"tone_hz": 440, "ms": 3000}, "text": "Interrupt me now.", "interrupt_after_ms": 400},
        {"when": {"after_ms": 200}, "caller_said": "Where is my order?",
         "tool": {"client": "find_order", "parameters": {"number": 7}},
         "say": {"tone_hz": 500, "ms": 300}, "text": "It is on its way."},
        {"say": {"tone_hz": 600, "ms": 30000}, "text": "Please hold."},
    ]});
    let (_phone, address) = phone(&[]);
    let ports = Lease::new();
    let config =
        with(line_to(port_of(&address)), json!({"sip_local_port": ports.at(0), "max_concurrent_calls": 2}));
    let (_agent, mut service, _folder) = talking(&script, config, &[]);
    let mut client = Witness::new(&service);
    let number = json!({
        "number": "+905551112233", "dynamic_variables": {"name": "Efe"}, "overrides": {"language": "de"},
    });

    for path in [
        "/health",
        "/v1/health",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/status",
        "/v1/config",
        "/v1/openapi.json",
        "/v1/current-call",
        "/v1/calls",
        "/v1/pending-call-requests",
        "/v1/phones",
    ] {
        client.gets(path, "");
        client.asks("HEAD", path, "", "", &[]);
    }
    let request =
        client.posts("/v1/pending-call-requests", "", &json!({"target_number": "7", "ttl_sec": "60"}));
    let request = request["request"]["request_id"].as_str().unwrap().to_owned();
    client.gets("/v1/pending-call-requests/{request_id}", &request);
    client.gets("/v1/pending-call-requests", "");
    client.asks("DELETE", "/v1/pending-call-requests/{request_id}", &request, "", &[]);
    client.gets("/v1/pending-call-requests/{request_id}", &request);

    for body in ["{}", "{}", r#"{"number":"8"}"#] {
        let key = [("Idempotency-Key", "8e03978e-40d5")];
        client.asks("POST", "/v1/pending-call-requests", "", body, &key);
    }

    let dialled = client.posts("/v1/outbound-calls", "", &number);
    let id = dialled["session_id"].as_str().unwrap().to_owned();
    let mut stream = service.api.events(&id);
    client.posts("/v1/current-call/contextual-update", "", &json!({"text": "A warm lead."}));
    client.posts("/v1/calls/{session_id}/user-message", &id, &json!({"text": "Hello."}));
    for event in ["interruption", "tool_call_finished"] {
        stream.wait_for(event);
    }
    for path in ["/v1/current-call", "/v1/status", "/v1/calls?limit=1"] {
        client.gets(path, "");
    }
    client.asks("POST", "/v1/current-call/answer", "", "", &[]);
    client.asks("POST", "/v1/calls/{session_id}/hangup", &id, "", &[]);
    service.ended(&id);
    let current = || service.api.get("/v1/current-call").1["current_call"].clone();
    until_is("no current call", current, Value::is_null);
    client.asks("POST", "/v1/current-call/hangup", "", "", &[]);
    client.posts("/v1/calls/{session_id}/contextual-update", &id, &json!({"text": "Late."}));

    // Someone calls, and is answered by a client.
    let caller = format!("sip:me@127.0.0.1:{}", ports.at(0));
    let mut caller = sim(
        "the calling phone",
        &["phone", "--call", &caller, "--from", "+15555551234", "--hang-up-ms", "300"],
    );
    let inbound = service.current_call()["id"].as_str().unwrap().to_owned();
    service.phase(&inbound, "incoming");
    client.asks("POST", "/v1/current-call/answer", "", "", &[]);
    assert!(caller.ended().success());
    service.ended(&inbound);

    for id in [&id, &inbound, "nobody"] {
        client.gets("/v1/calls/{session_id}", id);
        client.gets("/v1/calls/{session_id}/events", id);
    }
    client.gets("/v1/calls", "");
    client.streams(&format!("/v1/events/stream?session_id={id}&after=nonsense"));

    // Refusals.
    client.asks("PATCH", "/v1/config", "", r#"{"nosuch":1}"#, &[]);
    client.posts("/v1/outbound-calls", "", &json!({}));
    client.posts("/v1/outbound-calls", "", &json!({"number": "112"}));
    client.asks("POST", "/v1/current-call/hangup", "", "{}", &[("Origin", "https://evil.example")]);
    client.asks(
        "POST",
        "/v1/current-call/hangup",
        "",
        "{}",
        &[("Sec-Fetch-Site", "none"), ("Content-Type", "text/plain")],
    );
    client.asks("GET", "/v1/status", "", "", &[("Host", "evil.example")]);
    client.gets("/v1/calls?limit=many", "");
    client.posts("/v1/current-call/handover", "", &json!({"to": "handset"}));
    client.posts("/v1/current-call/handover", "", &json!({"to": "car"}));
    client.posts("/v1/phones/pairing-answer", "", &json!({"accept": true}));
    client.posts("/v1/phones/pairing-window", "", &json!({"timeout_sec": -1}));
    client.asks("POST", "/v1/phones/{address}/connect", "00:00:00:00:00:01", "", &[]);
    client.asks("DELETE", "/v1/phones/{address}", "Ada", "", &[]);
    client.gets("/v1/events/stream?session_id=nobody", "");
    client.asks("PATCH", "/v1/config", "", r#"{"outbound_calls_per_hour_max":1}"#, &[]);
    client.posts("/v1/outbound-calls", "", &number);
    client.asks("PATCH", "/v1/config", "", r#"{"outbound_calls_per_hour_max":0,"sip_server":null}"#, &[]);
    client.posts("/v1/outbound-calls", "", &number);
    client.gets("/readyz", "");
    fs::write(service.config(), "{}").unwrap();
    client.asks("PATCH", "/v1/config", "", r#"{"log_calls":true}"#, &[]);
    client.asks("PATCH", "/v1/health", "", "", &[]);
    client.answers.last_mut().unwrap()["method"] = "GET".into();

    let seen = client.conforms();
    for expected in [
        "GET /v1/calls/{session_id} 200",
        "POST /v1/outbound-calls 202",
        "POST /v1/outbound-calls 400",
        "POST /v1/outbound-calls 409",
        "POST /v1/outbound-calls 429",
        "POST /v1/outbound-calls 502",
        "POST /v1/pending-call-requests 202",
        "POST /v1/pending-call-requests 409",
        "POST /v1/current-call/answer 202",
        "POST /v1/current-call/answer 409",
        "POST /v1/current-call/hangup 403",
        "POST /v1/current-call/hangup 409",
        "POST /v1/current-call/hangup 415",
        "GET /v1/status 421",
        "GET /readyz 503",
        "PATCH /v1/config 409",
        "GET /v1/health 405",
        "GET /v1/events/stream 404",
        "GapEvent",
        "AgentEvent",
    ] {
        assert!(seen.iter().any(|seen| seen == expected), "{expected} was not seen, only {seen:#?}");
    }
    service.process().terminate();
}

#[cfg(feature = "bluez")]
#[test]
fn events_of_phones_are_as_described() {
    let folder = TempDir::new().unwrap();
    let (_bus, address) = bus(folder.path());
    let sco = folder.path().join("sco");
    let sco = sco.to_str().unwrap();
    let mut command = Command::new(CALLSCOOT);
    command.args(["sim", "phone", "--hfp", "--known", "--bus", &address, "--sco-dir", sco]);
    let mut phone = Process::steered("the phone", &command);
    phone.event("its first line", |line| line["event"] == "ready");
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", address.as_str()), ("CALLSCOOT_SCO_DIR", sco)];
    let service = Service::start_with(&json!({"telephony_backend": "hfp"}), None, &environment);
    let mut stream = service.api.events("all");
    let mut client = Witness::new(&service);
    for (order, told) in [
        (None, "phone_connected"),
        (Some("indicator battchg 1"), "phone_changed"),
        (Some("vanish"), "phone_disconnected"),
    ] {
        if let Some(order) = order {
            phone.order(order);
        }
        let event = stream.wait_for(told);
        client.answers.push(json!({"schema": "AgentEvent", "body": event.json}));
        // The one that is meant, too, not just any.
        let own = format!("AgentEvent{}", told.split('_').map(capital).collect::<String>());
        client.answers.push(json!({"schema": own, "body": event.json}));
        client.gets("/v1/phones", "");
    }
    client.conforms();
}

#[cfg(feature = "bluez")]
fn capital(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// Lets schemathesis ask `examples` times per operation; a service that lives, answers, and has what it had before.
fn fuzz(examples: u32, phases: &str) {
    let (_phone, address) = phone(&["--hang-up-ms", "20000"]);
    let script = json!({"steps": [
        {"say": {"tone_hz": 440, "ms": 300}, "text": "Hello."},
        {"when": "after_caller", "say": {"tone_hz": 500, "ms": 200}, "text": "Go on."},
        {"when": {"after_ms": 60000}, "text": "Still there?"},
    ]});
    let free =
        json!({"max_concurrent_calls": 4, "outbound_calls_per_hour_max": 0, "outbound_calls_per_day_max": 0});
    let config = with(line_to(port_of(&address)), free);
    let (_agent, mut service, folder) = talking(&script, config, &[("CALLSCOOT_LOG", "info")]);
    let base = format!("http://127.0.0.1:{}", service.api.port());
    // Two calls at once, of which the phone takes one: then everything is there that is made when it is needed.
    let id = service.call("5550100");
    service.phase(&id, "active");
    service.ended(&service.call("5550101"));
    service.hang_up(&id);
    let before = Held::by(&mut service);
    let counts = folder.path().join("counts.json");
    let status = Command::new(format!("{ROOT}/target/pyenv/bin/schemathesis"))
        .current_dir(folder.path())
        .args(["--config-file", &format!("{ROOT}/tests/openapi/schemathesis.toml")])
        .args(["run", &format!("{base}/v1/openapi.json"), "--url", &base, "--no-color", "--phases", phases])
        .args(["--seed", "1", "--max-examples", &examples.to_string()])
        .env("SCHEMATHESIS_HOOKS", format!("{ROOT}/tests/openapi/hooks.py"))
        .env("CALLSCOOT_PHONE", &address)
        .env("CALLSCOOT_COUNTS", &counts)
        .status()
        .unwrap();
    let counts: Map<String, Value> = serde_json::from_str(&fs::read_to_string(counts).unwrap()).unwrap();
    println!("{counts:#?}");
    assert!(status.success(), "schemathesis found something, see above");
    for call in service.api.get("/v1/calls?limit=1000").1["calls"].as_array().unwrap() {
        if call["end_reason"].is_null() {
            service.hang_up(call["id"].as_str().unwrap());
        }
    }
    before.is_all_there_is(&mut service);
    // What a call needs is still there.
    let id = service.call("5550100");
    service.phase(&id, "active");
    service.hang_up(&id);
    assert!(
        counts.values().filter_map(Value::as_u64).sum::<u64>() > u64::from(examples) * 35,
        "too few cases"
    );
}

/// Descriptors, threads and memory of a program.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
    rss_kb: u64,
}

impl Held {
    fn by(service: &mut Service) -> Self {
        let entries = |kind: &str| fs::read_dir(format!("/proc/{}/{kind}", service.id())).unwrap().count();
        Self { descriptors: entries("fd"), threads: entries("task"), rss_kb: service.process().rss_kb() }
    }

    /// Waits until hardly more is held than before: threads of a pool stay for some seconds, and memory has grown by
    /// what caches and lists keep.
    fn is_all_there_is(&self, service: &mut Service) {
        let mut left = || Self::by(service);
        until_is("descriptors and threads to be given back", &mut left, |left| {
            left.descriptors <= self.descriptors + POOL && left.threads <= self.threads + POOL
        });
        let now = left().rss_kb;
        assert!(now < self.rss_kb + 64 * 1024, "memory grew from {} to {now} KiB", self.rss_kb);
    }
}

#[test]
fn no_request_breaks_the_service_and_no_answer_surprises() {
    fuzz(20, "examples,coverage,fuzzing,stateful");
}

#[test]
#[ignore = "takes an hour: make long"]
fn no_request_of_tens_of_thousands_breaks_the_service() {
    fuzz(1500, "examples,coverage,fuzzing,stateful");
}
