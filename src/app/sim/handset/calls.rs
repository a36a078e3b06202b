//! Calls of the simulated phone: what becomes of them by itself, and what is told of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::phone::Handset;
use super::voice::Talk;
use crate::base::time::earlier;
use crate::hfp::ag::Happening;
use crate::hfp::{Call, CallState};

/// A phone rings so often.
const RING_EVERY: Duration = Duration::from_secs(3);
/// A network takes this long until the other end rings.
const REACHES_AFTER: Duration = Duration::from_millis(300);

fn any(calls: &[Call], state: CallState) -> bool {
    calls.iter().any(|call| call.state == state)
}

fn state_name(state: CallState) -> &'static str {
    match state {
        CallState::Active => "active",
        CallState::Held => "held",
        CallState::Dialing => "dialing",
        CallState::Alerting => "alerting",
        CallState::Incoming => "incoming",
        CallState::Waiting => "waiting",
    }
}

impl Handset {
    /// Compares the calls with those that were told, and sets in motion what follows.
    pub(super) fn tell_calls(&mut self, now: Instant) {
        let calls = self.ag.calls().to_vec();
        let before = std::mem::replace(&mut self.calls, calls.clone());
        if calls == before {
            return;
        }
        let list: Vec<Value> = calls
            .iter()
            .map(|call| {
                json!({
                    "index": call.index,
                    "incoming": call.incoming,
                    "state": state_name(call.state),
                    "number": call.number.as_ref().map(|number| number.0.as_str()),
                })
            })
            .collect();
        self.tell(now, "calls", json!({ "calls": list }));
        if before.is_empty() {
            self.talk = Talk { samples: self.options.say.clone(), ..Talk::default() };
            self.hung_up_there = false;
        }

        let rings = any(&calls, CallState::Incoming) || any(&calls, CallState::Waiting);
        let rang = any(&before, CallState::Incoming) || any(&before, CallState::Waiting);
        if rings && !rang {
            self.timers.ring = Some(now + RING_EVERY);
            self.timers.give_up = self.options.give_up_after.map(|after| now + after);
        } else if !rings {
            (self.timers.ring, self.timers.give_up) = (None, None);
        }
        let goes_out = |calls| any(calls, CallState::Dialing) || any(calls, CallState::Alerting);
        if goes_out(&calls) && !goes_out(&before) {
            self.timers.other_rings = Some(now + REACHES_AFTER);
            self.timers.other_answers = Some(now + REACHES_AFTER + self.options.ring_for);
        } else if !goes_out(&calls) {
            (self.timers.other_rings, self.timers.other_answers) = (None, None);
        }
        let (talks, talked) = (any(&calls, CallState::Active), any(&before, CallState::Active));
        if talks && !talked {
            self.tell(now, "answered", json!({}));
            self.timers.hang_up = self.options.hang_up_after.map(|after| now + after);
            self.speak();
        }
        if calls.is_empty() {
            self.timers.hang_up = None;
            let end = if self.hung_up_there { "RemoteHangup" } else { "LocalHangup" };
            self.tell(now, "ended", json!({ "end": end }));
            self.closing |= self.options.once;
        }
    }

    /// When `calls_timeout` is due.
    pub(super) fn calls_deadline(&self) -> Option<Instant> {
        let timers = &self.timers;
        let out = earlier(timers.other_rings, timers.other_answers);
        earlier(earlier(timers.ring, timers.give_up), earlier(out, timers.hang_up))
    }

    pub(super) fn calls_timeout(&mut self, now: Instant) {
        let due = |timer: &mut Option<Instant>| timer.take_if(|at| *at <= now).is_some();
        if due(&mut self.timers.ring) {
            self.ag.happens(Happening::RingsAgain);
            self.timers.ring = Some(now + RING_EVERY);
        }
        if due(&mut self.timers.give_up) {
            self.ag.happens(Happening::Over);
        }
        if due(&mut self.timers.other_rings) {
            self.ag.happens(Happening::OtherRings);
        }
        if due(&mut self.timers.other_answers) {
            self.ag.happens(Happening::OtherAnswers);
        }
        if due(&mut self.timers.hang_up) {
            self.ag.happens(Happening::Over);
        }
    }
}
