"""A client of the CallScoot local API: one file, standard library only, Python 3.8 or newer. Copy it where you need it.

    from callscoot_client import CallScootClient

    client = CallScootClient.from_env()
    client.queue_outbound_call("+905551112233", dynamic_variables={"contact_name": "Efe"})
    session = client.wait_for_session_end(client.wait_for_session_start(), timeout_sec=600)
    print(session["meta"]["end_reason"], session["meta"]["summary"])

Every method is one HTTP request on a connection of its own, so one client serves any number of threads. Unless it says
otherwise a method returns the whole reply as a dictionary and raises `CallScootClientError` for everything that goes
wrong on the way: refusals of the service, time-outs, refused connections, half or odd answers, redirects (never
followed). All times are in seconds. No proxy is ever used, whatever the environment says.
"""

from __future__ import annotations

import codecs
import contextlib
import http.client
import io
import json
import math
import os
import random
import re
import socket
import threading
import time
from typing import Any, Dict, Generator, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Union
from urllib.parse import quote, urlencode, urlsplit

__all__ = ["CallScootClient", "CallScootClientError", "SseEvent", "SseParser", "StreamEvent", "iter_sse_events"]

DEFAULT_BASE_URL = "http://127.0.0.1:8788"

_REPLY_BYTES_MAX = 64 << 20
_EVENT_CHARS_MAX = 16 << 20
_READ_BYTES = 64 << 10
# The service sends a comment whenever 5 s pass without an event: after three of them are missing it is gone.
_STREAM_SILENCE_SEC = 16.0
# Without any new event for so long, through all attempts to reconnect, a stream is given up.
_RECONNECT_SEC = 60.0
_BACKOFF_MAX_SEC = 5.0
# Answers after which the same question may well be answered; None: there was no answer. 200: it was cut off.
_PASSING = frozenset([None, 200, 408, 429, 500, 502, 503, 504])


class CallScootClientError(Exception):
    """A request that failed.

    `status`: the HTTP status, None when no answer came. `message`: the service's own sentence (its `error`), else what
    happened; also `str(error)`. `body`: the reply's JSON where it was JSON, else its text, None without one.
    `retry_after_sec`: how long the service asks to wait, None when it says nothing. `reason`: with status 409 the word
    that says which conflict it is, such as `"no_line"`; `ConflictReason` of /v1/openapi.json lists them.
    """

    def __init__(
        self, status: Optional[int], message: str, body: Any = None, retry_after_sec: Optional[float] = None
    ) -> None:
        super().__init__(status, message, body, retry_after_sec)
        self.status = status
        self.message = message
        self.body = body
        self.retry_after_sec = retry_after_sec
        reason = body.get("reason") if isinstance(body, dict) else None
        self.reason: Optional[str] = reason if isinstance(reason, str) else None

    def __str__(self) -> str:
        return self.message


class SseEvent(NamedTuple):
    """One event of a `text/event-stream`, as WHATWG HTML 9.2.6 dispatches it."""

    data: str
    event: str = "message"
    id: str = ""  # the last `id:` up to here
    retry_ms: Optional[int] = None  # the last `retry:` up to here


