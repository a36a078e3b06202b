"""Replies that are late, cut, odd or hostile: each is a `CallScootClientError`, soon, and none shows the token."""

import os
import pathlib
import pickle
import socket
import ssl
import threading
import unittest
from unittest import mock

from hostile import Hostile, dripping, header, raw, reply, silent, unread
from callscoot_client import CallScootClient, CallScootClientError

TOKEN = "a-token-that-nobody-may-see"
OK = reply("200 OK", {"ok": True})
CERTIFICATE = str(pathlib.Path(__file__).parent / "localhost.pem")


def client(server, **more):
    return CallScootClient(server.base_url, TOKEN, more.pop("timeout_sec", 20.0), **more)


class Replies(unittest.TestCase):
    def error(self, *answers, **more):
        with Hostile(*answers) as server:
            with self.assertRaises(CallScootClientError) as caught:
                client(server, **more).health()
        error = caught.exception
        self.assertNotIn(TOKEN, f"{error} {error!r} {error.__cause__!r} {error.__context__!r}")
        return error

    def test_the_message_is_the_sentence_of_the_service(self):
        body = {"error": "no line is free", "status": 409, "reason": "no_line"}
        error = self.error(reply("409 Conflict", body, "Retry-After: 7"))
        self.assertEqual((error.status, error.message, error.body), (409, "no line is free", body))
        self.assertEqual((str(error), error.retry_after_sec), ("no line is free", 7.0))
        copy = pickle.loads(pickle.dumps(error))
        self.assertEqual((copy.status, copy.message, copy.retry_after_sec), (409, "no line is free", 7.0))
        self.assertEqual((error.reason, copy.reason), ("no_line", "no_line"))
        for body in [{"error": "x", "reason": 1}, {"error": "x"}, ["x"]]:
            self.assertIsNone(self.error(reply("409 Conflict", body)).reason)

    def test_an_error_without_json_is_told_by_its_status(self):
        error = self.error(reply("502 Bad Gateway", b"<h1>nginx</h1>", "Retry-After: soon"))
        self.assertEqual((error.status, error.message, error.body), (502, "HTTP 502 Bad Gateway", "<h1>nginx</h1>"))
        self.assertIsNone(error.retry_after_sec)

    def test_no_connection_is_no_status(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with self.assertRaises(CallScootClientError) as caught:
                CallScootClient(f"http://127.0.0.1:{unused.getsockname()[1]}").health()
        self.assertIsNone(caught.exception.status)
        self.assertIn("cannot connect", caught.exception.message)

    def test_silence_and_drops_end_with_the_timeout(self):
        for answer in (silent, dripping):
            self.assertIsNone(self.error(answer, timeout_sec=0.5).status)

    def test_half_replies(self):
        head = b"HTTP/1.1 200 OK\r\n"
        for pieces, status in [
            ([], None),
            ([b"HTTP/1"], None),
            ([head, b"Content-Length: 50\r\n\r\n", b'{"ok"'], 200),
            ([head, b"Content-Length: 50\r\n\r\n", b'{"ok": true}'], 200),
            ([head, b"Transfer-Encoding: chunked\r\n\r\n", b"20\r\n{"], 200),
            ([head, b"Transfer-Encoding: chunked\r\n\r\n", b"c\r\n", b'{"ok": true}'], 200),
            ([head, b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n{}"], 200),
        ]:
            self.assertEqual(self.error(raw(*pieces)).status, status, pieces)

    def test_what_is_no_http_or_no_json_object(self):
        self.assertIsNone(self.error(raw(b"SSH-2.0-OpenSSH_9.2\r\n")).status)
        self.assertIsNone(self.error(raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n")).status)
        deep = b"[" * 200_000
        for body in (b"", b"[]", b"null", b"ok", b"{", b'{"a": "\xff"}', deep, b'{"n": ' + b"9" * 9000):
            self.assertEqual(self.error(reply("200 OK", body)).status, 200, body[:20])
        self.assertEqual(self.error(raw(b"HTTP/1.1 204 No Content\r\n\r\n")).status, 204)
        self.assertEqual(self.error(raw(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")).status, 101)

    def test_a_redirect_is_not_followed(self):
        with Hostile(OK) as elsewhere:
            for status in ("301 Moved Permanently", "307 Temporary Redirect"):
                error = self.error(reply(status, b"", f"Location: {elsewhere.base_url}/v1/health"))
                self.assertEqual(error.status, int(status[:3]))
            self.assertEqual(elsewhere.heads, [])

    def test_an_early_refusal_is_read_though_the_body_was_not(self):
        with Hostile(unread) as server:
            with self.assertRaises(CallScootClientError) as caught:
                client(server).patch_config(local_sink="x" * (20 << 20))
        self.assertEqual((caught.exception.status, caught.exception.message), (413, "the body is too large"))

    def test_a_reply_without_end_is_cut_off(self):
        with mock.patch("callscoot_client._REPLY_BYTES_MAX", 1 << 20):
            endless = raw(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 65536] * 100)
            self.assertIn("longer than", self.error(endless).message)

    def test_a_current_call_of_the_wrong_kind(self):
        with Hostile(reply("200 OK", {"current_call": [1]})) as server:
            self.assertRaises(CallScootClientError, client(server).current_call)


class Requests(unittest.TestCase):
    def test_ids_are_percent_encoded_and_the_path_of_the_base_is_kept(self):
        for base in ("", "/", "/phone/", "/a%20b"):
            with Hostile(OK) as server:
                there = CallScootClient(server.base_url + base)
                there.get_call("20261122-085107-+4915/é")
                there.get_pending_call_request("a b?c#d")
                there.send_user_message("x", "+1")
                there.list_calls(5)
                prefix = base.rstrip("/")
                self.assertEqual(
                    server.paths,
                    [
                        prefix + "/v1/calls/20261122-085107-%2B4915%2F%C3%A9",
                        prefix + "/v1/pending-call-requests/a%20b%3Fc%23d",
                        prefix + "/v1/calls/%2B1/user-message",
                        prefix + "/v1/calls?limit=5",
                    ],
                )
        self.assertRaises(ValueError, there.get_call, "")

    def test_what_is_sent(self):
        with Hostile(OK) as server:
            there = client(server)
            there.queue_outbound_call("+1 555", {"a": [1]}, {"lead": 7}, agent_id="x", idempotency_key="k-1")
            there.create_pending_call_request(metadata={}, ttl_sec=None, overrides={"language": "de"})
            there.hangup_current_call()
        self.assertEqual(
            server.bodies,
            [
                b'{"number": "+1 555", "dynamic_variables": {"a": [1]}, "metadata": {"lead": 7}, "ttl_sec": 300,'
                b' "agent_id": "x"}',
                b'{"metadata": {}, "overrides": {"language": "de"}}',
                b"",
            ],
        )
        self.assertEqual(header(server.heads[0], "Idempotency-Key"), "k-1")
        self.assertEqual(header(server.heads[0], "Content-Type"), "application/json")
        self.assertEqual(header(server.heads[0], "Authorization"), f"Bearer {TOKEN}")
        self.assertEqual(header(server.heads[0], "Host"), server.base_url[7:])
        self.assertIsNone(header(server.heads[1], "Idempotency-Key"))

    def test_no_proxy_of_the_environment_is_used(self):
        proxies = {name: "http://127.0.0.1:1" for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy")}
        with mock.patch.dict(os.environ, proxies), Hostile(OK) as server:
            client(server).health()
            self.assertEqual(server.paths, ["/v1/health"])

    def test_ipv6(self):
        with Hostile(OK, family=socket.AF_INET6) as server:
            client(server).health()
            self.assertEqual(header(server.heads[0], "Host"), f"[::1]:{server.port}")

    def test_https_with_a_known_certificate_only(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        with Hostile(OK, wrap=lambda sock: context.wrap_socket(sock, server_side=True)) as server:
            there = CallScootClient(f"https://localhost:{server.port}", TOKEN)
            with self.assertRaises(CallScootClientError) as caught:
                there.health()
            self.assertIsNone(caught.exception.status)
            self.assertEqual(server.heads, [])
            with mock.patch.dict(os.environ, SSL_CERT_FILE=CERTIFICATE):
                self.assertEqual(there.health(), {"ok": True})

    def test_what_cannot_be_used_is_refused_and_no_token_is_shown(self):
        for base in ("127.0.0.1:8788", "ftp://h", "http://", "http://u:p@h", "http://h?x", "http://h#x", "http://h:port"):
            self.assertRaises(ValueError, CallScootClient, base)
        for timeout in (0, -1, float("nan"), float("inf")):
            self.assertRaises(ValueError, CallScootClient, timeout_sec=timeout)
        with self.assertRaises(ValueError) as caught:
            CallScootClient(api_token=TOKEN + "\r\nX: y")
        self.assertNotIn(TOKEN, str(caught.exception))
        self.assertNotIn(TOKEN, repr(CallScootClient(api_token=TOKEN)))
        with self.assertRaises(ValueError):
            CallScootClient().patch_config(latency_msec=float("nan"))

    def test_the_environment_names_the_service(self):
        for given, expected in [
            ({}, "http://127.0.0.1:8788"),
            ({"HOST": "", "PORT": "", "BASE": "", "TOKEN": ""}, "http://127.0.0.1:8788"),
            ({"HOST": "0.0.0.0", "PORT": "9"}, "http://127.0.0.1:9"),
            ({"HOST": "::"}, "http://127.0.0.1:8788"),
            ({"HOST": "[::]"}, "http://127.0.0.1:8788"),
            ({"HOST": "::1", "PORT": "90"}, "http://[::1]:90"),
            ({"HOST": "[fd00::7]"}, "http://[fd00::7]:8788"),
            ({"HOST": "pi.local"}, "http://pi.local:8788"),
            ({"HOST": "pi", "BASE": "https://pbx.example.com/x/"}, "https://pbx.example.com/x"),
        ]:
            variables = {f"CALLSCOOT_API_{name}": value for name, value in given.items()}
            with mock.patch.dict(os.environ, variables, clear=True):
                self.assertEqual(CallScootClient.from_env().base_url, expected)
        with mock.patch.dict(os.environ, CALLSCOOT_API_PORT="eighty"):
            self.assertRaises(ValueError, CallScootClient.from_env)
        with Hostile(OK) as server:
            with mock.patch.dict(os.environ, CALLSCOOT_API_BASE=server.base_url, CALLSCOOT_API_TOKEN=f" {TOKEN}\n"):
                CallScootClient.from_env().health()
        self.assertEqual(header(server.heads[0], "Authorization"), f"Bearer {TOKEN}")

    def test_each_thread_waits_for_the_call_that_it_queued(self):
        def echo(sock, _over):
            reply("202 Accepted", {"session_id": threading.current_thread().name})(sock)

        def in_a_thread(function):
            found = []
            thread = threading.Thread(target=lambda: found.append(function()))
            thread.start()
            thread.join()
            return found[0]

        with Hostile(echo) as server:
            there = client(server)
            mine = there.queue_outbound_call("1")["session_id"]
            self.assertEqual(in_a_thread(there.wait_for_session_start), mine)
            other = in_a_thread(lambda: there.queue_outbound_call("1")["session_id"])
            self.assertNotEqual(mine, other)
            self.assertEqual(there.wait_for_session_start(), mine)
            self.assertEqual(in_a_thread(there.wait_for_session_start), other)
            wrong = []

            def one():
                for _ in range(20):
                    queued = there.queue_outbound_call("1")["session_id"]
                    if there.wait_for_session_start() != queued:
                        wrong.append(queued)

            threads = [threading.Thread(target=one) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
