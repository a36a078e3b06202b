#!/bin/sh
# In the guest, as PID 1 after bench-init: brings up D-Bus, btvirt and bluetoothd, runs the scenario, powers off.
# The scenario finds in its environment: BENCH (this bench), BENCH_HCI (Bumble transport of a fresh controller for a phone,
# one per connection) and BENCH_ADDRESS (the address of BlueZ's own adapter, hci0).
export PYTHONPATH=/usr/local/lib/bench:/bench PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/root
export BENCH=/bench BENCH_HCI=unix:/tmp/bt-server-bredrle
logs=/scenario/logs
mount -t sysfs sys /sys; mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts
for dir in /run /tmp /dev/shm /root /var/lib/bluetooth /var/log; do mount -t tmpfs tmp $dir; done
stty -opost                                       # no carriage returns in the output
hostname bench; ip link set lo up
up() { cut -d' ' -f1 /proc/uptime; }
finish() { echo "$1" >/run-bench/status; dmesg >"$logs/dmesg.log"; sync; echo o >/proc/sysrq-trigger; sleep 60; }

mkdir -p /run/dbus; dbus-daemon --system --fork || finish 125
start_btvirt() { btvirt -l1 -s/tmp >>"$logs/btvirt.log" 2>&1 & btvirt=$!; }
adapter() {
  dbus-send --system --print-reply=literal --dest=org.bluez /org/bluez/hci0 org.freedesktop.DBus.Properties.Get \
    string:org.bluez.Adapter1 string:Address 2>/dev/null | grep -oE '([0-9A-F]{2}:){5}[0-9A-F]{2}'
}
start_btvirt
/usr/libexec/bluetooth/bluetoothd -n -d >"$logs/bluetoothd.log" 2>&1 &
# The kernel gives an HCI command 2 s. On a starved machine the first reset runs out of it and no controller appears:
# only a new btvirt helps.
attempt=1 polls=0
until BENCH_ADDRESS=$(adapter); do
  polls=$((polls + 1)); sleep 0.1
  [ $polls -lt 60 ] && continue
  [ $attempt = 5 ] && { echo "bench: no controller after $attempt attempts"; finish 125; }
  attempt=$((attempt + 1)) polls=0; kill $btvirt; sleep 0.5; start_btvirt
done
export BENCH_ADDRESS
echo "bench: BlueZ $(/usr/libexec/bluetooth/bluetoothd --version) on $(uname -r), adapter $BENCH_ADDRESS, attempt $attempt, $(up) s after boot"
btmon >"$logs/btmon.log" 2>&1 & btmon=$!

cd /scenario || finish 125
eval "set -- $(cat /run-bench/arguments)"
timeout -k 5 "$(cat /run-bench/limit)" sh ./run.sh "$@"; status=$?
kill $btmon 2>/dev/null; wait $btmon 2>/dev/null
finish $status
