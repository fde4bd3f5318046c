#!/bin/sh
# `make test`: installs what the tests need, lints, and runs all tests. With a path below tests/ it
# runs only those tests, without lint, and without the slow ones (races between processes, browsers)
# unless -m is given.
set -eu
cd "$(dirname "$0")/.."
whole=yes
case " $*" in
    *" tests/"*)
        whole=""
        case " $*" in
            *" -m"*) ;;
            *)
                echo "Without races and browsers: add -m \"\" to ARGS for all tests of the path."
                set -- "$@" -m "not race and not browser"
                ;;
        esac
        ;;
esac
sh scripts/test-packages.sh
# The Node packages come beside the Python packages: both wait for the network. Ctrl-C does not
# reach what is in the background by itself.
if [ -n "$whole" ]; then
    trap 'kill 0' INT
    sh scripts/node-modules.sh &
    node=$!
fi
failed=""
sh scripts/environment.sh base dev docs ldap? || failed="the Python packages"
if [ -n "$whole" ]; then
    wait "$node" || failed="${failed:+$failed and }the Node packages"
    trap - INT
fi
if [ -n "$failed" ]; then
    echo "Could not install $failed; see above. No test was run." >&2
    exit 1
fi
if [ -n "$whole" ]; then
    # Beside the tests, which wait for servers a third of the time; its output comes last.
    # Its caches stand elsewhere, because tests copy this folder.
    linted=$(mktemp -d)
    MYPY_CACHE_DIR=$linted/mypy RUFF_CACHE_DIR=$linted/ruff \
        make --no-print-directory lint >"$linted/out" 2>&1 &
    lint=$!
fi
# Compiled files are kept for the next run, even where the environment says otherwise: each worker
# would compile all tests again.
export PYTHONDONTWRITEBYTECODE=
status=0
.venv/bin/pytest -n auto --dist loadfile --no-loadscope-reorder "$@" || status=$?
if [ -n "${lint:-}" ]; then
    wait "$lint" || status=1
    cat "$linted/out"
    rm -rf "$linted"
fi
exit "$status"
