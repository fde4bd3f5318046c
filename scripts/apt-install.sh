#!/bin/sh
# Installs Debian packages without questions. Servers in these packages are neither started nor
# enabled at boot. Needs root.
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

# Debian's switch for "start no service while installing". An existing one is not changed.
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
# A new container has no package lists, and old lists name packages that no longer exist.
if ! quietly apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" 2>/dev/null; then
    quietly apt-get -o DPkg::Lock::Timeout=300 update
    quietly apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
fi

for unit in $UNITS; do
    case "$enabled_before" in *" $unit "*) continue ;; esac
    if is_enabled "$unit"; then systemctl disable --quiet "$unit" 2>/dev/null || true; fi
done
