"""`make mutants`: change the code in one place at a time, and see whether a test fails.

First all tests of the chosen apps run once, and for each it is recorded which functions it calls.
Then each mutant of the sample gets a fork of that process: the function runs the changed code, and
the tests that call it run until one fails. A mutant that no test notices survives and is printed.
Tests that start servers are left out: those processes would run the code as it is.
"""

import argparse
import functools
import gc
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import FrameType, FunctionType
from typing import Any

import pytest

from devtools.mutations import ROOT, Mutant, mutants_in, name_of

# Code that decides who may do what, and the tests of each part.
TARGETS = {
    "accounts/access_policy.py": ["accounts", "admin"],
    "accounts/services": ["accounts", "admin", "mfa", "pages/test_stale_forms.py"],
    "magiclinks": ["magiclinks", "pages/test_stale_forms.py"],
    "api/tokens": ["api"],
    "api/apikeys": ["api"],
    "forward_auth": ["forward_auth", "accounts/test_anonymous.py"],
    "moderation": ["moderation", "api/test_moderation.py"],
}
# Tests with one of these watch other processes.
FIXTURES = {"data_templates", "postgres_server", "browser", "racers", "openid_provider"}
MARKS = ("race", "browser")
TIMEOUT_SECONDS = 120
KILLED, SURVIVED, NOT_APPLICABLE = range(3)


class MutationRun:
    """The pytest plug-in; it replaces the loop over the tests."""

    def __init__(self, mutants: Sequence[Mutant], jobs: int) -> None:
        self.mutants, self.jobs = mutants, jobs
        self.killed: list[Mutant] = []
        self.survivors: list[Mutant] = []
        self._calling: dict[str, list[pytest.Item]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [
            item
            for item in items
            if not FIXTURES & set(getattr(item, "fixturenames", ()))
            and not any(item.get_closest_marker(mark) for mark in MARKS)
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._record(session)
        sys.stdout.write("\n")
        if session.testsfailed:
            raise session.Failed("these tests fail without any mutant")
        gc.unfreeze()  # gc.get_objects() leaves out what is frozen
        running: dict[int, Mutant] = {}
        for mutant in self.mutants:
            sys.stdout.flush()
            child = os.fork()
            if not child:
                self._try(session, mutant)
            running[child] = mutant
            if len(running) == self.jobs:
                self._wait(running)
        while running:
            self._wait(running)
        return True

    def _record(self, session: pytest.Session) -> None:
        """Run every test, and note which functions of the mutants each one calls."""
        wanted = {mutant.function for mutant in self.mutants}
        name = functools.cache(name_of)
        seen: set[str] = set()

        def note(frame: FrameType, event: str, _argument: Any) -> None:
            if event == "call" and name(frame.f_code) in wanted:
                seen.add(name(frame.f_code))

        threading.setprofile(note)
        for item, following in zip(session.items, _following(session.items), strict=True):
            seen.clear()
            sys.setprofile(note)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            sys.setprofile(None)
            for function in seen:
                self._calling.setdefault(function, []).append(item)
        threading.setprofile(None)

    def _try(self, session: pytest.Session, mutant: Mutant) -> None:
        """In the fork. The alarm ends a mutant that runs in circles, which counts as killed."""
        signal.alarm(TIMEOUT_SECONDS)
        status = SURVIVED
        try:
            session.config.pluginmanager.unregister(name="terminalreporter")
            items = self._calling.get(mutant.function, [])
            if not install(mutant):
                status = NOT_APPLICABLE
                items = []
            for item, following in zip(items, _following(items), strict=True):
                session._setupstate.teardown_exact(item)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    status = KILLED
                    break
        except BaseException:
            traceback.print_exc()
            status = NOT_APPLICABLE
        os._exit(status)

    def _wait(self, running: dict[int, Mutant]) -> None:
        child, status = os.wait()
        if child not in running:
            return
        mutant = running.pop(child)
        code = os.waitstatus_to_exitcode(status)
        if code == SURVIVED:
            self.survivors.append(mutant)
            tests = len(self._calling.get(mutant.function, []))
            print(f"survived {tests} tests: {mutant}", flush=True)
        elif code != NOT_APPLICABLE:
            self.killed.append(mutant)


def _following(items: Sequence[pytest.Item]) -> Sequence[pytest.Item | None]:
    """The next of each; after the last the first again, so that shared fixtures stay."""
    return [*items[1:], items[0] if len(items) > 1 else None] if items else []


def install(mutant: Mutant) -> bool:
    """Give the living function the changed code; False if there is none or it does not fit."""
    objects = gc.get_objects()
    for each in objects:
        if isinstance(each, functools._lru_cache_wrapper):
            each.cache_clear()
    code = mutant.code()
    functions = [
        each
        for each in objects
        if isinstance(each, FunctionType) and name_of(each.__code__) == mutant.function
    ]
    if code is None:
        return False
    for function in functions:
        try:
            function.__code__ = code
        except ValueError:  # the change removed the last use of an outer variable
            return False
    return bool(functions)


def main() -> int:
    """0: all were killed; 1: some survived; 2: the tests fail by themselves."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m devtools.mutants")
    parser.add_argument("paths", nargs="*", default=list(TARGETS), help="files or folders")
    parser.add_argument("--seed", type=int, default=1, help="of the random sample")
    parser.add_argument("--count", type=int, default=100, help="how many of all mutants")
    parser.add_argument("--tests", nargs="*", help="instead of all tests of the apps")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    found = [mutant for path in options.paths for mutant in mutants_in(ROOT / path)]
    sample = random.Random(options.seed).sample(found, min(options.count, len(found)))
    tests = options.tests or {
        f"tests/{test}"
        for target, folders in TARGETS.items()
        for test in folders
        if any(f"{mutant.file}/".startswith(f"{target}/") for mutant in sample)
    }
    run = MutationRun(sample, options.jobs)
    if pytest.main(["-q", "-p", "no:cacheprovider", *sorted(tests)], plugins=[run]):
        return 2
    tried, survived = len(run.killed) + len(run.survivors), len(run.survivors)
    print(f"{len(found)} mutants; {tried} tried: {len(run.killed)} killed, {survived} survived")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
