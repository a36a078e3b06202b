# run.sh NAME [ARG...]: a scenario in the guest. In the folder: callscoot, callscoot_client.py, and the speech, each sentence
# as NAME.wav (16 kHz) and NAME-8k.wav.
export HOME=/root XDG_CONFIG_HOME=/root/config XDG_STATE_HOME=/root/state PYTHONPATH=.:$PYTHONPATH
mkdir -p logs
name=$1; shift
exec python3 "$name.py" "$@"
