//! Phones through every room, without a radio: a message bus, `callscoot sim phone --hfp` on it as bluetoothd and
//! phone, `callscoot serve`, and the tests' own agent. Paired over the API, called and calling, heard at both ends.

#![cfg(feature = "bluez")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::print_stdout, reason = "the figures are for whoever asks for them with --nocapture")]

#[path = "hands_free/phone_events.rs"]
mod phone_events;
mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::agent::{Agent, Conversation};
use support::bus::bus;
use support::process::Process;
use support::service::{CALLSCOOT, Service, with};
use support::sims::{port_of, sim};
use support::sound::Sound;
use support::speech::{score, spoken};
use support::wait::{stays_away, until, until_is};
use tempfile::TempDir;

const ADDRESS: &str = "02:CA:11:5C:00:02";
const CALLER: &str = "+15550100";
const CALLER_WORDS: &str = "I would like to order two loaves of bread, and a small cake for my daughter.";
const AGENT_WORDS: &str =
    "Of course. The bread will be ready at noon, and the cake tomorrow morning at nine.";
/// Speech in a call must be at least so good in either direction (mean opinion score).
const PESQ_MIN: f64 = 3.0;

/// A bus of the test's own, so that it outlives whoever plays bluetoothd on it.
struct World {
    service: Service,
    agent: Agent,
    phone: Process,
    arguments: Vec<String>,
    folder: TempDir,
    _bus: Process,
}

impl World {
    fn start(phone: &[&str], config: Value) -> Self {
        Self::start_with(phone, config, &[])
    }

    /// The same, with more in the service's environment.
    fn start_with(phone: &[&str], config: Value, more: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let sco = folder.path().join("sco");
        let (bus, address) = bus(folder.path());
        let (caller, heard) = (folder.path().join("caller.wav"), folder.path().join("heard.wav"));
        // A voice link opens before the agent listens: what is said in its first second may be lost, as with people.
        Sound::silence(16_000, 1500).then(&spoken("en-gb", CALLER_WORDS)).write_wav(&caller);
        let own = ["--bus", &address, "--sco-dir", sco.to_str().unwrap(), "--play", caller.to_str().unwrap()];
        let arguments = [&own[..], &["--record", heard.to_str().unwrap()], phone].concat();
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let phone = play(&arguments);
        let agent = Agent::public("pcm_16000");
        let about = phone.events().remove(0);
        // Never the adb server of whoever runs the tests.
        let adb_port = about["adb_port"].as_u64().unwrap_or(1).to_string();
        let own = [
            ("DBUS_SYSTEM_BUS_ADDRESS", address.as_str()),
            ("CALLSCOOT_SCO_DIR", sco.to_str().unwrap()),
            ("ANDROID_ADB_SERVER_PORT", &adb_port),
        ];
        let environment = [&own[..], more].concat();
        let basic = json!({"telephony_backend": "hfp", "auto_answer": true, "auto_answer_delay_sec": 0});
        let service = Service::start_with(&with(basic, config), Some(&agent), &environment);
        Self { service, agent, phone, arguments, folder, _bus: bus }
    }

    /// With a phone that is paired, and connected by now.
    fn connected(phone: &[&str], config: Value) -> Self {
        let mut world = Self::start(&[&["--known"], phone].concat(), config);
        world.is_connected();
        world
    }

    /// A call came in and is talked in; its session.
    fn rings(&mut self) -> String {
        self.phone.order(&format!("call {CALLER}"));
        let id = self.service.current_call()["id"].as_str().unwrap().to_owned();
        self.service.phase(&id, "active");
        id
    }

    fn phones(&self) -> Value {
        self.service.api.get("/v1/phones").1
    }

    fn link(&self) -> Value {
        self.phones()["phones"][0]["link"].clone()
    }

    fn is_connected(&mut self) {
        until_is("the phone's connection", || self.link(), |link| link == "connected");
    }

    /// Events of this name so far.
    fn count(&self, event: &str) -> usize {
        self.phone.events().iter().filter(|line| line["event"] == event).count()
    }

    /// Waits until the phone has told this as often.
    fn told(&self, event: &str, times: usize) {
        until_is(event, || self.count(event), |count| *count >= times);
    }

