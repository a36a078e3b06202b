//! The agent thread against the simulated service, through real sockets, with the line played by the test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is a failed test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use serde_json::{Value, json};

use callscoot::app::sim::agent::{Options, Script, Server};
use callscoot::base::{CallId, Metrics, Secret};
use callscoot::call::audio::Block;
use callscoot::call::conversation::{
    AgentCommand, AgentEnd, AgentEvent, AgentPlan, AgentService, Engine, Overrides,
};
use callscoot::codec::g711::Law;
use callscoot::dsp::level_at;
use callscoot::run::agent;
use callscoot::run::link::{MediaEnd, link};
use callscoot::run::resolver::Resolver;
use callscoot::sys::clock::mono;
use callscoot::sys::mailbox::{MailSender, mailbox};
use callscoot::sys::thread::{Role, Spawner};

const PATIENCE: Duration = Duration::from_secs(20);

/// A call: the service's own lines, the thread's events, and the media end of the line.
struct Call {
    said: Receiver<Value>,
    events: Receiver<AgentEvent>,
    seen: Vec<AgentEvent>,
    commands: MailSender<AgentCommand>,
    media: MediaEnd,
    /// Everything that was played, as 16 kHz samples.
    heard: Vec<i16>,
    caller: Option<i16>,
    beat: Instant,
}

fn call(script: Value, key: Option<&str>) -> Call {
    call_with(script, key, key.map(Secret::new), None)
}

fn call_with(script: Value, key: Option<&str>, own_key: Option<Secret>, base_url: Option<String>) -> Call {
    let (deaths, _) = unbounded();
    let spawner = Spawner::new(deaths);
    let (tell_line, said) = unbounded();
    let script: Script = serde_json::from_value(script).unwrap();
    let options = Options { api_key: key.map(str::to_owned), ..Options::default() };
    let report = Arc::new(move |line| {
        let _ = tell_line.send(line);
    });
    let server = Server::bind(&options, script, report).unwrap();
    let base_url = base_url.unwrap_or_else(|| format!("http://127.0.0.1:{}", server.port()));
    let for_server = spawner.clone();
    spawner.spawn(Role::Sim, move || server.accept_all(&for_server)).unwrap();
    let service = AgentService { base_url, agent_id: "agent_7".into(), api_key: own_key };
    let Value::Object(dynamic_variables) = json!({"caller_id": "+15550100", "list": [1]}) else { panic!() };
    let plan = AgentPlan {
        call: CallId(1),
        engine: Engine::ElevenLabs(service.clone()),
        dynamic_variables,
        overrides: Overrides::default(),
    };
    let (media, talker) = link().unwrap();
    let (commands, inbox) = mailbox(16).unwrap();
    let (tell, events) = unbounded();
    let resolver = Resolver::start(&spawner).unwrap();
    let metrics = Metrics::new().unwrap();
    let ends = agent::Ends { talker, commands: inbox, resolver, metrics };
    agent::spawn(&spawner, plan, service, ends, move |event| {
        let _ = tell.send(event);
    })
    .unwrap();
    Call { said, events, seen: vec![], commands, media, heard: vec![], caller: None, beat: mono() }
}

impl Call {
    /// Beats every 20 ms, as a line does, until the condition holds.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let give_up = mono() + PATIENCE;
        while !done(self) {
            assert!(
                mono() < give_up,
                "never came: {what}; {:?}; played {} ms",
                self.seen,
                self.heard.len() / 16
            );
            self.beat += Duration::from_millis(20);
            // The test's own wait: events come meanwhile.
            while let Ok(event) = self.events.recv_deadline(self.beat) {
                self.seen.push(event);
            }
            // The thread may have ended, and then its channel no longer waits.
            let _ = crossbeam_channel::never::<()>().recv_deadline(self.beat);
            if self.media.uplink_is_open()
                && let Some(level) = self.caller
            {
                let samples: Vec<i16> = (0..320).map(|n| if n % 32 < 16 { level } else { -level }).collect();
                self.media.push(Block::pcm16k(&samples));
            }
            match self.media.pop() {
                Some(block) => {
                    let octets: Vec<u8> = block.ulaw().collect();
                    let mut samples = vec![0; octets.len()];
                    Law::Mu.decode(&octets, &mut samples);
                    self.heard.extend(samples.iter().flat_map(|sample| [*sample; 2]));
                    self.heard.extend(block.samples());
                }
                None => self.heard.extend([0; 320]),
            }
        }
    }

    fn until_event(&mut self, what: &str, wanted: impl Fn(&AgentEvent) -> bool) {
        self.until(what, |call| call.seen.iter().any(&wanted));
    }

    fn until_ended(&mut self) -> AgentEnd {
        self.until_event("the end", |event| matches!(event, AgentEvent::Ended(_)));
        match self.seen.last() {
            Some(AgentEvent::Ended(end)) => end.clone(),
            other => panic!("{other:?} came after the end"),
        }
    }

    fn activate(&mut self) {
        self.commands.send(AgentCommand::Activate).unwrap();
        self.caller = Some(0);
    }

    /// Lines of the service with this event.
    fn service_said(&self, event: &str) -> Vec<Value> {
        self.said.try_iter().filter(|line| line["event"] == event).collect()
    }

    /// Milliseconds of the tone among what was played.
    fn tone_ms(&self) -> usize {
        self.heard.chunks(320).filter(|block| block.iter().any(|sample| sample.abs() > 1000)).count() * 20
    }
}

