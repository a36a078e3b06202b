//! How a call of ours ends: by us without ending another one, by the other end, by the owner, with the phone.

use std::time::{Duration, Instant};

use super::android::ANDROID_INDEX;
use super::call::{Answer, Call};
use super::core::Shared;
use super::phone::Phone;
use crate::call::leg::{LegEnd, RejectWhy};
use crate::call::phones::{PhoneEnd, PhoneEvent, Place};
use crate::hfp::at::CallFailure;
use crate::hfp::slc::{Command, Refusal};
use crate::hfp::{self, CallState};

/// The phone's list lacks a call that was ended within this; else it is told again, once.
const HANG_UP_MAX: Duration = Duration::from_secs(5);
const TRIES_MAX: u8 = 2;
/// `BUSY` and the like come just after the indicators.
const WORDS_MAX: Duration = Duration::from_millis(300);
/// A call that the phone did not let us take is given up after this, unless it shows why before.
const REFUSED_MAX: Duration = Duration::from_secs(2);

/// A call that is being ended from here.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) end: LegEnd,
    pub(super) detail: &'static str,
    pub(super) tries: u8,
    pub(super) by: Instant,
}

/// The command that ends one call and no other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WayOut {
    /// `AT+CHUP`.
    HangUp,
    /// `AT+CHLD=1x`.
    Release,
    /// `AT+CHLD=0`.
    RefuseWaiting,
    /// There is none.
    None,
}

/// `AT+CHUP` ends what is active, goes out or comes in; `AT+CHLD=0` the waiting call, or else every held one.
fn way_out(own: CallState, others: &[CallState], releases_one: bool) -> WayOut {
    use CallState::{Active, Alerting, Dialing, Held, Incoming, Waiting};
    let one = if releases_one { WayOut::Release } else { WayOut::None };
    let any = |states: &[CallState]| others.iter().any(|other| states.contains(other));
    match own {
        Active | Dialing | Alerting if any(&[Active, Dialing, Alerting, Incoming]) => one,
        Active | Dialing | Alerting => WayOut::HangUp,
        Incoming if others.is_empty() => WayOut::HangUp,
        Held if releases_one => WayOut::Release,
        Incoming | Waiting if any(&[Incoming, Waiting]) => WayOut::None,
        Held if any(&[Held, Waiting, Incoming]) => WayOut::None,
        Incoming | Waiting | Held => WayOut::RefuseWaiting,
    }
}

/// Whether `AT+CHUP` ends a call that only the bridge shows, and none that the phone lists.
pub(super) fn hangs_up_unlisted(others: &[CallState]) -> bool {
    way_out(CallState::Active, others, false) == WayOut::HangUp
}

/// How it ended when we did not end it.
pub(super) fn natural(call: &Call) -> (PhoneEnd, &'static str) {
    let (end, detail) = match (&call.ending, call.failure) {
        (Some(ending), _) => (ending.end, ending.detail),
        (None, _) if call.active_since.is_some() => (LegEnd::RemoteHangup, "ended elsewhere (call 0)"),
        (None, _) if call.incoming => (LegEnd::Cancelled, "given up before the answer (callsetup 0)"),
        (None, Some(failure)) => of_failure(failure),
        (None, None) if call.alerting == Some(true) => {
            (LegEnd::NoAnswer, "it rang and was not taken (callsetup 0)")
        }
        (None, None) => (LegEnd::Failed, "it never rang (callsetup 0)"),
    };
    (PhoneEnd::Leg(end), detail)
}

fn of_failure(failure: CallFailure) -> (LegEnd, &'static str) {
    match failure {
        CallFailure::Busy => (LegEnd::Busy, "BUSY"),
        CallFailure::NoAnswer => (LegEnd::NoAnswer, "NO ANSWER"),
        CallFailure::NoCarrier => (LegEnd::Failed, "NO CARRIER"),
        CallFailure::Delayed => (LegEnd::Failed, "DELAYED"),
        CallFailure::Blacklisted => (LegEnd::Rejected, "BLACKLISTED"),
    }
}

fn of_refusal(why: Refusal) -> (LegEnd, String) {
    match why {
        // 3GPP 27.007 9.2: no network service, network time-out, emergency calls only.
        Refusal::ByPhone(Some(code @ 30..=32)) => (LegEnd::NetworkError, format!("+CME ERROR: {code}")),
        Refusal::ByPhone(Some(code)) => (LegEnd::Failed, format!("+CME ERROR: {code}")),
        Refusal::ByPhone(None) => (LegEnd::Failed, "ERROR".into()),
        Refusal::Call(failure) => {
            let (end, detail) = of_failure(failure);
            (end, detail.into())
        }
        Refusal::NoAnswer => (LegEnd::Failed, "the phone does not answer".into()),
        Refusal::Here => (LegEnd::Failed, "the phone has too much to do".into()),
    }
}

impl Phone {
    /// `PhoneCommand::Reject`.
    pub(super) fn reject(&mut self, now: Instant, shared: &mut Shared, why: RejectWhy) {
        let end = match why {
            RejectWhy::Busy => LegEnd::Busy,
            RejectWhy::Declined => LegEnd::Rejected,
            RejectWhy::NoAnswer => LegEnd::NoAnswer,
            RejectWhy::Failed => LegEnd::Failed,
        };
        self.end_call(now, shared, end, "refused here");
    }

