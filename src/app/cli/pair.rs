//! `callscoot pair`: the pairing window, and what a person does while it is open.
//!
//! ```text
//!  open the window ─▶ ask the service twice a second ─▶ a phone asks ─▶ the person answers ─▶ it is connected: done
//!                                  └─ the window closes, Ctrl-C, Bluetooth fails ─▶ close the window, say why
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use serde_json::{Value, json};

use super::phones::{PATH, name};
use super::text::clean;
use super::view::{json_line, text};
use crate::app::fault::Fault;
use crate::app::out;
use crate::port::rest_local::{ApiClient, ApiError};
use crate::sys::clock;
use crate::sys::signal::{self, Signal};
use crate::sys::terminal;
use crate::sys::thread::{Role, Spawner};

const WINDOW: &str = "/v1/phones/pairing-window";
const ANSWER: &str = "/v1/phones/pairing-answer";
/// How often the service is asked how it goes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks that the window may take to open.
const OPENING_LOOKS_MAX: u32 = 20;
/// Looks, half a minute of them, in which a phone that has paired may still come: its first connection can fail.
const COMING_LOOKS_MAX: u32 = 60;

/// For how long.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Seconds; without it, `discoverable_timeout` of the configuration.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: Option<u32>,
    /// Print the service's own JSON, one line for each change; answers are read from standard input all the same.
    #[arg(long)]
    json: bool,
}

/// What the loop waits for, beside time.
enum Input {
    Line(Option<String>),
    Stop,
}

pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let client = super::desk::client()?;
    let before = client.get(PATH)?;
    let opened = client.post(WINDOW, &json!({ "timeout_sec": options.timeout }))?;
    let seconds = opened["timeout_sec"].as_u64().unwrap_or_default();
    if !options.json {
        out::say(&format!(
            "open for {seconds} s: on the phone, go to the Bluetooth settings and choose this machine"
        ));
    }
    let done = watch(&client, Progress::new(&before), options.json);
    // Whatever came of it: nobody needs the window any more. It also closes by itself.
    let _ = client.delete(WINDOW);
    done
}

fn watch(client: &ApiClient, mut progress: Progress, as_json: bool) -> Result<(), Fault> {
    let (died, _deaths) = unbounded();
    let spawner = Spawner::new(died);
    let (tell, inputs) = bounded(4);
    let stop = tell.clone();
    signal::listen(&spawner, move |signal| signal != Signal::Stop || stop.send(Input::Stop).is_ok())
        .map_err(Fault::refused("signal handlers"))?;
    let mut reader = Some(tell);
    let mut shown = Value::Null;
    loop {
        let body = client.get(PATH)?;
        let step = progress.see(&body);
        if as_json {
            let parts = json!({ "pairing": body["pairing"], "phones": body["phones"] });
            if without_clock(&parts) != without_clock(&shown) {
                json_line(&parts)?;
                shown = parts;
            }
        } else {
            for line in &step.lines {
                out::over(line);
            }
            if let Some(left) = step.left.filter(|_| terminal::is_shown()) {
                out::now(&format!("{}:{:02} left ", left / 60, left % 60));
            }
        }
        if let Some(end) = step.end {
            out::over("");
            return end;
        }
        if step.asks {
            // What was typed before is no answer to this.
            terminal::forget_typed();
            for input in inputs.try_iter() {
                accepts(input, false)?;
            }
            if let Some(tell) = reader.take() {
                read_answers(&spawner, tell)?;
            }
        }
        if let Some(accept) = waited(&inputs, progress.asks.is_some())?
            && let Some(question) = &progress.asks
        {
            answer(client, question, accept)?;
        }
    }
}

/// Half a second, or the person's answer.
fn waited(inputs: &Receiver<Input>, asked: bool) -> Result<Option<bool>, Fault> {
    let until = clock::mono() + LOOK_EVERY;
    while let Ok(input) = inputs.recv_deadline(until) {
        let answer = accepts(input, asked)?;
        if answer.is_some() {
            return Ok(answer);
        }
    }
    Ok(None)
}

