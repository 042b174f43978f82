#!/usr/bin/env bash
# Builds Cyrus's httpd with WebSockets as the file $1, from the source of the Cyrus that is installed, without Debian's
# patches.
#
# Debian's own has neither WebSockets (libwslay-dev comes without the .pc file that Cyrus's configure looks for) nor an
# event source (measured: Cyrus 3.6 answers 204, as it sets the timer for both only where it has WebSockets). All else is
# Debian's: master, imapd, the libraries. Takes about a minute on two cores; done once, then it only looks.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
httpd=$1
work=$httpd.build
version=$(dpkg-query -W -f '${source:Version}' cyrus-caldav) # the package with Debian's httpd
upstream=${version%-*}
made_from="$version $(sha256sum <"${BASH_SOURCE[0]}")"

die() { echo "build_httpd.sh: $*" >&2; exit 1; }

# The last lines of what a command said, only when it fails.
quietly() {
  local log=$work/log
  "$@" >"$log" 2>&1 || { tail -n 60 "$log" >&2; return 1; }
}

is_built() {
  [ -x "$httpd" ] && [ "$(cat "$httpd.done" 2>/dev/null)" = "$made_from" ] && ! ldd "$httpd" | grep -q 'not found'
}

# apt, asked for the sources of the Debian archives that this machine installs from; its own lists stay as they are.
apt_sources() {
  local command=$1
  shift
  "$command" -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/lists" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root "$@"
}

# Every Debian revision of one upstream version has the same tarball, so one that an archive has lost is got from another.
# apt checks it against the signed list. Its exit status also tells of the detached signature, which may be missing.
download() {
  local keys=/usr/share/keyrings/debian-archive-keyring.gpg tarball=cyrus-imapd_$upstream.orig.tar.gz revision
  local line="deb-src [signed-by=$keys] \$(REPO_URI) \$(RELEASE) \$(COMPONENT)"
  archives() { apt-get indextargets --format "$line" 'Created-By: Packages' 'Origin: Debian' | sort -u >sources.list; }
  archives
  if [ ! -s sources.list ]; then quietly apt-get update && archives; fi # an image that was slimmed has no lists
  mkdir -p lists/partial
  : >apt.err
  quietly apt_sources apt-get update || die "apt-get update failed"
  for revision in $(apt_sources apt-cache showsrc cyrus-imapd | sed -n "s/^Version: \($upstream-.*\)/\1/p" | sort -uV); do
    quietly apt_sources apt-get source --download-only --tar-only "cyrus-imapd=$revision" 2>apt.err || true
    if [ -s "$tarball" ]; then tar xzf "$tarball" --strip-components 1; return 0; fi
  done
  cat apt.err >&2
  die "no source of cyrus-imapd $upstream"
}

# Cyrus's own libraries static, and little optimised: it is the compiler that takes the time.
build() {
  local with=(--enable-http --enable-jmap --enable-xapian --enable-idled --with-cyrus-user=cyrus)
  local without=(--disable-shared --disable-dependency-tracking --disable-gssapi --disable-pcre --disable-squat
    --without-ldap --without-perl)
  export CFLAGS="-O1 -w" CXXFLAGS="-O1 -w" WSLAY_CFLAGS=" " WSLAY_LIBS=-lwslay
  quietly ./configure "${with[@]}" "${without[@]}" || die "configure failed"
  printf 'include Makefile\ngenerated: $(BUILT_SOURCES)\n' >generated.mk # imap/httpd alone does not ask for them
  quietly make -s -f generated.mk generated || die "make failed"
  quietly make -s -j"$(nproc)" imap/httpd || die "make failed"
  ldd imap/httpd | grep -q libwslay || die "the httpd that was built has no WebSockets"
}

is_built && exit 0
echo "build: Cyrus's httpd $upstream"
rm -rf "$work"
mkdir -p "$work"
cd "$work"
download
build
mv imap/httpd "$httpd"
printf '%s\n' "$made_from" >"$httpd.done"
cd "$here"
rm -rf "$work"
