"""The vendor's own SDK as the client of an agent service: one conversation, one JSON line for each thing that happens.

sdk_client.py BASE_URL AGENT_ID [API_KEY]: with a key it asks for a signed URL, without one it takes the agent as public.
It says silence, and what the agent says moves it: at "Interrupt me" it speaks a 440 Hz tone until it is interrupted, at
"Write to me" it writes a contextual update and a user message. It answers the tool `find_order`, and ends when the
service closes or 30 seconds are over.
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

# The SDK calls back on several threads, and a line must stay a line.
telling = threading.Lock()


def tell(event, **members):
    with telling:
        sys.stdout.write(json.dumps({"event": event, **members}) + "\n")
        sys.stdout.flush()


class Line(AudioInterface):
    """Speaks at real-time pace and counts what it hears."""

    def __init__(self):
        self.loud = threading.Event()
        self.over = threading.Event()
        self.played = 0

    def start(self, input_callback):
        self.speak = input_callback
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        step = 2 * math.pi * 440 / RATE
        origin, at = time.monotonic(), 0
        while not self.over.wait(max(0.0, origin + at / RATE - time.monotonic())):
            level = 8192 if self.loud.is_set() else 0
            self.speak(array.array("h", (int(level * math.sin(step * (at + i))) for i in range(CHUNK))).tobytes())
            at += CHUNK

    def stop(self):
        self.over.set()

    def output(self, audio):
        self.played += len(audio)
        tell("audio", bytes=len(audio))

    def interrupt(self):
        self.loud.clear()
        tell("interrupt")


def main():
    base_url, agent_id = sys.argv[1:3]
    api_key = sys.argv[3] if len(sys.argv) > 3 else None
    line = Line()
    tools = ClientTools()
    tools.register("find_order", lambda parameters: f"order {parameters['number']} is shipped")

    def on_reply(text):
        tell("agent", text=text)
        if "Interrupt me" in text:
            line.loud.set()
        if "Write to me" in text:
            conversation.send_contextual_update("Written by the SDK.")
            conversation.send_user_message("Asked by the SDK.")

    over = threading.Event()

    def on_end(details):
        tell("disconnected", reason=str(details.reason))
        over.set()

    conversation = Conversation(
        ElevenLabs(base_url=base_url, api_key=api_key or "none"),
        agent_id,
        requires_auth=api_key is not None,
        audio_interface=line,
        client_tools=tools,
        config=ConversationInitiationData(dynamic_variables={"caller_id": "5550100"}),
        callback_agent_response=on_reply,
        callback_agent_response_correction=lambda before, after: tell("correction", original=before, corrected=after),
        callback_user_transcript=lambda text: tell("user", text=text),
        callback_disconnect=on_end,
    )
    conversation.start_session()
    if not over.wait(30):
        conversation.end_session()
    tell("over", conversation_id=conversation.wait_for_session_end(), played_bytes=line.played)


main()
