//! Voice links of the simulated phone: opened by either side, closed by either side.

use std::time::Instant;

use serde_json::json;

use super::phone::{ADAPTER, Handset};
use super::run::Mail;
use super::voice::{Voice, VoiceEvent};
use crate::hfp::{CallState, Codec};
use crate::port::sco::Link;
use crate::port::wav::Recording;

fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Cvsd => "cvsd",
        Codec::Msbc => "msbc",
    }
}

impl Handset {
    /// The phone opens a link.
    pub(super) fn open_audio(&mut self, now: Instant, codec: Codec) {
        if self.voice.is_some() || self.link.is_some() {
            return;
        }
        match self.sco.connect(self.options.address, ADAPTER, codec) {
            Ok(link) => self.link = Some((link, codec)),
            Err(error) => self.tell(now, "audio_refused", json!({ "error": error.to_string() })),
        }
    }

    /// The hands-free unit opens one. With no call, or while the owner keeps the audio, it is refused.
    pub(super) fn accept_audio(&mut self, now: Instant) {
        loop {
            let incoming = match self.listener.accept() {
                Ok(Some(incoming)) => incoming,
                Ok(None) => return,
                Err(error) => {
                    self.tell(now, "error", json!({ "error": error.to_string() }));
                    continue;
                }
            };
            let wanted = incoming.phone() == ADAPTER && self.voice.is_none() && !self.calls.is_empty();
            if !wanted || self.ag.keeps_audio() {
                self.tell(now, "audio_refused", json!({ "error": "the phone does not want it" }));
                continue;
            }
            let codec = self.ag.chosen_codec();
            match incoming.admit(codec) {
                Ok(link) => self.link = Some((link, codec)),
                Err(error) => self.tell(now, "audio_refused", json!({ "error": error.to_string() })),
            }
        }
    }

    /// The link on its way is up, or failed.
    pub(super) fn finish_audio(&mut self, now: Instant) {
        let Some((link, codec)) = self.link.take() else { return };
        if let Err(error) = self.start_voice(link, codec) {
            self.tell(now, "audio_refused", json!({ "error": error.to_string() }));
            return;
        }
        self.ag.audio_linked(true);
        self.speak();
        self.tell(now, "audio_opened", json!({ "codec": codec_name(codec) }));
    }

    fn start_voice(&mut self, link: Link, codec: Codec) -> std::io::Result<()> {
        let link = link.finish()?;
        self.links += 1;
        let (number, mail) = (self.links, self.mail.clone());
        // A full mailbox is of a phone that ends.
        let report = move |event| _ = mail.send(Mail::Voice(number, event));
        let mut talk = std::mem::take(&mut self.talk);
        if let (None, Some(path)) = (&talk.recording, &self.options.record) {
            match Recording::create(path, 1) {
                Ok(recording) => talk.recording = Some(recording),
                Err(error) => report(VoiceEvent::RecordingFailed(error.to_string())),
            }
        }
        let packet_bytes = self.options.packet_bytes;
        self.voice = Some(Voice::start(&self.spawner, link, codec, packet_bytes, talk, report)?);
        Ok(())
    }

    /// The other end speaks once a call is active.
    pub(super) fn speak(&self) {
        let active = self.ag.calls().iter().any(|call| call.state == CallState::Active);
        if let Some(voice) = self.voice.as_ref().filter(|_| active) {
            voice.speak();
        }
    }

    /// The link is closed.
    pub(super) fn close_audio(&mut self, now: Instant, by: &str) {
        self.link = None;
        let Some(voice) = self.voice.take() else { return };
        self.ag.audio_linked(false);
        let counts = voice.end().map(|(talk, counts)| {
            self.talk = talk;
            counts
        });
        // Whoever reads that the link is closed may read what was heard over it.
        if let Some(Err(error)) = self.talk.recording.as_mut().map(Recording::flush) {
            self.tell(now, "recording_failed", json!({ "error": error.to_string() }));
        }
        let counts = counts.unwrap_or_default();
        let about = json!({
            "by": by,
            "packets_sent": counts.sent,
            "packets_dropped": counts.dropped,
            "packets_received": counts.received,
            "frames_missing": counts.missing,
            "bad_bytes": counts.bad_bytes,
            "silent_ms_max": counts.silent_ms_max,
        });
        self.tell(now, "audio_closed", about);
    }

    /// A word of a voice.
    pub(super) fn on_voice(&mut self, now: Instant, link: u64, event: VoiceEvent) {
        if link != self.links {
            return;
        }
        match event {
            VoiceEvent::Heard(at) => self.tell(at, "heard", json!({})),
            VoiceEvent::Said(at) => self.tell(at, "said", json!({})),
            VoiceEvent::Closed => self.close_audio(now, "hands_free"),
            VoiceEvent::RecordingFailed(error) => {
                self.tell(now, "recording_failed", json!({ "error": error }));
            }
        }
    }
}
