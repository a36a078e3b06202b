# run.sh msbc|cvsd: the whole service on a real bluetoothd: pairing, a call in and a call out, speech both ways.
# In the folder: callscoot, callscoot_client.py, and the speech: phone.wav (the codec's rate), agent.wav (16 kHz).
codec=$1
export HOME=/root XDG_CONFIG_HOME=/root/config XDG_STATE_HOME=/root/state PYTHONPATH=.:$PYTHONPATH
export CALLSCOOT_LOG=debug CALLSCOOT_API_PORT=8080
mkdir -p logs
cat >script.json <<'END'
{"input_format": "pcm_16000", "output_format": "pcm_16000",
 "steps": [{"say": {"wav": "agent.wav"}, "text": "speech", "ignore_caller": true}]}
END
./callscoot sim agent --port 8081 --script script.json --record logs/agent_heard.wav >logs/agent.jsonl 2>logs/agent.err &
ELEVENLABS_AGENT_ID=bench ELEVENLABS_BASE_URL=http://127.0.0.1:8081 ./callscoot serve >logs/service.log 2>&1 &
service=$!
./callscoot-sco-routing hci0                       # no Broadcom chip: a raw HCI socket that works, and nothing to do
python3 drive.py "$codec"; status=$?
kill $service; wait $service
echo "the service ended with $?"
exit $status
