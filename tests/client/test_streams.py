"""Event streams that break, fall silent or lie, and the waits that stand on them."""

import json
import threading
import unittest
from unittest import mock

from hostile import Hostile, event, header, raw, reply, silent, silent_stream, stream
from callscoot_client import CallScootClient, CallScootClientError

ENDED = event(9, event_type="call_ended")
LIVE = reply("200 OK", {"meta": {"id": "s", "end_reason": None, "ended_at": None}})
OVER = reply("200 OK", {"meta": {"id": "s", "end_reason": "busy"}, "transcript": []})
BUSY = reply("503 Service Unavailable", {"error": "too many event streams"}, "Retry-After: 0")


class Streams(unittest.TestCase):
    def streamed(self, *answers, session="s", **more):
        self.server = Hostile(*answers)
        with self.server:
            return list(CallScootClient(self.server.base_url, timeout_sec=20).stream_events(session, **more))

    def resumed_from(self):
        return [header(head, "Last-Event-ID") for head in self.server.heads]

    def test_a_cut_is_mended_behind_the_last_whole_event(self):
        second = event(2, event_type="b")
        told = self.streamed(
            stream(b"retry: 1\n", event(1, event_type="a"), second[: len(second) - 1]),
            stream(b"retry: 1\n", second),
            raw(),
            BUSY,
            stream(ENDED),
        )
        self.assertEqual([e["event_type"] for e in told], ["a", "b", "call_ended"])
        self.assertEqual([e.last_event_id for e in told], ["1", "2", "9"])
        self.assertEqual(json.loads(json.dumps(told[0])), {"event_type": "a"})
        # The streams that brought events are followed at once; then the failures.
        self.assertEqual(self.resumed_from(), [None, "1", "2", "2", "2"])

    def test_a_gap_is_told_and_the_old_place_forgotten(self):
        gap = b'data: {"event_type": "gap", "payload": {"after": "77"}}\n\n'
        told = self.streamed(stream(b"retry: 1\n", gap), stream(event(3, event_type="a"), ENDED), last_event_id="77")
        self.assertEqual([e["event_type"] for e in told], ["gap", "a", "call_ended"])
        self.assertEqual(self.resumed_from(), ["77", None])

    def test_a_gap_of_events_that_are_not_kept_keeps_the_place(self):
        gap = b'data: {"event_type": "gap", "payload": {"after": "77", "reason": "pruned"}}\n\n'
        phone = event(78, event_type="phone_changed", call_id=None, caller_id=None)
        told = self.streamed(stream(b"retry: 1\n", gap), stream(phone, ENDED), last_event_id="77")
        self.assertEqual([e["event_type"] for e in told], ["gap", "phone_changed", "call_ended"])
        self.assertIsNone(told[1]["call_id"])
        self.assertEqual(self.resumed_from(), ["77", "77"])
        # What is no object says nothing of the place.
        for payload in ("null", "[]", '{"reason": 1}'):
            odd = b'data: {"event_type": "gap", "payload": ' + payload.encode() + b"}\n\n"
            self.streamed(stream(b"retry: 1\n", odd), stream(ENDED), last_event_id="77")
            self.assertEqual(self.resumed_from(), ["77", None])

    def test_a_peer_that_died_is_noticed_by_its_silence(self):
        with mock.patch("callscoot_client._STREAM_SILENCE_SEC", 0.3):
            told = self.streamed(silent_stream(b"retry: 1\n", event(1, event_type="a"), b": x\n\n"), stream(ENDED))
        self.assertEqual([e["event_type"] for e in told], ["a", "call_ended"])
        self.assertEqual(self.resumed_from(), [None, "1"])

    def test_reconnecting_has_a_bound(self):
        for answer in (raw(), BUSY):
            with self.assertRaises(CallScootClientError):
                self.streamed(stream(b"retry: 1\n", event(1, event_type="a")), answer, reconnect_sec=0.5)
            self.assertGreater(len(self.server.heads), 2)
        with self.assertRaises(CallScootClientError):
            self.streamed(stream(b"retry: 1\n: comment\n\n"), session="all", reconnect_sec=0.5)

    def test_a_service_that_refuses_is_not_asked_again(self):
        for status in (401, 404, 421, 503):
            with self.assertRaises(CallScootClientError) as caught:
                self.streamed(reply(f"{status} Refused", {"error": "no"}))
            self.assertEqual((caught.exception.status, caught.exception.message), (status, "no"))
            self.assertEqual(len(self.server.heads), 1)
        with self.assertRaises(CallScootClientError) as caught:
            self.streamed(stream(b"retry: 1\n", event(1, event_type="a")), reply("401 Unauthorized", {"error": "no"}))
        self.assertEqual(len(self.server.heads), 2)

    def test_what_is_no_stream_or_no_event(self):
        for answer in (
            reply("200 OK", {}, "Content-Type: application/json"),
            stream(b"data: no json\n\n"),
            stream(b"data: [1]\n\n"),
        ):
            with self.assertRaises(CallScootClientError) as caught:
                self.streamed(answer)
            self.assertEqual(caught.exception.status, 200)

    def test_current_is_settled_once(self):
        now = reply("200 OK", {"current_call": {"id": "s+1"}})
        self.streamed(now, stream(b"retry: 1\n", event(1, event_type="a")), stream(ENDED), session="current")
        wanted = "/v1/events/stream?session_id=s%2B1"
        self.assertEqual(self.server.paths, ["/v1/current-call", wanted, wanted])

    def test_who_knew_the_end_already_is_done(self):
        self.assertEqual(self.streamed(stream(), OVER, last_event_id="9"), [])


