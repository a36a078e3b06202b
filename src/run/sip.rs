//! The sip thread: one SIP line and its UDP socket. It waits for commands, answers of the resolver, datagrams and
//! its deadline, all at once.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Instant;

use super::resolver::Resolver;
use crate::base::{CallIds, Metrics, Rng};
use crate::call::leg::{LegCommand, LegEvent};
use crate::call::sip_line::{Input, OpenLine, Output, Route, SipLine};
use crate::port::udp::{UdpSocket, facing};
use crate::sip;
use crate::sip::msg::{MESSAGE_BYTES_MAX, kind};
use crate::sys::clock;
use crate::sys::mailbox::{MailSender, Mailbox, mailbox};
use crate::sys::thread::{Role, Spawner};
use crate::sys::wait::{Interest, on, readable, wait};

/// Commands that wait at most; a switch that is further ahead has a fault.
const COMMANDS_MAX: usize = 256;
/// Answers of the resolver that wait at most: more than it has jobs.
const ANSWERS_MAX: usize = 64;
/// Datagrams that are read before commands and timers have their turn.
const DATAGRAMS_IN_A_ROW: usize = 32;

/// How the thread is used.
#[derive(Clone, Debug)]
pub struct SipOptions {
    /// Where the socket is bound: usually the unspecified address; 127.0.0.1 keeps everything on this machine.
    pub bind: IpAddr,
    /// A phone without an account: the socket opens at once, and anybody may call.
    pub open: Option<OpenLine>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}

/// Starts the thread. It ends when every sender is dropped; `LegCommand::Close` before that ends its calls.
pub fn spawn(
    spawner: &Spawner,
    options: SipOptions,
    resolver: Resolver,
    ids: CallIds,
    rng: Rng,
    tell: impl FnMut(LegEvent) + Send + 'static,
) -> io::Result<MailSender<LegCommand>> {
    let (commands, commands_box) = mailbox(COMMANDS_MAX)?;
    let (answers, answers_box) = mailbox(ANSWERS_MAX)?;
    let line = SipLine::new(options.open.clone(), ids, rng);
    spawner.spawn(Role::Sip, move || {
        let buffer = vec![0; MESSAGE_BYTES_MAX + 1];
        let mut thread = Thread {
            line,
            options,
            resolver,
            answers,
            socket: None,
            tell,
            buffer,
            unsent: 0,
            cut: 0,
            counted: sip::Counters::default(),
        };
        thread.run(&commands_box, &answers_box)
    })?;
    Ok(commands)
}

struct Answer {
    query: u64,
    found: io::Result<Vec<SocketAddr>>,
}

struct Thread<F> {
    line: SipLine,
    options: SipOptions,
    resolver: Resolver,
    answers: MailSender<Answer>,
    socket: Option<UdpSocket>,
    tell: F,
    buffer: Vec<u8>,
    /// Datagrams that could not be sent, or came longer than any message.
    unsent: u64,
    cut: u64,
    /// What of the line's counters was reported.
    counted: sip::Counters,
}

impl<F: FnMut(LegEvent)> Thread<F> {
    fn run(&mut self, commands: &Mailbox<LegCommand>, answers: &Mailbox<Answer>) -> io::Result<()> {
        loop {
            let deadline = self.drain();
            let mut fds = vec![on(commands.as_fd(), Interest::READ), on(answers.as_fd(), Interest::READ)];
            fds.extend(self.socket.as_ref().map(|socket| on(socket.as_fd(), Interest::READ)));
            wait(&mut fds, deadline)?;
            let has_datagrams = fds.get(2).is_some_and(readable);
            drop(fds);
            if commands.drain(|command| self.input(Input::Command(command))).is_err() {
                return Ok(());
            }
            // It never ends: this thread holds a sender itself.
            let _ = answers.drain(|answer| {
                let found = answer.found.and_then(|addresses| self.route(addresses));
                let found = found.map_err(|error| error.to_string());
                self.input(Input::Resolved { query: answer.query, found });
            });
            if has_datagrams {
                self.receive();
            }
            let now = clock::mono();
            if deadline.is_some_and(|deadline| now >= deadline) {
                self.line.handle_timeout(now);
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.line.handle_input(clock::mono(), input);
        self.drain();
    }

    /// Does everything that the line wants done; returns its deadline.
    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.line.poll_output() {
                Output::Transmit(transmit) => {
                    let sent = self.socket.as_ref().map(|socket| socket.send(&transmit.bytes, transmit.to));
                    let metrics = &self.options.metrics;
                    if matches!(sent, Some(Ok(()))) {
                        metrics.sip_messages.inc(["sent", kind(&transmit.bytes)]);
                    } else {
                        metrics.sip_unsent.inc();
                        // SIP sends again what matters; who cannot be reached is told by its timers.
                        self.unsent += 1;
                        log::debug!("a datagram could not be sent ({} so far)", self.unsent);
                    }
                }
                Output::Event(event) => (self.tell)(event),
                Output::Open { port } => self.open(port),
                Output::Resolve { query, host, port } => self.resolve(query, host, port),
                Output::Timeout(deadline) => {
                    self.report();
                    return deadline.map(|(at, _)| at);
                }
            }
        }
    }

