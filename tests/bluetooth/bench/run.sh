#!/bin/bash
# run.sh [--cache DIR] [--timeout S] SCENARIO_DIR [ARG...]
# Boots the guest that setup.sh built, starts dbus, btvirt and bluetoothd in it and runs SCENARIO_DIR/run.sh ARG... there.
# Exit status: that of the scenario's run.sh; 124 when it ran past S seconds (default 120); 125 when the guest did not come up.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/callscoot-bluetooth-bench
limit=120
usage() { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in
    --cache) cache=${2?}; shift 2 ;;
    --timeout) limit=${2?}; shift 2 ;;
    -*) usage ;;
    *) break ;;
  esac
done
[ $# -ge 1 ] && [ -f "$1/run.sh" ] || usage
scenario=$(cd "$1" && pwd); shift
cache=$(cd "$cache" 2>/dev/null && pwd) || { echo "run.sh: no cache, run setup.sh first" >&2; exit 125; }
[ -e "$cache/linux" ] && [ -d "$cache/root" ] || { echo "run.sh: $cache is not complete, run setup.sh" >&2; exit 125; }

# Everything of this run: where the guest finds its folders (links, so that any path will do), its arguments, its verdict.
# mktemp's own path goes on the kernel's command line and so must have no space.
tmp=${TMPDIR:-/tmp}; case $tmp in *[[:space:]]*) tmp=/tmp ;; esac
work=$(mktemp -d "$tmp/btbench.XXXXXX"); trap 'rm -rf "$work"' EXIT; trap 'exit 130' INT TERM
mkdir -p "$work/run" "$scenario/logs"
link() { ln -s "$(readlink -f "$2")" "$work/$1"; }             # hostfs follows one link, not a chain
link bench "$here"; link scenario "$scenario"; link root "$cache/root"
for argument in "$@"; do printf "'%s' " "${argument//\'/\'\\\'\'}"; done >"$work/run/arguments"
echo "$limit" >"$work/run/limit"
rm -f "$scenario"/logs/*.log

boot() {
  TMPDIR=$work HOME=$work timeout --foreground -k 5 $((limit + 60)) "$cache/linux" mem=512M \
    root=/dev/root rootfstype=hostfs rootflags="$work/root" ro init=/sbin/bench-init \
    con=null ssl=null con0=fd:0,fd:1 stderr=1 console=stderr0 random.trust_bootloader=on random.trust_cpu=on bench_run="$work" \
    </dev/null 2>"$work/kernel.log"
}
started=$(date +%s.%N)
boot || true
cat "$work"/*.log >"$scenario/logs/kernel.log"
status=$(cat "$work/run/status" 2>/dev/null || echo 125)
printf 'run.sh: exit status %s after %.1f s\n' "$status" "$(echo "$(date +%s.%N) $started" | awk '{ print $1 - $2 }')" >&2
[ "$status" != 125 ] || echo "run.sh: the guest did not come up, see $scenario/logs" >&2
exit "$status"
