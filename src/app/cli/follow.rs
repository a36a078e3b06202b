//! Watching a stream until it ends, the person leaves, or nobody reads: broken connections are resumed where they
//! broke.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use serde_json::Value;

use crate::app::fault::Fault;
use crate::app::out;
use crate::base::Backoff;
use crate::port::rest_local::{ApiClient, ApiError, STREAM_SILENCE_MAX, Streamed};
use crate::sys::signal::{self, Signal};
use crate::sys::thread::{Role, Spawner};
use crate::sys::{clock, terminal};

/// Every session's events.
pub(super) const ALL: &str = "all";
/// How long a service that is gone may take to come back: a restart.
const AWAY_MAX: Duration = Duration::from_secs(30);
/// First and longest pause between two attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Events that wait for a slow terminal; then the stream waits.
const WAITING_EVENTS_MAX: usize = 64;

/// What ends or feeds the watching.
enum Input {
    Event(Option<u64>, Box<Value>),
    Alive,
    /// What was before the stream was opened has all come.
    Live,
    /// The stream ended, or could not be opened.
    Over(Option<ApiError>),
    Stop,
    NobodyReads,
}

/// Which events are told, of those that happened when the watching began and those that happen then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Both.
    All,
    /// The former; the watching ends after them.
    Past,
    /// The latter.
    Future,
}

/// Watches one session, or all.
pub(super) struct Watch<'a> {
    pub(super) client: &'a ApiClient,
    /// A session id, or [`ALL`]; `current` would mean another call after a reconnect.
    pub(super) session: &'a str,
    /// The last event that is known already.
    pub(super) after: Option<u64>,
    pub(super) part: Part,
    /// Whether the watching goes on when nobody reads standard output.
    pub(super) unread: bool,
}

impl Watch<'_> {
    /// Tells each event to `each`, until the session's last or the last of the past. `Ok` at that end only.
    pub(super) fn run(mut self, mut each: impl FnMut(&Value) -> Result<(), Fault>) -> Result<(), Fault> {
        let (died, _deaths) = unbounded();
        let spawner = Spawner::new(died);
        let (tell, inputs) = bounded(WAITING_EVENTS_MAX);
        watch_person(&spawner, &tell, self.unread)?;
        let mut away = Away::default();
        loop {
            self.open(&spawner, &tell)?;
            match self.listen(&inputs, &mut away, &mut each)? {
                None => return Ok(()),
                // What it refuses for good, it refuses again; and who was never there may never come.
                Some(error) if !(away.was_there && error.may_pass()) => return Err(error.into()),
                Some(error) => away.again(error, &inputs)?,
            }
        }
    }

    /// A thread that reads the stream: the read cannot be waited for beside anything else.
    fn open(&self, spawner: &Spawner, tell: &Sender<Input>) -> Result<(), Fault> {
        let (client, session, after, tell) =
            (self.client.clone(), self.session.to_owned(), self.after, tell.clone());
        let read = move || {
            let over = match client.events(&session, after) {
                Err(error) => Some(error),
                Ok(stream) => {
                    for streamed in stream {
                        let input = match streamed {
                            Streamed::Event { id, event } => Input::Event(id, Box::new(event)),
                            Streamed::Alive => Input::Alive,
                            Streamed::Live => Input::Live,
                        };
                        if tell.send(input).is_err() {
                            return;
                        }
                    }
                    None
                }
            };
            // Nobody listens any more: the command has ended.
            let _ = tell.send(Input::Over(over));
        };
        spawner.spawn(Role::Watcher, read).map(drop).map_err(Fault::refused("a thread"))
    }

    /// Until the stream's end: `None` after the last event that is wanted, else why there is nothing more.
    fn listen(
        &mut self,
        inputs: &Receiver<Input>,
        away: &mut Away,
        each: &mut impl FnMut(&Value) -> Result<(), Fault>,
    ) -> Result<Option<ApiError>, Fault> {
        let mut ended = false;
        loop {
            match inputs.recv_timeout(STREAM_SILENCE_MAX) {
                Ok(Input::Event(id, event)) => {
                    away.is_there();
                    self.after = id.or(self.after);
                    ended |= self.session != ALL && event["event_type"] == "call_ended";
                    if self.part != Part::Future {
                        each(&event)?;
                    }
                }
                Ok(Input::Live) => {
                    away.is_there();
                    match self.part {
                        Part::Past => return Ok(None),
                        // What comes after a break is new, even if it was before the next opening.
                        Part::All | Part::Future => self.part = Part::All,
                    }
                }
                Ok(Input::Alive) => away.is_there(),
                Ok(Input::Over(_)) if ended => return Ok(None),
                Ok(Input::Over(error)) => {
                    return Ok(Some(error.unwrap_or_else(|| self.lost("the stream broke"))));
                }
                Ok(Input::Stop) => return Err(Fault::Interrupted("no longer watching".into())),
                Ok(Input::NobodyReads) => return Err(Fault::NobodyReads),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(self.lost("the stream is silent").into());
                }
            }
        }
    }

    fn lost(&self, why: &str) -> ApiError {
        ApiError::Unreachable { base: self.client.base().to_owned(), why: why.into() }
    }
}

