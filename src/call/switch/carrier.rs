//! What a call asks of whatever carries it: the same in SIP's words and in the phones'.

use super::core::Switch;
use super::io::{AudioPath, Output};
use super::live::{On, Part, Stage};
use crate::base::CallId;
use crate::call::leg::{LegCommand, RejectWhy};
use crate::call::phones::PhoneCommand;
use crate::call::session::EndReason;

impl Switch {
    /// Calls out over the way that is open; false when there is nobody to call that way.
    pub(super) fn dial_out(&mut self, call: CallId, path: AudioPath) -> bool {
        let Some(live) = self.calls.get_mut(&call) else { return false };
        let command = match (&mut live.on, path) {
            (On::Sip(sip), AudioPath::Rtp { port }) => {
                let dial = |target| Output::Leg(LegCommand::Dial { call, target, rtp_port: port });
                sip.dial.take().map(dial)
            }
            (On::Phone(phone), AudioPath::VoiceLink) => {
                phone.dial.take().map(|number| Output::Phone(PhoneCommand::Dial { call, number }))
            }
            (On::Sip(_), AudioPath::VoiceLink) | (On::Phone(_), AudioPath::Rtp { .. }) => None,
        };
        let Some(command) = command else { return false };
        live.leg = Part::Open(());
        self.outputs.push_back(command);
        true
    }

    /// Tells the caller that it rings. Who calls a phone has been told by the network.
    pub(super) fn tell_ringing(&mut self, call: CallId) {
        match self.calls.get(&call).map(|live| &live.on) {
            Some(On::Sip(_)) => self.outputs.push_back(Output::Leg(LegCommand::Ring { call })),
            Some(On::Phone(_)) | None => {}
        }
    }

    /// Takes the incoming call, with its audio on this way.
    pub(super) fn take_call(&mut self, call: CallId, path: AudioPath) {
        self.outputs.push_back(match path {
            AudioPath::Rtp { port } => Output::Leg(LegCommand::Answer { call, rtp_port: port }),
            AudioPath::VoiceLink => Output::Phone(PhoneCommand::Answer { call }),
        });
    }

    /// An incoming call that no session may be made for. A phone's owner may still take it.
    pub(super) fn refuse_unrecorded(&mut self, call: CallId, on: &On) {
        match on {
            On::Sip(_) => {
                let why = RejectWhy::Failed;
                self.outputs.push_back(Output::Leg(LegCommand::Reject { call, why }));
            }
            On::Phone(_) => {}
        }
    }

    /// Lets go of the call, as its state asks for: refuses it, hangs up, or leaves it to the phone's owner.
    pub(super) fn let_go(&mut self, call: CallId, reason: EndReason) {
        let stopping = self.is_stopping();
        let Some(live) = self.calls.get_mut(&call).filter(|live| live.leg == Part::Open(())) else { return };
        let rings_here = live.is_inbound() && matches!(live.stage, Stage::Opening | Stage::Ringing);
        live.leg = Part::Leaving;
        let command = match (&live.on, rings_here) {
            (On::Sip(_), true) => Output::Leg(LegCommand::Reject { call, why: reject_why(reason) }),
            (On::Sip(_), false) => Output::Leg(LegCommand::Hangup { call }),
            (On::Phone(_), true) => match reject_why(reason) {
                why @ RejectWhy::Declined => Output::Phone(PhoneCommand::Reject { call, why }),
                // What is wrong here is no reason to take a call away from the phone's owner.
                RejectWhy::Busy | RejectWhy::NoAnswer | RejectWhy::Failed => {
                    live.leg = Part::Gone;
                    return;
                }
            },
            (On::Phone(_), false) if stopping && live.is_at_handset() => {
                live.leg = Part::Gone;
                return;
            }
            (On::Phone(_), false) => Output::Phone(PhoneCommand::Hangup { call }),
        };
        self.outputs.push_back(command);
    }
}

/// The refusal that a caller hears for a reason of ours.
fn reject_why(reason: EndReason) -> RejectWhy {
    match reason {
        EndReason::Busy => RejectWhy::Busy,
        EndReason::NoAnswer => RejectWhy::NoAnswer,
        EndReason::LocalHangup | EndReason::PolicyDenied | EndReason::Rejected => RejectWhy::Declined,
        EndReason::RemoteHangup
        | EndReason::AgentHangup
        | EndReason::Cancelled
        | EndReason::MaxDuration
        | EndReason::Silence
        | EndReason::MediaTimeout
        | EndReason::AgentError
        | EndReason::NetworkError
        | EndReason::PhoneLost
        | EndReason::Voicemail
        | EndReason::Transferred
        | EndReason::Failed
        | EndReason::Shutdown
        | EndReason::RecoveredAfterCrash => RejectWhy::Failed,
    }
}
