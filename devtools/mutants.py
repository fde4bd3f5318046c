"""`make mutants`: change the code in one place at a time, and see whether a test fails.

First all tests of the chosen apps run once, and for each it is recorded which functions it calls.
Then each mutant of the sample gets a fork of that process: the function runs the changed code, and
the tests that call it run until one fails, those first that call little else. A mutant that
survives is tried again with the tests of all other folders, and then with those tests of its own
app that start processes, which run the changed code, too. What no test notices is printed.
"""

import argparse
import functools
import gc
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence

import pytest

from devtools.mutations import (
    ROOT,
    VARIABLE,
    Living,
    Mutant,
    equivalent_among,
    install,
    mutants_in,
    recording,
)

LOCKS = "accounts/test_lock_order.py"
# Code that decides who may do what, and the tests of each part.
TARGETS = {
    "accounts/access_policy.py": ["accounts", "admin"],
    "accounts/services": ["accounts", "admin", "mfa", "pages/test_stale_forms.py", LOCKS],
    "magiclinks": [
        "magiclinks",
        "moderation/test_bans_at_sign_in.py",
        "pages/test_stale_forms.py",
        LOCKS,
    ],
    "applications": ["applications", LOCKS],
    "api/tokens": ["api", LOCKS],
    "api/apikeys": ["api", LOCKS],
    "forward_auth": ["forward_auth", "accounts/test_anonymous.py", LOCKS],
    "oidc_provider": ["oidc_provider", LOCKS],
    "moderation": ["moderation", "api/test_moderation.py", LOCKS],
}
# Tests with one of these watch other processes.
FIXTURES = {"data_templates", "postgres_server", "browser", "racers", "openid_provider"}
# These do not run the code, or not that of an app.
LEFT_OUT = ("architecture", "servers")
TIMEOUT_SECONDS = 60
KILLED, SURVIVED, NOT_APPLICABLE, FAILED = range(4)


class MutationRun:
    """The pytest plug-in; it replaces the loop over the tests.

    own_tests: paths of the tests that try every mutant. Other collected tests try survivors.
    """

    def __init__(self, mutants: Sequence[Mutant], own_tests: Sequence[str], jobs: int) -> None:
        self.mutants, self.jobs = mutants, jobs
        self.killed: list[Mutant] = []
        self.survivors: list[Mutant] = []
        # Their function is gone, or their code does not fit into it.
        self.not_applicable: list[Mutant] = []
        self._own_tests = tuple(str(ROOT / path) for path in own_tests)
        self._calling: dict[str, list[pytest.Item]] = {}
        # Node ids of own tests that start processes, but no browsers.
        self.starting: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        starting = [item for item in items if _starts_processes(item)]
        self.starting = [
            item.nodeid
            for item in starting
            if not item.get_closest_marker("browser") and self._is_own(item)
        ]
        items[:] = [item for item in items if item not in starting]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        own = [item for item in session.items if self._is_own(item)]
        others = [item for item in session.items if not self._is_own(item)]
        self.survivors = list(self.mutants)
        for items in [own, others]:
            if items and self.survivors:
                self._record(session, items)
                self._try_all(session)
        return True

    def _is_own(self, item: pytest.Item) -> bool:
        return any(f"{item.path}/".startswith(f"{path}/") for path in self._own_tests)

    def _record(self, session: pytest.Session, items: Sequence[pytest.Item]) -> None:
        """Run every test, and note which functions of the mutants each one calls."""
        wanted = {mutant.function for mutant in self.survivors}
        calls: list[tuple[int, float, pytest.Item, frozenset[str]]] = []
        with recording(wanted) as called:
            for item, following in _with_following(items):
                called.clear()
                start = time.perf_counter()
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                calls.append((len(called), time.perf_counter() - start, item, frozenset(called)))
        sys.stdout.write("\n")
        if session.testsfailed:
            raise session.Failed("these tests fail without any mutant")
        self._calling = {function: [] for function in wanted}
        for _count, _seconds, item, functions in sorted(calls, key=lambda call: call[:2]):
            for function in functions:
                self._calling[function].append(item)

    def _try_all(self, session: pytest.Session) -> None:
        """Move what the recorded tests kill from the survivors to the killed."""
        process = Living({mutant.function for mutant in self.survivors})
        gc.freeze()  # so that no fork looks for garbage in the memory that it shares
        waiting, self.survivors = self.survivors, []
        running: dict[int, Mutant] = {}
        for mutant in waiting:
            sys.stdout.flush()
            child = os.fork()
            if not child:
                self._try(session, mutant, process)
            running[child] = mutant
            while len(running) >= self.jobs:
                self._wait(running)
        while running:
            self._wait(running)

    def _try(self, session: pytest.Session, mutant: Mutant, process: Living) -> None:
        """In the fork. The alarm ends a mutant that runs in circles, which counts as killed."""
        status = SURVIVED
        try:
            session.config.pluginmanager.unregister(name="terminalreporter")
            session.config.option.tbstyle = "no"
            items = self._calling[mutant.function]
            if not install(mutant, process):
                status = NOT_APPLICABLE
                items = []
            for item, following in _with_following(items):
                signal.alarm(TIMEOUT_SECONDS)
                session._setupstate.teardown_exact(item)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    print(f"killed by {item.nodeid}: {mutant}", flush=True)
                    status = KILLED
                    break
        except BaseException:
            traceback.print_exc()
            status = FAILED
        os._exit(status)

    def _wait(self, running: dict[int, Mutant]) -> None:
        child, status = os.wait()
        if child not in running:
            return
        mutant = running.pop(child)
        code = os.waitstatus_to_exitcode(status)
        if code == SURVIVED:
            self.survivors.append(mutant)
            tests = len(self._calling[mutant.function])
            print(f"survived {tests} tests: {mutant}", flush=True)
        elif code == NOT_APPLICABLE:
            self.not_applicable.append(mutant)
        elif code == FAILED:
            raise pytest.UsageError(f"the tool itself failed with {mutant}")
        else:
            self.killed.append(mutant)


