#!/usr/bin/env bash
# Installs what the end-to-end tests run against: Debian's Cyrus with an httpd built from its source (build_httpd.sh), the
# OpenID Provider and the clients.
# As root on Debian; run again it only looks. Whatever does not come from apt goes to .e2e/ (git-ignored).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../.." && pwd)/.e2e
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

# Debian starts a daemon when its package is installed; these tests start their own, on 127.0.0.1 only.
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
  local cyrus=(cyrus-imapd cyrus-caldav sasl2-bin libsasl2-modules libsasl2-modules-db)
  local to_build_httpd=(build-essential bison flex pkg-config rsync libbrotli-dev libical-dev libicu-dev libjansson-dev
    libnghttp2-dev libsasl2-dev libsqlite3-dev libssl-dev libwslay-dev libxapian-dev libxml2-dev libzstd-dev uuid-dev
    zlib1g-dev)
  for package in "${cyrus[@]}" "${to_build_httpd[@]}" openssl curl chromium; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
  done
  command -v node >/dev/null && command -v npm >/dev/null || missing+=(nodejs npm)
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "needs root to install: ${missing[*]}"
  echo "apt: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  quietly apt-get update || die "apt-get update failed"
  quietly without_daemons apt-get install -y --no-install-recommends "${missing[@]}" || die "apt-get install failed"
}

install_from_npm() {
  local name=$1 to=$out/$1
  if cmp -s "$here/$name/package-lock.json" "$to/.done"; then return 0; fi
  echo "npm: $name"
  mkdir -p "$to"
  cp "$here/$name/package.json" "$here/$name/package-lock.json" "$here/$name/.npmrc" "$to/"
  quietly npm --prefix "$to" ci --no-audit --no-fund || die "npm ci failed for $name"
  cp "$here/$name/package-lock.json" "$to/.done"
}

install_client() {
  local name=$1 to=$out/$1 python=${2:-$python}
  if [ -x "$to/bin/python" ] && cmp -s "$here/clients/$name.txt" "$to/.done"; then return 0; fi
  echo "pip: $name"
  rm -rf "$to"
  quietly "$python" -m venv "$to" || die "no virtual environment for $name"
  quietly "$to/bin/python" -m pip install --disable-pip-version-check --require-hashes \
    -r "$here/clients/$name.txt" || die "pip install failed for $name"
  cp "$here/clients/$name.txt" "$to/.done"
}

# The path of a Python that is new enough for fastmail-cli; nothing where there is none.
newer_python() {
  local each
  for each in "$python" python3.14 python3.13 "$HOME"/.pyenv/versions/3.1[3-9]*/bin/python; do
    if "$each" -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; then command -v "$each"; return; fi
  done
}

# oidc-provider says it wants a newer one still, and works.
check_node() {
  local major
  major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
  [ "$major" -ge 20 ] || die "the OpenID Provider needs node 20 or newer, this is $(node --version)"
}

install_debian
check_node
jobs=()
"$here/build_httpd.sh" "$out/httpd" & jobs+=($!)
for name in provider axe jam; do install_from_npm "$name" & jobs+=($!); done
for name in jmapc jmaplib jmax; do install_client "$name" & jobs+=($!); done
newer=$(newer_python)
if [ -n "$newer" ]; then install_client fastmail-cli "$newer" & jobs+=($!); else echo "fastmail-cli: no Python 3.13, left out"; fi
failed=0
for job in "${jobs[@]}"; do wait "$job" || failed=1; done
exit "$failed"
