#!/bin/sh
# `make test`: installs what the tests need, lints, and runs all tests. With a path below tests/ it
# runs only those tests, without lint, and without the slow ones (races between processes, browsers)
# unless -m is given.
set -eu
cd "$(dirname "$0")/.."
sh scripts/test-packages.sh
sh scripts/environment.sh base dev docs ldap?
case " $*" in
    *" tests/"*)
        case " $*" in
            *" -m"*) ;;
            *)
                echo "Without races and browsers: add -m \"\" to ARGS for all tests of the path."
                set -- "$@" -m "not race and not browser"
                ;;
        esac
        ;;
    *)
        sh scripts/node-modules.sh
        make --no-print-directory lint
        ;;
esac
# Compiled files are kept for the next run, even where the environment says otherwise: each worker
# would compile all tests again.
export PYTHONDONTWRITEBYTECODE=
exec .venv/bin/pytest -n auto --dist loadfile --no-loadscope-reorder "$@"