    /// What the line counted, where others find it.
    fn report(&mut self) {
        let now = self.line.counters();
        if now == self.counted {
            return;
        }
        self.counted = now;
        let metrics = &self.options.metrics;
        for (reason, total) in [
            ("unreadable", now.unreadable),
            ("malformed", now.malformed),
            ("unmatched", now.unmatched),
            ("stranger", now.strangers),
            ("overload", now.overload),
        ] {
            metrics.sip_rejected.advance_to([reason], total);
        }
        for (status, total) in
            ["none", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx"].into_iter().zip(now.registration)
        {
            metrics.sip_registrations.advance_to([status], total);
        }
        metrics.sip_retransmissions.advance_to(now.repetitions.retransmitted);
        metrics.sip_repeated_requests.advance_to(now.repetitions.repeated);
    }

    fn open(&mut self, port: u16) {
        // The old one first: the new port may be the same.
        self.socket = None;
        let opened = UdpSocket::bind(SocketAddr::new(self.options.bind, port))
            .and_then(|socket| Ok((socket.local_address()?, socket)));
        let opened = match opened {
            Ok((local, socket)) => {
                self.socket = Some(socket);
                Ok(local)
            }
            Err(error) => Err(error.to_string()),
        };
        self.line.handle_input(clock::mono(), Input::Opened(opened));
    }

    fn resolve(&mut self, query: u64, host: String, port: u16) {
        if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let found = self.route(vec![SocketAddr::new(ip, port)]).map_err(|error| error.to_string());
            self.line.handle_input(clock::mono(), Input::Resolved { query, found });
            return;
        }
        let answers = self.answers.clone();
        self.resolver.resolve(host, port, move |found| {
            if answers.send(Answer { query, found }).is_err() {
                log::debug!("the sip thread did not take an answer of the resolver");
            }
        });
    }

    /// The addresses that can be reached from our socket.
    fn route(&self, mut addresses: Vec<SocketAddr>) -> io::Result<Route> {
        addresses.retain(|address| address.is_ipv4() == self.options.bind.is_ipv4());
        let first = addresses.first().ok_or_else(|| io::Error::other("no address of the right kind"))?;
        let local = self.local_ip(*first)?;
        Ok(Route { addresses, local })
    }

    fn local_ip(&self, peer: SocketAddr) -> io::Result<IpAddr> {
        if self.options.bind.is_unspecified() { facing(peer) } else { Ok(self.options.bind) }
    }

