"""`make mutants` changes the code that runs, here and in processes that tests start."""

from collections.abc import Iterator

import pytest

from accounts.roles import Role, can_manage
from devtools.mutations import ROOT, VARIABLE, Mutant, install, mutants_in, recording
from devtools.servers.quick import Loaded

MANAGES = """
from accounts.roles import Role, can_manage
print(can_manage(Role.ADMIN, Role.ADMIN))
"""


@pytest.fixture
def mutant() -> Iterator[Mutant]:
    """Lets admins manage each other. The code is put back after the test."""
    code = can_manage.__code__
    (found,) = (
        each
        for each in mutants_in(ROOT / "accounts/roles.py")
        if each.after == "actor.rank >= target.rank" and "can_manage" in each.function
    )
    yield found
    can_manage.__code__ = code


def test_a_mutant_takes_the_place_of_the_code(mutant: Mutant) -> None:
    assert not can_manage(Role.ADMIN, Role.ADMIN)

    assert install(mutant)

    assert can_manage(Role.ADMIN, Role.ADMIN)


def test_processes_of_tests_run_the_mutant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, mutant.name)

    ended = Loaded("devtools.servers.warm").run(MANAGES, environment={"DATA_DIR": "unused"})

    assert (ended.stdout, ended.returncode) == ("True\n", 0)


def test_calls_are_recorded_and_the_code_is_put_back(mutant: Mutant) -> None:
    code = can_manage.__code__

    with recording({mutant.function}) as called:
        assert called == set()
        assert can_manage(Role.OWNER, Role.ADMIN)
        assert called == {mutant.function}

    assert can_manage.__code__ is code


def test_a_mutant_is_known_by_its_text_and_not_by_its_line(mutant: Mutant) -> None:
    line = "return actor.rank > target.rank or actor == target == Role.OWNER"
    change = "actor.rank > target.rank", "actor.rank >= target.rank"

    assert mutant.identity == ("accounts/roles.py:can_manage", line, *change)
