//! Every metric: its name, its labels, and what it says. The sentence above each is its help text.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Registry, TextEncoder};

use super::instrument::{Counter, CounterBy, Gauge, GaugeBy, Info, MetricsError, Seconds, Timing, TimingBy};

/// Bounds of what happens within a request, a commit, a connect: 1 ms to 10 s.
const SHORT: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds of what an ear notices: 10 ms to 5 s.
const HEARD: &[f64] = &[0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
/// Bounds of a network's jitter and round trip.
const NETWORK: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5];
/// Bounds of ringing: 1 s to 90 s.
const RINGING: &[f64] = &[1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0];
/// Bounds of a call: 5 s to an hour.
const TALKING: &[f64] = &[5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

/// What gathers figures that others keep, when somebody asks for them.
type Source = Box<dyn Fn(&Metrics) + Send + Sync>;

macro_rules! catalogue {
    ($(
        $(#[doc = $help:literal])+
        $field:ident: $kind:ident$(<$labels:literal>)? = $name:literal $(, $more:expr)*;
    )*) => {
        /// All of them. Shared by everyone who counts.
        pub struct Metrics {
            registry: Registry,
            sources: Mutex<Vec<Source>>,
            $($(#[doc = $help])+ pub $field: $kind$(<$labels>)?,)*
        }

        impl Metrics {
            /// All at nothing.
            pub fn new() -> Result<Arc<Self>, MetricsError> {
                let registry = Registry::new();
                Ok(Arc::new(Self {
                    $($field: $kind::new(
                        &registry, concat!("callscoot_", $name), concat!($($help),+).trim_start() $(, $more)*
                    )?,)*
                    registry,
                    sources: Mutex::default(),
                }))
            }

            /// Name, kind and help text of each.
            #[cfg(test)]
            fn declared() -> Vec<(&'static str, &'static str, &'static str)> {
                vec![$((
                    concat!("callscoot_", $name), stringify!($kind), concat!($($help),+).trim_start()
                )),*]
            }
        }
    };
}

catalogue! {
    // The process.
    /// Always 1; the label says which version runs.
    build_info: Info = "build_info", "version", env!("CARGO_PKG_VERSION");
    /// When the process started, in Unix time.
    process_start_time: Gauge = "process_start_time_seconds";
    /// Memory that is in RAM.
    process_resident_memory: Gauge = "process_resident_memory_bytes";
    /// Processor time of all threads, in user and system mode.
    process_cpu: Seconds = "process_cpu_seconds_total";
    /// Open file descriptors.
    process_open_fds: Gauge = "process_open_fds";
    /// Threads of the process.
    process_threads: Gauge = "process_threads";

    // Calls.
    /// Calls that began, also those that were refused or never answered.
    calls_started: CounterBy<2> = "calls_started_total", ["direction", "backend"],
        &[["inbound", "sip"], ["outbound", "sip"], ["inbound", "hfp"], ["outbound", "hfp"]];
    /// Calls that ended, by their end_reason.
    calls_ended: CounterBy<3> = "calls_ended_total", ["direction", "backend", "end_reason"], &[];
    /// Calls that live now, until their last record is stored.
    calls_live: Gauge = "calls_live";
    /// From the begin of a call to its answer.
    call_ring: TimingBy<1> = "call_ring_seconds", ["direction"], RINGING;
    /// From the answer of a call to its end.
    call_duration: TimingBy<1> = "call_duration_seconds", ["direction"], TALKING;
    /// Outbound calls that were refused before anything was dialled.
    outbound_refused: CounterBy<1> = "outbound_refused_total", ["reason"],
        &[["emergency"], ["premium"], ["short"], ["budget"], ["no_line"], ["unavailable"]];
    /// Pending requests that wait for their call.
    pending_requests: Gauge = "pending_requests";

    // The agent.
    /// Conversations that the agent service accepted.
    agent_sessions: Counter = "agent_sessions_total";
    /// From the wish for a conversation to the open socket, with name, TLS and every attempt.
    agent_connect: Timing = "agent_connect_seconds", SHORT;
    /// Further attempts to reach the agent service.
    agent_reconnects: Counter = "agent_reconnects_total";
    /// What went wrong: a fault leaves the conversation going on, a failure ends the call.
    agent_errors: CounterBy<1> = "agent_errors_total", ["kind"], &[["fault"], ["failure"]];
    /// From the answer of a call to the first of the agent's audio on the line.
    agent_first_audio: Timing = "agent_first_audio_seconds", HEARD;
    /// From the word that the caller interrupted to silence on the line.
    agent_interruption_silence: Timing = "agent_interruption_silence_seconds", HEARD;
    /// Caller audio that had grown stale and was not sent to the agent.
    agent_stale_audio: Seconds = "agent_stale_audio_seconds_total";
    /// Blocks of 20 ms of caller audio that found the ring to the agent full.
    agent_ring_overruns: Counter = "agent_ring_overruns_total";

    // RTP, over all calls.
    /// RTP packets sent.
    rtp_sent_packets: Counter = "rtp_sent_packets_total";
    /// Payload bytes sent.
    rtp_sent_bytes: Counter = "rtp_sent_bytes_total";
    /// RTP packets received from the peers of calls.
    rtp_received_packets: Counter = "rtp_received_packets_total";
    /// Payload bytes received.
    rtp_received_bytes: Counter = "rtp_received_bytes_total";
    /// Packets that never came in time.
    rtp_lost_packets: Counter = "rtp_lost_packets_total";
    /// Packets that came too late; they are among the lost.
    rtp_late_packets: Counter = "rtp_late_packets_total";
    /// Packets that came out of order and were put in order.
    rtp_reordered_packets: Counter = "rtp_reordered_packets_total";
    /// Packets that came twice.
    rtp_duplicate_packets: Counter = "rtp_duplicate_packets_total";
    /// Datagrams that were no use: no RTP, an unknown payload type, a huge jump.
    rtp_dropped_packets: Counter = "rtp_dropped_packets_total";
    /// Datagrams from addresses that have no part in the call.
    rtp_stranger_packets: Counter = "rtp_stranger_packets_total";
    /// Datagrams that the system did not take.
    rtp_unsent_packets: Counter = "rtp_unsent_packets_total";
    /// Caller audio that was made up for what was lost or silent.
    rtp_concealed: Seconds = "rtp_concealed_seconds_total";
    /// Short holes in what the line heard of the agent.
    rtp_underruns: Counter = "rtp_underruns_total";
    /// Beats of 20 ms that came a beat or more late and were made good, by call.
    rtp_late_beats: Counter = "rtp_late_beats_total";
    /// Beats that came so late that their audio was skipped, by call.
    rtp_skipped_beats: Counter = "rtp_skipped_beats_total";
    /// Interarrival jitter (RFC 3550) at the end of each call.
    rtp_jitter: Timing = "rtp_jitter_seconds", NETWORK;
    /// Round trip by RTCP at the end of each call whose peer told it.
    rtp_round_trip: Timing = "rtp_round_trip_seconds", NETWORK;

    // Voice links of Bluetooth phones, over all calls.
    /// Packets that came over a voice link for a call.
    sco_received_packets: Counter = "sco_received_packets_total";
    /// Packets that were sent over a voice link for a call.
    sco_sent_packets: Counter = "sco_sent_packets_total";
    /// Packets that the system did not take, or that would have been late.
    sco_unsent_packets: Counter = "sco_unsent_packets_total";
    /// Frames of 7.5 ms that came.
    sco_frames: Counter = "sco_frames_total";
    /// Frames that never came.
    sco_lost_frames: Counter = "sco_lost_frames_total";
    /// Frames that came damaged.
    sco_bad_frames: Counter = "sco_bad_frames_total";
    /// Caller audio that was made up for lost and damaged frames.
    sco_concealed: Seconds = "sco_concealed_seconds_total";
    /// Silence that the agent got while a call had no voice link, or nothing came over it.
    sco_silence: Seconds = "sco_silence_seconds_total";
    /// Short holes in what the phone heard of the agent.
    sco_underruns: Counter = "sco_underruns_total";

    // The Android Debug Bridge.
    /// Questions to the adb server.
    adb_queries: Counter = "adb_queries_total";
    /// Those without an answer.
    adb_failed_queries: Counter = "adb_failed_queries_total";
    /// Looks at phones among them.
    adb_looks: Counter = "adb_looks_total";
    /// Times the adb server was lost or not there.
    adb_server_losses: Counter = "adb_server_losses_total";

    // SIP.
    /// SIP messages: requests by method, responses by class.
    sip_messages: CounterBy<2> = "sip_messages_total", ["direction", "kind"], &[];
    /// Messages that were sent again because no answer had come.
    sip_retransmissions: Counter = "sip_retransmissions_total";
    /// Requests of others that came again.
    sip_repeated_requests: Counter = "sip_repeated_requests_total";
    /// Messages that were not acted on, by reason.
    sip_rejected: CounterBy<1> = "sip_rejected_messages_total", ["reason"],
        &[["unreadable"], ["malformed"], ["unmatched"], ["stranger"], ["overload"]];
    /// Datagrams that were longer than any message, or came when there was no way to answer.
    sip_cut: Counter = "sip_dropped_datagrams_total";
    /// Messages that the system did not take.
    sip_unsent: Counter = "sip_unsent_messages_total";
    /// 1 while the account is registered.
    sip_registered: Gauge = "sip_registered";
    /// What came of each REGISTER: the class of the response, or none.
    sip_registrations: CounterBy<1> = "sip_registration_responses_total", ["status"],
        &[["1xx"], ["2xx"], ["3xx"], ["4xx"], ["5xx"], ["6xx"], ["none"]];

    // Phones.
    /// Phones that are connected.
    phones_connected: Gauge = "phones_connected";
    /// Battery of each connected phone, 0 to 5. Phones are numbered in the order in which they were first seen.
    phone_battery: GaugeBy<1> = "phone_battery_level", ["phone"];
    /// Signal of each connected phone, 0 to 5.
    phone_signal: GaugeBy<1> = "phone_signal_level", ["phone"];
    /// Voice links to phones that are open, by codec.
    phone_voice_links: GaugeBy<1> = "phone_voice_links_open", ["codec"];
    /// Times that a phone took the audio of a call without being asked to.
    phone_audio_losses: Counter = "phone_audio_losses_total";
    /// Connections of phones that had been connected before.
    phone_reconnects: Counter = "phone_reconnects_total";
    /// Voice links that were closed because they were the owner's: for a call of his own, or for none.
    phone_given_back: Counter = "phone_voice_links_given_back_total";
    /// RINGs of phones.
    phone_rings: Counter = "phone_rings_total";
    /// Lines of phones that were not acted on, by reason.
    phone_ignored: CounterBy<1> = "phone_ignored_lines_total", ["reason"],
        &[["too_long"], ["unknown"], ["unasked"]];
    /// Commands that a phone did not answer.
    phone_unanswered: Counter = "phone_unanswered_commands_total";
    /// What bluetoothd, or somebody in its place, said in vain: wrong types, more objects than are kept, strangers.
    bluez_ignored: CounterBy<1> = "bluez_ignored_total", ["reason"],
        &[["garbage"], ["too_many"], ["stranger"]];
    /// Calls that bluetoothd did not answer in time.
    bluez_unanswered: Counter = "bluez_unanswered_calls_total";

    // HTTP.
    /// Requests that were answered, by path template.
    http_requests: CounterBy<3> = "http_requests_total", ["endpoint", "method", "status"], &[];
    /// From the whole request to its answer; of a stream, to its begin.
    http_request: TimingBy<1> = "http_request_duration_seconds", ["endpoint"], SHORT;
    /// Connections that are open.
    http_connections_open: Gauge = "http_connections_open";
    /// Connections that were taken.
    http_connections: Counter = "http_connections_total";
    /// Connections that the gate itself refused or cut: busy, malformed, too_large, too_slow, unanswered, stalled.
    http_refused: CounterBy<1> = "http_refused_connections_total", ["reason"],
        &[["busy"], ["malformed"], ["too_large"], ["too_slow"], ["unanswered"], ["stalled"]];

    // Events.
    /// Events that were published to streams, listened to or not.
    bus_events: Counter = "bus_events_total";
    /// Event streams that are open.
    sse_streams_open: Gauge = "sse_streams_open";
    /// Event streams that began.
    sse_streams: Counter = "sse_streams_total";
    /// Event streams for which there was no room.
    sse_refused: Counter = "sse_refused_streams_total";
    /// Events written to streams.
    sse_events: Counter = "sse_events_total";
    /// Times that a stream fell behind and read the database again.
    sse_lagged: Counter = "sse_lagged_total";
    /// Gaps that streams were told of: resumed from an event that is not known, or too late for some that were pruned.
    sse_gaps: Counter = "sse_gaps_total";

    // Storage.
    /// Groups of changes that were committed, or could not be.
    store_commits: CounterBy<1> = "store_commits_total", ["result"], &[["stored"], ["failed"]];
    /// How long a commit took.
    store_commit: Timing = "store_commit_seconds", SHORT;
    /// Changes that wait in memory until the storage works again.
    store_kept: Gauge = "store_kept_changes";
    /// Changes that were lost.
    store_lost: Counter = "store_lost_changes_total";
}

impl Metrics {
    /// Calls `source` whenever somebody asks, before the text is written. It must not wait for anything.
    pub fn at_scrape(&self, source: impl Fn(&Self) + Send + Sync + 'static) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(source));
    }

    /// Everything in Prometheus' text format, version 0.0.4, by name.
    pub fn text(&self) -> Result<String, MetricsError> {
        // One scrape at a time: sources advance counters.
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        for source in sources.iter() {
            source(self);
        }
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_say_what_they_are_and_in_which_unit() {
        let declared = Metrics::declared();
        let names: BTreeSet<&str> = declared.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), declared.len(), "a name is there twice");
        for (name, kind, help) in declared {
            assert!(
                name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_') && !name.contains("__"),
                "{name}"
            );
            let counts = matches!(kind, "Counter" | "CounterBy" | "Seconds");
            assert_eq!(name.ends_with("_total"), counts, "{name}: only what counts is a total");
            let bare = name.trim_end_matches("_total");
            let in_seconds = matches!(kind, "Seconds" | "Timing" | "TimingBy") || name.contains("_time_");
            assert_eq!(bare.ends_with("_seconds"), in_seconds, "{name}: times are in seconds");
            let other_units = ["_ms", "_millis", "_minutes", "_kb", "_percent", "_octets"];
            assert!(!other_units.iter().any(|unit| bare.ends_with(unit)), "{name}: base units only");
            assert!(help.ends_with('.') || help.contains(": "), "{name}: {help}");
            assert!(help.len() > 10 && !help.contains('\n') && !help.starts_with(' '), "{name}: {help}");
        }
    }

    #[test]
    fn what_was_counted_stands_in_the_text_with_its_help_and_type() {
        let metrics = Metrics::new().unwrap();
        metrics.calls_ended.inc(["inbound", "sip", "busy"]);
        metrics.store_commit.observe(Duration::from_millis(3));
        metrics.agent_stale_audio.add(Duration::from_millis(20));
        let text = metrics.text().unwrap();
        for line in [
            "# HELP callscoot_calls_ended_total Calls that ended, by their end_reason.",
            "# TYPE callscoot_calls_ended_total counter",
            "callscoot_calls_ended_total{backend=\"sip\",direction=\"inbound\",end_reason=\"busy\"} 1",
            "# TYPE callscoot_store_commit_seconds histogram",
            "callscoot_store_commit_seconds_bucket{le=\"0.0025\"} 0",
            "callscoot_store_commit_seconds_bucket{le=\"0.005\"} 1",
            "callscoot_store_commit_seconds_count 1",
            "callscoot_agent_stale_audio_seconds_total 0.02",
            "callscoot_calls_started_total{backend=\"sip\",direction=\"inbound\"} 0",
            concat!("callscoot_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn sources_are_asked_at_each_scrape_and_totals_never_go_back() {
        let metrics = Metrics::new().unwrap();
        let total = Arc::new(Mutex::new(5));
        let source = total.clone();
        metrics.at_scrape(move |metrics| metrics.rtp_sent_packets.advance_to(*source.lock().unwrap()));
        for (now, shown) in [(5, 5), (9, 9), (7, 9)] {
            *total.lock().unwrap() = now;
            let line = format!("callscoot_rtp_sent_packets_total {shown}");
            assert!(metrics.text().unwrap().lines().any(|found| found == line), "{line}");
        }
    }

    #[test]
    fn a_thread_that_must_not_allocate_may_count() {
        let metrics = Metrics::new().unwrap();
        assert_no_alloc::assert_no_alloc(|| {
            metrics.rtp_late_beats.inc();
            metrics.calls_live.set(1);
            metrics.store_commit.observe(Duration::from_millis(1));
            metrics.agent_stale_audio.add(Duration::from_millis(1));
        });
    }
}
