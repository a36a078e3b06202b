"""Prints each event of a session as one JSON line, then `{"end_reason": …}`: for a test that cuts what it reads from.

follow.py SESSION
"""

import json
import sys

import hostile  # noqa: F401  (finds the client)
from callscoot_client import CallScootClient

client = CallScootClient.from_env()
for event in client.stream_events(sys.argv[1]):
    print(json.dumps(event), flush=True)
session = client.wait_for_session_end(sys.argv[1], timeout_sec=30)
print(json.dumps({"end_reason": session["meta"]["end_reason"]}), flush=True)
