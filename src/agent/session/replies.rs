//! Which words and which audio belong to the same reply. Replies are numbered from 1 in the order in which they
//! began; the service's own numbers are optional in texts.

use std::collections::VecDeque;

use crate::agent::message::TEXT_BYTES_MAX;

/// Replies that are remembered; the oldest is forgotten, and a late word for it would begin a new one.
const REPLIES_MAX: usize = 64;

#[derive(Debug)]
struct Reply {
    number: u64,
    event_id: Option<u64>,
    text: String,
}

/// The replies of a conversation.
#[derive(Debug, Default)]
pub(super) struct Replies {
    count: u64,
    known: VecDeque<Reply>,
    /// The caller spoke, or the reply was said to be complete: words without a number begin a new one.
    turn_is_over: bool,
}

/// Where something belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) reply: u64,
    /// It is the first sign of this reply.
    pub(super) is_new: bool,
}

impl Replies {
    /// Where audio, or words with a number, belong.
    pub(super) fn place(&mut self, event_id: u64) -> Place {
        if let Some(reply) = self.known.iter().find(|reply| reply.event_id == Some(event_id)) {
            return Place { reply: reply.number, is_new: false };
        }
        // Words without a number came first: this is their number.
        if let Some(reply) = self.known.back_mut().filter(|reply| reply.event_id.is_none()) {
            reply.event_id = Some(event_id);
            return Place { reply: reply.number, is_new: false };
        }
        self.begin(Some(event_id))
    }

    /// Where words without a number belong.
    pub(super) fn place_unnumbered(&mut self) -> Place {
        match self.known.back() {
            Some(reply) if !self.turn_is_over => Place { reply: reply.number, is_new: false },
            Some(_) | None => self.begin(None),
        }
    }

    /// The next words without a number begin a new reply.
    pub(super) fn end_turn(&mut self) {
        self.turn_is_over = true;
    }

    /// Adds words to a reply and returns all of them. Beyond 64 KiB nothing is added.
    pub(super) fn append(&mut self, number: u64, words: &str) -> String {
        let Some(reply) = self.known.iter_mut().find(|reply| reply.number == number) else {
            return words.to_owned();
        };
        if reply.text.len() + words.len() < TEXT_BYTES_MAX {
            let glued = reply.text.is_empty()
                || reply.text.ends_with(char::is_whitespace)
                || words.starts_with(char::is_whitespace);
            if !glued && !words.is_empty() {
                reply.text.push(' ');
            }
            reply.text.push_str(words);
        }
        reply.text.clone()
    }

    /// Replaces the words of a reply.
    pub(super) fn correct(&mut self, number: u64, words: &str) {
        if let Some(reply) = self.known.iter_mut().find(|reply| reply.number == number) {
            words.clone_into(&mut reply.text);
        }
    }

    fn begin(&mut self, event_id: Option<u64>) -> Place {
        self.count += 1;
        self.turn_is_over = false;
        self.known.push_back(Reply { number: self.count, event_id, text: String::new() });
        if self.known.len() > REPLIES_MAX {
            self.known.pop_front();
        }
        Place { reply: self.count, is_new: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(reply: u64, is_new: bool) -> Place {
        Place { reply, is_new }
    }

    #[test]
    fn audio_and_words_of_one_number_are_one_reply_in_either_order() {
        let mut replies = Replies::default();
        assert_eq!(
            [replies.place(4), replies.place(4), replies.place(9)],
            [at(1, true), at(1, false), at(2, true)]
        );
        assert_eq!(replies.append(1, "One."), "One.");
        assert_eq!(replies.append(1, "Two."), "One. Two.");
    }

    #[test]
    fn words_without_a_number_join_the_reply_of_their_turn() {
        let mut replies = Replies::default();
        assert_eq!(replies.place_unnumbered(), at(1, true));
        assert_eq!(replies.place(7), at(1, false));
        assert_eq!(replies.place_unnumbered(), at(1, false));
        replies.end_turn();
        assert_eq!(replies.place_unnumbered(), at(2, true));
        assert_eq!(replies.place(8), at(2, false));
    }

    #[test]
    fn only_64_replies_of_64_kib_are_kept() {
        let mut replies = Replies::default();
        for id in 1..=100 {
            replies.place(id);
        }
        assert_eq!((replies.known.len(), replies.place(1)), (REPLIES_MAX, at(101, true)));
        replies.append(101, &"x".repeat(TEXT_BYTES_MAX - 1));
        assert_eq!(replies.append(101, "more").len(), TEXT_BYTES_MAX - 1);
    }
}