fn failed(end: &AgentEnd) -> &str {
    match end {
        AgentEnd::Failed { error } => error,
        AgentEnd::Closed | AgentEnd::Finished => panic!("{end:?}"),
    }
}

#[test]
fn a_greeting_is_played_to_its_end_in_every_format_before_it_is_finished() {
    for format in ["ulaw_8000", "pcm_8000", "pcm_16000", "pcm_24000", "pcm_44100"] {
        let mut call = call(
            json!({"input_format": format, "output_format": format, "close": {},
                   "steps": [{"say": {"tone_hz": 500, "ms": 600}, "text": "Hello."}]}),
            None,
        );
        call.until_event("the open socket", |event| *event == AgentEvent::Connected);
        assert!(call.service_said("initiated").is_empty(), "nothing is said while it rings");
        call.activate();
        assert_eq!(call.until_ended(), AgentEnd::Finished, "{format}");
        assert!((600..=640).contains(&call.tone_ms()), "{format}: {} ms", call.tone_ms());
        let start = call.heard.iter().position(|sample| sample.abs() > 1000).unwrap();
        let level = level_at(&call.heard[start + 1600..start + 8000], 16_000, 500.0);
        assert!((level + 16.0).abs() < 1.5, "{format}: {level} dB");
        let words = AgentEvent::Response { reply: 1, text: "Hello.".into() };
        assert!(call.seen.contains(&words), "{:?}", call.seen);
    }
}

#[test]
fn the_caller_is_heard_and_an_interruption_empties_the_ring_at_once() {
    let mut call = call(
        json!({"output_format": "pcm_16000", "input_format": "pcm_16000",
               "steps": [{"say": {"tone_hz": 500, "ms": 5000}, "text": "one two three four five"}]}),
        None,
    );
    call.activate();
    call.until("some of the reply", |call| call.tone_ms() >= 400);
    call.caller = Some(8000);
    call.until_event("the interruption", |event| matches!(event, AgentEvent::Interrupted { .. }));
    let at = call.heard.len();
    call.until("half a second more", |call| call.heard.len() >= at + 8000);
    // One block may have been taken in the beat of the interruption itself.
    assert!(call.heard[at + 320..].iter().all(|sample| *sample == 0));
    let tone_ms = call.tone_ms() as u64;
    let cut = AgentEvent::CutOff { reply: 1, played_ms: tone_ms };
    assert!(call.seen.contains(&cut), "{cut:?} is not in {:?}", call.seen);
    assert!(call.seen.iter().any(|event| matches!(event, AgentEvent::Correction { reply: 1, .. })));
    assert!(call.seen.contains(&AgentEvent::Listening));
    call.commands.send(AgentCommand::Close).unwrap();
    assert_eq!(call.until_ended(), AgentEnd::Closed);
    let closed = |call: &mut Call| call.service_said("closed").iter().any(|line| line["code"] == 1000);
    call.until("the close frame", closed);
}

