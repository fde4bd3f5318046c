#!/bin/sh
# Install Debian packages without a question, and without starting what they bring: a server that
# arrives with a package is neither started nor left to start with the machine. Needs root.
set -eu
export DEBIAN_FRONTEND=noninteractive
POLICY=/usr/sbin/policy-rc.d
UNITS="postgresql slapd nginx caddy"

is_enabled() {
    [ -d /run/systemd/system ] && systemctl is-enabled --quiet "$1" 2>/dev/null
}

enabled_before=""
for unit in $UNITS; do
    if is_enabled "$unit"; then enabled_before="$enabled_before $unit "; fi
done

# Debian's own switch for "start no service while installing". One that is there already is left alone.
if [ ! -e "$POLICY" ]; then
    trap 'rm -f "$POLICY"' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
fi

quietly() {
    log="$(mktemp)"
    if "$@" >"$log" 2>&1; then rm -f "$log"; return; fi
    tail -n 5 "$log" >&2
    rm -f "$log"
    return 1
}

echo "Installing $*"
# The lists of a fresh container are empty, and old lists name packages that are gone.
if ! quietly apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" 2>/dev/null; then
    quietly apt-get -o DPkg::Lock::Timeout=300 update
    quietly apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
fi

for unit in $UNITS; do
    case "$enabled_before" in *" $unit "*) continue ;; esac
    if is_enabled "$unit"; then systemctl disable --quiet "$unit" 2>/dev/null || true; fi
done
