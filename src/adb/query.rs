//! One question to the server, from its first request to the end of the answer. It has a connection of its own.

use std::collections::VecDeque;

use super::device::Serial;
use super::wire::{Expect, Got, Reader, request};

/// What comes out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'b> {
    /// Send this.
    Send(Vec<u8>),
    /// The server took the last request; its answer follows.
    Answering,
    /// A block of the answer.
    Block(Vec<u8>),
    /// A piece of the answer, which ends with the connection.
    Raw(&'b [u8]),
    /// There is no answer: `FAIL` with the server's words, or bytes that are none of this protocol (`None`).
    Refused(Option<String>),
}

/// A question.
#[derive(Clone, Debug)]
pub struct Query {
    requests: VecDeque<Vec<u8>>,
    answer: Expect,
    reader: Reader,
}

impl Query {
    /// `host:version`: answers with one block, the version in four hexadecimal digits.
    pub fn version() -> Self {
        Self::new(&["host:version".into()], Expect::Block)
    }

    /// `host:track-devices`: answers with a block whenever the list changes.
    pub fn track() -> Self {
        Self::new(&["host:track-devices".into()], Expect::Block)
    }

    /// A command for the shell of a phone: answers with its output.
    pub fn shell(serial: &Serial, command: &str) -> Self {
        Self::new(&[format!("host:transport:{serial}"), format!("shell:{command}")], Expect::Raw)
    }

    fn new(services: &[String], answer: Expect) -> Self {
        // None of ours is too long: serial numbers and commands have their own bounds.
        let requests = services.iter().filter_map(|service| request(service)).collect();
        Self { requests, answer, reader: Reader::default() }
    }

    /// The connection is there: the first request.
    pub fn begin(&mut self) -> Option<Vec<u8>> {
        self.requests.pop_front()
    }

    /// The next step in `bytes`, which loses what was used; to be called until `None`, or until it was refused.
    pub fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<Step<'b>> {
        Some(match self.reader.next(bytes)? {
            Got::Okay => {
                if let Some(request) = self.requests.pop_front() {
                    Step::Send(request)
                } else {
                    self.reader.expect(self.answer);
                    Step::Answering
                }
            }
            Got::Fail(words) => Step::Refused(Some(words)),
            Got::Block(block) => Step::Block(block),
            Got::Raw(raw) => Step::Raw(raw),
            Got::Garbage => Step::Refused(None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_command_goes_to_its_phone_first() {
        let mut query = Query::shell(&Serial::parse("AB1").unwrap(), "dumpsys telecom");
        assert_eq!(query.begin().unwrap(), b"0012host:transport:AB1");
        let mut bytes = &b"OKAY"[..];
        assert_eq!(query.next(&mut bytes), Some(Step::Send(b"0015shell:dumpsys telecom".to_vec())));
        assert_eq!(query.next(&mut bytes), None);
        let mut bytes = &b"OKAYone two"[..];
        assert_eq!(query.next(&mut bytes), Some(Step::Answering));
        assert_eq!(query.next(&mut bytes), Some(Step::Raw(b"one two")));
        assert_eq!(query.next(&mut bytes), None);
    }

    #[test]
    fn a_phone_that_is_not_there_is_refused_in_the_servers_words() {
        let mut query = Query::shell(&Serial::parse("AB1").unwrap(), "true");
        query.begin();
        let mut bytes = &b"FAIL0016device 'AB1' not found"[..];
        assert_eq!(query.next(&mut bytes), Some(Step::Refused(Some("device 'AB1' not found".into()))));
    }
}
