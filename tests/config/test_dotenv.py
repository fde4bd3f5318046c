"""The .env file as people and other systems write it."""

from pathlib import Path

import pytest

from config.environment.dotenv import parse_dotenv, read_dotenv


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=value", "value"),
        ("export NAME=value", "value"),
        ("  NAME = value  ", "value"),
        ("NAME=", ""),
        ("NAME=value # why", "value"),
        ("NAME=value#1", "value#1"),
        ("NAME=# nothing", ""),
        ("NAME='single # kept'", "single # kept"),
        ("NAME='no \\n escape'", "no \\n escape"),
        ('NAME="double # kept" # why', "double # kept"),
        ('NAME="two\\nlines \\"quoted\\" \\\\"', 'two\nlines "quoted" \\'),
        ('NAME="a\\$b\\x"', "a$b\\x"),
        ("NAME='two\nlines'", "two\nlines"),
        ("NAME=1000 * 60 * 15 # fifteen minutes", "1000 * 60 * 15"),
        ("NAME=a=b", "a=b"),
        ("NAME=${HOME}", "${HOME}"),
        ('NAME="quoted" and more', '"quoted" and more'),
        ("NAME=it's", "it's"),
    ],
)
def test_each_form_of_a_line_is_parsed(line: str, value: str) -> None:
    found, problems = parse_dotenv(f"{line}\nNEXT=1\n")

    assert found["NAME"].value == value
    assert found["NEXT"].value == "1"
    assert problems == []


def test_lines_are_counted_from_one_and_the_last_of_a_name_counts() -> None:
    found, _ = parse_dotenv("# a comment\n\nNAME='a\nb'\nOTHER=1\nNAME=2\n")

    assert (found["NAME"].value, found["NAME"].number) == ("2", 6)
    assert found["OTHER"].number == 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "hunter2\n",
            (
                ".env line 1: is neither NAME=value nor a comment. Fix: write NAME=value or "
                "remove the line."
            ),
        ),
        (
            "\n1NAME=hunter2\n",
            (
                ".env line 2: is neither NAME=value nor a comment. Fix: write "
                "NAME=value or remove the line."
            ),
        ),
        (
            "NAME='hunter2\n",
            (
                ".env line 1: has a quote that is not closed. Fix: write NAME=value or "
                "remove the line."
            ),
        ),
    ],
)
def test_a_faulty_line_is_reported_by_number_only(text: str, problem: str) -> None:
    _, problems = parse_dotenv(text)

    assert [str(found) for found in problems] == [problem]


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert read_dotenv(None) == ({}, [])
    assert read_dotenv(tmp_path / ".env") == ({}, [])


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"\xef\xbb\xbfPORT=9000\r\nHOST=::1\r\n")

    found, problems = read_dotenv(path)

    assert {line.name: line.value for line in found.values()} == {"PORT": "9000", "HOST": "::1"}
    assert problems == []


def test_a_file_that_is_not_text_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"NAME=\xff\xfe")

    _, problems = read_dotenv(path)

    assert [str(problem) for problem in problems] == [
        ".env: is not UTF-8 text. Fix: save it as UTF-8."
    ]
