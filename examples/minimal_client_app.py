#!/usr/bin/env python3
"""Makes one call with the agent and prints what is said, then the summary.

    minimal_client_app.py +905551112233 Efe

The service is found as the environment says (CALLSCOOT_API_BASE, or CALLSCOOT_API_HOST and CALLSCOOT_API_PORT;
CALLSCOOT_API_TOKEN), else at http://127.0.0.1:8788.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "src"))

from callscoot_client import CallScootClient, CallScootClientError  # noqa: E402


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(f"usage: {sys.argv[0]} NUMBER [CONTACT_NAME]", file=sys.stderr)
        return 2
    client = CallScootClient.from_env()
    session_id = None
    try:
        client.queue_outbound_call(
            sys.argv[1],
            dynamic_variables={"contact_name": sys.argv[2] if len(sys.argv) > 2 else "there"},
            metadata={"made_by": "minimal_client_app"},
        )
        session_id = client.wait_for_session_start()
        for event in client.stream_events(session_id):
            if event["event_type"] == "transcript_final":
                print("caller:", event["payload"]["text"], flush=True)
            elif event["event_type"] == "agent_response_finished":
                print("agent: ", event["payload"]["text"], flush=True)
        session = client.wait_for_session_end(session_id)
    except (CallScootClientError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if session_id:
            client.hangup_current_call(session_id=session_id)
        return 130
    print("ended:", session["meta"]["end_reason"])
    print("summary:", session["meta"].get("summary"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
