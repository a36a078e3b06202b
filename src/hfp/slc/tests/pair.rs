//! Both ends of one link. Bytes arrive in pieces of a given size; time passes only when it is told to.

use crate::base::time::any_instant;
use std::time::{Duration, Instant};

use crate::hfp::ag::{self, Ag, Happening, Options};
use crate::hfp::slc::{Command, Event, Output, Slc};
use crate::hfp::{Call, Codec};

/// A unit and a phone.
pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) hf: Slc,
    pub(super) ag: Ag,
    /// Bytes of one piece.
    pub(super) piece: usize,
    pub(super) events: Vec<Event>,
    pub(super) phone_events: Vec<ag::Event>,
    /// What the unit has sent, line by line.
    pub(super) sent: Vec<String>,
    /// The audio link opens when either side wants it.
    pub(super) audio_works: bool,
    pub(super) audio: Option<Codec>,
    codec: Codec,
}

impl Pair {
    /// Connected and set up.
    pub(super) fn up(options: Options) -> Self {
        let mut pair = Self::new(options, 1000);
        pair.settle();
        pair
    }

    pub(super) fn new(options: Options, piece: usize) -> Self {
        let now = any_instant();
        Self {
            now,
            hf: Slc::start(now, &[Codec::Msbc, Codec::Cvsd]),
            ag: Ag::new(options),
            piece,
            events: Vec::new(),
            phone_events: Vec::new(),
            sent: Vec::new(),
            audio_works: true,
            audio: None,
            codec: Codec::Cvsd,
        }
    }

    pub(super) fn happens(&mut self, happening: Happening) {
        self.ag.happens(happening);
        self.settle();
    }

    pub(super) fn command(&mut self, command: Command) {
        self.hf.command(self.now, command);
        self.settle();
    }

    /// Time passes, and every timer with it.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.settle().filter(|at| *at <= end) {
            self.now = at;
            self.hf.handle_timeout(at);
        }
        self.now = end;
    }

    /// Lets both talk until neither has anything to say; the unit's next deadline.
    pub(super) fn settle(&mut self) -> Option<Instant> {
        loop {
            let deadline = self.drain_unit();
            if !self.drain_phone() {
                return deadline;
            }
        }
    }

    fn drain_unit(&mut self) -> Option<Instant> {
        loop {
            match self.hf.poll_output() {
                Output::Transmit(bytes) => {
                    self.sent.push(String::from_utf8(bytes.clone()).unwrap().trim().to_owned());
                    bytes.chunks(self.piece).for_each(|piece| self.ag.handle_input(piece));
                }
                Output::Event(event) => {
                    if let Event::Codec(codec) = event {
                        self.codec = codec;
                    } else if event == Event::OpenAudio {
                        self.link_audio(self.codec);
                    }
                    self.events.push(event);
                }
                Output::Timeout(next) => return next.map(|(at, _)| at),
            }
        }
    }

    fn drain_phone(&mut self) -> bool {
        let mut moved = false;
        loop {
            match self.ag.poll_output() {
                ag::Output::Transmit(bytes) => {
                    bytes.chunks(self.piece).for_each(|piece| self.hf.handle_input(self.now, piece));
                }
                ag::Output::Event(event) => {
                    if let ag::Event::OpenAudio(codec) = event {
                        assert_eq!(codec, self.codec, "the unit was told another codec");
                        self.link_audio(codec);
                    } else if event == ag::Event::CloseAudio {
                        self.unlink_audio();
                    }
                    self.phone_events.push(event);
                }
                ag::Output::Idle => return moved,
            }
            moved = true;
        }
    }

    fn link_audio(&mut self, codec: Codec) {
        if self.audio_works {
            self.audio = Some(codec);
            self.ag.audio_linked(true);
            self.hf.audio_linked(self.now, true);
        }
    }

    pub(super) fn unlink_audio(&mut self) {
        self.audio = None;
        self.ag.audio_linked(false);
        self.hf.audio_linked(self.now, false);
    }

    /// The calls as the unit knows them, and that the phone knows the same.
    pub(super) fn calls(&self) -> Vec<Call> {
        assert_eq!(self.hf.calls(), self.ag.calls());
        self.hf.calls().to_vec()
    }
}
