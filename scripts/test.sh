#!/bin/sh
# `make test`: what the tests need, lint, then the whole suite. With a path below tests/ only its
# tests, without lint and, unless -m says otherwise, without those that take minutes: races between
# processes and real browsers.
set -eu
cd "$(dirname "$0")/.."
sh scripts/test-packages.sh
sh scripts/environment.sh base dev ldap?
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
exec .venv/bin/pytest -n auto --dist loadfile --no-loadscope-reorder "$@"