    fn calls(&self) -> Value {
        self.service.api.get("/v1/calls").1["calls"].clone()
    }

    /// Both sides have their say; how well the caller was understood at the agent.
    fn talk(&mut self, rate: u32, conversation: &mut Conversation) -> f64 {
        let (caller, words) = (self.file("caller.wav"), self.file("agent.wav"));
        let said = spoken("en-us", AGENT_WORDS);
        said.write_wav(&words);
        conversation.say(1, AGENT_WORDS, &said);
        let before = self.count("audio_closed");
        self.told("said", 1);
        // The longer of the two may still be on its way.
        let enough = Sound::read_wav(&caller, 0).ms();
        until("all of it at the agent", || (conversation.heard().ms() > enough + 300).then_some(()));
        assert_eq!(self.count("audio_closed"), before, "the link is still open");
        let agent_heard = self.file("agent_heard.wav");
        conversation.heard().write_wav(&agent_heard);
        score(rate, &caller, &agent_heard).pesq
    }

    /// After the call: how well the agent was understood at the phone.
    fn understood(&self, rate: u32) -> f64 {
        score(rate, &self.file("agent.wav"), &self.file("heard.wav")).pesq
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn is_intelligible(what: &str, at_agent: f64, at_phone: f64) {
    println!("{what}: PESQ {at_agent:.2} at the agent, {at_phone:.2} at the phone");
    assert!(at_agent > PESQ_MIN && at_phone > PESQ_MIN, "{what}: {at_agent:.2}, {at_phone:.2}");
}

/// The simulated phone, ready.
fn play(arguments: &[String]) -> Process {
    let mut command = Command::new(CALLSCOOT);
    command.args(["sim", "phone", "--hfp"]).args(arguments);
    let mut phone = Process::steered("the phone", &command);
    phone.event("its first line", |line| line["event"] == "ready");
    phone
}

#[test]
fn a_phone_is_paired_over_the_api_calls_in_wide_band_and_both_sides_are_understood() {
    let mut world = World::start(&[], json!({}));
    until_is("the host", || world.phones(), |phones| phones["fault"].is_null());
    let (status, reply) = world.service.api.post("/v1/phones/pairing-window", &json!({"timeout_sec": 60}));
    assert_eq!(status, 202, "{reply}");
    // The host does it in its own time; until then it refuses to pair.
    until("the pairing", || {
        world.phone.order("pair");
        let asks = &world.phones()["pairing"]["asks"];
        (asks["kind"] == "compare" && asks["address"] == ADDRESS).then_some(())
    });
    let (status, reply) = world.service.api.post("/v1/phones/pairing-answer", &json!({"accept": true}));
    assert_eq!(status, 202, "{reply}");
    world.told("paired", 1);
    world.is_connected();
    let phones = world.phones();
    assert_eq!(phones["phones"][0]["trusted"], true, "{phones}");
    assert_eq!(phones["phones"][0]["battery"], 3, "{phones}");
    world.phone.order("indicator battchg 1");
    until_is("the battery", || world.phones()["phones"][0]["battery"].clone(), |level| *level == json!(1));

    world.phone.order(&format!("call {CALLER}"));
    let mut conversation = world.agent.conversation();
    assert_eq!(world.service.current_call()["incoming_number"], CALLER);
    let at_agent = world.talk(16_000, &mut conversation);
    world.phone.order("hang-up");
    let ended = |calls: &Value| calls[0]["end_reason"] == "remote_hangup";
    let calls = until_is("the end", || world.calls(), ended);
    world.told("audio_closed", 1);
    let at_phone = world.understood(16_000);
    assert_eq!(calls[0]["audio"]["codec"], "mSBC", "{calls}");
    assert_eq!(calls[0]["audio"]["bad"], 0, "{calls}");
    is_intelligible("mSBC, call in", at_agent, at_phone);
}

#[test]
fn a_call_goes_out_in_narrow_band_is_handed_over_and_back_and_hung_up_here() {
    let phone = ["--codec", "cvsd", "--packet-bytes", "48", "--ring-ms", "200"];
    let mut world = World::connected(&phone, json!({}));
    let id = world.service.call("+15550101");
    let mut conversation = world.agent.conversation();
    let at_agent = world.talk(8000, &mut conversation);

    let hand_over = |to: &str| {
        let (status, reply) = world.service.api.post(&format!("/v1/calls/{id}/handover"), &json!({"to": to}));
        assert_eq!(status, 202, "{reply}");
    };
    let at = |place: &'static str| {
        let place_of = || world.service.session(&id)["meta"]["audio_at"].clone();
        until_is("the audio's place", place_of, |found| found == place);
    };
    hand_over("handset");
    world.told("audio_closed", 1);
    at("handset");
    hand_over("agent");
    world.told("audio_opened", 2);
    at("agent");
    // Its owner picks it up himself.
    world.phone.order("keep-audio");
    at("handset");
    world.phone.order("open-audio");
    at("agent");
    let session = world.service.hang_up(&id);
    world.told("ended", 1);
    world.told("audio_closed", 3);
    let ended = world.phone.events().into_iter().find(|line| line["event"] == "ended").unwrap();
    assert_eq!(ended["end"], "RemoteHangup", "{ended}");
    assert_eq!(session["meta"]["audio"]["codec"], "CVSD", "{session}");
    let at_phone = world.understood(8000);
    is_intelligible("CVSD, call out", at_agent, at_phone);
}

#[test]
fn a_phone_that_takes_no_command_over_bluetooth_is_commanded_over_adb() {
    let phone = ["--adb", "0", "--disobey", "--ring-ms", "200"];
    let mut world = World::connected(&phone, json!({"telephony_backend": "adb"}));
    until_is(
        "its serial number",
        || world.phones()["phones"][0]["adb_serial"].clone(),
        |found| found == "SIMULATED",
    );
    let bindings = || world.service.api.get("/v1/config").1["config"]["device_bindings"].clone();
    until_is("what is learnt", bindings, |learnt| learnt["SIMULATED"] == ADDRESS);

    let id = world.service.call("+15550101");
    let mut conversation = world.agent.conversation();
    let at_agent = world.talk(16_000, &mut conversation);
    let session = world.service.hang_up(&id);
    world.told("ended", 1);
    world.told("audio_closed", 1);
    assert_eq!(session["meta"]["adb_serial"], "SIMULATED", "{session}");
    assert_eq!(session["meta"]["telephony_backend"], "adb", "{session}");
    is_intelligible("commanded over ADB, call out", at_agent, world.understood(16_000));

    world.phone.order(&format!("call {CALLER}"));
    let conversation = world.agent.conversation();
    assert_eq!(world.service.current_call()["incoming_number"], CALLER);
    world.phone.order("hang-up");
    conversation.closed();
    let events = world.phone.events();
    let by_bluetooth = |line: &&Value| line["event"] == "dialled" || line["event"] == "taken";
    assert_eq!(events.iter().find(by_bluetooth), None, "it was told over ADB alone");
    let figures = world.service.api.metrics();
    let looks = |line: &&str| line.starts_with("callscoot_adb_looks_total ");
    assert!(figures.lines().find(looks).is_some_and(|line| !line.ends_with(" 0")), "{figures}");
}

#[test]
fn a_phone_that_vanishes_in_a_call_ends_it_and_is_connected_again_when_it_is_back() {
    let mut world = World::connected(&[], json!({}));
    world.phone.order(&format!("call {CALLER}"));
    let conversation = world.agent.conversation();
    world.told("audio_opened", 1);
    world.phone.order("vanish");
    let ended = |calls: &Value| !calls[0]["end_reason"].is_null();
    let calls = until_is("the end", || world.calls(), ended);
    assert_eq!(calls[0]["end_reason"], "phone_lost", "{calls}");
    conversation.closed();
    world.phone.order("hang-up");
    assert_ne!(world.link(), "connected");
    world.phone.order("return");
    world.is_connected();

    // bluetoothd dies, and comes back with the keys that it had.
    world.phone.kill();
    until_is("no host", || world.phones(), |phones| phones["fault"].is_string());
    world.phone = play(&world.arguments);
    world.is_connected();
    world.phone.order(&format!("call {CALLER}"));
    world.agent.conversation();
    world.phone.order("hang-up");
    let ended = |calls: &Value| calls[0]["end_reason"] == "remote_hangup" && calls[1].is_object();
    until_is("the end of the second call", || world.calls(), ended);

    // The radio is pulled out, and put in.
    world.phone.order("unplug");
    until_is("no radio", || world.phones(), |phones| phones["adapter"].is_null());
    world.phone.order("plug");
    world.is_connected();
}

#[test]
fn a_phone_that_is_disconnected_stays_so_when_the_service_starts_again() {
    let mut world = World::connected(&[], json!({}));
    let asked = |world: &World, what: &str| {
        let path = format!("/v1/phones/{ADDRESS}/{what}");
        let (status, reply) = world.service.api.post(&path, &Value::Null);
        assert_eq!(status, 202, "{reply}");
    };
    let restart = |world: &mut World| {
        assert!(world.service.process().terminate().success());
        world.service.run();
        until_is(
            "the host",
            || world.phones(),
            |phones| phones["fault"].is_null() && phones["phones"][0].is_object(),
        );
    };
    restart(&mut world);
    world.is_connected();
    asked(&world, "disconnect");
    until_is("no phone", || world.link(), |link| link == "disconnected");
    restart(&mut world);
    let connected = || (world.link() != "disconnected").then(|| world.phones());
    stays_away("the phone is called for", Duration::from_millis(1500), connected);
    // It comes by itself, and is wanted from then on.
    world.phone.order("connect");
    world.is_connected();
    restart(&mut world);
    world.is_connected();
}

#[test]
fn a_call_that_waits_and_a_call_of_the_owners_own_are_left_alone() {
    let mut world = World::connected(&["--ring-ms", "100"], json!({}));
    world.phone.order(&format!("call {CALLER}"));
    let conversation = world.agent.conversation();
    world.phone.order("call +15550199");
    let waiting = |line: &Value| line["event"] == "calls" && line["calls"][1]["state"] == "waiting";
    world.phone.event("the second caller", waiting);
    let taken = || {
        let events = world.phone.events();
        let last = events.into_iter().rfind(|line| line["event"] == "calls");
        last.filter(|line| line["calls"][0]["state"] != "active" || line["calls"][1]["state"] != "waiting")
    };
    stays_away("the calls change", Duration::from_millis(1500), taken);
    world.phone.order("hang-up");
    let one = |line: &Value| line["event"] == "calls" && line["calls"].as_array().unwrap().len() == 1;
    world.phone.event("the second caller gives up", one);
    assert_eq!(world.service.current_call()["incoming_number"], CALLER);
    world.phone.order("hang-up");
    conversation.closed();
    until_is(
        "no call",
        || world.service.api.get("/v1/current-call").1["current_call"].clone(),
        Value::is_null,
    );
    let sessions = world.calls().as_array().unwrap().len();

    world.phone.order("owner-dials +15550177");
    world.told("answered", 2);
    stays_away("an agent in the owner's call", Duration::from_secs(1), || {
        let alone = world.agent.is_alone() && world.calls().as_array().unwrap().len() == sessions;
        (!alone).then_some(())
    });
    // Whoever calls meanwhile is the owner's, too.
    world.phone.order("call +15550199");
    stays_away("an agent in the owner's call", Duration::from_secs(1), || {
        (!world.agent.is_alone() || world.count("taken") > 1).then_some(())
    });
}

/// What the phone heard from the line: its loud part, which is one, and silence around it.
fn heard_once_in_silence(heard: &Sound) -> usize {
    let peak = |samples: &[i16]| samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    let loud = |sample: &i16| sample.unsigned_abs() > 4000;
    let from = heard.samples.iter().position(loud).unwrap();
    let to = heard.samples.iter().rposition(loud).unwrap();
    let edge = heard.rate as usize / 50;
    let (before, after) = (&heard.samples[..from.saturating_sub(edge)], &heard.samples[to + edge..]);
    assert!(peak(before) < 100 && peak(after) < 100, "{} before, {} after", peak(before), peak(after));
    assert!(heard.samples[from..to].chunks(edge).all(|window| peak(window) > 4000), "a gap in it");
    (to - from) * 1000 / heard.rate as usize
}

#[test]
fn an_agent_that_is_cut_off_in_a_call_is_heard_to_its_last_word_and_the_call_is_hung_up() {
    for codec in ["msbc", "cvsd"] {
        let mut world = World::connected(&["--codec", codec], json!({}));
        let id = world.rings();
        let mut conversation = world.agent.conversation();
        let words = Sound::tone(16_000, 440.0, 1500);
        conversation.say(1, "A few words.", &words);
        world.told("audio_opened", 1);
        conversation.cut();
        let session = world.service.ended(&id);
        assert_eq!(session["meta"]["end_reason"], "agent_error", "{session}");
        let detail = session["meta"]["end_detail"].as_str().unwrap();
        assert!(detail.contains("the connection to the agent service was lost"), "{detail}");
        // The phone is hung up, and lets go of the voice link.
        let ended = world.phone.event("the end", |line| line["event"] == "ended");
        assert_eq!(ended["end"], "RemoteHangup", "{ended}");
        world.told("audio_closed", 1);
        let heard = heard_once_in_silence(&Sound::read_wav(&world.file("heard.wav"), 0));
        assert!((1480..=1540).contains(&heard), "{codec}: {heard} ms of 1500");
        assert!(world.service.api.get("/v1/current-call").1["current_call"].is_null());

        // The next call finds an agent again.
        let id = world.rings();
        world.agent.conversation().close(1000);
        assert_eq!(world.service.ended(&id)["meta"]["end_reason"], "agent_hangup");
    }
}

#[test]
fn an_agent_that_is_killed_in_a_call_ends_it_and_one_that_is_missing_refuses_none_in_vain() {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("agent.json");
    let greeting = json!({"steps": [{"say": {"tone_hz": 440, "ms": 60_000}, "text": "A long story.",
        "ignore_caller": true}]});
    fs::write(&script, greeting.to_string()).unwrap();
    let mut agent = sim("the agent", &["agent", "--script", script.to_str().unwrap()]);
    let port = port_of(&agent.event("its port", |line| line["event"] == "listening"));
    let base_url = format!("http://127.0.0.1:{port}");
    let mut world = World::start_with(&["--known"], json!({}), &[("ELEVENLABS_BASE_URL", &base_url)]);
    world.is_connected();
    let id = world.rings();
    agent.event("the conversation", |line| line["event"] == "initiated");
    world.told("audio_opened", 1);
    agent.kill();
    assert_eq!(world.service.ended(&id)["meta"]["end_reason"], "agent_error");
    world.told("ended", 1);
    world.told("audio_closed", 1);

    // Nobody listens at its address any more.
    world.phone.order(&format!("call {CALLER}"));
    let next = |calls: &Value| calls[1].is_object() && calls[0]["end_reason"].is_string();
    let calls = until_is("the second call's end", || world.calls(), next);
    assert_eq!(calls[0]["end_reason"], "agent_error", "{calls}");
    assert!(calls[0]["end_detail"].as_str().unwrap().contains("cannot be reached"), "{calls}");
    world.told("ended", 2);
}

#[test]
fn an_agent_that_dies_while_the_owner_speaks_leaves_him_his_call() {
    let mut world = World::connected(&[], json!({}));
    let id = world.rings();
    let mut conversation = world.agent.conversation();
    world.told("audio_opened", 1);
    let path = format!("/v1/calls/{id}/handover");
    assert_eq!(world.service.api.post(&path, &json!({"to": "handset"})).0, 202);
    world.told("audio_closed", 1);
    conversation.cut();
    let lost = |session: &Value| {
        session["events"].as_array().unwrap().iter().any(|event| event["type"] == "elevenagents_error")
    };
    until_is("the agent's loss", || world.service.session(&id), lost);
    stays_away("the call ends", Duration::from_millis(1500), || (world.count("ended") > 0).then_some(()));
    assert_eq!(world.service.session(&id)["meta"]["phase"], "active");
    let (status, reply) = world.service.api.post(&path, &json!({"to": "agent"}));
    assert_eq!(status, 409, "{reply}");
    world.phone.order("hang-up");
    assert_eq!(world.service.ended(&id)["meta"]["end_reason"], "remote_hangup");
}