    /// `PhoneCommand::Hangup`.
    pub(super) fn hang_up(&mut self, now: Instant, shared: &mut Shared) {
        let Some(call) = &self.call else { return };
        let (end, detail) = match (call.active_since, call.incoming) {
            (Some(_), _) => (LegEnd::LocalHangup, "hung up here"),
            (None, true) => (LegEnd::Rejected, "refused here"),
            (None, false) => (LegEnd::Cancelled, "given up before the answer"),
        };
        self.end_call(now, shared, end, detail);
    }

    /// The line closes, and waits for no second try: what was asked of the bridge alone is asked over Bluetooth too.
    /// Nothing else is asked again: a second `AT+CHLD=0` would end a call on hold.
    pub(super) fn end_to_close(&mut self, now: Instant, shared: &mut Shared) {
        let once = |call: &&Call| call.ending.as_ref().is_some_and(|ending| ending.tries == 1);
        let ended_once = self.call.as_ref().filter(once).map(|call| call.id);
        if ended_once.is_some_and(|call| self.is_asked_to_end(call)) {
            self.end_again(now, shared);
        } else {
            self.hang_up(now, shared);
        }
    }

    fn end_call(&mut self, now: Instant, shared: &mut Shared, end: LegEnd, detail: &'static str) {
        let Some(call) = &mut self.call else { return };
        if !call.told {
            // Nobody knows of it: the owner may take it.
            self.left.extend(call.index);
            self.call = None;
        } else if call.ending.is_none() {
            call.ending = Some(Ending { end, detail, tries: 0, by: now + HANG_UP_MAX });
            let out_of_sight = call.index.is_none() && (call.by_adb || call.lost.is_some());
            let call = call.id;
            if out_of_sight {
                self.end_what_may_begin(shared, call);
            }
            self.end_again(now, shared);
        }
    }

    /// Asks the phone to end the call that is being ended. Before it is known which one that is, nothing is asked: it
    /// could be another.
    pub(super) fn end_again(&mut self, now: Instant, shared: &mut Shared) {
        let others = self.others();
        let releases_one = self.ready().is_some_and(hfp::slc::Slc::releases_one);
        let Some(call) = &mut self.call else { return };
        let (Some(ending), Some(index)) = (&mut call.ending, call.index) else { return };
        let id = call.id;
        ending.tries += 1;
        ending.by = now + HANG_UP_MAX;
        let way_out = match index {
            // No command of Bluetooth's names it.
            ANDROID_INDEX if hangs_up_unlisted(&others) => WayOut::HangUp,
            ANDROID_INDEX => WayOut::None,
            _ => way_out(call.state, &others, releases_one),
        };
        match way_out {
            WayOut::HangUp => {
                let first = ending.tries == 1;
                let by_adb = first && self.end_by_adb(shared, id, &others);
                // Closing does not wait for a second try.
                if !by_adb || shared.closing {
                    self.ask(now, Command::Hangup);
                }
            }
            WayOut::Release => self.ask(now, Command::Release { index }),
            WayOut::RefuseWaiting => self.ask(now, Command::RefuseWaiting),
            WayOut::None => {
                let end = PhoneEnd::Leg(ending.end);
                self.leave_call(shared, end, "left to the owner: it cannot be ended alone");
            }
        }
    }

    pub(super) fn settle_ending(&mut self, now: Instant, shared: &mut Shared) {
        let Some(call) = &self.call else { return };
        if call.lost.is_some_and(|by| now >= by) {
            if call.is_yet_to_begin() {
                let call = call.id;
                self.end_what_may_begin(shared, call);
            }
            return self.finish(shared, PhoneEnd::PhoneLost, "the phone is gone, and the call with it");
        }
        if call.over.is_some_and(|by| now >= by) {
            let (end, detail) = natural(call);
            let refused = call.answer == Answer::Refused && call.index.is_some();
            let (end, detail) =
                if refused { (PhoneEnd::Leg(LegEnd::Failed), "ATA was refused") } else { (end, detail) };
            return self.leave_call(shared, end, detail);
        }
        if let Some(ending) = &call.ending
            && now >= ending.by
        {
            if call.index.is_some() && ending.tries < TRIES_MAX {
                return self.end_again(now, shared);
            }
            let end = PhoneEnd::Leg(ending.end);
            let detail = if call.index.is_some() { "the phone did not end it" } else { ending.detail };
            return self.leave_call(shared, end, detail);
        }
        if call.is_unseen_too_long(now) {
            let end = PhoneEnd::Leg(LegEnd::Failed);
            if call.by_adb {
                let call = call.id;
                self.end_what_may_begin(shared, call);
            }
            self.finish(shared, end, "the phone did not say what became of it");
        }
    }