/// Since when the service has been away.
#[derive(Default)]
struct Away {
    was_there: bool,
    since: Option<(Instant, Backoff)>,
}

impl Away {
    fn is_there(&mut self) {
        *self = Self { was_there: true, since: None };
    }

    /// Pauses before another attempt; the error once it is too late for one.
    fn again(&mut self, error: ApiError, inputs: &Receiver<Input>) -> Result<(), Fault> {
        let now = clock::mono();
        let (since, backoff) = self.since.get_or_insert_with(|| {
            out::remark("the service is away; waiting for it to come back");
            (now, Backoff::new(PAUSE.0, PAUSE.1))
        });
        if now.saturating_duration_since(*since) > AWAY_MAX {
            return Err(error.into());
        }
        let mut rng = clock::rng().map_err(Fault::refused("randomness"))?;
        match inputs.recv_timeout(pause(&error, backoff.next_delay(&mut rng))) {
            Ok(Input::Stop) => Err(Fault::Interrupted("no longer watching".into())),
            Ok(Input::NobodyReads) => Err(Fault::NobodyReads),
            Ok(Input::Event(..) | Input::Alive | Input::Live | Input::Over(_)) | Err(_) => Ok(()),
        }
    }
}

/// How long to wait: as long as the service asks for, where it does.
fn pause(error: &ApiError, own: Duration) -> Duration {
    match error {
        ApiError::Refused { retry_after: Some(asked_for), .. } => own.max(*asked_for).min(AWAY_MAX),
        ApiError::Refused { .. } | ApiError::Unreachable { .. } | ApiError::Answer(_) => own,
    }
}

