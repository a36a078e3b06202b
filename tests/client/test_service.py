"""The client against the service itself, which CALLSCOOT_API_BASE names; its line leads to a simulated phone that
answers, its agent is simulated. `tests/python_client.rs` starts all three."""

import contextlib
import os
import threading
import time
import unittest
import uuid

import hostile  # noqa: F401  (finds the client)
from callscoot_client import CallScootClient, CallScootClientError

NUMBER = "+15550100"


def hang_up_after_the_greeting():
    """What a person does, seen from another client."""
    client = CallScootClient.from_env()
    for event in client.stream_events(client.wait_for_session_start(poll_interval_sec=0.05)):
        if event["event_type"] == "agent_response_finished":
            client.hangup_current_call()


class Service(unittest.TestCase):
    def setUp(self):
        self.client = CallScootClient.from_env()
        self.no_call()
        self.addCleanup(self.no_call)

    def no_call(self):
        """Hangs up what there is, and waits until the line is at rest: a call that ended is current for a moment."""
        deadline = time.monotonic() + 20
        while self.client.current_call() is not None:
            self.assertLess(time.monotonic(), deadline, "the call does not end")
            with contextlib.suppress(CallScootClientError):
                self.client.hangup_current_call()
            time.sleep(0.01)

    def refused(self, status, sentence, method, *arguments, **more):
        with self.assertRaises(CallScootClientError) as caught:
            method(*arguments, **more)
        error = caught.exception
        self.assertEqual((error.status, error.message, error.body["error"]), (status, sentence, sentence))
        return error

    def test_the_snippet_of_the_documentation(self):
        client = self.client
        threading.Thread(target=hang_up_after_the_greeting, daemon=True).start()
        client.health()
        client.queue_outbound_call(
            NUMBER,
            dynamic_variables={
                "campaign_name": "survey",
                "contact_name": "Efe",
            },
            metadata={
                "row_id": "42",
            },
        )
        session_id = client.wait_for_session_start()
        session = client.wait_for_session_end(session_id)
        self.assertTrue(session["meta"].get("summary"))
        self.assertEqual(session["meta"]["id"], session_id)
        self.assertIn("+", session_id)
        self.assertEqual(session["meta"]["client_request"]["metadata"], {"row_id": "42"})
        self.assertTrue(session["transcript"])
        self.assertEqual(session, client.get_call(session_id))
        self.assertEqual(session["meta"], client.list_calls(limit=1)["calls"][0])
        self.assertEqual(client.list_calls(0), {"calls": []})
        # The whole stream, from the beginning and from the middle.
        listed = client.get_call_events(session_id)["events"]
        told = list(client.stream_events(session_id))
        self.assertEqual(told, listed)
        self.assertEqual(told[-1]["event_type"], "call_ended")
        rest = list(client.stream_events(session_id, last_event_id=told[1].last_event_id))
        self.assertEqual(rest, listed[2:])
        self.assertEqual(list(client.stream_events(session_id, last_event_id=told[-1].last_event_id)), [])
        unknown = next(iter(client.stream_events("all", last_event_id="18446744073709551615")))
        self.assertEqual((unknown["event_type"], unknown.last_event_id), ("gap", ""))

    def test_a_call_while_it_lasts(self):
        client = self.client
        self.assertIsNone(client.current_call())
        self.refused(404, "no active session", lambda: next(iter(client.stream_events())))
        queued = client.queue_outbound_call(NUMBER, overrides={"first_message": "Good morning."})
        session_id = queued["session_id"]
        self.assertEqual((queued["queued"], queued["dialing"], queued["via"]), (True, True, "sip"))
        self.assertEqual(client.wait_for_session_start(), session_id)
        self.assertEqual(client.current_call()["id"], session_id)
        self.assertEqual(client.status()["current_call"]["id"], session_id)
        self.refused(409, "no line is free", client.queue_outbound_call, NUMBER)
        self.assertEqual(client.wait_for_session_start(), session_id)
        events = client.stream_events()
        self.assertEqual(next(events)["event_type"], "call_started")
        update = client.send_contextual_update("A warm lead.")
        self.assertEqual(update["command"]["type"], "contextual_update")
        message = client.send_user_message("Ask for a time.", session_id)
        self.assertEqual(message["command"]["session_id"], session_id)
        self.refused(400, "text is required", client.send_user_message, "")
        self.refused(409, "nothing to answer", client.answer_current_call)
        self.assertRaises(TimeoutError, client.wait_for_session_end, session_id, 0.2)
        self.assertRaises(TimeoutError, client.wait_for_session_end, "current", 0)
        self.assertEqual(client.hangup_current_call()["session_id"], session_id)
        session = client.wait_for_session_end(session_id, 20)
        self.assertEqual(session["meta"]["end_reason"], "local_hangup")
        self.assertEqual(list(events)[-1]["event_type"], "call_ended")
        self.assertRaises(TimeoutError, client.wait_for_session_start, 0.2, 0.01)
        self.no_call()
        self.refused(409, "no active call", client.hangup_current_call)
        self.refused(409, "no active call", client.answer_current_call)
        self.refused(409, "no active call", client.send_contextual_update, "x")

    def test_phones_on_a_machine_that_may_have_none(self):
        client = self.client
        phones = client.phones()
        self.assertEqual(client.status()["phones"].keys(), phones.keys())
        self.assertIn("pairing", phones)
        stranger = "00:00:00:00:00:01"
        for method in (client.connect_phone, client.disconnect_phone, client.trust_phone, client.remove_phone):
            self.refused(404, "phone not found", method, stranger)
        self.refused(404, "phone not found", client.trust_phone, stranger, False)
        self.refused(409, "no phone asks anything", client.answer_pairing, True)
        self.refused(400, "timeout_sec must be a whole number of seconds, at most 86400", client.open_pairing_window, -1)
        self.refused(409, "no active call", client.handover, "handset")
        self.refused(400, "to must be handset or agent", client.handover, "car")
        if phones["fault"] is not None:
            self.refused(502, phones["fault"], client.open_pairing_window, 1)
            self.refused(502, phones["fault"], client.close_pairing_window)
        client.queue_outbound_call(NUMBER)
        with self.assertRaises(CallScootClientError) as caught:
            client.handover("handset")
        self.assertEqual(caught.exception.status, 409)

    def test_the_same_request_again_makes_no_second_call(self):
        client = self.client
        again = {"metadata": {"lead": 1}, "idempotency_key": str(uuid.uuid4())}
        first = client.queue_outbound_call(NUMBER, **again)
        client.hangup_current_call()
        client.wait_for_session_end(first["session_id"], 20)
        self.assertEqual(client.queue_outbound_call(NUMBER, **again), first)
        self.assertEqual(client.wait_for_session_start(), first["session_id"])
        self.assertEqual(client.list_calls(1)["calls"][0]["id"], first["session_id"])
        key = str(uuid.uuid4())
        kept = client.create_pending_call_request(NUMBER, idempotency_key=key)
        self.assertEqual(client.create_pending_call_request(NUMBER, idempotency_key=key), kept)
        with self.assertRaises(CallScootClientError) as caught:
            client.create_pending_call_request(NUMBER, {"x": 1}, idempotency_key=key)
        self.assertEqual(caught.exception.status, 409)
        client.delete_pending_call_request(kept["request"]["request_id"])
        self.assertRaises(ValueError, client.queue_outbound_call, NUMBER, idempotency_key="a\r\nb")

    def test_pending_requests(self):
        client = self.client
        kept = client.create_pending_call_request(NUMBER, {"a": 1}, {"b": [2]})["request"]
        self.assertEqual((kept["target_number"], kept["dynamic_variables"], kept["metadata"]), (NUMBER, {"a": 1}, {"b": [2]}))
        self.assertEqual(round(kept["expires_at"] - kept["created_at"]), 300)
        anybody = client.create_pending_call_request(ttl_sec=5)["request"]
        self.assertIsNone(anybody["target_number"])
        self.assertEqual(client.get_pending_call_request(kept["request_id"]), {"request": kept})
        self.assertIn(kept, client.list_pending_call_requests()["pending_call_requests"])
        for request in (kept, anybody):
            gone = client.delete_pending_call_request(request["request_id"])
            self.assertEqual(gone, {"deleted": True, "request_id": request["request_id"]})
            self.refused(404, "pending request not found", client.get_pending_call_request, request["request_id"])
        self.refused(404, "pending request not found", client.delete_pending_call_request, "a b+c")
        self.refused(404, "not found", client.delete_pending_call_request, "a/../b")

    def test_configuration(self):
        client = self.client
        reply = client.patch_config(latency_msec=70, sip_password="secret", local_sink=None)
        self.assertEqual((reply["saved"], reply["config"]["latency_msec"]), (True, 70))
        self.assertEqual(client.get_config()["config"], reply["config"])
        self.assertEqual(reply["config"]["sip_password"], "***")
        client.patch_config(latency_msec=60, sip_password="")
        with self.assertRaises(CallScootClientError) as caught:
            client.patch_config(no_such_key=1)
        self.assertEqual(caught.exception.status, 400)
        self.assertIn("no_such_key", caught.exception.message)

    def test_refusals(self):
        client = self.client
        self.refused(400, "number is required", client.queue_outbound_call, "")
        self.refused(404, "session not found", client.get_call, "20200101-000000-+1")
        self.refused(404, "session not found", client.get_call_events, "?a=b#c")
        self.refused(404, "not found", client.get_call, "../config")
        self.refused(404, "session not found", client.wait_for_session_end, "none", 20)
        self.refused(404, "session not found", client.send_user_message, "x", "none")
        stranger = CallScootClient(client.base_url, "another-token")
        self.assertTrue(stranger.health()["ok"])
        self.refused(401, "unauthorized", stranger.status)
        self.refused(401, "unauthorized", CallScootClient(client.base_url).current_call)
        self.assertRaises(TimeoutError, client.wait_for_session_start, 0.2, 0.1)
        self.assertNotIn(os.environ["CALLSCOOT_API_TOKEN"], repr(client))


if __name__ == "__main__":
    unittest.main()
