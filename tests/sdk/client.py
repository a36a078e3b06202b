"""The vendor's own SDK as a client of the simulated agent: one line of JSON for each thing that it noticed.

usage: client.py BASE_URL [API_KEY]     with a key it asks for a signed URL
"""

import json
import math
import struct
import sys
import threading

from elevenlabs import ElevenLabs
from elevenlabs.conversational_ai.conversation import (
    AudioInterface,
    ClientTools,
    Conversation,
    ConversationInitiationData,
)


def tell(event, **members):
    print(json.dumps({"event": event, **members}), flush=True)


class Line(AudioInterface):
    """Says silence; while the agent is told to be interrupted, a tone. Counts what it is given."""

    def __init__(self):
        self.loud = threading.Event()
        self.stopped = threading.Event()
        self.played = 0

    def start(self, input_callback):
        self.thread = threading.Thread(target=self._speak, args=(input_callback,), daemon=True)
        self.thread.start()

    def _speak(self, input_callback):
        tone = struct.pack("<1600h", *(int(9000 * math.sin(n * 0.2)) for n in range(1600)))
        while not self.stopped.wait(0.1):
            input_callback(tone if self.loud.is_set() else bytes(3200))

    def stop(self):
        self.stopped.set()

    def output(self, audio):
        if self.played == 0:
            tell("audio")
        self.played += len(audio)

    def interrupt(self):
        self.loud.clear()
        tell("interrupt", played_bytes=self.played)


def main():
    base_url, key = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    line = Line()
    tools = ClientTools()
    tools.register("find_order", lambda parameters: f"order {parameters['number']} is shipped")

    def agent_said(text):
        tell("agent", text=text)
        if text == "Interrupt me now.":
            line.loud.set()

    conversation = Conversation(
        ElevenLabs(api_key=key or "none", base_url=base_url),
        "agent_7",
        requires_auth=key is not None,
        audio_interface=line,
        client_tools=tools,
        config=ConversationInitiationData(dynamic_variables={"caller_id": "+15550100"}),
        callback_agent_response=agent_said,
        callback_agent_response_correction=lambda original, corrected: tell(
            "correction", original=original, corrected=corrected
        ),
        callback_user_transcript=lambda text: tell("user", text=text),
        callback_end_session=lambda *_: tell("end"),
    )
    conversation.start_session()
    tell("over", conversation_id=conversation.wait_for_session_end(), played_bytes=line.played)


main()
