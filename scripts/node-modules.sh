#!/bin/sh
# Installs the Node packages of tests/node/package-lock.json, which the tests use, if that file has
# changed since.
set -eu
cd "$(dirname "$0")/../tests/node"
mark=node_modules/.package-lock.json
if [ -f "$mark" ] && [ ! package-lock.json -nt "$mark" ]; then exit 0; fi
if ! command -v npm >/dev/null 2>&1; then
    echo "npm is missing; tests that need Node will fail." >&2
    exit 0
fi
npm ci --loglevel=error
touch "$mark"
