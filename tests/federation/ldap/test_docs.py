"""docs/ldap.md lists every failure in the words of `ldaptest`."""

from pathlib import Path

import pytest

from federation.ldap.failures import Failures

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "ldap.md").read_text()


@pytest.mark.parametrize("failure", list(Failures), ids=lambda failure: failure.name)
def test_every_failure_is_in_the_table_with_its_fix(failure: Failures) -> None:
    assert f"| {failure.value.text} | {failure.value.fix} |" in PAGE
