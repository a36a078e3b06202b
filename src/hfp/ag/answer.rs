//! How a phone answers the commands of HFP 4.34.

use super::core::{Ag, Event};
use crate::base::Pii;
use crate::hfp::call::{Call, CallState};
use crate::hfp::feature::{AgFeatures, Codec, HfFeatures};

impl Ag {
    pub(super) fn on_command(&mut self, line: &str) {
        let acts = line.starts_with("ATD") || matches!(line, "ATA" | "AT+CHUP");
        if acts && !self.options.obeys {
            return self.say("ERROR");
        }
        if let Some(number) = line.strip_prefix("ATD") {
            return self.on_dial(number.trim_end_matches(';'));
        }
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        match (name, value) {
            ("AT+BRSF", bits) => match self.options.features {
                None => self.say("ERROR"),
                Some(own) => {
                    self.hf = HfFeatures(bits.parse().unwrap_or_default());
                    self.say(&format!("+BRSF: {}", own.0));
                    self.say("OK");
                }
            },
            ("AT+BAC", ids) => {
                self.codecs = ids.split(',').filter_map(Codec::of).collect();
                self.say("OK");
            }
            ("AT+CIND", "?") => {
                let ranges =
                    self.options.indicators.iter().map(|name| format!("(\"{name}\",({}))", range(name)));
                let ranges: Vec<String> = ranges.collect();
                self.say(&format!("+CIND: {}", ranges.join(",")));
                self.say("OK");
            }
            ("AT+CIND?", _) => {
                let values: Vec<String> = self.values().iter().map(u8::to_string).collect();
                self.say(&format!("+CIND: {}", values.join(",")));
                self.say("OK");
            }
            ("AT+CMER", value) => {
                self.tells_indicators = value.ends_with(",1");
                self.say("OK");
                let three_way = self.options.features.is_some_and(|own| own.has(AgFeatures::THREE_WAY));
                if !three_way {
                    self.tell(Event::Up);
                }
            }
            ("AT+CHLD", "?") => {
                self.say(&format!("+CHLD: ({})", self.options.holds));
                self.say("OK");
                self.tell(Event::Up);
            }
            ("AT+CHLD", "0") => {
                let keep = |call: &Call| !matches!(call.state, CallState::Waiting | CallState::Held);
                self.calls.retain(keep);
                self.say("OK");
                self.ended();
            }
            ("AT+CHLD", which) if which.len() == 2 && self.options.holds.contains("1x") => {
                let index = which.strip_prefix('1').and_then(|index| index.parse::<u8>().ok());
                self.calls.retain(|call| Some(call.index) != index);
                self.say("OK");
                self.ended();
            }
            ("AT+CHLD", "1" | "2") => {
                self.say("OK");
                self.take_other(value == "1");
            }
            ("AT+BIND", "?") => {
                self.say("+BIND: (2)");
                self.say("OK");
            }
            ("AT+BIND?", _) => {
                self.say("+BIND: 2,1");
                self.say("OK");
            }
            ("AT+CLIP", value) => {
                self.shows_caller = value == "1";
                self.say("OK");
            }
            ("AT+CCWA", value) => {
                self.shows_waiting = value == "1";
                self.say("OK");
            }
            ("AT+COPS?", _) => {
                self.say(&format!("+COPS: 0,0,\"{}\"", self.options.operator));
                self.say("OK");
            }
            ("AT+CNUM", _) => {
                self.say(&format!("+CNUM: ,\"{}\",145,,4", self.options.own_number));
                self.say("OK");
            }
            ("AT+CLCC", _) if self.options.lists_calls => self.list_calls(),
            ("AT+BCS", id) => self.on_codec(id),
            ("AT+BCC", _) if self.keeps_audio => self.say("ERROR"),
            ("AT+BCC", _) => {
                self.say("OK");
                self.want_audio();
            }
            ("ATA", _) => {
                let rings = self.calls.iter().any(|call| call.state == CallState::Incoming);
                self.say(if rings { "OK" } else { "ERROR" });
                if rings {
                    self.tell(Event::Answered);
                    self.take_call();
                }
            }
            ("AT+CHUP", _) => {
                self.say(if self.calls.is_empty() { "ERROR" } else { "OK" });
                if !self.calls.is_empty() {
                    self.tell(Event::HungUp);
                    self.hang_up();
                }
            }
            ("AT+VTS", key) => {
                self.say("OK");
                if let Some(key) = key.chars().next() {
                    self.tell(Event::Key(key));
                }
            }
            (
                "AT+BIND" | "AT+CMEE" | "AT+COPS" | "AT+NREC" | "AT+VGS" | "AT+VGM" | "AT+BIEV" | "AT+BIA",
                _,
            ) => {
                self.say("OK");
            }
            _ => {
                self.tell(Event::Unknown(line.to_owned()));
                self.say("ERROR");
            }
        }
    }

    fn on_dial(&mut self, number: &str) {
        if self.calls.iter().any(|call| call.state != CallState::Held) {
            return self.say("+CME ERROR: 3");
        }
        let number = Pii(number.to_owned());
        self.say("OK");
        self.tell(Event::Dialled(number.clone()));
        self.add(false, CallState::Dialing, Some(number));
        self.tell_indicators();
        self.want_audio();
    }

    /// HFP 4.11.3: the link is opened once the other side has confirmed the codec.
    fn on_codec(&mut self, id: &str) {
        let chosen = self.chosen_codec();
        if Codec::of(id) == Some(chosen) {
            self.say("OK");
            self.tell(Event::OpenAudio(chosen));
        } else {
            self.say("ERROR");
        }
    }

    fn list_calls(&mut self) {
        for call in self.calls.clone() {
            let state = match call.state {
                CallState::Active => 0,
                CallState::Held => 1,
                CallState::Dialing => 2,
                CallState::Alerting => 3,
                CallState::Incoming => 4,
                CallState::Waiting => 5,
            };
            let number = call.number.map_or(String::new(), |number| format!(",\"{}\",145", number.0));
            self.say(&format!("+CLCC: {},{},{state},0,0{number}", call.index, u8::from(call.incoming)));
        }
        self.say("OK");
    }
}

fn range(indicator: &str) -> &'static str {
    match indicator {
        "callsetup" | "call_setup" => "0-3",
        "callheld" => "0-2",
        "signal" | "battchg" => "0-5",
        _ => "0,1",
    }
}
