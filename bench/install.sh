#!/usr/bin/env bash
# Installs what the benchmark compares with: Debian's Caddy, nginx and HAProxy, mitmproxy from PyPI, the load generator
# wrk, and perf for profiles. As root on Debian; run again it only looks. What does not come from apt goes to .bench/
# (git-ignored).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/.." && pwd)/.bench
python=${PYTHON:-python3}
mkdir -p "$out"

die() { echo "install.sh: $*" >&2; exit 1; }

# Runs a command, and shows what it said only when it fails.
quietly() {
  local log
  log=$(mktemp)
  if "$@" >"$log" 2>&1; then rm -f "$log"; return 0; fi
  cat "$log" >&2
  rm -f "$log"
  return 1
}

# Debian starts a daemon when its package is installed; the benchmark starts its own, on 127.0.0.1 only.
without_daemons() {
  local policy=/usr/sbin/policy-rc.d made="" status=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=yes
  fi
  "$@" || status=$?
  [ -z "$made" ] || rm -f "$policy"
  return "$status"
}

install_debian() {
  local missing=() package
  for package in caddy haproxy linux-perf nginx-light openssl wrk; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "needs root to install: ${missing[*]}"
  echo "apt: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  quietly apt-get update || die "apt-get update failed"
  quietly without_daemons apt-get install -y --no-install-recommends "${missing[@]}" || die "apt-get install failed"
}

# mitmproxy pins versions of what it depends on, so it has a virtual environment of its own.
install_from_pypi() {
  local name=$1 to=$out/$1
  if cmp -s "$here/requirements/$name.txt" "$to/.done"; then return 0; fi
  echo "pip: $name"
  "$python" -m venv --clear "$to"
  quietly "$to/bin/python" -m pip install --disable-pip-version-check -r "$here/requirements/$name.txt" \
    || die "pip install failed for $name"
  cp "$here/requirements/$name.txt" "$to/.done"
}

install_debian
install_from_pypi mitmproxy