/// Ctrl-C, and whoever reads our output.
fn watch_person(spawner: &Spawner, tell: &Sender<Input>, unread: bool) -> Result<(), Fault> {
    let stop = tell.clone();
    signal::listen(spawner, move |signal| match signal {
        Signal::Stop => stop.send(Input::Stop).is_ok(),
        Signal::Reload => true,
    })
    .map_err(Fault::refused("signal handlers"))?;
    if unread {
        return Ok(());
    }
    let tell = tell.clone();
    let gone = move || {
        if terminal::wait_until_unread().is_ok() {
            let _ = tell.send(Input::NobodyReads);
        }
    };
    spawner.spawn(Role::Watcher, gone).map(drop).map_err(Fault::refused("a thread"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn watching(client: &ApiClient, part: Part) -> Watch<'_> {
        Watch { client, session: ALL, after: None, part, unread: true }
    }

    /// The numbers of the events that are told when the stream says this.
    fn told(watch: &mut Watch<'_>, says: Vec<Input>) -> (Vec<u64>, bool) {
        let (tell, inputs) = bounded(WAITING_EVENTS_MAX);
        for input in says {
            tell.send(input).unwrap();
        }
        let mut told = Vec::new();
        let each = &mut |event: &Value| {
            told.extend(event.as_u64());
            Ok(())
        };
        let over = watch.listen(&inputs, &mut Away::default(), each).unwrap();
        (told, over.is_none())
    }

    #[test]
    fn past_and_future_part_where_the_stream_says_so_and_after_a_break_everything_is_new() {
        let client = ApiClient::new("http://127.0.0.1:1", None);
        let event = |seq: u64| Input::Event(Some(seq), Box::new(seq.into()));
        let stream = |from: u64| {
            vec![Input::Alive, event(from), Input::Live, event(from + 1), Input::Alive, Input::Over(None)]
        };
        assert_eq!(told(&mut watching(&client, Part::All), stream(1)), (vec![1, 2], false));
        assert_eq!(told(&mut watching(&client, Part::Past), stream(1)), (vec![1], true));
        let mut future = watching(&client, Part::Future);
        // Broken while the past was read: it is still past.
        assert_eq!(told(&mut future, vec![event(1), Input::Over(None)]), (vec![], false));
        assert_eq!(future.after, Some(1));
        assert_eq!(told(&mut future, stream(2)), (vec![3], false));
        assert_eq!(told(&mut future, stream(4)), (vec![4, 5], false));
    }

    /// The same, when a service answers with this.
    fn told_by_a_service(part: Part, says: &'static str) -> (Vec<u64>, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = ApiClient::new(format!("http://{}", listener.local_addr().unwrap()), None);
        let (died, _deaths) = unbounded();
        let spawner = Spawner::new(died);
        let answer = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
            stream.write_all(format!("{head}{says}").as_bytes()).unwrap();
        };
        spawner.spawn(Role::Watcher, answer).unwrap();
        let mut watch = watching(&client, part);
        let (tell, inputs) = unbounded();
        watch.open(&spawner, &tell).unwrap();
        let says = inputs.iter().take_while(|input| !matches!(input, Input::Over(_)));
        told(&mut watch, says.chain([Input::Over(None)]).collect())
    }

    #[test]
    fn a_service_that_does_not_say_where_the_past_ends_says_that_nothing_happens() {
        let says =
            ": callscoot\n\nid: 1\ndata: 1\n\n: another\n\nid: 2\ndata: 2\n\n: alive\n\nid: 3\ndata: 3\n\n";
        assert_eq!(told_by_a_service(Part::Past, says), (vec![1, 2], true));
        assert_eq!(told_by_a_service(Part::Future, says), (vec![3], false));
        assert_eq!(told_by_a_service(Part::All, says), (vec![1, 2, 3], false));
    }

    #[test]
    fn a_service_that_only_said_that_it_lives_is_waited_for_when_it_goes_away() {
        let client = ApiClient::new("http://127.0.0.1:1", None);
        let mut watch = watching(&client, Part::All);
        let (tell, inputs) = bounded(WAITING_EVENTS_MAX);
        let mut away = Away::default();
        for input in [Input::Event(Some(7), Box::default()), Input::Alive, Input::Over(None)] {
            tell.send(input).unwrap();
        }
        assert!(watch.listen(&inputs, &mut away, &mut |_| Ok(())).unwrap().is_some());
        assert!(away.was_there && away.since.is_none());
        assert_eq!(watch.after, Some(7));
    }

    #[test]
    fn a_full_service_is_asked_again_when_it_says_and_one_that_refuses_is_not() {
        let refused = |status, retry_after| {
            let message = String::new();
            ApiError::Refused { status, message, reason: None, retry_after }
        };
        assert!([408, 429, 500, 503].into_iter().all(|status| refused(status, None).may_pass()));
        assert!(![400, 401, 404, 421].into_iter().any(|status| refused(status, None).may_pass()));
        let asked_for = Duration::from_secs(20);
        let full = refused(503, Some(asked_for));
        assert_eq!(pause(&full, PAUSE.0), asked_for);
        assert_eq!(pause(&refused(503, None), PAUSE.0), PAUSE.0);
    }
}
