"""What schemathesis may not do to the service under test, and what it must look at besides the document.

CALLSCOOT_PHONE is the host and port of a simulated phone: every call goes there. CALLSCOOT_COUNTS is a file that
gets the number of cases by method, path and status, as JSON.
"""

import atexit
import collections
import json
import os
import re
import time

import requests
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData

PHONE = os.environ["CALLSCOOT_PHONE"]
LOOPBACK = ["127.0.0.1", "localhost", "::1", "127.0.0.2"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]
HOST = re.compile(r"\s*\[?[A-Za-z0-9_.:-]+\]?\s*")
SIP_URI = re.compile(r"(?i)(sip:)([^@]*@)?(.*)", re.DOTALL)

# Sentences of 502 and 503 that say what is really so while settings change under the calls; anything else is a fault.
KNOWN = {
    "502": re.compile(r"SIP is not ready: |not registered at the SIP server: |bluetoothd is not there: |Bluetooth has not "),
    "503": re.compile(r"too many (event streams|long responses)$|not ready: "),
}

counts = collections.Counter()


def same_choice(words, text):
    """One of the words, the same for the same text in every run."""
    return words[sum(str(text).encode(errors="replace")) % len(words)]


def stay_here(path, body):
    """Names of other machines become names of this one; what is no name stays as it is, to be refused."""
    if not isinstance(body, dict):
        return body
    body = dict(body)
    if path == "/v1/config":
        server = body.get("sip_server")
        if isinstance(server, str) and HOST.fullmatch(server):
            body["sip_server"] = same_choice(LOOPBACK, server)
        zone = body.get("timezone")
        # Which zones a machine knows cannot be said in a schema.
        if isinstance(zone, str) and re.fullmatch(r"\s*[A-Za-z][A-Za-z0-9_+/-]*\s*", zone):
            body["timezone"] = same_choice(ZONES, zone)
    for member in ("number", "target_number"):
        if isinstance(body.get(member), str) and (uri := SIP_URI.fullmatch(body[member])):
            scheme, user, host = uri.groups()
            # What follows the host (parameters, rubbish) is kept.
            body[member] = scheme + (user or "") + re.sub(r"^(\[[^\]]*\]|[A-Za-z0-9_.-]+)(:\d*)?", PHONE, host)
    return body


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """What OpenAPI 3.2 calls `itemSchema` is known under that name only, and takes the place of `schema`."""
    stream = raw_schema["paths"]["/v1/events/stream"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    stream["itemSchema"] = stream["x-itemSchema"]
    del stream["schema"]


@schemathesis.hook
def before_call(context, case, kwargs):
    service.begin(case.operation.base_url)
    case.body = stay_here(case.path, case.body)
    if case.method == "POST" and case.path.startswith(("/v1/current-call/", "/v1/calls/")):
        call = service.have_a_call()
        # Most ids that it makes up or has seen are of calls that are over.
        if "session_id" in (case.path_parameters or {}) and same_choice([True, False], case.path_parameters["session_id"]):
            case.path_parameters["session_id"] = call["id"]


@schemathesis.hook
def after_call(context, case, response):
    counts[f"{case.method} {case.operation.path} {response.status_code}"] += 1
    if case.method == "PATCH" and case.path == "/v1/config" and response.status_code == 200:
        service.put_back()
    if case.method == "POST" and case.path == "/v1/outbound-calls" and response.status_code == 202:
        # Otherwise all lines were taken soon, and nothing but 409 came after.
        service.hang_up(response.json()["session_id"])


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """No body at all is taken for one that violates the schema, even where the document says that none is needed."""
    is_empty = not response.request.body and not any(body.is_required for body in case.operation.body)
    return not (isinstance(failure, AcceptedNegativeData) and is_empty)


class Service:
    """The service under test, kept as it was found and with a call to talk about."""

    def begin(self, base):
        if not hasattr(self, "base"):
            self.base, self.http = base, requests.Session()
            self.config = self.get("/v1/config")["config"]

    def get(self, path):
        return self.http.get(self.base + path, timeout=10).json()

    def until(self, what, look):
        deadline = time.monotonic() + 20
        while not (found := look()):
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.01)
        return found

    def put_back(self):
        """The configuration is as it was: what the service shows, it takes again."""
        reply = self.http.patch(self.base + "/v1/config", json=self.config, timeout=10)
        assert reply.status_code == 200 and reply.json()["config"] == self.config, reply.text
        self.until("the SIP line", lambda: self.get("/v1/status")["sip_state"]["started"])

    def hang_up(self, session_id):
        reply = self.http.post(f"{self.base}/v1/calls/{session_id}/hangup", timeout=10)
        assert reply.status_code in (202, 409), reply.text

    def have_a_call(self):
        # The phone may still be busy with the call before, and refuse.
        return self.until("a call", lambda: self.current_call() or (self.dial() and self.current_call()))

    def current_call(self):
        return self.get("/v1/current-call")["current_call"]

    def dial(self):
        return self.http.post(self.base + "/v1/outbound-calls", json={"number": "5550100"}, timeout=10).status_code


service = Service()


@schemathesis.check
def every_fault_is_known(context, response, case):
    if response.status_code < 500 or case.method == "HEAD":
        return
    error = json.loads(response.content)["error"]
    known = KNOWN.get(str(response.status_code))
    assert known and known.match(error), f"{response.status_code}: {error}"


@atexit.register
def write_counts():
    with open(os.environ["CALLSCOOT_COUNTS"], "w") as file:
        json.dump(dict(sorted(counts.items())), file, indent=1)
