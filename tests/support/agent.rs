//! An agent service of the tests' own: public or behind a signed URL, in any of the formats, driven by the test word
//! by word. It is written against the vendor's protocol and shares no code with the simulator or the client.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tungstenite::handshake::derive_accept_key;

use super::frames::{self, Frame};
use super::sound::{Sound, from_ulaw, ulaw};
use super::wait::{PATIENCE, until};

/// The id under which the service knows its agent.
pub const AGENT_ID: &str = "agent_of_the_tests";
/// The key that a private agent's owner has.
pub const API_KEY: &str = "key_of_the_tests";
const SIGNATURE: &str = "conversation_signature=signed_by_the_tests";
/// How much sound one `audio` message holds: bursts, faster than real time.
const CHUNK_MS: usize = 500;

/// A running service.
#[derive(Debug)]
pub struct Agent {
    port: u16,
    begun: Receiver<Conversation>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Agent {
    /// Serves conversations with `format` in both directions, to anyone.
    pub fn public(format: &'static str) -> Self {
        Self::start(format, false)
    }

    /// Serves only those who fetched a signed URL with `API_KEY`.
    pub fn private(format: &'static str) -> Self {
        Self::start(format, true)
    }

    fn start(format: &'static str, private: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, begun) = channel();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&requests);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (tell, told) = (tell.clone(), Arc::clone(&told));
                thread::spawn(move || serve(socket.unwrap(), format, private, port, &tell, &told));
            }
        });
        Self { port, begun, requests }
    }

    /// For `ELEVENLABS_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next conversation that was initiated.
    pub fn conversation(&self) -> Conversation {
        self.begun.recv_timeout(PATIENCE).expect("a conversation with the agent")
    }

    /// The next conversation that was initiated, if there is one by now.
    pub fn begun(&self) -> Option<Conversation> {
        self.begun.try_recv().ok()
    }

    /// Whether nobody has begun a conversation that was not yet taken by `conversation`.
    pub fn is_alone(&self) -> bool {
        self.begun().is_none()
    }

    /// Request lines of everything that was asked of it.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// What a client has said so far.
#[derive(Debug, Default)]
struct Said {
    audio: Vec<(Instant, Vec<u8>)>,
    messages: Vec<Value>,
    closed: Option<u16>,
}

/// One conversation, after its initiation.
#[derive(Debug)]
pub struct Conversation {
    /// The client's first message.
    pub initiation: Value,
    /// When it came.
    pub initiated: Instant,
    format: &'static str,
    socket: TcpStream,
    said: Arc<Mutex<Said>>,
}

impl Conversation {
    /// Sends one message.
    pub fn send(&mut self, message: &Value) {
        frames::write_text(&mut self.socket, &message.to_string()).unwrap();
    }

    /// Sends a text that need not be JSON.
    pub fn send_text(&mut self, text: &str) {
        frames::write_text(&mut self.socket, text).unwrap();
    }

    /// Says words and sound, all of it at once, as the vendor does.
    pub fn say(&mut self, event_id: u64, text: &str, sound: &Sound) {
        self.send(&json!({"type": "agent_response",
            "agent_response_event": {"agent_response": text, "event_id": event_id}}));
        for chunk in sound.samples.chunks(sound.rate as usize * CHUNK_MS / 1000) {
            self.send_audio(event_id, chunk);
        }
    }

    /// Sends one message of audio.
    pub fn send_audio(&mut self, event_id: u64, samples: &[i16]) {
        let bytes: Vec<u8> = match self.format {
            "ulaw_8000" => samples.iter().map(|sample| ulaw(*sample)).collect(),
            _ => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
        };
        self.send(&json!({"type": "audio",
            "audio_event": {"audio_base_64": BASE64.encode(bytes), "event_id": event_id}}));
    }

    /// The caller talks over the reply with this id.
    pub fn interrupt(&mut self, event_id: u64) {
        self.send(&json!({"type": "interruption", "interruption_event": {"event_id": event_id}}));
    }

    /// What the caller was understood to say.
    pub fn understood(&mut self, text: &str) {
        self.send(&json!({"type": "user_transcript", "user_transcription_event": {"user_transcript": text}}));
    }

    /// The same to a client that may be gone.
    pub fn try_understood(&mut self, text: &str) {
        let event = json!({"type": "user_transcript", "user_transcription_event": {"user_transcript": text}});
        let _ = frames::write_text(&mut self.socket, &event.to_string());
    }

    /// Closes the socket as the service does when the conversation is over.
    pub fn close(&mut self, code: u16) {
        frames::write_close(&mut self.socket, code).unwrap();
    }

    /// Cuts the connection as a failing network does.
    pub fn cut(&mut self) {
        self.socket.shutdown(Shutdown::Both).unwrap();
    }

    /// Samples a second of this conversation.
    pub fn rate(&self) -> u32 {
        self.format.rsplit('_').next().unwrap().parse().unwrap()
    }

