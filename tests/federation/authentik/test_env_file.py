"""Merging into .env: the result is read back unchanged."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.environment.dotenv import parse_dotenv
from federation.authentik import env_file
from federation.authentik.http import AuthentikError

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "A=1\n"),
        ("B=2", "B=2\nA=1\n"),
        ("A=0\nB=2\n", "A=1\nB=2\n"),
        ("export A=0\n", "A=1\n"),
        ("A=0\nB=2\nA=5\n", "B=2\nA=1\n"),
        ("# A=0\n\nB=2 # two\n", "# A=0\n\nB=2 # two\nA=1\n"),
        ("AA=0\n", "AA=0\nA=1\n"),
    ],
)
def test_lines_are_replaced_and_the_rest_stays(before: str, after: str) -> None:
    assert env_file.merge(before, {"A": "1"}) == after
    assert env_file.merge(after, {"A": "1"}) == after


@given(PRINTABLE)
def test_every_value_is_read_back_as_it_was(value: str) -> None:
    found, problems = parse_dotenv(env_file.merge("A=old\n", {"A": value}))

    assert (found["A"].value, problems) == (value, [])


def test_a_value_with_a_line_break_is_refused() -> None:
    with pytest.raises(AuthentikError, match="line break"):
        env_file.format_line("A", "one\ntwo")


def test_a_symbolic_link_is_followed_and_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / ".env"
    real.write_text("A=0\n")
    link.symlink_to(real)

    assert env_file.write(env_file.check_writable(link), {"A": "1"})

    assert (link.is_symlink(), real.read_text()) == (True, "A=1\n")


def test_a_world_readable_file_becomes_private(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\n")
    file.chmod(0o644)

    assert env_file.write(file, {"A": "1"})
    assert file.stat().st_mode & 0o777 == 0o600
    assert not env_file.write(file, {"A": "1"})