/// What this says to a question, if one was asked.
fn accepts(input: Input, asked: bool) -> Result<Option<bool>, Fault> {
    match input {
        Input::Stop => Err(Fault::Interrupted("pairing is closed".into())),
        Input::Line(_) if !asked => Ok(None),
        Input::Line(Some(line)) => match line.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(Some(true)),
            "n" | "no" => Ok(Some(false)),
            _ => {
                out::say("please answer y or n");
                Ok(None)
            }
        },
        // Nobody is there to look at the number.
        Input::Line(None) => Ok(Some(false)),
    }
}

/// The answer to this question, and to no other that may have come meanwhile.
fn answer(client: &ApiClient, question: &Value, accept: bool) -> Result<(), Fault> {
    let answer = json!({ "accept": accept, "address": question["address"], "passkey": question["passkey"] });
    match client.post(ANSWER, &answer) {
        // The phone may have given up: the next look tells.
        Ok(_) | Err(ApiError::Refused { status: 409, .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reading cannot be waited for beside anything else, so a thread of its own does it, from the first question on.
fn read_answers(spawner: &Spawner, tell: Sender<Input>) -> Result<(), Fault> {
    let read = move || {
        while let Ok(line) = terminal::line() {
            let over = line.is_none();
            if tell.send(Input::Line(line)).is_err() || over {
                return;
            }
        }
    };
    spawner.spawn(Role::Watcher, read).map(drop).map_err(Fault::refused("a thread"))
}

fn without_clock(parts: &Value) -> Value {
    let mut parts = parts.clone();
    if let Some(pairing) = parts["pairing"].as_object_mut() {
        pairing.remove("seconds_left");
        pairing.remove("open_until");
    }
    parts
}

/// What the person has been told, and what ends it.
struct Progress {
    /// Phones that were paired before: connecting again is no pairing.
    paired: BTreeSet<String>,
    /// Phones that asked something.
    asked: BTreeSet<String>,
    links: BTreeMap<String, String>,
    last: Option<String>,
    pin: Option<String>,
    asks: Option<Value>,
    was_open: bool,
    looks: u32,
    /// Those for a phone that has paired, since the window closed.
    coming_looks: u32,
}

/// What a look at the service comes to.
#[derive(Default)]
struct Step {
    lines: Vec<String>,
    /// Seconds until the window closes.
    left: Option<u64>,
    /// There is something to answer.
    asks: bool,
    end: Option<Result<(), Fault>>,
}

impl Progress {
    fn new(before: &Value) -> Self {
        let known = phones(before);
        let paired =
            known.iter().filter(|phone| phone["paired"] == true).map(|phone| text(&phone["address"]));
        Self {
            paired: paired.collect(),
            asked: BTreeSet::new(),
            links: known.iter().map(|phone| (text(&phone["address"]), text(&phone["link"]))).collect(),
            last: before["pairing"]["last"].as_str().map(str::to_owned),
            pin: None,
            asks: None,
            was_open: false,
            looks: 0,
            coming_looks: 0,
        }
    }

    fn see(&mut self, body: &Value) -> Step {
        let mut step = Step::default();
        let pairing = &body["pairing"];
        self.looks += 1;
        let open = pairing["open"] == true;
        self.was_open |= open;
        step.left = pairing["seconds_left"].as_u64().filter(|_| open);
        self.see_pin(&pairing["pin"], &mut step);
        self.see_question(&pairing["asks"], &mut step);
        let last = pairing["last"].as_str().map(str::to_owned);
        if last.is_some() && last != self.last {
            step.lines.extend(last.as_deref().map(clean));
        }
        self.last = last;
        for phone in phones(body) {
            self.see_phone(phone, &mut step);
        }
        if step.end.is_none() {
            step.end = self.see_end(body, open);
        }
        step
    }

    /// An old phone asks its owner for a PIN before it asks anything here.
    fn see_pin(&mut self, pin: &Value, step: &mut Step) {
        let Some(pin) = pin.as_str().filter(|pin| Some(*pin) != self.pin.as_deref()) else { return };
        let again = if self.pin.is_some() { " again" } else { "" };
        let when = format!("should an old phone ask for a PIN{again}");
        step.lines.push(format!("{when}: {}", spaced(&clean(pin))));
        self.pin = Some(pin.to_owned());
    }

    fn see_question(&mut self, asks: &Value, step: &mut Step) {
        let asks = Some(asks).filter(|asks| !asks.is_null()).cloned();
        if let Some(question) = asks.as_ref().filter(|question| Some(*question) != self.asks.as_ref()) {
            self.asked.insert(text(&question["address"]));
            step.lines.push(words_of(question));
            step.asks = question["kind"] != "type_there";
        }
        self.asks = asks;
    }

    fn see_phone(&mut self, phone: &Value, step: &mut Step) {
        let (address, link) = (text(&phone["address"]), text(&phone["link"]));
        let before = self.links.insert(address.clone(), link.clone());
        let is_new = !self.paired.contains(&address) || self.asked.contains(&address);
        if !is_new {
            return;
        }
        let changed = before.as_deref() != Some(link.as_str());
        let who = name(phone);
        match link.as_str() {
            "connected" if phone["paired"] == true => {
                step.lines.push(format!("{who} is paired and connected"));
                step.end = Some(Ok(()));
            }
            "connecting" if changed => step.lines.push(format!("{who} is being connected")),
            "waiting" if changed => {
                let why = phone["last_error"].as_str().map(clean);
                step.lines.extend(why.map(|why| format!("{who} is not connected yet: {why}")));
            }
            _ => {}
        }
    }

    fn see_end(&mut self, body: &Value, open: bool) -> Option<Result<(), Fault>> {
        if let Some(fault) = body["fault"].as_str() {
            return Some(Err(Fault::Failed(clean(fault))));
        }
        if open || (!self.was_open && self.looks < OPENING_LOOKS_MAX) {
            return None;
        }
        if !self.was_open {
            return Some(Err(Fault::Failed(
                "the pairing window did not open; `callscoot doctor` looks why".into(),
            )));
        }
        let on_its_way = |phone: &&Value| {
            let address = text(&phone["address"]);
            let is_new = !self.paired.contains(&address) || self.asked.contains(&address);
            is_new && phone["paired"] == true
        };
        let paired = phones(body).iter().find(on_its_way);
        match paired {
            Some(phone) if phone["link"] == "connecting" => None,
            Some(_) if self.coming_looks < COMING_LOOKS_MAX => {
                self.coming_looks += 1;
                None
            }
            Some(phone) => Some(Err(Fault::Failed(format!(
                "{} is paired but not connected; `callscoot connect {}` tries it again",
                name(phone),
                text(&phone["address"])
            )))),
            None => Some(Err(Fault::Failed("the window closed, and no phone was paired".into()))),
        }
    }
}

fn phones(body: &Value) -> &[Value] {
    body["phones"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A question in words.
fn words_of(question: &Value) -> String {
    let (who, key) = (name(question), spaced(&text(&question["passkey"])));
    match question["kind"].as_str() {
        Some("compare") => format!("{who} shows a number. Is it {key}? (y/n)"),
        Some("type_there") => format!("type {key} on {who}"),
        Some("pin") => format!("{who} pairs by PIN. Was it given {key}? (y/n)"),
        _ => format!("may {who} pair? (y/n)"),
    }
}

/// Six digits read better in two groups.
fn spaced(key: &str) -> String {
    match key.split_at_checked(3) {
        Some((first, rest)) if key.len() == 6 => format!("{first} {rest}"),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(open: bool, asks: Value, phones: Value) -> Value {
        json!({"fault": null, "phones": phones,
            "pairing": {"open": open, "seconds_left": 9, "pin": null, "asks": asks, "last": null}})
    }

    fn phone(paired: bool, link: &str) -> Value {
        json!([{"address": "00:1A:7D:DA:71:13", "name": "Pixel\u{1b}", "paired": paired, "link": link}])
    }

    fn question(kind: &str) -> Value {
        json!({"address": "00:1A:7D:DA:71:13", "name": "Pixel\u{1b}", "kind": kind, "passkey": "012345"})
    }

    #[test]
    fn a_phone_that_pairs_is_followed_until_it_is_connected() {
        let mut progress = Progress::new(&body(false, json!(null), json!([])));
        assert!(progress.see(&body(false, json!(null), json!([]))).end.is_none(), "not open yet");
        let step = progress.see(&body(true, question("compare"), phone(false, "disconnected")));
        assert_eq!(step.lines, ["Pixel� shows a number. Is it 012 345? (y/n)"]);
        assert!(step.asks && step.left == Some(9) && step.end.is_none());
        let again = progress.see(&body(true, question("compare"), phone(false, "disconnected")));
        assert!(again.lines.is_empty() && !again.asks, "asked once");
        let step = progress.see(&body(true, json!(null), phone(true, "connecting")));
        assert_eq!(step.lines, ["Pixel� is being connected"]);
        let step = progress.see(&body(true, json!(null), phone(true, "connected")));
        assert_eq!(step.lines, ["Pixel� is paired and connected"]);
        assert!(matches!(step.end, Some(Ok(()))));
    }

    #[test]
    fn the_pin_for_an_old_phone_is_told_before_it_asks_and_again_when_it_is_another() {
        let mut progress = Progress::new(&body(false, json!(null), json!([])));
        let mut open = body(true, json!(null), json!([]));
        let mut told = |pin: &str, asks: Value| {
            open["pairing"]["pin"] = json!(pin);
            open["pairing"]["asks"] = asks;
            progress.see(&open).lines
        };
        assert_eq!(told("012345", json!(null)), ["should an old phone ask for a PIN: 012 345"]);
        let asked = told("012345", question("pin"));
        assert!(asked[0].ends_with("pairs by PIN. Was it given 012 345? (y/n)"), "{asked:?}");
        assert_eq!(told("543210", json!(null)), ["should an old phone ask for a PIN again: 543 210"]);
        assert!(told("543210", json!(null)).is_empty(), "told once");
    }

    #[test]
    fn a_phone_that_was_paired_before_and_comes_back_is_none_that_pairs() {
        let known = |link| body(true, json!(null), phone(true, link));
        let mut progress = Progress::new(&known("disconnected"));
        let step = progress.see(&known("connected"));
        assert!(step.end.is_none() && step.lines.is_empty());
        progress.see(&body(true, question("allow"), phone(true, "disconnected")));
        assert!(matches!(progress.see(&known("connected")).end, Some(Ok(()))), "it was paired anew");
    }

    #[test]
    fn the_end_of_the_window_is_an_end_with_a_reason() {
        let closed = |phones: Value| body(false, json!(null), phones);
        let end = |phones: Value| {
            let mut progress = Progress::new(&closed(json!([])));
            progress.see(&body(true, json!(null), json!([])));
            let ends = (0..=COMING_LOOKS_MAX).find_map(|_| progress.see(&closed(phones.clone())).end);
            ends.map(|end| end.unwrap_err().to_string())
        };
        assert!(end(json!([])).unwrap().contains("no phone was paired"));
        assert!(end(phone(true, "waiting")).unwrap().contains("callscoot connect 00:1A:7D:DA:71:13"));
        assert_eq!(end(phone(true, "connecting")), None, "it is on its way");
        let mut late = Progress::new(&closed(json!([])));
        late.see(&body(true, json!(null), json!([])));
        assert!(late.see(&closed(phone(true, "waiting"))).end.is_none(), "it may come yet");
        assert!(matches!(late.see(&closed(phone(true, "connected"))).end, Some(Ok(()))));
        let mut never = Progress::new(&closed(json!([])));
        let ends = (0..OPENING_LOOKS_MAX).filter(|_| never.see(&closed(json!([]))).end.is_some()).count();
        assert_eq!(ends, 1);
        let mut fault = Progress::new(&closed(json!([])));
        let mut broken = closed(json!([]));
        broken["fault"] = json!("hci0 is gone");
        assert_eq!(fault.see(&broken).end.unwrap().unwrap_err().to_string(), "hci0 is gone");
    }

    #[test]
    fn questions_are_asked_in_words_and_only_y_and_n_answer() {
        assert_eq!(words_of(&question("type_there")), "type 012 345 on Pixel�");
        assert!(words_of(&question("allow")).starts_with("may Pixel"));
        let (tell, inputs) = bounded(4);
        for (line, accept) in [("Y", Some(true)), (" no ", Some(false)), ("maybe", None)] {
            tell.send(Input::Line(Some(line.into()))).unwrap();
            assert_eq!(waited(&inputs, true).unwrap(), accept, "{line}");
        }
        tell.send(Input::Line(Some("y".into()))).unwrap();
        assert_eq!(waited(&inputs, false).unwrap(), None, "nothing was asked");
        tell.send(Input::Line(None)).unwrap();
        assert_eq!(waited(&inputs, true).unwrap(), Some(false), "nobody is there");
        tell.send(Input::Stop).unwrap();
        assert_eq!(waited(&inputs, true).unwrap_err().code(), 130);
    }
}