    fn receive(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..DATAGRAMS_IN_A_ROW {
            let Some(socket) = &self.socket else { break };
            let datagram = match socket.receive(&mut buffer) {
                Ok(Some(datagram)) => datagram,
                Ok(None) => break,
                Err(error) => {
                    log::warn!("reading from the SIP socket: {error}");
                    break;
                }
            };
            let local = self.local_ip(datagram.from).ok().zip(socket.local_address().ok());
            let Some((ip, bound)) = local.filter(|_| !datagram.is_cut) else {
                self.cut += 1;
                self.options.metrics.sip_cut.inc();
                log::debug!("a datagram was dropped ({} so far)", self.cut);
                continue;
            };
            let local = SocketAddr::new(ip, bound.port());
            if let Some(bytes) = buffer.get(..datagram.len) {
                self.options.metrics.sip_messages.inc(["received", kind(bytes)]);
                self.input(Input::Datagram { from: datagram.from, local, bytes });
            }
        }
        self.buffer = buffer;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{Receiver, unbounded};

    use super::*;
    use crate::base::{CallId, Number, Pii, Secret};
    use crate::call::leg::{DialTarget, LegEnd, LineAudio, LineCodec, SipAccount, SipStatus};

    struct Phone {
        commands: MailSender<LegCommand>,
        events: Receiver<LegEvent>,
        ids: CallIds,
    }

    impl Phone {
        fn start(accept_strangers: bool, seed: u64) -> Self {
            let spawner = Spawner::new(unbounded().0);
            let open = accept_strangers.then(OpenLine::default);
            let metrics = Metrics::new().unwrap();
            let options = SipOptions { bind: IpAddr::from([127, 0, 0, 1]), open, metrics };
            let resolver = Resolver::start(&spawner).unwrap();
            let (tell, events) = unbounded();
            let ids = CallIds::default();
            let commands =
                spawn(&spawner, options, resolver, ids.clone(), Rng::from_u64(seed), move |event| {
                    let _ = tell.send(event);
                });
            Self { commands: commands.unwrap(), events, ids }
        }

        fn next(&self) -> LegEvent {
            self.events.recv_timeout(Duration::from_secs(5)).unwrap()
        }

        fn status(&self) -> SipStatus {
            let LegEvent::Status(status) = self.next() else { panic!("another event") };
            status
        }

        fn audio(&self) -> LineAudio {
            let LegEvent::Audio { line, .. } = self.next() else { panic!("another event") };
            line
        }

        fn incoming(&self) -> CallId {
            let LegEvent::Incoming { call, .. } = self.next() else { panic!("another event") };
            call
        }

        fn end(&self) -> (LegEnd, Option<u16>) {
            let LegEvent::Ended { end, code, .. } = self.next() else { panic!("another event") };
            (end, code)
        }

        fn dial(&self, port: u16, rtp_port: u16) -> CallId {
            let call = self.ids.mint();
            let target = DialTarget::Uri(Pii(format!("sip:bob@localhost:{port}")));
            self.commands.send(LegCommand::Dial { call, target, rtp_port }).unwrap();
            call
        }
    }

    #[test]
    fn two_threads_call_each_other_over_loopback() {
        let (a, b) = (Phone::start(true, 1), Phone::start(true, 2));
        let port = b.status().local.unwrap().port();
        assert!(a.status().started);
        let call = a.dial(port, 4000);
        let taken = b.incoming();
        b.commands.send(LegCommand::Ring { call: taken }).unwrap();
        assert!(matches!(a.next(), LegEvent::Progress { code: 180, .. }));
        b.commands.send(LegCommand::Answer { call: taken, rtp_port: 4002 }).unwrap();
        let (line_a, line_b) = (a.audio(), b.audio());
        assert_eq!((line_a.remote.port(), line_b.remote.port()), (4002, 4000));
        assert_eq!((line_a.codec, line_b.codec), (LineCodec::Pcmu, LineCodec::Pcmu));
        a.commands.send(LegCommand::Hangup { call }).unwrap();
        assert_eq!((a.end(), b.end()), ((LegEnd::LocalHangup, None), (LegEnd::RemoteHangup, None)));
        for phone in [a, b] {
            phone.commands.send(LegCommand::Close).unwrap();
            assert!(matches!(phone.next(), LegEvent::Closed));
        }
    }

    #[test]
    fn an_account_opens_the_socket_and_without_a_user_name_it_calls_as_it_is() {
        let (service, trunk) = (Phone::start(false, 1), Phone::start(true, 2));
        let port = trunk.status().local.unwrap().port();
        let account = SipAccount {
            server: "localhost".into(),
            port,
            username: None,
            password: Some(Secret::new("unused")),
            local_port: 0,
        };
        service.commands.send(LegCommand::Configure(Some(account))).unwrap();
        while !service.status().started {}
        let call = service.ids.mint();
        let target = DialTarget::Number(Number::parse("+4930123").unwrap());
        service.commands.send(LegCommand::Dial { call, target, rtp_port: 4000 }).unwrap();
        let taken = trunk.incoming();
        service.commands.send(LegCommand::Hangup { call }).unwrap();
        assert_eq!(service.end().0, LegEnd::Cancelled);
        assert_eq!(trunk.end(), (LegEnd::Cancelled, Some(487)));
        trunk.commands.send(LegCommand::Hangup { call: taken }).unwrap();
    }

    #[test]
    fn garbage_and_the_largest_datagram_do_no_harm() {
        let (a, b) = (Phone::start(true, 1), Phone::start(true, 2));
        let to = b.status().local.unwrap();
        a.status();
        let stranger = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        for bytes in [vec![], vec![0; 65_507], vec![b'\n'; 3], b"INVITE sip:x SIP/2.0\r\n\r\n".to_vec()] {
            stranger.send(&bytes, to).unwrap();
        }
        a.dial(to.port(), 4000);
        b.incoming();
    }

    #[test]
    fn names_that_do_not_exist_end_the_call() {
        let a = Phone::start(true, 1);
        a.status();
        let call = a.ids.mint();
        let target = DialTarget::Uri(Pii("sip:bob@no-such-host.invalid".into()));
        a.commands.send(LegCommand::Dial { call, target, rtp_port: 4000 }).unwrap();
        assert_eq!(a.end(), (LegEnd::NetworkError, None));
    }
}
