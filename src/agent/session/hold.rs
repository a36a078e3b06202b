//! While the phone's owner speaks on the call: the agent is silent, hears silence, and is kept from ending it.

use std::time::{Duration, Instant};

use super::contract::{Event, Output};
use super::conversation::{Session, State};
use crate::agent::format::BLOCKS_PER_SECOND;
use crate::agent::message::ClientMessage;

/// So often the service is told that somebody is active, which keeps its agent silent for about two seconds, and is
/// given the silence of that time, which keeps its recogniser fed.
const BEAT: Duration = Duration::from_secs(1);

impl Session {
    /// From now on nobody hears the agent, and it hears nobody.
    pub(super) fn hold(&mut self, now: Instant) {
        if self.held.is_some() {
            return;
        }
        self.held = Some(now);
        if matches!(self.state, State::Talking) && !self.playout.is_empty() {
            self.event(Event::Interrupted { reason: "the call is at the handset".into() });
        }
        self.replies.end_turn();
        self.is_audible = false;
        self.hush(now);
        self.outputs.push_back(Output::Flush);
    }

    /// Both hear each other again. What the agent began to say meanwhile is not heard from its middle.
    pub(super) fn resume(&mut self) {
        if self.held.take().is_some() {
            self.cut = self.cut.max(self.last_event_id);
        }
    }

    /// Nothing that waits will be heard.
    pub(super) fn hush(&mut self, now: Instant) {
        self.playout.flush();
        self.line_moved(now);
    }

    /// The beat has come.
    pub(super) fn keep_quiet(&mut self, now: Instant) {
        self.held = Some(now + BEAT);
        self.transmit(&ClientMessage::UserActivity);
        if let Some(input) = self.input_format {
            let silence = vec![input.silence(); input.block_bytes() * BLOCKS_PER_SECOND];
            self.transmit(&ClientMessage::Audio(silence));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Talk, voice};
    use super::*;
    use crate::agent::session::Input;

    fn is_active(talk: &Talk) -> usize {
        talk.sent.iter().filter(|message| **message == ClientMessage::UserActivity).count()
    }

    #[test]
    fn the_agent_falls_silent_at_once_and_what_was_heard_is_told() {
        let mut talk = Talk::started();
        talk.server(&voice(4, 1000));
        talk.play(5);
        talk.events();
        talk.input(Input::Hold);
        assert_eq!((talk.flushes, talk.session.take_block(true)), (1, None));
        let events = talk.events();
        assert!(matches!(
            events[..],
            [Event::Interrupted { .. }, Event::CutOff { reply: 1, played_ms: 100 }]
        ));
        talk.input(Input::Hold);
        assert_eq!((talk.events(), talk.flushes), (vec![], 1), "once is enough");
    }

    #[test]
    fn the_service_hears_silence_and_activity_every_second_and_nothing_of_the_call() {
        let mut talk = Talk::started();
        talk.input(Input::Hold);
        talk.pass(Duration::ZERO);
        talk.input(Input::CallerAudio(&[1, 2, 3]));
        for _ in 0..3 {
            talk.pass(Duration::from_secs(1));
        }
        assert_eq!(is_active(&talk), 4);
        let heard: Vec<&ClientMessage> =
            talk.sent.iter().filter(|message| matches!(message, ClientMessage::Audio(_))).collect();
        assert_eq!(heard, vec![&ClientMessage::Audio(vec![0xFF; 8000]); 4]);
        talk.input(Input::Resume);
        talk.sent.clear();
        talk.pass(Duration::from_secs(5));
        talk.input(Input::CallerAudio(&[1]));
        assert_eq!(talk.sent, [ClientMessage::Audio(vec![1])]);
    }

    #[test]
    fn what_the_agent_says_meanwhile_is_never_heard_not_even_its_rest() {
        let mut talk = Talk::started();
        talk.input(Input::Hold);
        talk.events();
        talk.server(&voice(4, 1000));
        assert_eq!(talk.session.take_block(true), None);
        let events = talk.events();
        assert_eq!(events, [Event::ResponseStarted { reply: 1 }, Event::CutOff { reply: 1, played_ms: 0 }]);
        talk.input(Input::Resume);
        talk.server(&voice(4, 1000));
        assert_eq!(talk.session.take_block(true), None);
        talk.server(&voice(5, 1000));
        assert!(talk.session.take_block(true).is_some());
    }

    #[test]
    fn a_call_that_is_at_the_handset_before_the_conversation_begins_stays_quiet() {
        let mut talk = Talk::new(crate::agent::session::Initiation::default());
        talk.input(Input::Hold);
        talk.input(Input::Opened);
        talk.input(Input::Begin);
        talk.server(&super::super::tests::metadata());
        talk.pass(Duration::ZERO);
        assert_eq!(is_active(&talk), 1);
    }
}