    /// All sound that the client sent so far.
    pub fn heard(&self) -> Sound {
        let said = self.said.lock().unwrap();
        let bytes = said.audio.iter().flat_map(|(_, bytes)| bytes.iter().copied());
        let samples = match self.format {
            "ulaw_8000" => bytes.map(from_ulaw).collect(),
            _ => bytes
                .collect::<Vec<u8>>()
                .as_chunks()
                .0
                .iter()
                .map(|pair| i16::from_le_bytes(*pair))
                .collect(),
        };
        Sound { rate: self.rate(), samples }
    }

    /// Waits until the client has sent so much of a tone.
    pub fn hears(&self, hertz: f64, ms: usize) {
        until(&format!("{ms} ms of {hertz} Hz at the agent"), || {
            (self.heard().tone_ms(hertz) >= ms).then_some(())
        });
    }

    /// Each message of audio with the time of its arrival.
    pub fn audio_arrivals(&self) -> Vec<(Instant, Vec<u8>)> {
        self.said.lock().unwrap().audio.clone()
    }

    /// The messages of this type that the client sent so far.
    pub fn messages(&self, kind: &str) -> Vec<Value> {
        self.said.lock().unwrap().messages.iter().filter(|message| message["type"] == kind).cloned().collect()
    }

    /// Waits for a message of this type.
    pub fn message(&self, kind: &str) -> Value {
        until(&format!("{kind} at the agent"), || self.messages(kind).pop())
    }

    /// Waits for the client's close; its code (1006 when the connection just ended).
    pub fn closed(&self) -> u16 {
        until("the close at the agent", || self.said.lock().unwrap().closed)
    }
}

fn serve(
    mut socket: TcpStream,
    format: &'static str,
    private: bool,
    port: u16,
    tell: &Sender<Conversation>,
    requests: &Mutex<Vec<String>>,
) {
    socket.set_nodelay(true).unwrap();
    let Some(head) = read_head(&mut socket) else { return };
    let request = head.lines().next().unwrap_or("").to_owned();
    requests.lock().unwrap().push(request.clone());
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .next()
    };
    if request.contains("/get-signed-url") {
        let allowed = header("xi-api-key").as_deref() == Some(API_KEY) && request.contains(AGENT_ID);
        let (status, body) = if allowed {
            let url = format!("ws://127.0.0.1:{port}/v1/convai/conversation?agent_id={AGENT_ID}&{SIGNATURE}");
            ("200 OK", json!({"signed_url": url}))
        } else {
            (
                "401 Unauthorized",
                json!({"detail": {"status": "invalid_api_key", "message": "Invalid API key"}}),
            )
        };
        answer(&mut socket, status, &body.to_string());
        return;
    }
    let known = request.starts_with("GET /v1/convai/conversation?") && request.contains(AGENT_ID);
    if !known || private && !request.contains(SIGNATURE) {
        answer(&mut socket, "403 Forbidden", "");
        return;
    }
    let accept = derive_accept_key(header("Sec-WebSocket-Key").unwrap().as_bytes());
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    write!(socket, "{switch}Sec-WebSocket-Accept: {accept}\r\n\r\n").unwrap();
    converse(socket, format, tell);
}

fn converse(mut socket: TcpStream, format: &'static str, tell: &Sender<Conversation>) {
    let said: Arc<Mutex<Said>> = Arc::default();
    let mut begun = false;
    loop {
        let frame = frames::read(&mut socket);
        let now = Instant::now();
        match frame {
            Ok(Frame::Text(text)) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                if let Some(audio) = message["user_audio_chunk"].as_str() {
                    assert!(begun, "audio before the initiation");
                    said.lock().unwrap().audio.push((now, BASE64.decode(audio).unwrap()));
                } else if message["type"] == "conversation_initiation_client_data" {
                    begun = true;
                    let metadata = json!({"type": "conversation_initiation_metadata",
                        "conversation_initiation_metadata_event": {"conversation_id": "conv_of_the_tests",
                            "agent_output_audio_format": format, "user_input_audio_format": format}});
                    frames::write_text(&mut socket, &metadata.to_string()).unwrap();
                    let _ = tell.send(Conversation {
                        initiation: message,
                        initiated: now,
                        format,
                        socket: socket.try_clone().unwrap(),
                        said: Arc::clone(&said),
                    });
                } else {
                    said.lock().unwrap().messages.push(message);
                }
            }
            Ok(Frame::Ping(payload)) => {
                let _ = frames::write_pong(&mut socket, &payload);
            }
            Ok(Frame::Close(code)) => {
                said.lock().unwrap().closed = Some(code);
                // RFC 6455 7.1.1: the server ends the connection first.
                let _ = frames::write_close(&mut socket, code);
                let _ = socket.shutdown(Shutdown::Both);
                return;
            }
            Err(_) => {
                said.lock().unwrap().closed.get_or_insert(1006);
                return;
            }
        }
    }
}

fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    String::from_utf8(head).ok()
}

fn answer(socket: &mut TcpStream, status: &str, body: &str) {
    let length = body.len();
    let head = "Content-Type: application/json\r\nConnection: close";
    let _ = write!(socket, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
}
