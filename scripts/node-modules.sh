#!/bin/sh
# The Node packages that the tests use, as tests/node/package-lock.json names them. Installed only
# when that file is newer than what was installed last.
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
