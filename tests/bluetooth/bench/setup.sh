#!/bin/bash
# setup.sh [CACHE_DIR]: builds once, into CACHE_DIR, what run.sh boots:
#   root/   a small Debian with bluez, btvirt, D-Bus, Python, Bumble and callscoot's runtime libraries
#   linux   a User Mode Linux kernel with Bluetooth (one file)
# Environment: BENCH_SUITE (Debian suite of the root, needs bluez >= 5.87), BENCH_MIRROR (default: apt's own).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
suite=${BENCH_SUITE:-forky}
bumble=0.0.236
guest_packages=bluez,bluez-test-tools,dbus,python3,python3-dbus,python3-gi,python3-cryptography,python3-pyee,python3-typing-extensions,libasound2t64,libdbus-1-3,libopus0,libsbc1,libspeexdsp1,iproute2,procps

case ${1:-} in -*) sed -n '2,5s/^# //p' "$0"; exit 2 ;; esac
cache=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/callscoot-bluetooth-bench}
mkdir -p "$cache"; cache=$(cd "$cache" && pwd)
exec 9>"$cache/lock"; flock -n 9 || { echo "another setup.sh holds $cache, waiting"; flock 9; }

started=$SECONDS
say() { printf '[%4d s] %s\n' $((SECONDS - started)) "$*"; }
die() { echo "setup.sh: $*" >&2; exit 1; }
quiet() { "$@" >"$cache/last.log" 2>&1 || { tail -30 "$cache/last.log" >&2; die "failed: $1 (whole output: $cache/last.log)"; }; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
current() { [ -e "$cache/$1" ] && [ "$(cat "$cache/$1.stamp" 2>/dev/null)" = "$2" ]; }
scratch=$(mktemp -d "$cache/build.XXXXXX"); trap 'rm -rf "$scratch"' EXIT

install_tools() {
  local need=(mmdebstrap debian-archive-keyring python3-pip xz-utils) missing=() p
  need+=(gcc libc6-dev make flex bison bc)
  [ "$(id -u)" = 0 ] || need+=(uidmap)
  for p in "${need[@]}"; do
    dpkg-query -W -f='${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q ^ii || missing+=("$p")
  done
  if [ ${#missing[@]} = 0 ]; then say "tools: all installed"; return; fi
  say "tools: installing ${missing[*]}"
  quiet as_root apt-get update
  quiet as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

# The Debian mirror that this machine's apt already uses.
mirror() {
  [ -z "${BENCH_MIRROR:-}" ] || { echo "$BENCH_MIRROR"; return; }
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | awk '$1 == "Debian" { print $2; exit }'
}

download() { # package -> file in $scratch
  (cd "$scratch" && apt-get -qq -o APT::Sandbox::User=root download "$1") || die "cannot download $1 (apt-get update?)"
}

build_root() {
  local want from
  want="$suite $guest_packages bumble=$bumble $(sha256sum <"$here/guest/bench-init")"
  if current root "$want"; then say "root file system: up to date"; return; fi
  from=$(mirror); [ -n "$from" ] || die "no Debian mirror in apt's sources; set BENCH_MIRROR"
  say "root file system: Bumble $bumble from PyPI"
  quiet python3 -m pip install --disable-pip-version-check --no-deps --no-compile --only-binary=:all: --target "$scratch/py" "bumble==$bumble"
  rm -rf "$scratch/py/bin"; install -m 755 "$here/guest/bench-init" "$scratch/bench-init"
  say "root file system: Debian $suite from the Debian mirror (about 1 min)"
  # Check-Valid-Until off: a frozen mirror will do for a test root; signatures are still checked.
  quiet mmdebstrap --variant=minbase --format=tar --include="$guest_packages" --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='mkdir -p "$1/usr/local/lib/bench" "$1/bench" "$1/run-bench" "$1/scenario"' \
    --customize-hook="sync-in '$scratch/py' /usr/local/lib/bench" --customize-hook="upload '$scratch/bench-init' /sbin/bench-init" \
    --customize-hook='chmod 755 "$1/sbin/bench-init"' \
    --customize-hook='chroot "$1" python3 -m compileall -q /usr/local/lib/bench /usr/lib/python3/dist-packages || true' \
    --customize-hook='chroot "$1" dbus-uuidgen --ensure' \
    "$suite" "$scratch/root.tar" "$from"
  mkdir "$scratch/root"
  tar -xf "$scratch/root.tar" -C "$scratch/root" --no-same-owner --exclude='./dev/*'
  chmod -R u+rwX,go+rX "$scratch/root"       # whoever runs run.sh reads it through hostfs or 9p
  rm -rf "$cache/root"; mv "$scratch/root" "$cache/root"; echo "$want" >"$cache/root.stamp"
  say "root file system: done, $(du -sh "$cache/root" | cut -f1)"
}

build_uml() {
  local source tree want
  source=linux-source-6.1                                # the one uml.config is proven with (Debian 12)
  apt-cache show "$source" >/dev/null 2>&1 ||
    source=$(apt-cache depends linux-source | awk '$1 == "Depends:" { print $2 }')
  want="$source $(sha256sum <"$here/uml.config")"
  if current linux "$want"; then say "UML kernel: up to date"; return; fi
  say "UML kernel: downloading and unpacking $source (140 MB, about 1 min)"
  download "$source"
  dpkg-deb --fsys-tarfile "$scratch/$source"_*.deb | tar -xO "./usr/src/$source.tar.xz" | tar -xJ -C "$scratch"
  tree=$scratch/$source
  quiet make -C "$tree" ARCH=um tinyconfig
  cat "$here/uml.config" >>"$tree/.config"
  quiet make -C "$tree" ARCH=um olddefconfig
  for option in BT BT_BREDR BT_RFCOMM BT_HCIVHCI HOSTFS CRYPTO_CMAC CRYPTO_ECDH; do
    grep -q "^CONFIG_$option=y" "$tree/.config" || die "$source drops CONFIG_$option: uml.config wants adapting"
  done
  say "UML kernel: compiling on $(nproc) cores (10 CPU minutes)"
  quiet make -C "$tree" ARCH=um KBUILD_BUILD_USER=bench KBUILD_BUILD_HOST=bench -j"$(nproc)" linux
  install -s -m 755 "$tree/linux" "$cache/linux"; echo "$want" >"$cache/linux.stamp"
  say "UML kernel: done, $(du -h "$cache/linux" | cut -f1)"
}

install_tools
build_root
build_uml
rm -rf "$scratch"
say "ready: $cache ($(du -sh "$cache" | cut -f1))"