    /// The phone's list lacks it.
    pub(super) fn over(&mut self, now: Instant, shared: &mut Shared) {
        let Some(call) = &mut self.call else { return };
        let unexplained =
            !call.incoming && call.active_since.is_none() && call.failure.is_none() && call.ending.is_none();
        if unexplained {
            call.over = Some(now + WORDS_MAX);
        } else {
            let (end, detail) = natural(call);
            self.finish(shared, end, detail);
        }
    }

    pub(super) fn on_call_failed(&mut self, failure: CallFailure) {
        if let Some(call) = self.call.as_mut().filter(|call| !call.incoming) {
            call.failure = Some(failure);
        }
    }

    pub(super) fn on_refused(&mut self, now: Instant, shared: &mut Shared, command: &Command, why: Refusal) {
        let Some(call) = &mut self.call else { return };
        match command {
            // It may have dialled all the same: then the call shows itself.
            Command::Dial(_) if call.index.is_some() || why == Refusal::NoAnswer => {}
            Command::Dial(_) if !call.incoming => {
                let (end, detail) = of_refusal(why);
                let end = call.ending.as_ref().map_or(end, |ending| ending.end);
                self.finish(shared, PhoneEnd::Leg(end), &detail);
            }
            Command::Answer if call.answer == Answer::Asked => {
                let up = call.state == CallState::Active;
                if up && why == Refusal::NoAnswer {
                    call.answer = Answer::Taken;
                } else if up {
                    self.leave_call(shared, PhoneEnd::OwnerAnswered, "taken on the handset");
                } else {
                    call.answer = Answer::Refused;
                    call.over = Some(now + REFUSED_MAX);
                }
            }
            Command::Dial(_)
            | Command::Answer
            | Command::Hangup
            | Command::RefuseWaiting
            | Command::Release { .. }
            | Command::Dtmf(_)
            | Command::Audio { .. }
            | Command::OpenAudio
            | Command::CvsdOnly => {}
        }
    }

    /// Nothing more is done about the call; it may go on on the phone.
    pub(super) fn leave_call(&mut self, shared: &mut Shared, end: PhoneEnd, detail: &str) {
        let listed = |index: &u8| *index != ANDROID_INDEX;
        self.left.extend(self.call.as_ref().and_then(|call| call.index).filter(listed));
        self.finish(shared, end, detail);
    }

    /// The owner speaks in it on the handset, or it rings and nobody here has taken it: a stop is no reason to end it.
    pub(super) fn call_is_the_owners(&self) -> bool {
        self.call.as_ref().filter(|call| call.ending.is_none()).is_some_and(|call| {
            let rings = call.incoming && matches!(call.answer, Answer::No | Answer::Refused);
            rings || call.at == Place::Handset
        })
    }

    /// The line closes, and the call could not be ended before.
    pub(super) fn leave_unended(&mut self, shared: &mut Shared) {
        if self.call.as_ref().is_some_and(|call| call.ending.is_some()) {
            self.leave_call(
                shared,
                PhoneEnd::PhoneLost,
                "the phone did not end it in time: it may go on there",
            );
        }
    }

    /// The phone is disconnected, or the line closes.
    pub(super) fn abandon_call(&mut self, shared: &mut Shared) {
        let Some(call) = &self.call else { return };
        let (end, detail) = match &call.ending {
            Some(ending) => (PhoneEnd::Leg(ending.end), ending.detail),
            None => (PhoneEnd::PhoneLost, "the phone was disconnected"),
        };
        self.leave_call(shared, end, detail);
    }

    /// It is over, and that is told, once.
    pub(super) fn finish(&mut self, shared: &mut Shared, end: PhoneEnd, detail: &str) {
        self.route_to(shared, None);
        if let Some(call) = self.call.take().filter(|call| call.told) {
            shared.tell(PhoneEvent::Ended { call: call.id, end, detail: detail.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CallState::{Active, Alerting, Held, Incoming, Waiting};

    #[test]
    fn a_call_is_ended_without_ending_another_one_hfp_4_22() {
        for (own, others, with_one, without) in [
            (Active, &[][..], WayOut::HangUp, WayOut::HangUp),
            (Active, &[Waiting], WayOut::HangUp, WayOut::HangUp),
            (Active, &[Held], WayOut::HangUp, WayOut::HangUp),
            (Active, &[Active], WayOut::Release, WayOut::None),
            (Alerting, &[Held], WayOut::HangUp, WayOut::HangUp),
            (Held, &[Active], WayOut::Release, WayOut::RefuseWaiting),
            (Held, &[Active, Waiting], WayOut::Release, WayOut::None),
            (Held, &[Active, Held], WayOut::Release, WayOut::None),
            (Held, &[], WayOut::Release, WayOut::RefuseWaiting),
            (Incoming, &[], WayOut::HangUp, WayOut::HangUp),
            (Incoming, &[Active], WayOut::RefuseWaiting, WayOut::RefuseWaiting),
            (Waiting, &[Active], WayOut::RefuseWaiting, WayOut::RefuseWaiting),
            (Waiting, &[Waiting], WayOut::None, WayOut::None),
        ] {
            assert_eq!(way_out(own, others, true), with_one, "{own:?} {others:?}");
            assert_eq!(way_out(own, others, false), without, "{own:?} {others:?}");
        }
    }
}
