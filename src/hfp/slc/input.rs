//! What the phone says, line by line.

use std::time::Instant;

use super::ask::Ask;
use super::core::{Event, Slc, State};
use super::report::Fault;
use crate::base::Pii;
use crate::hfp::at::{FinalResult, ResultCode, fields, kept, list, quoted};
use crate::hfp::call::CallState;
use crate::hfp::feature::{AgFeatures, Codec};
use crate::hfp::indicator::Indicator;

impl Slc {
    /// Bytes from RFCOMM, cut anyhow.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(bytes, |line| self.on_line(now, line));
        self.lines = lines;
        self.pump(now);
    }

    fn on_line(&mut self, now: Instant, line: &str) {
        if self.state == State::Down {
            return;
        }
        match ResultCode::read(line) {
            ResultCode::Final(result) => self.on_final(now, result),
            ResultCode::Ring => {
                self.counters.rings += 1;
                // The indicator may come late, or never.
                let known = self.calls.known().iter().any(|call| call.state == CallState::Incoming);
                if !known && self.lists_calls {
                    self.ask(Ask::ListCalls);
                }
            }
            ResultCode::Named(name, rest) => self.on_named(now, name, rest),
            ResultCode::Other => self.counters.unknown += 1,
        }
    }

    fn on_named(&mut self, now: Instant, name: &str, rest: &str) {
        match name {
            "BRSF" => {
                if let Ok(bits) = rest.parse() {
                    self.set_features(AgFeatures(bits));
                }
                self.reported(&Ask::Features);
            }
            // The order stands in parentheses, the values do not.
            "CIND" if rest.starts_with('(') => {
                self.indicators.read_order(rest);
                self.reported(&Ask::IndicatorOrder);
            }
            "CIND" => {
                self.indicators.read_values(rest);
                self.reported(&Ask::IndicatorValues);
                self.tell_phone();
            }
            "CIEV" => match self.indicators.read_event(rest) {
                Some(Indicator::Call | Indicator::CallSetup | Indicator::CallHeld) => self.follow_calls(now),
                Some(Indicator::Service | Indicator::Signal | Indicator::Roam | Indicator::BatteryCharge) => {
                    self.tell_phone();
                }
                None => {}
            },
            "CLCC" => self.calls.read(rest),
            "CLIP" | "CCWA" => {
                let number = fields(rest).next().and_then(quoted);
                if let Some(change) = number.and_then(|number| self.calls.name_caller(number)) {
                    self.tell(Event::Call(change));
                } else if name == "CCWA" {
                    self.follow_calls(now);
                }
            }
            "BCS" => self.on_codec(now, rest),
            "BSIR" => self.tell(Event::InBandRing(rest == "1")),
            "COPS" => {
                self.phone.operator = fields(rest).nth(2).and_then(quoted).map(kept);
                self.tell_phone();
            }
            "CNUM" => {
                // The first of several lines is the one that people know.
                if self.phone.own_number.is_none() {
                    self.phone.own_number = fields(rest).nth(1).and_then(quoted).map(kept).map(Pii);
                    self.tell_phone();
                }
            }
            "CHLD" => self.releases_one = list(rest).is_some_and(|ways| fields(ways).any(|way| way == "1x")),
            // The phone's wishes for loudness, its voice assistant, its answers about our indicators.
            "VGS" | "VGM" | "BVRA" | "BIND" | "BTRH" | "BINP" | "BCC" | "CMEE" => {}
            _ => self.counters.unknown += 1,
        }
    }

    /// The line came that only `ask` is answered with.
    fn reported(&mut self, ask: &Ask) {
        if let Some(first) = self.outstanding.front_mut().filter(|first| first.ask == *ask) {
            first.reported = true;
        }
    }

    /// Whether this end belongs to a command that was given up. The phone ends its commands in their order, so once one
    /// has ended that is known by its line, none before it is left; unless the line was its own first try's.
    fn is_late(&mut self) -> bool {
        let first = self.outstanding.front();
        if let Some(first) = first.filter(|first| first.reported) {
            self.stale = if first.tries == 1 { 0 } else { self.stale };
            return false;
        }
        let late = self.stale > 0 && first.is_none_or(|first| first.ask.is_known_by_its_line());
        self.stale -= u8::from(late);
        late
    }

    fn on_codec(&mut self, now: Instant, id: &str) {
        match Codec::of(id).filter(|codec| self.codecs.contains(codec)) {
            Some(codec) => self.take_codec(now, codec),
            // HFP 4.11.3: a codec that is not there is answered with those that are.
            None => self.ask(Ask::Codecs),
        }
    }

    fn on_final(&mut self, now: Instant, result: FinalResult) {
        let asked = self.outstanding.front().is_some_and(|first| first.ask.is_about_a_call());
        if let FinalResult::CallFailed(failure) = result
            && !asked
        {
            // Said unasked when a call is over; that it is, the indicators say.
            return self.tell(Event::CallFailed(failure));
        }
        if self.is_late() {
            self.counters.unasked += 1;
            return;
        }
        let Some(outstanding) = self.outstanding.pop_front() else {
            self.counters.unasked += 1;
            return;
        };
        let ask = outstanding.ask;
        if self.state == State::Setup && !matches!(ask, Ask::TakeCodec(_)) {
            return self.on_setup(now, &ask, result);
        }
        match (ask, result) {
            (Ask::ListCalls, FinalResult::Ok) => {
                let changes = self.calls.finish();
                self.tell_calls(now, changes);
            }
            (Ask::Dial(_) | Ask::IndicatorValues, FinalResult::Ok) => self.follow_calls(now),
            (Ask::Answer, FinalResult::Ok) => self.tell(Event::Answered),
            (_, FinalResult::Ok) => {}
            (ask, refused) => self.not_done(now, ask, Self::refusal(refused)),
        }
    }

    fn on_setup(&mut self, now: Instant, ask: &Ask, result: FinalResult) {
        if result != FinalResult::Ok && ask.is_vital() {
            return self.down(Fault::Refused);
        }
        if *ask == Ask::IndicatorOrder && !self.indicators.is_usable() {
            return self.down(Fault::Indicators);
        }
        self.go_on(now, ask);
    }

    /// The indicators moved: what the calls are now is asked, where the phone can say it.
    pub(super) fn follow_calls(&mut self, now: Instant) {
        if self.state != State::Up {
            return;
        }
        let values = self.indicators.values();
        let nothing = (values.call, values.call_setup, values.call_held) == (0, 0, 0);
        if self.lists_calls && !(nothing && self.outstanding.iter().all(|other| other.ask != Ask::ListCalls))
        {
            self.ask(Ask::ListCalls);
        } else if self.lists_calls {
            let changes = self.calls.clear();
            self.tell_calls(now, changes);
        } else {
            let changes = self.calls.follow(values);
            self.tell_calls(now, changes);
        }
    }

    fn tell_phone(&mut self) {
        let values = self.indicators.values();
        self.phone.service = values.service == 1;
        self.phone.signal = values.signal;
        self.phone.roaming = values.roam == 1;
        self.phone.battery = values.battery_charge;
        if self.state == State::Up {
            self.tell(Event::Phone(self.phone.clone()));
        }
    }
}
