#!/bin/sh
# Installs the programs that the tests start, on free ports and in temporary folders. Installed
# programs are not changed, and if nothing is missing, apt is not called.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/usr/local/sbin"
missing=""

need() {
    package="$1"
    shift
    for program in "$@"; do
        if command -v "$program" >/dev/null 2>&1; then return; fi
    done
    missing="$missing $package"
}

need_file() {
    package="$1"
    shift
    for file in "$@"; do
        if [ -e "$file" ]; then return; fi
    done
    missing="$missing $package"
}

need_file postgresql /usr/lib/postgresql/*/bin/initdb /usr/local/bin/initdb /opt/homebrew/bin/initdb
need pgbouncer pgbouncer
need slapd slapd
need ldap-utils ldapsearch
need chromium chromium chromium-browser google-chrome google-chrome-stable
need nginx nginx
need caddy caddy
need haproxy haproxy
# Brings Apache without its service.
need_file libapache2-mod-auth-openidc /usr/lib/apache2/modules/mod_auth_openidc.so
need build-essential gcc cc
need_file libldap-dev /usr/include/lber.h /usr/local/include/lber.h
need_file libsasl2-dev /usr/include/sasl/sasl.h /usr/local/include/sasl/sasl.h
need_file python3-dev /usr/include/python3*/Python.h \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null)/Python.h"
need nodejs node nodejs
need npm npm
need systemd systemd-analyze
need_file fonts-dejavu-core /usr/share/fonts/truetype/* /Library/Fonts

if [ -z "$missing" ]; then exit 0; fi
command="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # shellcheck disable=SC2086  # one word per package
    if sh scripts/apt-install.sh $missing; then exit 0; fi
    echo "Could not install$missing; tests that need one of them will fail." >&2
    exit 0
fi
if command -v apt-get >/dev/null; then
    echo "The tests need programs that are missing. Run this as root, then repeat: $command" >&2
else
    echo "The tests need programs that are missing; on Debian they are the packages$missing." >&2
fi
exit 1