#[test]
fn a_private_agent_is_reached_by_a_signed_url_and_a_wrong_key_says_what_to_do() {
    let script = json!({"steps": [{"say": {"tone_hz": 500, "ms": 100}}], "close": {}});
    let mut good = call(script.clone(), Some("key1"));
    good.activate();
    assert_eq!(good.until_ended(), AgentEnd::Finished);
    assert!(good.service_said("connected").iter().all(|line| line["signed"] == true));
    let mut bad = call_with(script.clone(), Some("key1"), Some(Secret::new("key2")), None);
    assert!(failed(&bad.until_ended()).contains("ELEVENLABS_API_KEY"));
    let mut none = call_with(script, Some("key1"), None, None);
    none.activate();
    assert!(failed(&none.until_ended()).contains("[1008]"));
}

#[test]
fn a_socket_closed_while_it_rings_is_opened_again_and_variables_arrive_flattened() {
    let mut call = call(
        json!({"steps": [{"say": {"tone_hz": 500, "ms": 100}}], "close": {},
               "fault": {"close_uninitiated": {"after_ms": 50, "times": 2}}}),
        None,
    );
    call.until_event("the second attempt", |event| *event == AgentEvent::Reconnecting { count: 2 });
    call.commands.send(AgentCommand::ContextualUpdate { text: "early".into() }).unwrap();
    call.activate();
    assert_eq!(call.until_ended(), AgentEnd::Finished);
    let lines: Vec<Value> = call.said.try_iter().collect();
    let of = |event: &str| lines.iter().find(|line| line["event"] == event).cloned().unwrap_or_default();
    assert_eq!(of("initiated")["dynamic_variables"], json!({"caller_id": "+15550100", "list": "[1]"}));
    assert_eq!(of("contextual_update")["text"], "early");
}

#[test]
fn without_the_callers_voice_it_begins_one_second_after_the_answer() {
    let mut call = call(json!({"steps": [{"say": {"tone_hz": 500, "ms": 100}}], "close": {}}), None);
    call.until_event("the open socket", |event| *event == AgentEvent::Connected);
    let answered = mono();
    call.commands.send(AgentCommand::Activate).unwrap();
    call.until_event("the start", |event| matches!(event, AgentEvent::Started { .. }));
    assert!(mono() - answered >= Duration::from_millis(990));
    assert_eq!(call.until_ended(), AgentEnd::Finished);
}

#[test]
fn garbage_binary_and_ten_megabytes_of_audio_do_not_end_the_conversation() {
    for fault in [json!("garbage"), json!({"flood": {"megabytes": 10}})] {
        let mut call = call(json!({"steps": [{"say": {"tone_hz": 500, "ms": 100}}], "fault": fault}), None);
        call.activate();
        call.until_event("the fault", |event| matches!(event, AgentEvent::Fault { .. }));
        call.until_event("the reply", |event| matches!(event, AgentEvent::Response { .. }));
        call.commands.send(AgentCommand::Close).unwrap();
        assert_eq!(call.until_ended(), AgentEnd::Closed);
    }
}

#[test]
fn a_client_tool_is_answered_with_an_error_and_the_agent_goes_on() {
    let mut call = call(
        json!({"steps": [{"tool": {"client": "find_order", "parameters": {"n": 7}},
                          "say": {"tone_hz": 500, "ms": 100}}], "close": {}}),
        None,
    );
    call.activate();
    assert_eq!(call.until_ended(), AgentEnd::Finished);
    let results = call.service_said("tool_result");
    assert_eq!((results.len(), &results[0]["is_error"]), (1, &json!(true)));
    assert!(call.seen.iter().any(|event| matches!(event, AgentEvent::ToolCallFinished { .. })));
}

#[test]
fn stale_audio_is_skipped_when_the_service_stops_reading() {
    let mut call =
        call(json!({"input_format": "pcm_48000", "steps": [], "fault": {"stall": {"for_ms": 4000}}}), None);
    call.activate();
    call.until_event("the start", |event| matches!(event, AgentEvent::Started { .. }));
    let started = mono();
    call.until("six seconds", |_| mono() - started > Duration::from_secs(6));
    call.commands.send(AgentCommand::Close).unwrap();
    assert_eq!(call.until_ended(), AgentEnd::Closed);
    let heard_ms = call.service_said("heard").last().and_then(|line| line["ms"].as_u64()).unwrap_or(0);
    assert!((2000..5500).contains(&heard_ms), "{heard_ms} ms of 6000 arrived");
}

#[test]
fn nobody_there_is_a_failure_that_names_the_network() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut call = call_with(json!({}), None, None, Some(base_url));
    call.activate();
    assert!(failed(&call.until_ended()).contains("cannot be reached"));
}
