"""The vendor's own SDK as the client of an agent service: one conversation, one JSON line for each thing that happens.

sdk_client.py BASE_URL AGENT_ID [API_KEY]: with a key it asks for a signed URL, without one it takes the agent as public.
It speaks a 440 Hz tone without pause, writes a contextual update and a user message once the agent has replied, answers
the tool `find_order`, and ends when the service closes or 30 seconds are over.
"""

import array
import json
import math
import sys
import threading
import time

from elevenlabs.client import ElevenLabs
from elevenlabs.conversational_ai.conversation import AudioInterface, ClientTools, Conversation, ConversationInitiationData

RATE = 16_000
CHUNK = RATE // 10


def tell(event, **members):
    print(json.dumps({"event": event, **members}), flush=True)


class Line(AudioInterface):
    """Speaks a tone at real-time pace and counts what it hears."""

    def start(self, input_callback):
        self.over = threading.Event()
        self.speak = input_callback
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        step = 2 * math.pi * 440 / RATE
        origin, at = time.monotonic(), 0
        while not self.over.wait(max(0.0, origin + at / RATE - time.monotonic())):
            tone = array.array("h", (int(8192 * math.sin(step * (at + i))) for i in range(CHUNK)))
            self.speak(tone.tobytes())
            at += CHUNK

    def stop(self):
        self.over.set()

    def output(self, audio):
        tell("audio", bytes=len(audio))

    def interrupt(self):
        tell("interrupt")


def main():
    base_url, agent_id = sys.argv[1:3]
    api_key = sys.argv[3] if len(sys.argv) > 3 else None
    client = ElevenLabs(base_url=base_url, api_key=api_key or "none")
    tools = ClientTools()
    tools.register("find_order", lambda parameters: json.dumps({"order": parameters.get("number")}))
    replied = threading.Event()

    def on_reply(text):
        tell("agent_response", text=text)
        if not replied.is_set():
            replied.set()
            conversation.send_contextual_update("Written by the SDK.")
            conversation.send_user_message("Asked by the SDK.")

    over = threading.Event()

    def on_end(details):
        tell("disconnected", reason=str(details.reason))
        over.set()

    conversation = Conversation(
        client,
        agent_id,
        requires_auth=api_key is not None,
        audio_interface=Line(),
        client_tools=tools,
        config=ConversationInitiationData(dynamic_variables={"caller_id": "5550100"}),
        callback_agent_response=on_reply,
        callback_agent_response_correction=lambda before, after: tell("correction", original=before, corrected=after),
        callback_user_transcript=lambda text: tell("transcript", text=text),
        callback_latency_measurement=lambda ms: tell("ping", ms=ms),
        callback_disconnect=on_end,
    )
    conversation.start_session()
    if not over.wait(30):
        conversation.end_session()
    tell("conversation", id=conversation.wait_for_session_end())


main()
