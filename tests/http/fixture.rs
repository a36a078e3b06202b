//! A running API on a free port, and clients that speak bytes.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callscoot::base::{Metrics, Now, Secret};
use callscoot::call::command::{Answer, Command, Conflict, PhoneAsk, Refusal, RefusalKind};
use callscoot::call::journal::{Batch, Event, EventKind, Record};
use callscoot::call::readiness::Readiness;
use callscoot::call::session::{Direction, SessionId, SessionMeta};
use callscoot::port::store::Writer;
use callscoot::run::bus::Bus;
use callscoot::run::http::{Allowed, Ask, AskError, Http, HttpOptions, spawn};
use callscoot::sys::clock;
use callscoot::sys::thread::{Death, Spawner};
use crossbeam_channel::Receiver;
use serde_json::{Value, json};

/// What the switch of a test knows.
#[derive(Default)]
pub(crate) struct FakeSwitch {
    pub(crate) asked: Vec<Command>,
    pub(crate) current: Option<Value>,
    pub(crate) readiness: Readiness,
    /// It does not answer in time.
    pub(crate) stuck: bool,
}

pub(crate) struct Api {
    pub(crate) http: Http,
    pub(crate) bus: Bus,
    pub(crate) switch: Arc<Mutex<FakeSwitch>>,
    pub(crate) allowed: Allowed,
    writer: Mutex<Writer>,
    deaths: Receiver<Death>,
    _dir: tempfile::TempDir,
}

pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    fn of(text: &[u8]) -> Self {
        let text = String::from_utf8(text.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }
}

impl Api {
    pub(crate) fn start() -> Self {
        Self::with_token(None)
    }

    pub(crate) fn with_token(token: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (writer, _) = Writer::open(dir.path(), clock::now()).unwrap();
        let (tell, deaths) = crossbeam_channel::unbounded();
        let switch = Arc::new(Mutex::new(FakeSwitch::default()));
        let (bus, allowed) = (Bus::default(), Allowed::default());
        let options = HttpOptions {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            token: token.map(Secret::new),
            state_dir: dir.path().to_owned(),
            socket_dir: dir.path().join("http"),
            allowed: allowed.clone(),
            metrics: Metrics::new().unwrap(),
        };
        let http = spawn(&Spawner::new(tell), options, ask(switch.clone()), bus.clone()).unwrap();
        Self { http, bus, switch, allowed, writer: Mutex::new(writer), deaths, _dir: dir }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.http.address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client
    }

    /// Sends these bytes and reads to the end.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Answered {
        let mut client = self.connect();
        client.write_all(bytes).unwrap();
        answer(client)
    }

    pub(crate) fn request(&self, method: &str, target: &str, body: &str) -> Answered {
        let length = body.len();
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        self.raw((head + body).as_bytes())
    }

    pub(crate) fn get(&self, target: &str) -> Answered {
        self.request("GET", target, "")
    }

    pub(crate) fn check_health(&self) {
        assert_eq!(self.get("/v1/health").status, 200);
        assert_eq!(self.deaths.try_recv().ok(), None);
    }

    pub(crate) fn store(&self, records: Vec<Record>) {
        let batch = Batch { records, ..Batch::default() };
        self.writer.lock().unwrap().commit(&[batch]).remove(0).unwrap();
    }

    pub(crate) fn open_session(&self, id: &str) {
        self.store(vec![Record::SeqReserved(1 << 40), Record::SessionOpened(Box::new(meta(id)))]);
    }

    /// Commits agent events with these numbers, and publishes them, as the store's thread does.
    pub(crate) fn emit(&self, id: &str, name: &str, seqs: impl Iterator<Item = u64>, text: &str) {
        for event in &self.commit_events(id, name, seqs, text) {
            self.bus.publish(event);
        }
    }

    /// Commits agent events with these numbers, and leaves it to the caller to publish them.
    pub(crate) fn commit_events(
        &self,
        id: &str,
        name: &str,
        seqs: impl Iterator<Item = u64>,
        text: &str,
    ) -> Vec<Arc<Event>> {
        let events: Vec<Arc<Event>> = seqs.map(|seq| Arc::new(agent_event(id, name, seq, text))).collect();
        self.store(events.iter().cloned().map(Record::Event).collect());
        events
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.http.stop();
    }
}

/// Reads to the end.
pub(crate) fn answer(mut client: TcpStream) -> Answered {
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    let _ = client.shutdown(Shutdown::Both);
    Answered::of(&got)
}

fn ask(switch: Arc<Mutex<FakeSwitch>>) -> Ask {
    Arc::new(move |command| {
        let mut switch = switch.lock().unwrap();
        switch.asked.push(command.clone());
        if switch.stuck {
            return Err(AskError::Busy);
        }
        Ok(match command {
            Command::Health => Ok(Answer::Alive),
            Command::Readiness => Ok(Answer::Readiness(switch.readiness.clone())),
            Command::Status => Ok(Answer::Status(json!({"services": {}}))),
            Command::Config => Ok(Answer::Config(json!({"sip_password": "***"}))),
            Command::PatchConfig(members) => Ok(Answer::ConfigSaved(Value::Object(members))),
            Command::CurrentCall => Ok(Answer::CurrentCall(switch.current.clone())),
            Command::ListPending => Ok(Answer::PendingList(Vec::new())),
            Command::Pending(_) | Command::DeletePending(_) => {
                Err(Refusal::new(RefusalKind::NotFound, "pending request not found"))
            }
            Command::ContextualUpdate(_, text) | Command::UserMessage(_, text) => {
                Ok(Answer::MessageQueued(json!({"payload": {"text": text}})))
            }
            Command::Dial(_) | Command::CreatePending(_) => {
                Err(Refusal { retry_after_sec: Some(9), ..Refusal::new(RefusalKind::Budget, "spent") })
            }
            Command::Answer(_) => Err(Refusal::conflict(Conflict::NothingToAnswer, "nothing to answer")),
            Command::Phones(PhoneAsk::List) => Ok(Answer::Phones(json!({"phones": []}))),
            Command::Phones(_) => Ok(Answer::PhonesAsked),
            Command::HandOver(_, to) => {
                Ok(Answer::HandingOver { backend: "hfp", session: SessionId::new("20261122-085107-+49"), to })
            }
            Command::Hangup(_) => {
                Ok(Answer::HangingUp { backend: "sip", session: SessionId::new("20261122-085107-+49") })
            }
        })
    })
}

fn agent_event(id: &str, name: &str, seq: u64, text: &str) -> Event {
    Event {
        seq,
        session: Some(id).filter(|id| !id.is_empty()).map(SessionId::new),
        kind: EventKind::Agent,
        name: name.into(),
        json: json!({"event_type": name, "call_id": id, "payload": {"text": text}}).to_string(),
    }
}

fn meta(id: &str) -> SessionMeta {
    let Now { unix_ms, .. } = clock::now();
    SessionMeta::new(SessionId::new(id), Direction::Outbound, unix_ms)
}

/// Waits until it is so, at most ten seconds.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let (_keep, nothing) = crossbeam_channel::bounded::<()>(0);
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        let _ = nothing.recv_timeout(Duration::from_millis(10));
    }
    panic!("not in ten seconds: {what}");
}