class SseParser:
    """Takes a `text/event-stream` in pieces of any size (WHATWG HTML 9.2.5, 9.2.6)."""

    def __init__(self) -> None:
        self.last_event_id = ""
        """Where to resume: the id of what was dispatched, never of an event that was cut off."""
        self.retry_ms: Optional[int] = None
        """Milliseconds to wait before a reconnection, when the stream said so."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line: List[str] = []  # pieces of a line that has not ended
        self._line_chars = 0
        self._data_chars = 0
        self._at_start = True
        self._after_cr = False
        self._data: List[str] = []
        self._event = ""
        self._id = ""

    def feed(self, piece: bytes) -> List[SseEvent]:
        """The events that this piece completes. Raises `CallScootClientError` for one above 16 Mi characters."""
        text = self._decoder.decode(piece)
        if text and self._at_start:
            self._at_start = False
            text = text[1:] if text[0] == "\ufeff" else text
        if text and self._after_cr:
            self._after_cr = False
            text = text[1:] if text[0] == "\n" else text
        if text:
            self._after_cr = text[-1] == "\r"
        *lines, rest = re.split("\r\n|\n|\r", text)
        events = []
        for line in lines:
            event = self._take("".join([*self._line, line]))
            self._line.clear()
            self._line_chars = 0
            if event is not None:
                events.append(event)
        if rest:
            self._line.append(rest)
            self._line_chars += len(rest)
        if self._data_chars + self._line_chars > _EVENT_CHARS_MAX:
            raise CallScootClientError(200, f"an event of the stream is longer than {_EVENT_CHARS_MAX} characters")
        return events

    def _take(self, line: str) -> Optional[SseEvent]:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value[1:] if value[:1] == " " else value
        if field == "data":
            self._data.append(value)
            self._data_chars += len(value) + 1
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and re.fullmatch("[0-9]{1,9}", value):
            self.retry_ms = int(value)
        return None

    def _dispatch(self) -> Optional[SseEvent]:
        self.last_event_id = self._id
        data, event = self._data, self._event
        self._data, self._event, self._data_chars = [], "", 0
        if not data:
            return None
        return SseEvent("\n".join(data), event or "message", self._id, self.retry_ms)


def iter_sse_events(stream: Union[bytes, str, Iterable[Union[bytes, str]]]) -> Iterator[SseEvent]:
    """The events of a `text/event-stream`: an open reply or file, pieces of it (with their line ends), or all of it.

    An event that the end of the stream cuts off is dropped, as the standard says.
    """
    parser = SseParser()
    for piece in [stream] if isinstance(stream, (bytes, str)) else stream:
        yield from parser.feed(piece.encode("utf-8", "replace") if isinstance(piece, str) else piece)


class StreamEvent(Dict[str, Any]):
    """An event of a session (`event_type`, `payload`, …): a dictionary that also knows its place in the stream."""

    last_event_id = ""
    """Pass it to `stream_events` to go on behind this event, even in another process."""


class _Wire(io.RawIOBase):
    """A socket as http.client wants one. Each wait on it is bounded, and all waits together are."""

    def __init__(self, sock: socket.socket, silence_sec: float, deadline: float) -> None:
        self._sock = sock
        self._silence_sec = silence_sec
        self._deadline = deadline

    def arm(self) -> None:
        self._sock.settimeout(min(self._silence_sec, _remaining(self._deadline)))

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def sendall(self, data: bytes) -> None:
        self.arm()
        self._sock.sendall(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.arm()
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        """Nothing: http.client closes while the reply is still read. Whoever opened the socket closes it."""


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise socket.timeout("timed out")
    return remaining


class CallScootClient:
    """The local API of one CallScoot service.

    `base_url`: `http://` or `https://`, host, and if need be a port and a path before `/v1`. `api_token`: what the
    service has as `CALLSCOOT_API_TOKEN`; None or empty for none. `timeout_sec`: for one request as a whole, from
    connecting to the last byte (streams excepted). Raises ValueError for what cannot be used.
    """

    def __init__(
        self, base_url: str = DEFAULT_BASE_URL, api_token: Optional[str] = None, timeout_sec: float = 30.0
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url must begin with http:// or https:// and name a host")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("base_url must hold no user, query or fragment")
        if not (timeout_sec > 0 and math.isfinite(timeout_sec)):
            raise ValueError("timeout_sec must be a number above 0")
        token = (api_token or "").strip()
        if not token.isprintable():
            raise ValueError("api_token holds a character that no header can carry")
        self.base_url = base_url.rstrip("/")
        self.timeout_sec = timeout_sec
        self._is_https = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._is_https else 80)
        self._path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        self._authorization = b"Bearer " + token.encode() if token else None
        self._last_session_id: Optional[str] = None
        self._last_of_thread = threading.local()

    @classmethod
    def from_env(cls, timeout_sec: float = 30.0) -> CallScootClient:
        """The service that the environment names: `CALLSCOOT_API_BASE`, else `CALLSCOOT_API_HOST` and
        `CALLSCOOT_API_PORT` (`0.0.0.0` and `::` mean this machine), with `CALLSCOOT_API_TOKEN`. Empty means unset."""
        base_url = os.environ.get("CALLSCOOT_API_BASE", "").strip()
        if not base_url:
            host = os.environ.get("CALLSCOOT_API_HOST", "").strip().strip("[]")
            if host in ("", "0.0.0.0", "::"):
                host = "127.0.0.1"
            host = f"[{host}]" if ":" in host else host
            base_url = f"http://{host}:{os.environ.get('CALLSCOOT_API_PORT', '').strip() or 8788}"
        return cls(base_url, os.environ.get("CALLSCOOT_API_TOKEN"), timeout_sec)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    # The service.

    def health(self) -> Dict[str, Any]:
        """`{"ok": true, …}` while the service runs. Needs no token."""
        return self._request("GET", "/v1/health")

    def status(self) -> Dict[str, Any]:
        """What works, what is missing, the line's state, and the current call."""
        return self._request("GET", "/v1/status")

    def get_config(self) -> Dict[str, Any]:
        """`{"config": {…}}`; secrets read `"***"`."""
        return self._request("GET", "/v1/config")

    def patch_config(self, **patch: Any) -> Dict[str, Any]:
        """Changes the named keys at once, and only them: `{"saved": true, "config": {…}}`.

        Status 400 names an unknown key or a bad value, and then nothing was changed.
        """
        return self._request("PATCH", "/v1/config", patch)

    # Calls to be made.

    def queue_outbound_call(
        self,
        number: str,
        dynamic_variables: Optional[Mapping[str, Any]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        ttl_sec: Optional[int] = 300,
        *,
        agent_id: Optional[str] = None,
        overrides: Optional[Mapping[str, Any]] = None,
        idempotency_key: Optional[str] = None,
    ) -> Dict[str, Any]:
        """Calls `number` now: `{"queued": true, "dialing": true, "request": {…}, "session_id": …, …}`.

        `dynamic_variables` are for the agent, `metadata` for you (they come back in the session's `client_request`).
        `overrides` may hold `first_message`, `language`, `prompt`, `voice_id`. With `idempotency_key` the same request
        may be sent again (after a lost answer, say) for a day without a second call.

        Status 400: the number or a field is wrong. 409: no line is free, or the number is never dialled. 429: the
        budget of calls is spent, see `retry_after_sec`. 502: the line or the agent is not ready. 503: try again.
        """
        self._remember(None)
        body = _call_request("number", number, dynamic_variables, metadata, ttl_sec, agent_id, overrides)
        reply = self._request("POST", "/v1/outbound-calls", body, idempotency_key=idempotency_key)
        session_id = reply.get("session_id")
        self._remember(session_id if isinstance(session_id, str) and session_id else None)
        return reply

    def create_pending_call_request(
        self,
        target_number: Optional[str] = None,
        dynamic_variables: Optional[Mapping[str, Any]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        ttl_sec: Optional[int] = 300,
        *,
        agent_id: Optional[str] = None,
        overrides: Optional[Mapping[str, Any]] = None,
        idempotency_key: Optional[str] = None,
    ) -> Dict[str, Any]:
        """Keeps context for the next call with `target_number` (None: with anybody) for `ttl_sec`, without calling:
        `{"queued": true, "dialing": false, "request": {"request_id": …, …}}`."""
        body = _call_request(
            "target_number", target_number, dynamic_variables, metadata, ttl_sec, agent_id, overrides
        )
        return self._request("POST", "/v1/pending-call-requests", body, idempotency_key=idempotency_key)

    def list_pending_call_requests(self) -> Dict[str, Any]:
        """`{"pending_call_requests": […]}`: those that are neither claimed nor expired."""
        return self._request("GET", "/v1/pending-call-requests")

    def get_pending_call_request(self, request_id: str) -> Dict[str, Any]:
        """`{"request": {…}}`. Status 404 when it is unknown, claimed or expired."""
        return self._request("GET", f"/v1/pending-call-requests/{_segment(request_id)}")

    def delete_pending_call_request(self, request_id: str) -> Dict[str, Any]:
        """`{"deleted": true, "request_id": …}`. Status 404 when it is unknown, claimed or expired."""
        return self._request("DELETE", f"/v1/pending-call-requests/{_segment(request_id)}")

    # Calls that are, and were.

    def current_call(self) -> Optional[Dict[str, Any]]:
        """The current call's `meta` (`id`, `state`, `incoming_number`, …), or None when there is none."""
        call = self._request("GET", "/v1/current-call").get("current_call")
        if call is None or isinstance(call, dict):
            return call
        raise CallScootClientError(200, "the service answered with a current call that is no JSON object", call)

    def list_calls(self, limit: int = 20) -> Dict[str, Any]:
        """`{"calls": [meta, …]}`, newest first, at most `limit` (the service gives no more than 1000)."""
        return self._request("GET", f"/v1/calls?{urlencode({'limit': limit})}")

    def get_call(self, session_id: str) -> Dict[str, Any]:
        """`{"meta": {…}, "events": […], "transcript": […]}` of a session, live or over. Status 404: unknown."""
        return self._request("GET", f"/v1/calls/{_segment(session_id)}")

    def get_call_events(self, session_id: str) -> Dict[str, Any]:
        """`{"session_id": …, "events": […]}`: what the agent did so far. Status 404: unknown."""
        return self._request("GET", f"/v1/calls/{_segment(session_id)}/events")

    def stream_events(
        self, session_id: str = "current", *, last_event_id: str = "", reconnect_sec: float = _RECONNECT_SEC
    ) -> Iterator[StreamEvent]:
        """The events of a session from its beginning, then each as it happens, up to and with its `call_ended`.

        `session_id`: a session, `current` (which is settled when the stream begins), or `all` (every session; no end).
        `last_event_id`: of the last event known, to begin behind it. A connection that breaks or falls silent is made
        again, across restarts of the service, and nothing is lost or repeated; after `reconnect_sec` without a new
        event from any attempt the error is raised. Should the service not know where the stream broke (its database was
        replaced), an event of type `gap` comes first, and what follows begins at the oldest event that it has.

        `all` also has `phone_connected`, `phone_changed` and `phone_disconnected`, whose `call_id` and `caller_id` are
        None. Only the newest of those are kept: for who comes later a `gap` with the `reason` `pruned` in its `payload`
        stands in for the others, and what follows goes on where he stopped.

        Raises at the first `next()` when the service cannot be reached; status 404: no such session, no current call.
        """
        return self._events(session_id or "current", last_event_id, reconnect_sec, math.inf)

    # Words for the agent, and the telephone's keys. Without a session id they go to the current call.

    def send_contextual_update(self, text: str, session_id: Optional[str] = None) -> Dict[str, Any]:
        """Tells the agent something without interrupting: `{"queued": true, "command": {…}}`.

        Status 409: no active call, or that session has ended. 404: unknown session.
        """
        return self._request("POST", f"{_call_path(session_id)}/contextual-update", {"text": text})

    def send_user_message(self, text: str, session_id: Optional[str] = None) -> Dict[str, Any]:
        """As if the caller had said it, so the agent replies: `{"queued": true, "command": {…}}`. Errors likewise."""
        return self._request("POST", f"{_call_path(session_id)}/user-message", {"text": text})

    def answer_current_call(self, *, session_id: Optional[str] = None) -> Dict[str, Any]:
        """Answers: `{"answering": true, "session_id": …, …}`. Status 409: no active call, nothing to answer."""
        return self._request("POST", f"{_call_path(session_id)}/answer")

    def hangup_current_call(self, *, session_id: Optional[str] = None) -> Dict[str, Any]:
        """Hangs up: `{"queued": true, "session_id": …, …}`. Status 409: no active call."""
        return self._request("POST", f"{_call_path(session_id)}/hangup")

    def handover(self, to: str, *, session_id: Optional[str] = None) -> Dict[str, Any]:
        """Brings the sound of a call on a phone to its `handset`, where the owner speaks, or back to the `agent`:
        `{"queued": true, "to": …, "session_id": …, …}`. What came of it is an `audio_moved` or `audio_not_moved` event.

        Status 409: no active call, not on a phone, or there already. 404: unknown session.
        """
        return self._request("POST", f"{_call_path(session_id)}/handover", {"to": to})

    # Phones over Bluetooth. A phone is named by its address, such as `00:1A:7D:DA:71:13`. Status 502: no Bluetooth.

    def phones(self) -> Dict[str, Any]:
        """`{"phones": […], "selected": …, "pairing": {…}, "adapter": …, "fault": …, "no_selection": …}`."""
        return self._request("GET", "/v1/phones")

    def open_pairing_window(self, timeout_sec: Optional[int] = None) -> Dict[str, Any]:
        """Lets phones find this machine and pair with it (None: for `discoverable_timeout`):
        `{"queued": true, "timeout_sec": …}`. `phones()["pairing"]["asks"]` is what a phone wants to have confirmed,
        `…["pin"]` what to type on an old one that asks for a PIN."""
        body = {} if timeout_sec is None else {"timeout_sec": timeout_sec}
        return self._request("POST", "/v1/phones/pairing-window", body)

    def close_pairing_window(self) -> Dict[str, Any]:
        """Lets no more phones pair: `{"queued": true}`."""
        return self._request("DELETE", "/v1/phones/pairing-window")

    def answer_pairing(
        self, accept: bool, *, address: Optional[str] = None, passkey: Optional[str] = None
    ) -> Dict[str, Any]:
        """Answers what the phone asks: `{"queued": true}`. With `address` and `passkey` as `asks` has them the answer is
        for that question only. Status 409: no phone asks anything, or another question is asked by now."""
        body: Dict[str, Any] = {"accept": accept}
        body.update({key: value for key, value in (("address", address), ("passkey", passkey)) if value is not None})
        return self._request("POST", "/v1/phones/pairing-answer", body)

    def connect_phone(self, address: str) -> Dict[str, Any]:
        """Connects it, and keeps it connected: `{"queued": true, "phone": {…}}`. Status 404: it is not paired."""
        return self._request("POST", f"/v1/phones/{_segment(address)}/connect")

    def disconnect_phone(self, address: str) -> Dict[str, Any]:
        """Disconnects it, and leaves it alone, over restarts too, until it comes by itself. Reply likewise."""
        return self._request("POST", f"/v1/phones/{_segment(address)}/disconnect")

    def trust_phone(self, address: str, trusted: bool = True) -> Dict[str, Any]:
        """Lets it connect by itself, or no longer. Reply and errors likewise."""
        return self._request("POST", f"/v1/phones/{_segment(address)}/{'trust' if trusted else 'untrust'}")

    def remove_phone(self, address: str) -> Dict[str, Any]:
        """Forgets it with its keys. Reply and errors likewise."""
        return self._request("DELETE", f"/v1/phones/{_segment(address)}")

    # Waiting.

    def wait_for_session_start(self, timeout_sec: float = 30.0, poll_interval_sec: float = 1.0) -> str:
        """The id of the session that the last `queue_outbound_call` began (this thread's, else this client's), at once.

        Where there was none, or its end was already waited for: looks for a current call every `poll_interval_sec`, and
        raises TimeoutError when there is none within `timeout_sec`.
        """
        known: Optional[str] = getattr(self._last_of_thread, "session_id", self._last_session_id)
        if known:
            return known
        deadline = time.monotonic() + timeout_sec
        while True:
            reply = self._ask_patiently("/v1/current-call", deadline)
            call = reply.get("current_call")
            # A call that has just ended stays the current one for a moment.
            if isinstance(call, dict) and isinstance(call.get("id"), str) and not _is_over({"meta": call}):
                return str(call["id"])
            self._pause(poll_interval_sec, deadline, f"no call began within {timeout_sec:g} s", reply)

    def wait_for_session_end(
        self, session_id: str, timeout_sec: float = 180.0, poll_interval_sec: float = 2.0
    ) -> Dict[str, Any]:
        """Waits until the session is over and returns all of it, as `get_call` does: summary and transcript are there.

        It listens to the session's events; where that fails it asks every `poll_interval_sec`. A restart of the service
        is waited out. Raises TimeoutError after `timeout_sec` (the call goes on); status 404: unknown session.
        """
        deadline = time.monotonic() + timeout_sec
        reply = self._ask_patiently(f"/v1/calls/{_segment(session_id)}", deadline)
        meta = reply.get("meta")
        if session_id == "current" and isinstance(meta, dict):
            session_id = str(meta.get("id") or session_id)
        if not _is_over(reply):
            # What is wrong with the stream is wrong with the question below too, or does not matter.
            with contextlib.suppress(CallScootClientError):
                for _ in self._events(session_id, "", _RECONNECT_SEC, deadline):
                    pass
        while not _is_over(reply):
            if time.monotonic() < deadline:
                reply = self._ask_patiently(f"/v1/calls/{_segment(session_id)}", deadline)
            if not _is_over(reply):
                self._pause(poll_interval_sec, deadline, f"the call was not over within {timeout_sec:g} s", reply)
        if getattr(self._last_of_thread, "session_id", None) == session_id:
            self._last_of_thread.session_id = None
        if self._last_session_id == session_id:
            self._last_session_id = None
        return reply

    # Inside.

    def _remember(self, session_id: Optional[str]) -> None:
        self._last_session_id = self._last_of_thread.session_id = session_id

    def _ask_patiently(self, path: str, deadline: float) -> Dict[str, Any]:
        """A reply; what may pass by itself is no error but the member `waiting_for`."""
        # Also with no time left it is asked once, and half a second is enough for a service that is there.
        timeout_sec = min(self.timeout_sec, max(0.5, deadline - time.monotonic()))
        try:
            return self._request("GET", path, timeout_sec=timeout_sec)
        except CallScootClientError as error:
            if error.status not in _PASSING:
                raise
            return {"waiting_for": error}

    @staticmethod
    def _pause(interval_sec: float, deadline: float, what: str, reply: Mapping[str, Any]) -> None:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            error = reply.get("waiting_for")
            raise TimeoutError(f"{what} (the service: {error})" if error else what) from error
        time.sleep(min(max(interval_sec, 0.01), remaining))

    def _events(
        self, session_id: str, last_event_id: str, reconnect_sec: float, deadline: float
    ) -> Iterator[StreamEvent]:
        """`stream_events`; ends without a word at the deadline."""
        if session_id == "current":
            # The name may mean another call when the connection breaks.
            session_id = str((self.current_call() or {}).get("id") or session_id)
        was_open, attempts, lost_since, retry_sec = False, 0, math.inf, 0.25
        while True:
            began, came, failure = time.monotonic(), False, None
            parser = SseParser()
            with contextlib.closing(self._stream(session_id, last_event_id, deadline)) as pieces:
                while True:
                    try:
                        piece = next(pieces, None)
                    except CallScootClientError as error:
                        failure = error
                        break
                    if piece is None:
                        break
                    was_open = True
                    for sse in parser.feed(piece):
                        came = True
                        event = _stream_event(sse)
                        place_is_lost = event.get("event_type") == "gap" and not sse.id and not _is_pruned(event)
                        last_event_id = "" if place_is_lost else last_event_id
                        yield event
                        if session_id != "all" and event.get("event_type") == "call_ended":
                            return
                    last_event_id = parser.last_event_id or last_event_id
            now = time.monotonic()
            if now >= deadline:
                return
            if failure and not (was_open and failure.status in _PASSING):
                raise failure
            if not (failure or came or session_id == "all") and self._has_ended(session_id):
                return  # whoever resumed knew the end already
            if came or now - began > _STREAM_SILENCE_SEC:
                attempts, lost_since = 0, now
            lost_since = min(lost_since, now)
            if now - lost_since >= reconnect_sec:
                raise failure or CallScootClientError(200, "the service ends the event stream again and again")
            if parser.retry_ms is not None:
                retry_sec = parser.retry_ms / 1000
            delay = min(_BACKOFF_MAX_SEC, retry_sec * 2**attempts) * random.uniform(0.5, 1.0)
            if failure and failure.retry_after_sec:
                delay = max(delay, min(failure.retry_after_sec, reconnect_sec))
            attempts = min(attempts + 1, 10)
            time.sleep(max(0.0, min(delay, deadline - now)))

    def _has_ended(self, session_id: str) -> bool:
        try:
            return _is_over(self.get_call(session_id))
        except CallScootClientError as error:
            if error.status not in _PASSING:
                raise
            return False

    def _stream(self, session_id: str, last_event_id: str, deadline: float) -> Generator[bytes, None, None]:
        """The bytes of one connection; the first piece is empty and says that it stands."""
        headers = {"Accept": b"text/event-stream", "Cache-Control": b"no-store"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id.encode("utf-8", "replace")
        path = f"/v1/events/stream?{urlencode({'session_id': session_id})}"
        with self._exchange("GET", path, None, headers, _STREAM_SILENCE_SEC, deadline) as response:
            if response.status != 200:
                raise _refusal(response, _read_all(response))
            media_type = response.headers.get_content_type()
            if media_type != "text/event-stream":
                raise CallScootClientError(200, f"the service answered with {media_type}, not with an event stream")
            yield b""
            while True:
                piece = response.read1(_READ_BYTES)
                if not piece:
                    return
                yield piece

    def _request(
        self,
        method: str,
        path: str,
        body: Optional[Mapping[str, Any]] = None,
        *,
        idempotency_key: Optional[str] = None,
        timeout_sec: Optional[float] = None,
    ) -> Dict[str, Any]:
        headers = {"Accept": b"application/json"}
        if idempotency_key is not None:
            if not idempotency_key.isprintable():
                raise ValueError("idempotency_key holds a character that no header can carry")
            headers["Idempotency-Key"] = idempotency_key.encode()
        content = None
        if body is not None:
            headers["Content-Type"] = b"application/json"
            content = json.dumps(body, allow_nan=False).encode()
        limit_sec = self.timeout_sec if timeout_sec is None else timeout_sec
        deadline = time.monotonic() + limit_sec
        with self._exchange(method, path, content, headers, limit_sec, deadline) as response:
            text = _read_all(response)
        if not 200 <= response.status < 300:
            raise _refusal(response, text)
        reply = _json_of(text)
        if not isinstance(reply, dict):
            what = "a body that is no JSON object" if text else "no body"
            raise CallScootClientError(response.status, f"the service answered with {what}", _shown(text))
        return reply

    @contextlib.contextmanager
    def _exchange(
        self,
        method: str,
        path: str,
        body: Optional[bytes],
        headers: Mapping[str, bytes],
        silence_sec: float,
        deadline: float,
    ) -> Iterator[http.client.HTTPResponse]:
        """One request and its response, whose body is read inside; whatever goes wrong is a `CallScootClientError`."""
        sent = {"Connection": b"close", "User-Agent": b"callscoot-client", **headers}
        if self._authorization:
            sent["Authorization"] = self._authorization
        sock: Optional[socket.socket] = None
        status: Optional[int] = None
        try:
            sock = self._connect(min(deadline, time.monotonic() + self.timeout_sec))
            connection = http.client.HTTPConnection(self._host, self._port)
            connection.sock = _Wire(sock, silence_sec, deadline)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                # Who refuses early may close before it has read all; its answer is there nevertheless.
                connection.request(method, self._path + path, body, sent)
            with connection.getresponse() as response:
                status = response.status
                yield response
        except socket.timeout as error:
            raise CallScootClientError(status, f"{self.base_url} did not answer in time") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            if status is None and sock is None:
                what = f"cannot connect to {self.base_url}: {error}"
            else:
                what = f"the answer of {self.base_url} broke off or is no HTTP: {error!r:.200}"
            raise CallScootClientError(status, what) from error
        finally:
            if sock is not None:
                sock.close()

    def _connect(self, deadline: float) -> socket.socket:
        """One deadline for all addresses of the host; the search for them has its own limit, the system's."""
        failure: OSError = OSError("the host has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM
        ):
            sock = None
            try:
                sock = socket.socket(family, kind, protocol)
                sock.settimeout(_remaining(deadline))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if not self._is_https:
                    return sock
                import ssl

                sock.settimeout(_remaining(deadline))
                return ssl.create_default_context().wrap_socket(sock, server_hostname=self._host)
            except OSError as error:
                failure = error
                if sock is not None:
                    sock.close()
        raise failure


def _call_request(
    number_field: str,
    number: Optional[str],
    dynamic_variables: Optional[Mapping[str, Any]],
    metadata: Optional[Mapping[str, Any]],
    ttl_sec: Optional[int],
    agent_id: Optional[str],
    overrides: Optional[Mapping[str, Any]],
) -> Dict[str, Any]:
    fields = {
        number_field: number,
        "dynamic_variables": dynamic_variables,
        "metadata": metadata,
        "ttl_sec": ttl_sec,
        "agent_id": agent_id,
        "overrides": overrides,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _segment(identifier: str) -> str:
    if not identifier:
        raise ValueError("the id is empty")
    return quote(identifier, safe="")


def _call_path(session_id: Optional[str]) -> str:
    return "/v1/current-call" if session_id is None else f"/v1/calls/{_segment(session_id)}"


def _is_over(reply: Mapping[str, Any]) -> bool:
    meta = reply.get("meta")
    return isinstance(meta, dict) and bool(meta.get("end_reason") or meta.get("ended_at"))


def _is_pruned(gap: Mapping[str, Any]) -> bool:
    """The service knows the place where the stream goes on: only some events behind it are gone."""
    payload = gap.get("payload")
    return isinstance(payload, dict) and payload.get("reason") == "pruned"


def _stream_event(sse: SseEvent) -> StreamEvent:
    data = _json_of(sse.data.encode("utf-8", "replace"))
    if not isinstance(data, dict):
        raise CallScootClientError(200, "an event of the stream is no JSON object", sse.data)
    event = StreamEvent(data)
    event.last_event_id = sse.id
    return event


def _read_all(response: http.client.HTTPResponse) -> bytes:
    text = bytearray()
    while len(text) <= _REPLY_BYTES_MAX:
        piece = response.read(_READ_BYTES)
        if not piece:
            break
        text += piece
    if len(text) > _REPLY_BYTES_MAX:
        raise CallScootClientError(response.status, f"the answer is longer than {_REPLY_BYTES_MAX} bytes")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(text)


def _json_of(text: bytes) -> Any:
    """None for what is no JSON."""
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def _shown(text: bytes) -> Optional[str]:
    return text.decode("utf-8", "replace") if text else None


def _refusal(response: http.client.HTTPResponse, text: bytes) -> CallScootClientError:
    body = _json_of(text)
    sentence = body.get("error") if isinstance(body, dict) else None
    if not isinstance(sentence, str) or not sentence:
        sentence = f"HTTP {response.status} {response.reason:.100}".rstrip()
        if 300 <= response.status < 400:
            sentence += ": redirects are not followed; is base_url the service's own address?"
    retry_after = response.headers.get("Retry-After", "").strip()
    retry_after_sec = float(retry_after) if re.fullmatch("[0-9]{1,9}", retry_after) else None
    return CallScootClientError(
        response.status, sentence, _shown(text) if body is None else body, retry_after_sec
    )