class Waits(unittest.TestCase):
    def waiting(self, *answers):
        return Hostile(*answers)

    def test_the_end_is_heard_of_by_the_stream(self):
        with Hostile(LIVE, stream(b": x\n\n", ENDED), OVER) as server:
            client = CallScootClient(server.base_url)
            self.assertEqual(client.wait_for_session_end("s")["meta"]["end_reason"], "busy")
            self.assertEqual(server.paths, ["/v1/calls/s", "/v1/events/stream?session_id=s", "/v1/calls/s"])

    def test_without_a_stream_it_is_asked_for(self):
        for refusal in (BUSY, reply("404 Not Found", {"error": "no"}), reply("200 OK", {}), raw()):
            with Hostile(LIVE, refusal, LIVE, BUSY, raw(), OVER) as server:
                client = CallScootClient(server.base_url)
                reached = client.wait_for_session_end("s", poll_interval_sec=0.01)
                self.assertEqual(reached["meta"]["end_reason"], "busy")
                self.assertEqual(len(server.heads), 6)

    def test_time_is_up_whatever_the_service_does(self):
        for answers in ([LIVE, silent_stream(b": x\n\n")], [silent], [LIVE, silent], [LIVE, BUSY], [BUSY], [raw()]):
            with Hostile(*answers) as server:
                client = CallScootClient(server.base_url)
                self.assertRaises(TimeoutError, client.wait_for_session_end, "s", 0.6, 0.1)

    def test_an_unknown_session_is_not_waited_for(self):
        with Hostile(reply("404 Not Found", {"error": "session not found"})) as server:
            with self.assertRaises(CallScootClientError) as caught:
                CallScootClient(server.base_url).wait_for_session_end("s")
        self.assertEqual(caught.exception.status, 404)

    def test_the_start_is_looked_for_where_the_reply_named_no_session(self):
        none = reply("200 OK", {"current_call": None})
        there = reply("200 OK", {"current_call": {"id": "s"}})
        with Hostile(reply("202 Accepted", {"queued": True}), none, BUSY, there) as server:
            client = CallScootClient(server.base_url)
            client.queue_outbound_call("1")
            self.assertEqual(client.wait_for_session_start(poll_interval_sec=0.01), "s")
        with Hostile(none) as server:
            with self.assertRaises(TimeoutError):
                CallScootClient(server.base_url).wait_for_session_start(0.3, 0.1)

    def test_a_call_that_is_over_is_not_the_next_start(self):
        queued = reply("202 Accepted", {"session_id": "s"})
        next_one = reply("200 OK", {"current_call": {"id": "t"}})
        refused = reply("409 Conflict", {"error": "no line is free"})
        with Hostile(queued, OVER, next_one, next_one, queued, refused, next_one) as server:
            client = CallScootClient(server.base_url)
            client.queue_outbound_call("1")
            self.assertEqual(client.wait_for_session_start(), "s")
            client.wait_for_session_end("s")
            self.assertEqual(client.wait_for_session_start(), "t")
            found = []
            other = threading.Thread(target=lambda: found.append(client.wait_for_session_start()))
            other.start()
            other.join()
            self.assertEqual(found, ["t"])
            client.queue_outbound_call("1")
            self.assertRaises(CallScootClientError, client.queue_outbound_call, "1")
            self.assertEqual(client.wait_for_session_start(), "t")


if __name__ == "__main__":
    unittest.main()
