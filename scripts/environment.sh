#!/bin/sh
# Creates .venv and installs lock files of requirements/: environment.sh base dev ldap?
# A lock file is installed only if it has changed since. `ldap?` is installed only if the LDAP headers
# exist, and may fail.
set -eu
cd "$(dirname "$0")/.."
VENV=.venv

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" && { echo "$PYTHON"; return; }
        echo "PYTHON=$PYTHON is not a Python of version 3.11 or newer." >&2
        return 1
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do
        is_new_enough "$candidate" && { echo "$candidate"; return; }
    done
    echo "Gatehouse needs Python 3.11 or newer and found none: install it (Debian, Ubuntu: apt-get install python3 python3-venv, as root), or name it with PYTHON=/path/to/python3." >&2
    return 1
}

# A minimal Debian or Ubuntu has no Python. Only root can install it.
ensure_python() {
    [ -z "${PYTHON:-}" ] || return 0
    for candidate in python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do
        is_new_enough "$candidate" && return
    done
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        sh scripts/apt-install.sh python3 python3-venv ca-certificates >&2
    fi
}

# Debian and Ubuntu have a separate package for the venv module.
ensure_venv_module() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    package="$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        sh scripts/apt-install.sh "$package" && "$1" -c 'import ensurepip, venv' && return
    fi
    echo "Python's venv module is missing: install it (Debian, Ubuntu: apt-get install $package, as root) and repeat." >&2
    return 1
}

make_venv() {
    [ -x "$VENV/bin/python" ] && is_new_enough "$VENV/bin/python" && return
    ensure_python
    python="$(find_python)"
    ensure_venv_module "$python"
    echo "Making the virtual environment with $("$python" --version)"
    rm -rf "$VENV"
    "$python" -m venv "$VENV"
}

install_lock() {
    lock="requirements/$1.txt"
    stamp="$VENV/installed-$1.txt"
    cmp -s "$lock" "$stamp" && return
    # Of tools, Python compiles what is used when it is used.
    case "$1" in dev | docs) compile=--no-compile ;; *) compile=--compile ;; esac
    echo "Installing $lock"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        "$compile" --require-hashes -r "$lock" || return 1
    cp "$lock" "$stamp"
}

has_ldap_headers() {
    for folder in /usr/include /usr/local/include /opt/homebrew/include; do
        [ -f "$folder/lber.h" ] && return
    done
    return 1
}

make_venv
for name in "$@"; do
    case "$name" in
        ldap\?)
            if has_ldap_headers && ! install_lock ldap; then
                echo "python-ldap could not be built; everything but LDAP works without it." >&2
            fi
            ;;
        *) install_lock "$name" ;;
    esac
done