def _starts_processes(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool(
        FIXTURES & fixtures or item.get_closest_marker("race") or item.get_closest_marker("browser")
    )


def _with_following(
    items: Sequence[pytest.Item],
) -> list[tuple[pytest.Item, pytest.Item | None]]:
    """Each with the next; the last with the first, so that shared fixtures stay."""
    following = [*items[1:], items[0] if len(items) > 1 else None] if items else []
    return list(zip(items, following, strict=True))


def main() -> int:
    """0: all were killed or are explained; 1: some survived; 2: the tests fail by themselves."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m devtools.mutants")
    parser.add_argument("paths", nargs="*", default=list(TARGETS), help="files or folders")
    parser.add_argument("--seed", type=int, default=1, help="of the random sample")
    parser.add_argument("--count", type=int, default=100, help="how many of all mutants")
    parser.add_argument("--tests", nargs="*", help="these only, instead of all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    found = [mutant for path in options.paths for mutant in mutants_in(ROOT / path)]
    sample = random.Random(options.seed).sample(found, min(options.count, len(found)))
    own_tests = options.tests or tests_of(sample)
    equivalent = equivalent_among(sample)
    run = MutationRun([each for each in sample if each not in equivalent], own_tests, options.jobs)
    collected = options.tests or _folders()
    if pytest.main(["-q", "-p", "no:cacheprovider", *collected], plugins=[run]):
        return 2
    kill_by_processes(run)
    tried = len(run.killed) + len(run.survivors)
    print("\nSurvived all tests:", *run.survivors, sep="\n")
    print(
        f"{len(found)} mutants, seed {options.seed}: {tried} tried, {len(run.killed)} killed, "
        f"{len(run.survivors)} survived; {len(equivalent)} make no difference, "
        f"{len(run.not_applicable)} cannot run"
    )
    return int(bool(run.survivors))


def kill_by_processes(run: MutationRun) -> None:
    """Move survivors to the killed that tests with processes notice; their code is changed, too."""
    for mutant in list(run.survivors):
        folders = tests_of([mutant])
        tests = [
            test for test in run.starting if any(_is_below(test, folder) for folder in folders)
        ]
        if not tests or not _pass(*tests):
            continue
        if not _pass(*tests, mutant=mutant.name):
            print(f"killed by tests that start processes: {mutant}", flush=True)
            run.survivors.remove(mutant)
            run.killed.append(mutant)


@functools.cache
def _pass(*tests: str, mutant: str = "") -> bool:
    """Whether the tests pass in a process of their own, and say if they fail without a mutant."""
    command = [sys.executable, "-m", "pytest", "-xq", "-p", "no:cacheprovider", *tests]
    command += ["-p", "devtools.mutations"]  # whose hook changes the code of that process
    is_passed = not subprocess.run(command, env=os.environ | {VARIABLE: mutant}).returncode
    if not is_passed and not mutant:
        print("these tests fail without any mutant, or none ran:", *tests, flush=True)
    return is_passed


def _is_below(test: str, folder: str) -> bool:
    return f"{test.partition('::')[0]}/".startswith(f"{folder}/")


def _folders() -> list[str]:
    """Every folder of tests that run the code of apps."""
    return [
        str(folder.relative_to(ROOT))
        for folder in sorted((ROOT / "tests").iterdir())
        if folder.is_dir() and folder.name not in LEFT_OUT and any(folder.rglob("test_*.py"))
    ]


def tests_of(mutants: Sequence[Mutant]) -> list[str]:
    """Folders and files with the tests of the apps of these mutants."""
    return sorted(
        {
            f"tests/{test}"
            for target, folders in TARGETS.items()
            for test in folders
            if any(f"{mutant.file}/".startswith(f"{target}/") for mutant in mutants)
        }
    )


if __name__ == "__main__":
    sys.exit(main())
